"""Layout tables: what a table may say, how a bad one is refused, and a user's own without any Python."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tomli_w

from napari_hogseg.data.layout_table import TABLES_FOLDER, packaged_tables, read_table
from napari_hogseg.data.layouts import LAYOUTS, Layout, load_layout, open_dataset
from napari_hogseg.data.recognition import recognise
from napari_hogseg.data.splits import split_samples
from napari_hogseg.io.errors import InputError
from tests.miniature_trees import LAYOUT_NAMES, frame_of, save

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OWN = """
name = "clinic"
title = "Our own recordings"
protocol = "dataset-miou"
ignore_values = [9]
classes = [
    { name = "tissue", color = [200, 0, 60], values = [0, "3-5"] },
    { name = "tool", color = [255, 200, 0], values = [1] },
]

[[trees]]
roots = ["export*"]
frames = '(?P<group>case\\d+)-(?P<side>left|right)/(?P<name>\\d+)\\.png'
sample = "{group}/{side}/{name}"
masks = ["{group}-{side}/seg/{name}.png", "truth/{group}/{side}_{name}.png"]

[splits.official]
test = ["case2"]
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A user's tree with its table beside it: two cases, masks in either of the two places."""
    root = tmp_path / "set"
    raw = np.array([[0, 1, 3], [4, 5, 9]], np.uint8)
    for seed, (folder, mask) in enumerate(
        [
            ("export_2024/case1-left", "export_2024/case1-left/seg/7.png"),
            ("export_2024/case1-right", "truth/case1/right_7.png"),
            ("case2-left", "truth/case2/left_7.png"),
        ]
    ):
        save(root / folder / "7.png", frame_of(raw, seed))
        save(root / mask, raw)
    (tmp_path / "clinic.toml").write_text(OWN, "utf-8")
    return tmp_path


def test_every_public_set_has_a_table_that_states_its_protocol() -> None:
    assert tuple(packaged_tables()) == LAYOUT_NAMES
    assert len(list(TABLES_FOLDER.glob("*.toml"))) == len(LAYOUT_NAMES)
    protocols = {name: layout.protocol for name, layout in LAYOUTS.items()}
    assert {protocols[name] for name in LAYOUT_NAMES if name.startswith("endovis2017")} == {"endovis2017"}
    assert protocols["sar-rarp50"] == "sar-rarp50"
    assert protocols["kvasir-instrument"] == "kvasir-instrument"
    assert {protocols[name] for name in ("cadis-task1", "cadis-task2", "fetreg2021", "vocalfolds")} == {
        "dataset-miou"
    }


@pytest.mark.parametrize(
    ("name", "num_classes"),
    [
        ("autolaparo", 10),
        ("cadis-task1", 8),
        ("cadis-task2", 17),
        ("cadis-task3", 25),
        ("cholecseg8k", 13),
        ("endovis2017-binary", 2),
        ("endovis2017-cropped-parts", 4),
        ("endovis2017-parts", 5),
        ("endovis2017-types", 8),
        ("endovis2018", 12),
        ("fetreg2021", 4),
        ("kvasir-instrument", 2),
        ("sar-rarp50", 10),
        ("vocalfolds", 6),
    ],
)
def test_number_of_classes(name: str, num_classes: int) -> None:
    scheme = LAYOUTS[name].scheme
    assert scheme.num_classes == num_classes
    assert len(set(scheme.colors)) == num_classes, "two classes are drawn alike"


def test_cadis_colours_are_the_published_ones() -> None:
    colors = dict(
        zip(LAYOUTS["cadis-task2"].scheme.classes, LAYOUTS["cadis-task2"].scheme.colors, strict=True)
    )
    assert colors["Pupil"] == (0, 137, 255)
    assert colors["Cannula"] == (255, 218, 0)  # a member's: the viscoelastic cannula's
    assert LAYOUTS["cadis-task3"].scheme.colors[24] == (243, 0, 255)


def test_own_table_as_a_file(own: Path) -> None:
    dataset = open_dataset(own / "set", str(own / "clinic.toml"))
    assert [sample.sample_id for sample in dataset.samples] == [
        "case1/left/7",
        "case1/right/7",
        "case2/left/7",
    ]
    for sample in dataset.samples:
        np.testing.assert_array_equal(dataset.read_pair(sample)[1], [[0, 1, 0], [0, 0, 255]])
    split = split_samples(dataset, split="official")
    assert [sample.group for sample in split.test] == ["case2"]
    again = open_dataset(own / "set", dataset.layout.reference)
    assert again.samples == dataset.samples


