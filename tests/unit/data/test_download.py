"""Downloads from a real server on this machine: resumed, verified, never half written."""

from __future__ import annotations

import os
import shutil
import tomllib
from typing import TYPE_CHECKING

import pytest

from napari_hogseg.data.download import RECORD_FILE, download
from napari_hogseg.data.layouts import open_dataset
from napari_hogseg.data.registry import read_table
from napari_hogseg.io import atomic
from napari_hogseg.io.errors import InputError
from tests.unit.data.file_server import publish_set, serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.unit.data.file_server import Served


@pytest.fixture
def table(tmp_path: Path) -> str:
    return str(publish_set(tmp_path))


@pytest.fixture
def site(tmp_path: Path, table: str) -> Iterator[Served]:
    with serve(tmp_path / "site") as served:
        yield served


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


ALL = {f"{kind}/a/{number}.png" for kind in ("images", "masks") for number in range(3)} | {RECORD_FILE}


def test_everything_comes_and_is_recorded(tmp_path: Path, table: str, site: Served) -> None:
    told = []
    report = download(
        table, tmp_path / "out", mirror=site.url, on_file=lambda done, of: told.append((done, of))
    )
    assert (report.num_fetched, report.num_present, report.num_by_picture) == (6, 0, 3)
    assert told == [(count, 6) for count in range(7)]
    assert files_below(tmp_path / "out") == ALL
    record = tomllib.loads((tmp_path / "out" / RECORD_FILE).read_text("utf-8"))
    assert record["licence"] == "CC BY 4.0"
    assert record["sha256"] == {
        path: atomic.sha256_file(tmp_path / "out" / path) for path in sorted(ALL - {RECORD_FILE})
    }


def test_what_is_there_is_not_fetched_again(tmp_path: Path, table: str, site: Served) -> None:
    out = tmp_path / "out"
    download(table, out, mirror=site.url)
    (out / "masks" / "a" / "1.png").unlink()
    site.asked.clear()
    report = download(table, out, mirror=site.url)
    assert (report.num_fetched, report.num_present) == (1, 5)
    assert site.asked == ["/annot/1.png"]


def test_a_wrong_digest_is_told_and_nothing_of_the_file_stays(
    tmp_path: Path, table: str, site: Served
) -> None:
    shutil.copy(tmp_path / "site" / "annot" / "0.png", tmp_path / "site" / "annot" / "2.png")
    with pytest.raises(
        InputError, match=r"masks/a/2.png is not the data set's file: its SHA-256 differs"
    ) as caught:
        download(table, tmp_path / "out", mirror=site.url, num_retries=0)
    assert caught.value.where == f"{site.url}/annot/2.png"
    assert "again" in caught.value.remedy
    assert files_below(tmp_path / "out") <= ALL - {"masks/a/2.png"}


@pytest.mark.parametrize("content", ["another picture", "an error page"])
def test_a_picture_that_shows_something_else_is_refused(
    tmp_path: Path, table: str, site: Served, content: str
) -> None:
    picture = tmp_path / "site" / "img" / "2.png"
    if content == "another picture":
        shutil.copy(picture.with_name("1.png"), picture)
    else:
        picture.write_text("<html>rate limit</html>")
    with pytest.raises(InputError, match=r"images/a/2.png is not the data set's file: the picture it shows"):
        download(table, tmp_path / "out", mirror=site.url)
    assert "images/a/2.png" not in files_below(tmp_path / "out")


def test_a_connection_that_breaks_leaves_no_part_and_the_next_run_goes_on(
    tmp_path: Path, table: str, site: Served
) -> None:
    out = tmp_path / "out"
    site.broken.add("/annot/1.png")
    with pytest.raises(InputError, match=r"masks/a/1.png cannot be fetched") as caught:
        download(table, out, mirror=site.url, num_retries=0)
    assert "kept" in caught.value.remedy
    there = files_below(out)
    assert there <= ALL - {"masks/a/1.png"}
    assert not list(out.glob(".incoming*"))
    site.broken.clear()
    report = download(table, out, mirror=site.url)
    assert report.num_present == len(there) - 1
    assert files_below(out) == ALL


def test_a_broken_connection_is_tried_again(tmp_path: Path, table: str, site: Served) -> None:
    site.broken.add("/annot/1.png")
    with pytest.raises(InputError, match="cannot be fetched"):
        download(table, tmp_path / "out", mirror=site.url, num_retries=1)
    assert site.asked.count("/annot/1.png") == 2


