"""Single pictures on disk: frames in, index masks in and out. What mask values mean is the layout's part."""

from __future__ import annotations

import io
import re
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from napari_hogseg.io import atomic
from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})
FORMATS = ("PNG", "JPEG", "BMP", "TIFF")
"""Only these decoders run, whatever a file calls itself."""

LOSSLESS_FORMATS = ("PNG", "BMP", "TIFF")
MAX_PIXELS = 89_000_000
"""Above any surgical camera, and just below where Pillow warns; a decompression bomb ends here."""

_SIXTEEN_BIT_MODES = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N"})
_NUM_COLOR_CHANNELS = {"LA": 1, "PA": 1, "RGB": 3, "RGBX": 3, "RGBA": 3}
"""By mode; what follows them is transparency."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture upright, by EXIF orientation."""

_DAMAGE = (OSError, EOFError, SyntaxError, TypeError, ValueError, struct.error)
"""What Pillow raises on damaged files, found by flipping bytes; a missing TIFF size is its TypeError."""


def list_images(folder: Path) -> list[Path]:
    """List a folder's pictures in natural order (frame_2 before frame_10), hidden and `._` files dropped.

    Raises
    ------
    InputError
        If the folder cannot be read.
    """
    try:
        paths = [path for path in folder.iterdir() if _is_shown(path)]
    except OSError as error:
        raise InputError(
            f"The folder cannot be read: {error.strerror}", where=folder, remedy="Check path and rights."
        ) from error
    return sorted(paths, key=_natural_key)


def _is_shown(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()


def _natural_key(path: Path) -> tuple[list[tuple[int, int, str]], str]:
    """Numbers by value, letters without case; the name itself decides between a1 and a01."""
    parts = re.split(r"(\d+)", path.name.lower())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part], path.name


def read_image(path: Path) -> npt.NDArray[np.uint8]:
    """Read a frame.

    EXIF rotation is applied, grey becomes RGB, an alpha channel is dropped; pictures of more than 8 bit a
    channel are refused, as any scaling to 8 bit would be a guess.

    Returns
    -------
    (H, W, 3) uint8 ndarray
        RGB.

    Raises
    ------
    InputError
        If the file is missing, damaged, no picture, too large, deeper than 8 bit or of several pages.
    """
    with _opened(path) as picture:
        if _is_deep(picture) or picture.mode in _SIXTEEN_BIT_MODES or picture.mode == "F":
            raise InputError(
                "The picture has more than 8 bit a channel", where=path, remedy="Convert it to 8-bit RGB."
            )
        return np.array(_upright(picture).convert("RGB"))


def image_size(path: Path) -> tuple[int, int]:
    """Height and width from the header alone, EXIF rotation applied; InputError if it is no picture."""
    with _opened(path) as picture:
        width, height = picture.size
        return (width, height) if _orientation(picture) in (5, 6, 7, 8) else (height, width)


def read_mask(path: Path) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
    """Read a mask's raw values: palette indices stay indices, 16-bit values stay as they are.

    EXIF rotation is applied as for frames, an alpha channel is dropped, three equal channels become one and
    a picture of 1 bit has the values 0 and 1.

    Returns
    -------
    (H, W) uint8 or uint16 ndarray

    Raises
    ------
    InputError
        If its values are not those that were painted (JPEG, colours, fractions, 2 or 4 bit grey that programs
        scale each in their own way), or if it is damaged, missing or of several pages.
    """
    with _opened(path) as picture:
        _check_exact(picture, path)
        values, mode = np.array(_upright(picture)), picture.mode
    if mode in _SIXTEEN_BIT_MODES:
        return _sixteen_bit(values, path)
    if mode in _NUM_COLOR_CHANNELS:
        values = _one_channel(values[..., : _NUM_COLOR_CHANNELS[mode]], path)
    return np.ascontiguousarray(values, dtype=np.uint8)


def _check_exact(picture: Image.Image, path: Path) -> None:
    """Refuse files whose values Pillow would hand over changed, and kinds that hold no class ids."""
    compression = str(picture.info.get("compression", ""))
    if picture.format not in LOSSLESS_FORMATS or "jpeg" in compression or "webp" in compression:
        kind = picture.format if picture.format not in LOSSLESS_FORMATS else f"{compression} {picture.format}"
        raise InputError(
            f"A {kind} cannot hold class ids: compression changes them",
            where=path,
            remedy="Export masks as PNG.",
        )
    if picture.mode not in {"1", "L", "P", *_SIXTEEN_BIT_MODES, *_NUM_COLOR_CHANNELS}:
        raise _no_class_ids(f"is a picture of mode {picture.mode}, not class ids", path)
    if re.match(r"L;[24]", _raw_mode(picture)):
        raise _no_class_ids("has 2 or 4 bit a pixel, which programs scale each in their own way", path)
    if _is_deep(picture):
        raise _no_class_ids("is a colour picture of 16 bit a channel, not class ids", path)


