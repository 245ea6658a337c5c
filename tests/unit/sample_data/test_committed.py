"""The committed clip, masks and scheme: complete, small, and what the generator makes."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from fractions import Fraction
from itertools import islice

import av
import numpy as np
import pytest

import sample_data
from napari_hogseg.data.scheme import LabelScheme
from napari_hogseg.io.images import list_images, read_mask
from sample_data.classes import CLASS_COLORS, CLASS_NAMES
from sample_data.generator import (
    HEIGHT,
    SAMPLE_FRAMES,
    SAMPLE_SEED,
    WIDTH,
    generate_clip,
    scheme_text,
)

MAX_BYTES = 3_500_000
MIN_PSNR_DB = 34.0
# Sines differ in the last bit from processor to processor, which can move a border by a pixel here or there.
MAX_MOVED_PIXELS = 1e-4


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    with av.open(str(sample_data.clip_path())) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.fixture(scope="module")
def masks() -> list[np.ndarray]:
    return [read_mask(path) for path in list_images(sample_data.masks_path())]


def test_one_mask_per_frame(frames: list[np.ndarray], masks: list[np.ndarray]) -> None:
    assert len(frames) == len(masks) == SAMPLE_FRAMES
    assert {frame.shape for frame in frames} == {(HEIGHT, WIDTH, 3)}
    assert {mask.shape for mask in masks} == {(HEIGHT, WIDTH)}
    names = [path.name for path in list_images(sample_data.masks_path())]
    assert names == [f"frame_{frame_index:06d}.png" for frame_index in range(SAMPLE_FRAMES)]


def test_clip_is_plain_h264_with_b_frames() -> None:
    with av.open(str(sample_data.clip_path())) as container:
        stream = container.streams.video[0]
        assert (stream.codec.canonical_name, stream.pix_fmt) == ("h264", "yuv420p")
        assert stream.average_rate == Fraction(25)
        pts = [packet.pts for packet in container.demux(stream) if packet.pts is not None]
    assert pts != sorted(pts), "packets in display order: no B-frames"


def test_all_classes_appear_and_nothing_else(masks: list[np.ndarray]) -> None:
    counts = sum(np.bincount(mask.ravel(), minlength=256) for mask in masks)
    assert (counts[:8] / counts.sum() > 0.005).all(), "a class is hardly ever seen"
    assert counts[8:].sum() == 0
    hand, instrument = ([bool((mask == class_id).any()) for mask in masks] for class_id in (2, 7))
    assert 0 < sum(hand) < len(masks), "the hand comes and goes"
    assert 0 < sum(instrument) < len(masks), "so do the instruments"


def test_sizes_stay_under_the_limit() -> None:
    paths = [sample_data.clip_path(), sample_data.scheme_path(), *sample_data.masks_path().iterdir()]
    assert sum(path.stat().st_size for path in paths) <= MAX_BYTES


def test_generator_makes_the_committed_files(frames: list[np.ndarray], masks: list[np.ndarray]) -> None:
    generated = list(islice(generate_clip(SAMPLE_SEED, SAMPLE_FRAMES), 4))
    for frame_index, (frame, mask) in enumerate(generated):
        assert (mask != masks[frame_index]).mean() <= MAX_MOVED_PIXELS
        error = frame.astype(float) - frames[frame_index]
        assert 10 * np.log10(255**2 / np.mean(error**2)) >= MIN_PSNR_DB


def test_frames_and_masks_are_in_step(frames: list[np.ndarray], masks: list[np.ndarray]) -> None:
    # The last frame of the clip against a scene asked for that moment alone.
    last = SAMPLE_FRAMES - 1
    *_, (frame, mask) = generate_clip(SAMPLE_SEED, 2, stride=last)
    assert (mask != masks[last]).mean() <= MAX_MOVED_PIXELS
    assert 10 * np.log10(255**2 / np.mean((frame.astype(float) - frames[last]) ** 2)) >= MIN_PSNR_DB


def test_scheme_names_the_cadis_classes() -> None:
    scheme = LabelScheme.read(sample_data.scheme_path())
    assert (scheme.classes, scheme.colors, scheme.ignore) == (CLASS_NAMES, CLASS_COLORS, 255)
    assert sample_data.scheme_path().read_text("utf-8") == scheme_text()
    table = tomllib.loads(scheme_text())
    assert (table["name"], table["group"]) == ("cataract-sample", "folder")
    # An Instrument pixel in a CaDIS picture has the colour of its raw class; the first of them is 7.
    assert table["classes"][7] == {"id": 7, "name": "Instrument", "color": [141, 141, 141]}


def test_paths_lie_beside_the_package() -> None:
    folder = sample_data.clip_path().parent
    assert folder.name == "sample_data"
    assert sample_data.model_path() == folder / "model"
    # Asking for a path must stay quick: it imports neither the generator nor a codec.
    code = "import sys, sample_data; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=folder.parent).returncode == 0