def test_own_table_in_the_root_is_taken_by_auto(own: Path) -> None:
    (own / "clinic.toml").rename(own / "set" / "layout.toml")
    dataset = open_dataset(own / "set")
    assert dataset.layout.name == "clinic"
    assert dataset.layout.reference == "layout.toml"  # says nothing of where the root lies today
    (own / "set").rename(own / "moved")
    assert len(open_dataset(own / "moved", dataset.layout.reference).samples) == 3
    (candidate,) = recognise(own / "moved")
    assert (candidate.name, candidate.title) == ("layout.toml", "Our own recordings")


def test_values_left_out_are_the_ids(tmp_path: Path) -> None:
    text = OWN.replace(', values = [0, "3-5"]', "").replace(", values = [1]", "")
    (tmp_path / "plain.toml").write_text(text, "utf-8")
    layout = load_layout(str(tmp_path / "plain.toml"), tmp_path)
    np.testing.assert_array_equal(layout.to_class_ids(np.array([[0, 1, 9]], np.uint8), "m"), [[0, 1, 255]])


def _without(key: str) -> Callable[[dict], None]:
    return lambda table: table.pop(key)


def _in_tree(**change: object) -> Callable[[dict], None]:
    return lambda table: table["trees"][0].update(change)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_without("classes"), "classes: Field required"),
        (lambda t: t.update(colour="red"), "colour: Extra inputs"),
        (lambda t: t.update(name="auto"), "'auto' is taken"),
        (lambda t: t.update(name="My Set"), "name: String should match"),
        (lambda t: t["classes"][0].update(color=[0, 0, 300]), "outside 0 to 255"),
        (lambda t: t["classes"][0].update(values=["x-y"]), r"classes\.0\.values\.0"),
        (_in_tree(frames="(unclosed"), "no regular expression"),
        (_in_tree(frames="case.*png"), "names no group"),
        (_in_tree(masks=["{patient}/{name}.png"]), "uses \\['patient'\\]"),
        (_in_tree(masks=["{group}/*.png"]), "not in the file's name"),
        (_in_tree(video=True), "need {frame}"),
        (_in_tree(values={"blood": [1]}), "\\['blood'\\], which are no classes"),
        (lambda t: t["trees"].append(t["trees"][0]), "two trees share one name"),
        (lambda t: t["splits"].update(official={"val": ["a"], "test": ["a"]}), "stands in two parts"),
        (
            lambda t: t["splits"].update(official={"lists": {"rest": "a.txt"}}),
            "parts are train, val and test",
        ),
        (lambda t: t["splits"].update(official={}), "either groups or lists"),
        (lambda t: t["splits"].update({"Fold 1": {"val": ["a"]}}), "small letters"),
        (lambda t: t.update(recognised_by="("), "recognised_by is no regular expression"),
        (
            lambda t: t.update(crop={"size": [10, 10], "x": 5, "y": 0, "width": 6, "height": 1}),
            "reaches beyond 10x10",
        ),
    ],
)
def test_a_bad_table_names_file_field_and_remedy(
    tmp_path: Path, change: Callable[[dict], None], said: str
) -> None:
    table = tomllib.loads(OWN)
    change(table)
    path = tmp_path / "bad.toml"
    path.write_text(tomli_w.dumps(table), "utf-8")
    with pytest.raises(InputError, match=said) as caught:
        read_table(path)
    assert caught.value.where == path
    assert "docs/datasets.md" in caught.value.remedy


def test_a_file_that_is_no_toml_or_not_there(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("name = ", "utf-8")
    with pytest.raises(InputError, match="Not a TOML file"):
        read_table(tmp_path / "bad.toml")
    with pytest.raises(InputError, match="Cannot be read"):
        load_layout(str(tmp_path / "nowhere.toml"), tmp_path)


@pytest.mark.parametrize(
    ("values", "said"),
    [([0, [1, 2, 3]], "mixes grey values and colours"), ([0, "0-1"], "gives the value .* two meanings")],
)
def test_values_that_contradict_each_other(tmp_path: Path, values: list[object], said: str) -> None:
    table = tomllib.loads(OWN)
    table["classes"][0]["values"] = values
    path = tmp_path / "bad.toml"
    path.write_text(tomli_w.dumps(table), "utf-8")
    with pytest.raises(InputError, match=said):
        Layout.of(read_table(path))
