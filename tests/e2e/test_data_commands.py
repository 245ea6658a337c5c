"""`hogseg data` as a person runs it: what it prints, what it writes, how it ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from napari_hogseg.data.layouts import LAYOUTS
from tests import miniature_trees
from tests.conftest import PROJECT_ROOT
from tests.unit.data.file_server import publish_set, serve
from tests.unit.data.trees import write_tree

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    Hogseg = Callable[..., subprocess.CompletedProcess[str]]


def test_list_tells_of_every_layout(hogseg: Hogseg) -> None:
    done = hogseg("data", "list")
    assert done.returncode == 0, done.stderr
    words = " ".join(done.stdout.split())
    for layout in LAYOUTS.values():
        assert f"{layout.name} {layout.table.title}" in words
        assert ", ".join(layout.scheme.classes) in words
        assert f"protocol {layout.protocol}" in words
        assert layout.table.reference in words
    assert "splits fold-0, fold-1" in words
    assert "hogseg data download vocalfolds" in words


def test_list_of_one_layout_and_of_none(hogseg: Hogseg) -> None:
    done = hogseg("data", "list", "fetreg2021")
    assert "VideoNNN/images/VideoNNN_frameN.png" in done.stdout
    assert "cadis" not in done.stdout
    done = hogseg("data", "list", "cadis")
    assert done.returncode == 2
    assert "No such layout: cadis" in done.stderr


def test_check_of_a_clean_set_ends_with_0(hogseg: Hogseg, tmp_path: Path) -> None:
    miniature_trees.write_tree("cadis-task2", tmp_path / "cadis")
    done = hogseg("data", "check", "cadis", "--layout", "cadis-task2", "--json", "out/report.json")
    assert done.returncode == 0, done.stderr
    assert "25 in 25 groups; 0 without mask" in done.stdout
    assert "Tissue Forceps" in done.stdout
    (official,) = (line for line in done.stdout.splitlines() if "official" in line)
    assert [cell.strip() for cell in official.split("│")[2:5]] == ["19", "3", "3"]
    assert "errors: 0" in done.stdout
    content = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    assert content["layout"] == "cadis-task2"
    assert content["num_errors"] == 0


def test_check_of_a_wrong_set_names_all_and_ends_with_2(hogseg: Hogseg, tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "toy", {"a": 8, "b": 1})
    for number in range(7):
        (tree / "masks" / "a" / f"frame_{number}.png").write_bytes(b"no picture")
    (tree / "images" / "b" / "frame_0.png").unlink()
    shutil.copy(tree / "images" / "a" / "frame_0.png", tree / "images" / "b" / "frame_1.png")
    done = hogseg("data", "check", "toy", "--json", "report.json")
    assert done.returncode == 2
    assert "error: unreadable mask (7)" in done.stdout
    assert "masks/a/frame_4.png" in done.stdout
    assert "masks/a/frame_5.png" not in done.stdout
    assert "... and 2 more; --json FILE names all" in done.stdout
    assert "error: mask without frame (1)" in done.stdout
    assert "error: same picture in two groups (1)" in done.stdout
    assert "note: frame without mask (1)" in done.stdout
    assert "errors: 9, notes:" in done.stdout
    content = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert sum(item["kind"] == "unreadable mask" for item in content["problems"]) == 7


def test_check_of_no_data_set_and_of_nothing(hogseg: Hogseg, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = hogseg("data", "check", "empty")
    assert done.returncode == 2
    assert "Expected images/<group>/<name>" in done.stdout
    done = hogseg("data", "check", "nowhere")
    assert done.returncode == 2
    assert "No such folder" in done.stderr


def test_check_by_a_layout_of_ones_own(hogseg: Hogseg, tmp_path: Path) -> None:
    """The example of docs/datasets.md, as it stands there."""
    text = (PROJECT_ROOT / "docs" / "datasets.md").read_text("utf-8")
    table = text.split("```toml\n# my-hospital.toml\n")[1].split("```")[0]
    (tmp_path / "my-hospital.toml").write_text(table, "utf-8")
    for number in (1, 2):
        folder = tmp_path / "data" / f"OP{number:02d}"
        (folder / "frames").mkdir(parents=True)
        (folder / "segmented").mkdir()
        rng = np.random.default_rng(number)
        Image.fromarray(rng.integers(0, 255, (32, 40, 3)).astype(np.uint8)).save(folder / "frames" / "7.jpg")
        mask = np.full((32, 40), 50, np.uint8)
        mask[:8], mask[8:16], mask[:, 0] = 100, 150, 255
        Image.fromarray(mask).save(folder / "segmented" / "7_mask.png")
    done = hogseg("data", "check", "data", "--layout", "my-hospital.toml", "--json", "report.json")
    assert done.returncode == 0, done.stdout + done.stderr
    content = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert [item["num_pixels"] for item in content["classes"]] == [
        2 * 16 * 39,
        2 * 8 * 39,
        2 * 8 * 39,
        2 * 32,
    ]
    assert content["splits"][0]["num_frames"] == {"train": 1, "val": 1, "test": 0}


def test_download_resumes_and_what_came_can_be_checked(hogseg: Hogseg, tmp_path: Path) -> None:
    publish_set(tmp_path)
    with serve(tmp_path / "site") as site:
        site.broken.add("/annot/1.png")
        command = ("data", "download", "pond.toml", "--out", "pond", "--mirror", site.url)
        done = hogseg(*command)
        assert done.returncode == 2
        assert "masks/a/1.png cannot be fetched" in done.stderr
        site.broken.clear()
        done = hogseg(*command)
        assert done.returncode == 0, done.stderr
        assert "verified by SHA-256" in done.stdout
        assert "CC BY 4.0" in done.stdout
        done = hogseg(*command)
        assert "0 files fetched, 6 were there" in done.stdout
    masks = tmp_path / "pond" / "masks" / "a"
    assert {path.name for path in masks.iterdir()} == {"0.png", "1.png", "2.png"}


def test_download_refuses_unknown_names_and_foreign_folders(hogseg: Hogseg, tmp_path: Path) -> None:
    done = hogseg("data", "download", "cadis-task1", "--out", "x")
    assert done.returncode == 2
    assert "cannot be downloaded" in done.stderr
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    done = hogseg("data", "download", "vocalfolds", "--out", "mine", "--mirror", "http://127.0.0.1:9")
    assert done.returncode == 2
    assert "not empty" in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="Windows sends a child no Ctrl-C of its own")
def test_ctrl_c_ends_a_check_in_one_line(
    start_hogseg: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    tree = write_tree(tmp_path / "toy", {"a": 1})
    big = tree / "images" / "a" / "frame_0.png"
    noise = np.random.default_rng(0).integers(0, 255, (1500, 1500, 3)).astype(np.uint8)
    Image.fromarray(noise).save(big, compress_level=1)
    for number in range(1, 500):
        os.link(big, big.with_name(f"frame_{number}.png"))
    # Where the tests run in a shell's background Ctrl-C is ignored, and a child would inherit that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    child = start_hogseg("data", "check", "toy")
    signal.signal(signal.SIGINT, before)
    assert "checking toy" in child.stderr.readline()
    time.sleep(1.0)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=20)
    assert child.returncode == 130, (out, err)
    assert err.splitlines() == ["stopped: nothing was written"]
    assert out == ""
