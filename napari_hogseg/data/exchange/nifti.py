"""NIfTI: the masks of a clip as one volume, x columns, y rows, z the frames that were written.

Values are class ids, 255 is unlabelled. Which frame a slice is stands in `frames.csv`. Reads with nibabel
(the `exchange` extra), frame by frame; so neither way needs the whole volume in memory.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np

from napari_hogseg.data.exchange.contract import AnnotatedFrame, ExchangeClip, Format, number
from napari_hogseg.data.exchange.files import find_file, make_id_reader, read_text
from napari_hogseg.data.scheme import IGNORE
from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from types import ModuleType

    import numpy.typing as npt

FILE, FRAMES = "masks.nii.gz", "frames.csv"
MAX_SLICES = 32767
"""The header counts in 16 bits."""

EXTENSION_BYTES = 4
"""Zeros behind the header: no extension follows."""


def _nibabel() -> ModuleType:
    try:
        import nibabel
    except ImportError as error:
        raise InputError(
            "nibabel is not installed", where="nifti", remedy='pip install "napari-hogseg[exchange]"'
        ) from error
    return nibabel


def write(frames: Iterable[AnnotatedFrame], folder: Path, clip: ExchangeClip) -> None:
    """Write `masks.nii.gz` and `frames.csv`.

    The number of slices stands before the data, and is known only after the last frame: the raw slices are
    gathered first, packed already, and copied behind the header.
    """
    nibabel = _nibabel()
    indices: list[int] = []
    raw = folder / "slices.gz"
    with gzip.GzipFile(raw, "wb", compresslevel=4, mtime=0) as slices:
        for frame in frames:
            indices.append(frame.frame_index)
            slices.write(np.ascontiguousarray(frame.mask).data)
    if max(clip.width, clip.height, len(indices)) > MAX_SLICES:
        raise InputError(
            f"A NIfTI volume has at most {MAX_SLICES} slices", remedy="Export corrected frames only."
        )
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.uint8)
    header.set_data_shape((clip.width, clip.height, len(indices)))
    header.set_slope_inter(1, 0)
    header.set_data_offset(len(header.binaryblock) + EXTENSION_BYTES)
    # Pixels of 1 along the axes of ITK, so that viewers show frames upright.
    header.set_sform(np.diag([-1, -1, 1, 1]), code="scanner")
    header.set_qform(np.diag([-1, -1, 1, 1]), code="scanner")
    head = gzip.compress(header.binaryblock + bytes(EXTENSION_BYTES), mtime=0)
    with (folder / FILE).open("wb") as volume:  # gzip members one after the other are one stream
        volume.write(head)
        with raw.open("rb") as slices:
            while chunk := slices.read(1 << 20):
                volume.write(chunk)
    raw.unlink()
    rows = [(position, index, clip.frame_names[index]) for position, index in enumerate(indices)]
    with (folder / FRAMES).open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("slice", "frame_index", "frame"), *rows])


def read(path: Path, clip: ExchangeClip, rest: int = IGNORE) -> Iterator[AnnotatedFrame]:  # noqa: ARG001 - every voxel has a value
    """Read a volume; without a `frames.csv` it must have a slice for each frame of the clip."""
    nibabel = _nibabel()
    file = find_file(path, (FILE, "*.nii.gz", "*.nii"), "NIfTI volume")
    decode = make_id_reader(file.parent, clip)
    no_header = (nibabel.spatialimages.HeaderDataError, nibabel.wrapstruct.WrapStructError)
    try:
        with _open(file) as stream:
            header = nibabel.Nifti1Header.from_fileobj(stream)
            num_slices = _num_slices(header, clip, file)
            stream.seek(header.get_data_offset())
            for frame_index in _indices(file.parent / FRAMES, num_slices, clip):
                found = _read_slice(stream, header.get_data_dtype(), clip, file)
                yield AnnotatedFrame(frame_index, decode(found, file))
    except (OSError, EOFError, ValueError, zlib.error, *no_header) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"Not a NIfTI volume: {error}", where=file, remedy="Check path and format."
        ) from error


def _open(file: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(file)) if file.suffix == ".gz" else file.open("rb")


def _num_slices(header: Any, clip: ExchangeClip, file: Path) -> int:  # noqa: ANN401 - nibabel's
    """Count the frames of a volume, which may be (W, H), (W, H, T) or (W, H, 1, T)."""
    shape = [int(size) for size in header.get_data_shape()]
    deep = [size for size in shape[2:] if size != 1]
    scaled = any(
        value is not None and value != plain
        for value, plain in zip(header.get_slope_inter(), (1, 0), strict=True)
    )
    if len(shape) < 2 or len(deep) > 1 or scaled or header.get_data_dtype().kind not in "iuf":
        raise InputError("The volume is no stack of class ids", where=file, remedy="Export a label map.")
    clip.check_size((shape[1], shape[0]), file)
    return deep[0] if deep else 1


def _read_slice(
    stream: IO[bytes], dtype: np.dtype[Any], clip: ExchangeClip, file: Path
) -> npt.NDArray[np.uint8]:
    """Read the next frame, (H, W) uint8: the file runs along x first."""
    num_bytes = clip.height * clip.width * dtype.itemsize
    data = stream.read(num_bytes)
    if len(data) < num_bytes:
        raise InputError("The volume ends too early", where=file, remedy="Export it again.")
    found = np.frombuffer(data, dtype).reshape(clip.height, clip.width)
    if not ((found >= 0) & (found <= 255) & (found == np.floor(found))).all():
        raise InputError(
            "The volume holds values that are no class ids",
            where=file,
            remedy="Export a label map of 0 to 255.",
        )
    return found.astype(np.uint8)


def _indices(table: Path, num_slices: int, clip: ExchangeClip) -> list[int]:
    if not table.is_file():
        if num_slices != clip.num_frames:
            raise InputError(
                f"The volume has {num_slices} slices, the clip {clip.num_frames} frames",
                where=table.parent,
                remedy=f"Put {FRAMES} beside it, which says which slice is which frame.",
            )
        return list(range(num_slices))
    rows = list(csv.DictReader(read_text(table).splitlines()))
    found = [clip.check_index(number(row.get("frame_index"), "frame_index", table), table) for row in rows]
    if len(found) != num_slices:
        raise InputError(
            f"{len(found)} frames are listed, the volume has {num_slices}",
            where=table,
            remedy="Export it again.",
        )
    return found


FORMAT = Format(
    name="nifti",
    title="NIfTI",
    about="One volume of class ids, a slice a frame, with a list of the frames. For ITK-SNAP and 3D Slicer.",
    write=write,
    read=read,
    picture_path=lambda clip, index: f"images/{clip.frame_names[index]}.png",
    files="*.nii.gz *.nii",
)
