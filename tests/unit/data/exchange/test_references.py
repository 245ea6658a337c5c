"""The formats against other programs: the COCO API, nibabel, Matplotlib's and OpenCV's polygons."""

from __future__ import annotations

import csv
import json
from xml.etree import ElementTree

import cv2
import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path as Outline
from pycocotools import mask as coco_masks
from pycocotools.coco import COCO
from scipy import ndimage

from napari_hogseg.data.exchange import AnnotatedFrame, ExchangeClip, export_frames, find_format
from napari_hogseg.data.exchange.polygons import fill_polygons, trace_polygons
from napari_hogseg.data.exchange.run_lengths import fill_runs, pack_counts, runs_of, unpack_counts
from napari_hogseg.data.layouts import LAYOUTS, open_dataset
from napari_hogseg.data.scheme import IGNORE, LabelScheme

SCHEME = LabelScheme(
    name="eye", classes=("pupil", "iris", "tool"), colors=((0, 0, 255), (0, 255, 0), (9, 0, 0))
)
CLIP = ExchangeClip("clip", tuple(f"frame_{i:06d}" for i in range(8)), 41, 57, SCHEME)
OUT = "out"


def made_up_mask(seed, shape=(41, 57), holes=True):
    """Blobs of three classes and void, as a hand paints them; speckles where `holes`."""
    random = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(random.normal(size=shape), 4)
    mask = np.digitize(smooth, np.quantile(smooth, [0.3, 0.5, 0.8])).astype(np.uint8)
    mask[mask == 3] = IGNORE
    if holes:
        mask[random.random(shape) < 0.02] = 1
    return mask


@pytest.fixture
def exported(tmp_path):
    """Write frames 2 and 5 in a format; their masks and the folder."""

    def export(name, **more):
        frames = [AnnotatedFrame(index, made_up_mask(index)) for index in (2, 5)]
        export_frames(frames, tmp_path / OUT, find_format(name), CLIP, **more)
        return {frame.frame_index: frame.mask for frame in frames}, tmp_path / OUT

    return export


bits = st.lists(st.booleans(), min_size=1, max_size=90)


@settings(deadline=None)
@given(bits, st.integers(1, 9))
def test_run_lengths_are_those_of_the_coco_api(values, height):
    width = -(-len(values) // height)
    inside = np.resize(np.array(values), (height, width))
    theirs = coco_masks.encode(np.asfortranarray(inside.astype(np.uint8)))["counts"].decode()
    runs = runs_of(inside.ravel(order="F"))
    assert pack_counts(runs) == theirs
    assert unpack_counts(theirs) == runs
    np.testing.assert_array_equal(fill_runs(runs, inside.size).reshape(width, height).T, inside)


def test_long_runs_are_packed_as_by_the_coco_api():
    inside = np.zeros((700, 900), np.uint8)
    inside[3:600, 2:7] = inside[650:, 800:] = 1
    theirs = coco_masks.encode(np.asfortranarray(inside))["counts"].decode()
    assert pack_counts(runs_of(inside.ravel(order="F").astype(bool))) == theirs


# pycocotools 2.0.11 hands numpy 2 its masks in the way of numpy 1.
@pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)
def test_the_coco_api_reads_the_file(exported, capsys):
    masks, folder = exported("coco")
    api = COCO(folder / "annotations" / "instances_default.json")
    assert [category["name"] for category in api.loadCats([0, 1, 2])] == list(SCHEME.classes)
    pictures = {picture["frame_index"]: picture for picture in api.loadImgs(api.getImgIds())}
    assert sorted(pictures) == sorted(masks)
    for frame_index, mask in masks.items():
        found = np.full_like(mask, IGNORE)
        for annotation in api.loadAnns(api.getAnnIds(pictures[frame_index]["id"])):
            inside = api.annToMask(annotation).astype(bool)
            found[inside] = annotation["category_id"]
            assert annotation["area"] == inside.sum()
            assert annotation["bbox"] == coco_masks.toBbox(api.annToRLE(annotation)).tolist()
        np.testing.assert_array_equal(found, mask)
    capsys.readouterr()


