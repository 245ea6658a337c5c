"""A file is the old one or the new one, whatever the disk does; the disk's refusals are real ones."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_hogseg.io import atomic

if TYPE_CHECKING:
    from pathlib import Path

on_posix = pytest.mark.skipif(os.name == "nt", reason="limits and permissions of POSIX")

WRITE_UNDER_LIMIT = """
import resource, signal, sys
from pathlib import Path
from napari_hogseg.io import atomic
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a full disk is an error, not the end of the process
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    atomic.write_bytes(Path(sys.argv[1]), bytes(5000))
except OSError as error:
    print(type(error).__name__, error.errno)
"""

REPLACE_FOREVER = """
import sys
from pathlib import Path
from napari_hogseg.io import atomic
path = Path(sys.argv[1])
print("ready", flush=True)
while True:
    for byte in b"ab":
        atomic.write_bytes(path, bytes([byte]) * 300_000)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    atomic.write_bytes(path, b"old")
    atomic.write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["mask.png"]


def test_text_is_utf_8_with_its_line_ends(tmp_path: Path) -> None:
    atomic.write_text(tmp_path / "notes.toml", "µm\r\nÄ\n")
    assert (tmp_path / "notes.toml").read_bytes() == "µm\r\nÄ\n".encode()


@on_posix
def test_files_are_as_readable_as_others(tmp_path: Path) -> None:
    """A colleague of the same group reads what was saved: permissions follow the umask."""
    (tmp_path / "plain").write_bytes(b"")
    atomic.write_bytes(tmp_path / "saved", b"")
    plain, saved = (stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "saved"))
    assert saved == plain


@on_posix
def test_a_full_disk_leaves_the_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    path.write_bytes(b"old")
    done = subprocess.run(
        [sys.executable, "-c", WRITE_UNDER_LIMIT, str(path)], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.startswith("OSError"), done.stderr
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["mask.png"]


def test_a_folder_in_the_way_is_an_error_of_the_disk(tmp_path: Path) -> None:
    (tmp_path / "taken" / "inner").mkdir(parents=True)
    with pytest.raises(OSError, match="taken"):
        atomic.write_bytes(tmp_path / "taken", b"data")
    assert names(tmp_path) == ["taken"]
    with pytest.raises(FileNotFoundError):
        atomic.write_bytes(tmp_path / "missing" / "file", b"data")


def test_killed_while_writing_leaves_one_version(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    path.write_bytes(b"a" * 300_000)
    seen = set()
    for _ in range(4):
        with subprocess.Popen(
            [sys.executable, "-c", REPLACE_FOREVER, str(path)], stdout=subprocess.PIPE
        ) as child:
            assert child.stdout is not None
            assert child.stdout.readline().strip() == b"ready"
            for _ in range(50):
                seen.add(path.read_bytes())
            child.kill()
        seen.add(path.read_bytes())
    assert seen <= {b"a" * 300_000, b"b" * 300_000}


def test_a_folder_is_published_whole(tmp_path: Path) -> None:
    partial = tmp_path / "step-1.tmp"
    (partial / "model").mkdir(parents=True)
    (partial / "model" / "weights").write_bytes(b"w")
    (partial / "config.toml").write_text("a = 1\n", encoding="utf-8")
    atomic.publish_folder(partial, tmp_path / "step-1")
    assert names(tmp_path) == ["step-1"]
    assert (tmp_path / "step-1" / "model" / "weights").read_bytes() == b"w"


def test_a_published_folder_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "final").mkdir()  # empty: a bare rename would replace it
    with pytest.raises(FileExistsError, match="final"):
        atomic.publish_folder(tmp_path / "new", tmp_path / "final")
    assert names(tmp_path) == ["final", "new"]


@given(data=st.binary(max_size=200))
def test_digest_of_bytes(data: bytes) -> None:
    assert atomic.sha256_bytes(data) == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("num_bytes", [0, 1, atomic.CHUNK_BYTES, atomic.CHUNK_BYTES + 1])
def test_digest_of_a_file_is_that_of_its_bytes(tmp_path: Path, num_bytes: int) -> None:
    path = tmp_path / "data"
    path.write_bytes(os.urandom(num_bytes))
    assert atomic.sha256_file(path) == hashlib.sha256(path.read_bytes()).hexdigest()
