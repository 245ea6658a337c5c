"""Fetching a public data set file by file: resumed, verified before a file gets its name, never half written.

What is fetched, and what each file must be, stands in the tables of `registry`.
"""

from __future__ import annotations

import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pooch
import requests
import tomli_w

from napari_hogseg.data.registry import read_table
from napari_hogseg.io import atomic
from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from napari_hogseg.data.registry import DownloadTable, RemoteFile

RECORD_FILE = "download.toml"
"""Stands in the folder from the first moment on: what it is, its licence, SHA-256 of what was fetched."""

NUM_CONNECTIONS = 4
TIMEOUT_S = 30.0
NUM_RETRIES = 2


@dataclass(frozen=True)
class DownloadReport:
    """What one download did.

    Attributes
    ----------
    num_fetched, num_present : int
        Files fetched now, and files that were there already and are the right ones.
    num_by_picture : int
        Files of both kinds that are known by what they show, not by their bytes.
    """

    table: DownloadTable
    folder: Path
    num_fetched: int
    num_present: int
    num_by_picture: int


def download(
    name: str,
    folder: Path | str,
    *,
    mirror: str | None = None,
    on_file: Callable[[int, int], None] | None = None,
    num_retries: int = NUM_RETRIES,
) -> DownloadReport:
    """Fetch what is missing of a data set.

    Each file is fetched to a hidden folder beside its place, verified there, and moved to its place whole.
    Files that are there already are verified, and not fetched again.

    Parameters
    ----------
    name : str
        A name of `registry.table_names()`, or the path of a table of one's own.
    folder : path
        New, empty, or begun by an earlier download of the same data set.
    mirror : str, optional
        Base URL to fetch from in place of the table's; below it the same paths.
    on_file : callable, optional
        Called with the number of finished files and of all files.
    num_retries : int
        Further attempts a file after a broken connection or a wrong digest.

    Returns
    -------
    DownloadReport

    Raises
    ------
    InputError
        If the name is unknown, the folder holds something else, a file in it was changed, a file cannot be
        fetched, or what came is not what the table says. What was verified until then stays.
    OSError
        If the disk refuses.
    """
    table, folder = read_table(name), Path(folder)
    base_url = _base_url(mirror or table.base_url)
    record = _claim(table, folder)
    try:
        missing = [file for file in table.files if not _is_present(file, folder, record)]
        num_present = len(table.files) - len(missing)
        tell = on_file or (lambda _done, _total: None)
        tell(num_present, len(table.files))
        with tempfile.TemporaryDirectory(prefix=".incoming-", dir=folder) as incoming:
            fetcher = _Fetcher(base_url, Path(incoming), missing, num_retries)
            for count, (file, sha256) in enumerate(_fetch_all(fetcher, folder, missing), start=1):
                record[file.path] = sha256
                tell(num_present + count, len(table.files))
    finally:
        _write_record(table, folder, record)
    num_by_picture = sum(file.sha256 is None for file in table.files)
    return DownloadReport(table, folder, len(missing), num_present, num_by_picture)


def _base_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise InputError(
            "Not a base URL", where=url, remedy="Write http:// or https://, the host and the folder."
        )
    return url.rstrip("/") + "/"


def _claim(table: DownloadTable, folder: Path) -> dict[str, str]:
    """Make the folder this data set's, or find that it is; return SHA-256 by path of earlier downloads."""
    if folder.exists() and not folder.is_dir():
        raise InputError("This is a file, not a folder", where=folder, remedy="Name a folder to write to.")
    record = folder / RECORD_FILE
    if record.is_file():
        return _read_record(table, record)
    if folder.is_dir() and any(folder.iterdir()):
        raise InputError(
            "The folder is not empty and was not begun by this download",
            where=folder,
            remedy="Name an empty or a new folder: nothing is written among other files.",
        )
    folder.mkdir(parents=True, exist_ok=True)
    _write_record(table, folder, {})
    return {}


def _read_record(table: DownloadTable, path: Path) -> dict[str, str]:
    try:
        content = tomllib.loads(path.read_text("utf-8"))
        name, digests = content["name"], dict(content["sha256"])
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"The record of an earlier download is damaged: {error}",
            where=path,
            remedy="Delete this file's folder, or name another one.",
        ) from error
    if name != table.name:
        raise InputError(
            f"The folder holds '{name}', not '{table.name}'", where=path.parent, remedy="Name another folder."
        )
    return digests