def test_other_peoples_coco_files_are_read(tmp_path):
    inside = made_up_mask(3) == 1
    listed = {"size": [41, 57], "counts": runs_of(inside.ravel(order="F"))}
    table = {
        "images": [{"id": 7, "file_name": "some/where/frame_000003.jpg", "height": 41, "width": 57}],
        "categories": [{"id": 90, "name": "iris"}, {"id": 4, "name": "tool"}],
        "annotations": [
            {"image_id": 7, "category_id": 90, "segmentation": listed},
            {
                "image_id": 7,
                "category_id": 4,
                "segmentation": [[1, 2, 11, 2, 11, 9, 1, 9], [0, 0, 1, 0, 1, 1]],
            },
        ],
    }
    (tmp_path / "theirs.json").write_text(json.dumps(table))
    (frame,) = find_format("coco").read(tmp_path, CLIP, 0)
    expected = np.where(inside, 1, 0).astype(np.uint8)
    expected[2:9, 1:11] = 2
    expected[0, 0] = frame.mask[0, 0]  # the diagonal runs through the pixel's middle
    np.testing.assert_array_equal(frame.mask, expected)
    assert frame.frame_index == 3


#: No subnormal numbers: a model that another test loaded makes its process flush them.
PLACES = st.floats(-9, 30, allow_subnormal=False)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(PLACES, PLACES), min_size=3, max_size=3))
def test_filling_agrees_with_matplotlib(corners):
    """On middles that no line comes near: what lies on a line is anybody's."""
    ring = np.array(corners)
    rows, columns = np.mgrid[:20, :17] + 0.5
    middles = np.column_stack([columns.ravel(), rows.ravel()])
    along = np.roll(ring, -1, axis=0) - ring
    length = np.maximum((along**2).sum(axis=1), 1e-12)
    share = (((middles[:, None] - ring) * along).sum(axis=2) / length).clip(0, 1)
    far = np.linalg.norm(middles[:, None] - ring - share[..., None] * along, axis=2).min(axis=1) > 1e-3
    found = fill_polygons([ring], 20, 17).ravel()
    np.testing.assert_array_equal(found[far], Outline(ring).contains_points(middles)[far])


@pytest.mark.parametrize("seed", range(4))
def test_a_polygon_is_a_connected_part_with_its_holes(seed):
    inside = made_up_mask(seed) == seed % 3
    rings = trace_polygons(inside)
    _, num_parts = ndimage.label(inside)
    assert len(rings) == num_parts
    for ring in rings:
        _, parts = ndimage.label(fill_polygons([ring], *inside.shape))
        assert parts == 1
    np.testing.assert_array_equal(fill_polygons(rings, *inside.shape), inside)


def test_yolo_as_ultralytics_fills_it_gains_a_rim(exported):
    """The figure docs/exchange.md gives for programs that draw outlines."""
    masks, folder = exported("yolo")
    assert 'names:\n  0: "pupil"\n' in (folder / "data.yaml").read_text()
    mask, scores = masks[2], []
    lines = (folder / "labels" / "train" / "frame_000002.txt").read_text().splitlines()
    for class_id in range(3):
        theirs = np.zeros(mask.shape, np.uint8)
        for line in lines:
            words = line.split()
            if int(words[0]) == class_id:
                points = np.array(words[1:], float).reshape(-1, 2) * (CLIP.width, CLIP.height)
                cv2.fillPoly(theirs, [points.round().astype(np.int32)], 1)
        inside = mask == class_id
        assert not (inside & (theirs == 0)).any()  # nothing is lost
        scores.append((inside & (theirs > 0)).sum() / (theirs > 0).sum())
    assert min(scores) < 1


def test_nibabel_reads_the_volume(exported):
    masks, folder = exported("nifti")
    volume = nibabel.load(folder / "masks.nii.gz")
    assert volume.shape == (57, 41, 2)
    assert volume.get_data_dtype() == np.uint8
    assert nibabel.aff2axcodes(volume.affine) == ("L", "P", "S")
    for position, mask in enumerate(masks.values()):
        np.testing.assert_array_equal(np.asarray(volume.dataobj)[:, :, position].T, mask)
    rows = list(csv.DictReader((folder / "frames.csv").read_text().splitlines()))
    assert [row["frame_index"] for row in rows] == ["2", "5"]


