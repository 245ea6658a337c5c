"""Guessing the layout: clear trees are taken, unclear ones are not, and the evidence is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from napari_hogseg.data.layouts import open_dataset
from napari_hogseg.data.recognition import recognise
from napari_hogseg.io.errors import InputError
from tests.miniature_trees import LAYOUT_NAMES, write_tree
from tests.unit.data.trees import write_tree as write_plain_tree

if TYPE_CHECKING:
    from pathlib import Path

FAMILIES = ("cadis", "endovis2017-cropped", "endovis2017")


def family_of(name: str) -> str:
    return next((family for family in FAMILIES if name.startswith(family)), name)


@pytest.mark.parametrize("name", LAYOUT_NAMES)
def test_every_tree_is_recognised_as_its_family_and_nothing_else(tmp_path: Path, name: str) -> None:
    write_tree(name, tmp_path)
    found = {candidate.name for candidate in recognise(tmp_path)}
    assert found == {other for other in LAYOUT_NAMES if family_of(other) == family_of(name)}


@pytest.mark.parametrize("name", [name for name in LAYOUT_NAMES if family_of(name) == name])
def test_auto_takes_what_is_clear(tmp_path: Path, name: str) -> None:
    write_tree(name, tmp_path)
    assert open_dataset(tmp_path).layout.name == name


@pytest.mark.parametrize(
    ("name", "listed"),
    [
        ("cadis-task1", "cadis-task1, cadis-task2, cadis-task3"),
        ("endovis2017-types", "endovis2017-binary, endovis2017-parts, endovis2017-types"),
    ],
)
def test_auto_lists_the_tasks_it_cannot_choose_between(tmp_path: Path, name: str, listed: str) -> None:
    write_tree(name, tmp_path)
    with pytest.raises(InputError, match=f"fits several layouts: {listed}"):
        open_dataset(tmp_path)


def test_only_the_task_that_has_masks_is_taken(tmp_path: Path) -> None:
    write_tree("endovis2017-types", tmp_path, training=(), test=(9, 10), leftovers=False)
    for folder in [*tmp_path.rglob("TypeSegmentation"), *tmp_path.rglob("BinarySegmentation")]:
        folder.rename(folder.with_name(f"old {folder.name}"))
    best, *others = recognise(tmp_path)
    assert (best.name, best.num_masks) == ("endovis2017-parts", 2)
    assert [candidate.num_masks for candidate in others] == [0, 0]
    assert open_dataset(tmp_path).layout.name == "endovis2017-parts"


def test_masks_decide_between_two_tables_that_fit_the_folders(tmp_path: Path) -> None:
    """A value that one task does not know speaks against it."""
    write_tree("cholecseg8k", tmp_path, unknown_value=True)
    (candidate,) = recognise(tmp_path)
    assert not candidate.fits
    assert any("77" in line and "have no meaning" in line for line in candidate.evidence)


def test_evidence_in_words(tmp_path: Path) -> None:
    write_tree("fetreg2021", tmp_path, missing_mask=True)
    (candidate,) = recognise(tmp_path)
    assert (candidate.num_frames, candidate.num_masks, candidate.num_groups) == (18, 17, 18)
    assert candidate.evidence == (
        "18 frames in 18 groups lie as in Video001/images/Video001_frame00100.png",
        "17 of them have a mask",
        "the values of 3 masks that were read are all known",
    )


def test_plain_folders_are_settled_by_their_file(tmp_path: Path) -> None:
    root = write_plain_tree(tmp_path, {"a": 1})
    (candidate,) = recognise(root)
    assert (candidate.name, candidate.evidence) == (
        "folders",
        ("dataset.toml in the folder names the classes",),
    )


def test_a_flat_folder_with_lists_is_not_taken_for_kvasir(tmp_path: Path) -> None:
    write_tree("kvasir-instrument", tmp_path, leftovers=False)
    for folder in ("images", "masks"):
        for number, path in enumerate(sorted((tmp_path / folder).iterdir())):
            path.rename(path.with_name(f"{number}{path.suffix}"))
    assert recognise(tmp_path) == ()
    with pytest.raises(InputError, match="not recognised"):
        open_dataset(tmp_path)


def test_an_empty_folder_and_no_folder(tmp_path: Path) -> None:
    assert recognise(tmp_path) == ()
    with pytest.raises(InputError, match="No such folder"):
        recognise(tmp_path / "nowhere")


def test_the_wrong_layout_by_name_says_so(tmp_path: Path) -> None:
    write_tree("fetreg2021", tmp_path)
    with pytest.raises(InputError, match="No frame lies here as layout 'cadis-task1' expects"):
        open_dataset(tmp_path, "cadis-task1")
