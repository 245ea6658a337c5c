"""What can be downloaded: for each data set a table of files, where they lie and how each is verified.

The tables are TOML in `download_tables/`, made by `docs/make_download_table.py`. Fetching is the part of
`download`.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated

import cv2
import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from napari_hogseg.io import atomic, images
from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    import numpy.typing as npt

TABLES = resources.files("napari_hogseg.data") / "download_tables"

DHASH_SIDE = 16
"""Cells a side: 2 x 16 x 16 comparisons, 512 bits."""

DHASH_MAX_FLIPS = 12
"""Bits in which a picture may differ from its re-encoded copy. Measured on the 192 vocalfolds pictures:
JPEG at quality 90 flips at most 4, the most alike two different frames differ in 38."""

_DIGEST = re.compile(rf"sha256:[0-9a-f]{{64}}|dhash:[0-9a-f]{{{DHASH_SIDE * DHASH_SIDE // 2}}}")


def _inside(path: str) -> str:
    """Refuse paths that leave the data set's folder."""
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or "\\" in path or ":" in path or not pure.parts:
        raise ValueError(f"'{path}' is no path below the data set's folder")
    return path


def _known(digest: str) -> str:
    if not _DIGEST.fullmatch(digest):
        raise ValueError(f"'{digest}' is neither sha256: nor dhash: with its hexadecimal digits")
    return digest


_Table = ConfigDict(frozen=True, extra="forbid")
PathBelow = Annotated[str, AfterValidator(_inside)]
Digest = Annotated[str, AfterValidator(_known)]


class RemoteFolder(BaseModel):
    """Files of one folder, and the folder below the base URL that they come from."""

    model_config = _Table

    path: PathBelow = Field(description="Folder in the data set on disk.")
    source: PathBelow = Field(description="Folder below the base URL.")
    files: dict[PathBelow, Digest] = Field(min_length=1, description="Digest by file name; none is optional.")


@dataclass(frozen=True)
class RemoteFile:
    """One file to fetch.

    Attributes
    ----------
    path, source : str
        Below the data set's folder, and below the base URL.
    digest : str
        `sha256:` of its bytes, or `dhash:` of its picture where only a re-encoded copy was at hand.
    """

    path: str
    source: str
    digest: str

    @property
    def sha256(self) -> str | None:
        """The known SHA-256, or None where the picture's difference hash is known."""
        kind, _, digits = self.digest.partition(":")
        return digits if kind == "sha256" else None

    def accepts(self, path: Path) -> bool:
        """Tell whether a file on disk is this file; an unreadable picture is not."""
        if self.sha256 is not None:
            return atomic.sha256_file(path) == self.sha256
        try:
            found = difference_hash(images.read_image(path))
        except InputError:
            return False
        known = int(self.digest.removeprefix("dhash:"), 16)
        return (found ^ known).bit_count() <= DHASH_MAX_FLIPS


class DownloadTable(BaseModel):
    """A data set that can be downloaded."""

    model_config = _Table

    name: str
    title: str
    licence: str
    reference: str
    covers: str = Field(description="Which part of the published set the table names.")
    base_url: str = Field(pattern=r"^https?://", description="Everything is fetched from below it.")
    folders: tuple[RemoteFolder, ...] = Field(min_length=1)

    @property
    def files(self) -> tuple[RemoteFile, ...]:
        """Every file, in the table's order."""
        return tuple(
            RemoteFile(f"{folder.path}/{name}", f"{folder.source}/{name}", digest)
            for folder in self.folders
            for name, digest in folder.files.items()
        )


def difference_hash(frame_HWC: npt.NDArray[np.uint8]) -> int:
    """Hash what a picture shows, so that its re-encoded copy has nearly the same hash.

    The grey picture is averaged over a coarse grid; a bit tells whether a cell is brighter than the one
    before it, along rows and along columns.

    Parameters
    ----------
    frame_HWC : (H, W, 3) uint8 ndarray

    Returns
    -------
    int
        512 bits; compare two by the number of bits they differ in.
    """
    grey_HW = frame_HWC.astype(np.float32).mean(axis=2)
    along_rows = cv2.resize(grey_HW, (DHASH_SIDE + 1, DHASH_SIDE), interpolation=cv2.INTER_AREA)
    along_columns = cv2.resize(grey_HW, (DHASH_SIDE, DHASH_SIDE + 1), interpolation=cv2.INTER_AREA)
    brighter = [np.diff(along_rows, axis=1) > 0, np.diff(along_columns, axis=0) > 0]
    return int.from_bytes(np.packbits(np.stack(brighter)).tobytes(), "big")


def dhash_digest(frame_HWC: npt.NDArray[np.uint8]) -> str:
    """Write a picture's difference hash as a table does."""
    return f"dhash:{difference_hash(frame_HWC):0{DHASH_SIDE * DHASH_SIDE // 2}x}"


def table_names() -> tuple[str, ...]:
    """Names of the data sets that can be downloaded."""
    return tuple(sorted(entry.name.removesuffix(".toml") for entry in TABLES.iterdir()))


def read_table(name: str) -> DownloadTable:
    """Read the table of a data set, by its name or from a TOML file of one's own.

    Raises
    ------
    InputError
        If there is none of that name, or the file is no such table.
    """
    if name.endswith(".toml"):
        path = Path(name)
        if not path.is_file():
            raise InputError("No such file", where=path, remedy="Check the path of the download table.")
        return parse_table(path.read_text("utf-8"), path)
    if name not in table_names():
        raise InputError(
            f"'{name}' cannot be downloaded",
            where="hogseg data download",
            remedy=f"Can be: {', '.join(table_names())}. Other sets want a registration: docs/datasets.md.",
        )
    return parse_table((TABLES / f"{name}.toml").read_text("utf-8"), f"{name}.toml")


def parse_table(text: str, where: object) -> DownloadTable:
    """Check the text of a table; InputError names the field that is wrong."""
    try:
        return DownloadTable.model_validate(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise InputError(
            f"Not a download table: {error}",
            where=where,
            remedy="Make it with docs/make_download_table.py.",
        ) from error