def test_a_missing_file_and_a_dead_server_are_told(tmp_path: Path, table: str, site: Served) -> None:
    (tmp_path / "site" / "img" / "0.png").unlink()
    with pytest.raises(InputError, match=r"images/a/0.png cannot be fetched: the server answers 404"):
        download(table, tmp_path / "out", mirror=site.url, num_retries=0)
    with pytest.raises(InputError, match=r"cannot be fetched: ConnectionError.*Check the connection"):
        download(table, tmp_path / "other", mirror="http://127.0.0.1:9", num_retries=0)


def test_a_changed_file_is_refused_and_stays_as_it_is(tmp_path: Path, table: str, site: Served) -> None:
    """Masks that somebody corrected are not written over; pictures are known by their first digest."""
    out = tmp_path / "out"
    download(table, out, mirror=site.url)
    for changed in ("masks/a/0.png", "images/a/0.png"):
        before = (out / changed).read_bytes()
        (out / changed).write_bytes(before + b"\0")
        with pytest.raises(InputError, match="it was changed after the download"):
            download(table, out, mirror=site.url)
        assert (out / changed).read_bytes() == before + b"\0"
        (out / changed).write_bytes(before)


def test_a_picture_without_a_record_is_known_by_what_it_shows(
    tmp_path: Path, table: str, site: Served
) -> None:
    """As after a power cut: files stand, the record of their digests was not yet written."""
    out = tmp_path / "out"
    download(table, out, mirror=site.url)
    record = out / RECORD_FILE
    text = record.read_text("utf-8")
    record.write_text(text.partition("[sha256]")[0] + "[sha256]\n", "utf-8")
    assert download(table, out, mirror=site.url).num_fetched == 0
    assert record.read_text("utf-8") == text


def test_nothing_is_written_among_other_files(tmp_path: Path, table: str, site: Served) -> None:
    out = tmp_path / "thesis"
    out.mkdir()
    (out / "chapter.tex").write_text("x")
    with pytest.raises(InputError, match="not empty and was not begun by this download"):
        download(table, out, mirror=site.url)
    assert files_below(out) == {"chapter.tex"}
    with pytest.raises(InputError, match="a file, not a folder"):
        download(table, out / "chapter.tex", mirror=site.url)


def test_another_sets_folder_and_a_damaged_record_are_refused(
    tmp_path: Path, table: str, site: Served
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / RECORD_FILE).write_text('name = "lake"\n[sha256]\n')
    with pytest.raises(InputError, match="holds 'lake', not 'pond'"):
        download(table, out, mirror=site.url)
    (out / RECORD_FILE).write_text("name =")
    with pytest.raises(InputError, match="record of an earlier download is damaged"):
        download(table, out, mirror=site.url)
    assert site.asked == []


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="rights bind neither root nor Windows")
def test_a_folder_that_may_not_be_written_is_a_disk_error(tmp_path: Path, table: str, site: Served) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    with pytest.raises(PermissionError):
        download(table, locked / "out", mirror=site.url)


@pytest.mark.parametrize("mirror", ["file:///etc", "ftp://host/x", "host/x", "http://"])
def test_a_mirror_is_a_web_address(tmp_path: Path, table: str, mirror: str) -> None:
    with pytest.raises(InputError, match="Not a base URL"):
        download(table, tmp_path / "out", mirror=mirror)
    assert not (tmp_path / "out").exists()


def test_an_interruption_keeps_what_is_verified(tmp_path: Path, table: str, site: Served) -> None:
    def interrupt(done: int, _total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        download(table, out, mirror=site.url, on_file=interrupt)
    assert not list(out.glob(".incoming*"))
    there = files_below(out) - {RECORD_FILE}
    assert len(there) >= 2
    report = download(table, out, mirror=site.url)
    assert report.num_present == len(there)


def test_the_vocalfolds_table_fetches_a_data_set_that_opens(tmp_path: Path, shared_data: Path) -> None:
    """Every one of its 384 files, from a copy with the authors' paths; pictures there are re-encoded."""
    site, source = tmp_path / "site", shared_data / "vocalfolds"
    for file in read_table("vocalfolds").files:
        link = site / file.source
        link.parent.mkdir(parents=True, exist_ok=True)
        original = source / file.path
        link.symlink_to(original if original.exists() else original.with_suffix(".jpg"))
    with serve(site) as served:
        report = download("vocalfolds", tmp_path / "out", mirror=served.url)
    assert (report.num_fetched, report.num_by_picture) == (384, 192)
    dataset = open_dataset(tmp_path / "out")
    assert dataset.layout.name == "vocalfolds"
    assert len(dataset.samples) == 192
    dataset.read_pair(dataset.samples[0])