def _one_channel(colors_HWC: npt.NDArray[np.uint8], path: Path) -> npt.NDArray[np.uint8]:
    if (colors_HWC != colors_HWC[..., :1]).any():
        raise _no_class_ids("is a colour picture, not class ids", path)
    return colors_HWC[..., 0]


def _sixteen_bit(values: npt.NDArray[np.integer], path: Path) -> npt.NDArray[np.uint16]:
    if values.min() < 0 or values.max() > np.iinfo(np.uint16).max:
        raise InputError(
            "Mask values lie outside 0 to 65535", where=path, remedy="Export masks as 8-bit index PNG."
        )
    return values.astype(np.uint16)


def _no_class_ids(why: str, path: Path) -> InputError:
    return InputError(
        f"The mask {why}",
        where=path,
        remedy="Export index masks: one 8-bit channel whose values are class ids.",
    )


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open a picture with the decoders allowed, and turn every way it can be bad into one InputError."""
    try:
        # By handle: a path is mapped into memory, and Pillow 13.0 so scrambles grey TIFFs that are turned.
        with path.open("rb") as file, Image.open(file, formats=FORMATS) as picture:
            _check_header(picture, path)
            yield picture
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError("No such file", where=path, remedy="Check the path.") from error
    except UnidentifiedImageError as error:
        raise InputError(
            "Not a picture this program reads", where=path, remedy=f"Use {', '.join(FORMATS)}."
        ) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large("", path) from error
    except _DAMAGE as error:
        raise InputError(
            f"The picture is damaged or unreadable: {error}",
            where=path,
            remedy="Check its rights or replace it.",
        ) from error


def _check_header(picture: Image.Image, path: Path) -> None:
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise _too_large(f" ({width}x{height})", path)
    num_pages = getattr(picture, "n_frames", 1)
    if num_pages > 1 and picture.format in LOSSLESS_FORMATS:  # cameras hide previews behind a JPEG
        raise InputError(
            f"The file holds {num_pages} pictures", where=path, remedy="Save each as its own file."
        )


def _too_large(size: str, path: Path) -> InputError:
    return InputError(
        f"The picture is too large{size}", where=path, remedy=f"At most {MAX_PIXELS:,} pixels are read."
    )


def _raw_mode(picture: Image.Image) -> str:
    """How the file itself lays a pixel out, such as `RGB;16B`; Pillow's mode tells what it becomes."""
    tiles = getattr(picture, "tile", ())
    if not tiles:
        return ""
    arguments = tiles[0][3]
    return str(arguments[0] if isinstance(arguments, tuple) else arguments)


def _is_deep(picture: Image.Image) -> bool:
    """Tell colour pictures of 16 bit a channel: Pillow would drop the lower eight without a word."""
    return picture.mode not in _SIXTEEN_BIT_MODES and re.search(r";16[BLN]", _raw_mode(picture)) is not None


def _orientation(picture: Image.Image) -> int:
    """EXIF orientation that remains to be applied; 1 where there is none."""
    if picture.format == "TIFF":
        return 1  # Pillow turns these by itself, their size too
    if picture.format == "PNG" and "exif" not in picture.info:
        return 1  # it could still follow the pixels, but to look there means to decode them
    return int(picture.getexif().get(ExifTags.Base.Orientation, 1))


def _upright(picture: Image.Image) -> Image.Image:
    turn = _TURNS.get(_orientation(picture))
    return picture if turn is None else picture.transpose(turn)


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

    Raises
    ------
    TypeError
        If the array is no (H, W) uint8: wider values would wrap.
    OSError
        If the disk refuses; an earlier file is untouched.
    """
    if mask_HW.dtype != np.uint8 or mask_HW.ndim != 2:
        raise TypeError(f"a mask is (H, W) uint8, not {mask_HW.shape} {mask_HW.dtype}")
    picture = Image.fromarray(np.ascontiguousarray(mask_HW))
    if colors is not None:
        table = np.zeros((256, 3), np.uint8)
        table[: len(colors)] = colors
        picture.putpalette(table.tobytes())
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    atomic.write_bytes(path, buffer.getvalue())