def _write_record(table: DownloadTable, folder: Path, digests: dict[str, str]) -> None:
    head = table.model_dump(include={"name", "title", "licence", "reference", "covers", "base_url"})
    text = tomli_w.dumps({**head, "sha256": dict(sorted(digests.items()))})
    atomic.write_text(folder / RECORD_FILE, text)


def _is_present(file: RemoteFile, folder: Path, record: dict[str, str]) -> bool:
    """Tell whether a file needs no fetching; a file that somebody changed is refused, not written over."""
    path = folder / file.path
    if not path.is_file():
        return False
    sha256 = atomic.sha256_file(path)
    known = file.sha256 or record.get(file.path)
    if sha256 != known and (known is not None or not file.accepts(path)):
        raise InputError(
            "The file is not the one of the data set: it was changed after the download",
            where=path,
            remedy="Move it away and run the download again, or keep your version in another folder.",
        )
    record[file.path] = sha256
    return True


class _Fetcher:
    """Fetches files to a folder of its own and verifies them there; pooch does the transfer."""

    def __init__(self, base_url: str, incoming: Path, files: Iterable[RemoteFile], num_retries: int) -> None:
        pooch.get_logger().setLevel("WARNING")
        self._base_url = base_url
        self._incoming = incoming
        # Flat names: pooch's threads would race to make sub-folders.
        self._names = {file.path: file.path.replace("/", "!") for file in files}
        self._pooch = pooch.create(
            path=incoming,
            base_url=base_url,
            registry={self._names[file.path]: file.sha256 for file in files},
            urls={self._names[file.path]: base_url + file.source for file in files},
            retry_if_failed=num_retries,
        )

    def fetch(self, file: RemoteFile) -> Path:
        """Fetch one file; InputError names it and says what to do."""
        url = self._base_url + file.source
        try:
            path = Path(self._pooch.fetch(self._names[file.path], downloader=_transfer))
        except requests.HTTPError as error:
            status = "no answer" if error.response is None else error.response.status_code
            raise InputError(
                f"{file.path} cannot be fetched: the server answers {status}",
                where=url,
                remedy="Run the command again later, or name a copy with --mirror.",
            ) from error
        except requests.RequestException as error:
            raise InputError(
                f"{file.path} cannot be fetched: {type(error).__name__}",
                where=url,
                remedy="Check the connection and run the command again: what is there already is kept.",
            ) from error
        except ValueError as error:  # how pooch tells a wrong digest
            raise _wrong_file(file, url) from error
        if file.sha256 is None and not file.accepts(path):
            raise _wrong_file(file, url)
        return path


def _transfer(url: str, partial: str, _pooch: object) -> None:
    """Write what a URL answers to a file. pooch's own way leaves the connection of a failed one open."""
    with (
        requests.get(url, timeout=TIMEOUT_S, stream=True) as response,
        Path(partial).open("wb") as file,
    ):
        response.raise_for_status()
        for chunk in response.iter_content(atomic.CHUNK_BYTES):
            file.write(chunk)


def _wrong_file(file: RemoteFile, url: str) -> InputError:
    what = "its SHA-256" if file.sha256 else "the picture it shows"
    return InputError(
        f"What came for {file.path} is not the data set's file: {what} differs. It was not kept",
        where=url,
        remedy="Run the command again; if it persists, the server or a proxy sends something else.",
    )


def _fetch_all(
    fetcher: _Fetcher, folder: Path, missing: list[RemoteFile]
) -> Iterable[tuple[RemoteFile, str]]:
    """Yield each file and its SHA-256 once it stands in its place; the first error ends all."""

    def place(file: RemoteFile) -> tuple[RemoteFile, str]:
        partial = fetcher.fetch(file)
        data = partial.read_bytes()
        target = folder / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_bytes(target, data)
        partial.unlink()
        return file, atomic.sha256_bytes(data)

    with ThreadPoolExecutor(NUM_CONNECTIONS, thread_name_prefix="download") as pool:
        waiting = [pool.submit(place, file) for file in missing]
        try:
            for future in as_completed(waiting):
                yield future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