def test_a_volume_of_another_program_is_read(tmp_path):
    stack = np.stack([made_up_mask(index) for index in range(8)])
    whole = stack.transpose(2, 1, 0).astype(np.float32)
    nibabel.Nifti1Image(whole[:, :, None], np.eye(4)).to_filename(tmp_path / "a.nii")
    found = [frame.mask for frame in find_format("nifti").read(tmp_path / "a.nii", CLIP, 0)]
    np.testing.assert_array_equal(found, stack)


def test_cvat_takes_a_mask_of_a_track_from_its_first_frame(exported):
    """As its own loader does: runs along the rows of the box, zeros first."""
    masks, folder = exported("cvat")
    root = ElementTree.parse(folder / "annotations.xml").getroot()
    assert [label.text for label in root.iterfind("meta/task/labels/label/name")] == list(SCHEME.classes)
    found = {frame_index: np.full_like(mask, IGNORE) for frame_index, mask in masks.items()}
    for track in root.iterfind("track"):
        shown, gone = track.iterfind("mask")
        assert (shown.get("outside"), gone.get("outside")) == ("0", "1")
        assert int(gone.get("frame")) == int(shown.get("frame")) + 1
        left, top, width, height = (int(shown.get(key)) for key in ("left", "top", "width", "height"))
        place, value = 0, 0
        for run in map(int, shown.get("rle").split(", ")):
            for pixel in range(place, place + run) if value else ():
                row, column = divmod(pixel, width)
                found[int(shown.get("frame"))][top + row, left + column] = SCHEME.classes.index(
                    track.get("label")
                )
            place, value = place + run, 1 - value
        assert place == width * height
    for frame_index, mask in masks.items():
        np.testing.assert_array_equal(found[frame_index], mask)


def test_cvat_for_images_is_read_too(tmp_path):
    (tmp_path / "theirs.xml").write_text(
        """<annotations><version>1.1</version><meta><task><size>8</size></task></meta>
        <image id="4" name="x/frame_000003.PNG" width="57" height="41">
          <polygon label="tool" z_order="1" points="2.0,3.0;12.0,3.0;12.0,10.0;2.0,10.0"></polygon>
          <mask label="iris" occluded="0" rle="0, 4, 4, 2" left="1" top="2" width="5" height="2" z_order="0"/>
        </image>
        <image id="5" name="unknown.png" width="57" height="41"></image></annotations>"""
    )
    frames = {frame.frame_index: frame.mask for frame in find_format("cvat").read(tmp_path, CLIP, 0)}
    expected = CLIP.blank(0)
    expected[2, 1:5] = expected[3, 4:6] = 1
    expected[3:10, 2:12] = 2
    assert sorted(frames) == [3, 5]
    np.testing.assert_array_equal(frames[3], expected)
    assert (frames[5] == 0).all()


def test_endovis_folders_are_what_the_layout_reads(tmp_path):
    """With the challenge's own classes, this program's reader of EndoVis 2018 takes the export as it is."""
    scheme = LAYOUTS["endovis2018"].scheme
    clip = ExchangeClip("a", tuple(f"f{i}" for i in range(3)), 20, 30, scheme)
    random = np.random.default_rng(0)
    masks = random.integers(0, scheme.num_classes, (3, 20, 30)).astype(np.uint8)
    frames = (AnnotatedFrame(index, mask) for index, mask in enumerate(masks))
    picture = random.integers(0, 256, (20, 30, 3)).astype(np.uint8)
    export_frames(frames, tmp_path / OUT, find_format("endovis"), clip, picture=lambda _index: picture)
    dataset = open_dataset(tmp_path / OUT, "endovis2018")
    assert len(dataset.samples) == 3
    for sample, mask in zip(dataset.samples, masks, strict=True):
        np.testing.assert_array_equal(dataset.read_mask(sample), mask)


def test_index_pngs_with_pictures_are_a_data_set(tmp_path, exported):
    masks, folder = exported("index-png", picture=lambda index: np.full((41, 57, 3), index, np.uint8))
    dataset = open_dataset(folder)
    assert dataset.scheme == SCHEME
    for sample, (frame_index, mask) in zip(dataset.samples, masks.items(), strict=True):
        frame, found = dataset.read_pair(sample)
        assert (frame == frame_index).all()
        np.testing.assert_array_equal(found, mask)
