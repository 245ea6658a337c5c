"""Single pictures on disk: frames in, index masks in and out. What mask values mean is the layout's part."""

from __future__ import annotations

import io
import re
import warnings
from typing import TYPE_CHECKING

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from napari_hogseg.io import atomic
from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})
FORMATS = ("PNG", "JPEG", "BMP", "TIFF")
"""Only these decoders run, whatever a file calls itself."""

LOSSLESS_FORMATS = ("PNG", "BMP", "TIFF")
MAX_PIXELS = 100_000_000
"""Above any surgical camera; a decompression bomb ends here."""


def list_images(folder: Path) -> list[Path]:
    """List a folder's pictures in natural order (frame_2 before frame_10), hidden and `._` files dropped.

    Raises
    ------
    InputError
        If the folder cannot be read.
    """
    try:
        paths = [path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES]
    except OSError as error:
        raise InputError(
            f"The folder cannot be read: {error.strerror}", where=folder, remedy="Check path and rights."
        ) from error
    return sorted((path for path in paths if not path.name.startswith(".")), key=_natural_key)


def _natural_key(path: Path) -> tuple[tuple[int, int, str], ...]:
    parts = re.split(r"(\d+)", path.name.lower())
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts if part)


def read_image(path: Path) -> npt.NDArray[np.uint8]:
    """Read a frame.

    EXIF rotation is applied, grey becomes RGB, an alpha channel is dropped; 16-bit pictures are refused, as
    any scaling to 8 bit would be a guess.

    Returns
    -------
    (H, W, 3) uint8 ndarray
        RGB.

    Raises
    ------
    InputError
        If the file is missing, damaged, no picture, too large or deeper than 8 bit.
    """
    with _open(path, FORMATS) as picture:
        if picture.mode.startswith(("I", "F")):
            raise InputError(
                f"The picture has more than 8 bit a channel (mode {picture.mode})",
                where=path,
                remedy="Convert it to 8-bit RGB.",
            )
        return np.array(ImageOps.exif_transpose(picture).convert("RGB"))


def image_size(path: Path) -> tuple[int, int]:
    """Height and width from the header alone, EXIF rotation applied; InputError if it is no picture."""
    with _open(path, FORMATS, load=False) as picture:
        width, height = picture.size
        turned = picture.getexif().get(ExifTags.Base.Orientation, 1) >= 5
    return (width, height) if turned else (height, width)


def read_mask(path: Path) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
    """Read a mask's raw values: palette indices stay indices, 16-bit values stay as they are.

    Returns
    -------
    (H, W) uint8 or uint16 ndarray

    Raises
    ------
    InputError
        If it is a JPEG (its values are not what was painted), a colour picture, damaged or missing.
    """
    with _open(path, FORMATS) as picture:
        if picture.format not in LOSSLESS_FORMATS:
            raise InputError(
                f"A {picture.format} cannot hold class ids: compression changes them",
                where=path,
                remedy="Export masks as PNG.",
            )
        if picture.mode in ("I;16", "I;16B", "I"):
            return _sixteen_bit(np.array(picture), path)
        values = np.array(picture.convert("L") if picture.mode == "1" else picture)
    if values.ndim == 3:
        colors = values[..., :3]
        if (colors != colors[..., :1]).any():
            raise InputError(
                "The mask is a colour picture, not class ids",
                where=path,
                remedy="Export index masks: one channel whose values are class ids.",
            )
        values = colors[..., 0]
    if picture.mode == "1":
        values = (values > 0).astype(np.uint8)
    return np.ascontiguousarray(values, dtype=np.uint8)


def _sixteen_bit(values: npt.NDArray[np.integer], path: Path) -> npt.NDArray[np.uint16]:
    if values.min() < 0 or values.max() > np.iinfo(np.uint16).max:
        raise InputError("Mask values lie outside 0 to 65535", where=path)
    return values.astype(np.uint16)


class _open:  # noqa: N801 - reads as a function
    """Open a picture with the decoders allowed, and turn every way it can be bad into one InputError."""

    def __init__(self, path: Path, formats: tuple[str, ...], *, load: bool = True) -> None:
        self._path, self._formats, self._load = path, formats, load

    def __enter__(self) -> Image.Image:
        path = self._path
        try:
            with warnings.catch_warnings():
                # Pillow warns at half its own limit; ours is checked below, before any pixel is decoded.
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                self._picture = Image.open(path, formats=self._formats)
            width, height = self._picture.size
            if width * height > MAX_PIXELS:
                self._picture.close()
                raise InputError(f"The picture is too large ({width}x{height})", where=path)
            if self._load:
                self._picture.load()
        except FileNotFoundError as error:
            raise InputError("No such file", where=path, remedy="Check the path.") from error
        except UnidentifiedImageError as error:
            raise InputError(
                "Not a picture this program reads", where=path, remedy=f"Use {', '.join(FORMATS)}."
            ) from error
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"The picture is damaged or unreadable: {error}", where=path, remedy="Replace the file."
            ) from error
        return self._picture

    def __exit__(self, *_error: object) -> None:
        self._picture.close()


def write_mask(
    path: Path, mask_HW: npt.NDArray[np.uint8], colors: Sequence[tuple[int, int, int]] | None = None
) -> None:
    """Write an index PNG, atomically.

    Parameters
    ----------
    path : Path
    mask_HW : (H, W) uint8 ndarray
        Stored as they are; a palette only colours them.
    colors : sequence of RGB, optional
        Colour by class id; other values are black.
    """
    picture = Image.fromarray(np.ascontiguousarray(mask_HW, dtype=np.uint8), mode=None)
    if colors is not None:
        table = np.zeros((256, 3), np.uint8)
        table[: len(colors)] = colors
        picture.putpalette(table.tobytes())
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    atomic.write_bytes(path, buffer.getvalue())
