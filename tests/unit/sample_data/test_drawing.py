"""The parts of the picture against what geometry says: tubes, noise, instruments, layers, motion."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage

from sample_data import textures as tx
from sample_data.classes import CORNEA, HAND, INSTRUMENT, IRIS, PUPIL, RETRACTORS, SKIN, TAPE
from sample_data.eye import build_eye
from sample_data.instruments import KINDS, SHAPES, Instrument, Pose, draw_instrument
from sample_data.motion import Gaze, Presence, Wander
from sample_data.render import FRONT_TO_BACK, majority
from sample_data.scene import CANVAS_MARGIN
from sample_data.surroundings import NOTHING, build_hand, build_surroundings


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_noise_is_normalised_and_wraps() -> None:
    field = tx.noise(rng(), (64, 256), (4, 16), 3, wrap=True)
    assert field.dtype == np.float32
    assert abs(field.mean()) < 1e-4
    assert field.std() == pytest.approx(1, abs=1e-4)
    inner = np.abs(np.diff(field, axis=1)).max()
    assert np.abs(field[:, 0] - field[:, -1]).max() <= 1.5 * inner, "a seam where the columns meet"


def test_smoothstep_has_its_ends() -> None:
    x = np.linspace(-1, 2, 31, dtype=np.float32)
    rising = tx.smoothstep(0.0, 1.0, x)
    np.testing.assert_allclose(rising[[0, 10, 15, 20, 30]], [0, 0, 0.5, 1, 1], atol=1e-6)
    np.testing.assert_allclose(tx.smoothstep(1.0, 0.0, x), 1 - rising, atol=1e-6)


def test_relief_lights_the_slope_that_faces_the_lamp() -> None:
    ramp = np.tile(np.arange(32, dtype=np.float32), (16, 1))
    np.testing.assert_allclose(tx.relief(np.zeros((8, 8), np.float32), (1, 0), 1), 1)
    # Sobel with scale 1/8 measures the plain slope, 1 per pixel.
    np.testing.assert_allclose(tx.relief(ramp, (1, 0), 0.5)[2:-2, 2:-2], 1 - np.tanh(0.5), rtol=1e-5)
    assert (tx.relief(ramp, (-1, 0), 0.5)[2:-2, 2:-2] > 1).all()


def test_curve_distance_is_the_euclidean_one() -> None:
    line = tx.smooth_curve([(10, 12), (40, 30), (70, 20)], 40)
    tube = tx.curve_distance((48, 80), line, np.full(40, 6, np.float32))
    dense = np.concatenate([np.linspace(a, b, 60) for a, b in pairwise(line)])
    rows, cols = np.indices((48, 80))
    distance = np.sqrt((cols[..., None] - dense[:, 0]) ** 2 + (rows[..., None] - dense[:, 1]) ** 2).min(
        axis=2
    )
    near = distance < 8
    np.testing.assert_allclose(np.abs(tube.offset[near]) * 6, distance[near], atol=0.02)
    assert (np.abs(tube.offset[distance > 11]) > 1).all()
    # The two sides of the line have opposite signs.
    assert tube.offset[12, 40] * tube.offset[36, 40] < 0
    assert tube.along[near].max() == pytest.approx(np.hypot(*np.diff(line, axis=0).T).sum(), rel=1e-3)


def test_smooth_curve_meets_its_controls() -> None:
    controls = [(0.0, 0.0), (3.0, 5.0), (8.0, 4.0)]
    curve = tx.smooth_curve(controls, 41)
    np.testing.assert_allclose(curve[[0, 20, 40]], controls, atol=2e-3)


def test_vessels_stay_outside_the_inner_circle() -> None:
    net = tx.vessels(rng(2), (200, 200), (100, 100), (40, 95), 12, 3.0)
    rows, cols = np.indices(net.shape)
    radius = np.hypot(cols - 100, rows - 100)
    assert (net[radius < 34] == 0).all()
    assert 0.02 < (net[radius > 45] > 0).mean() < 0.8


@pytest.mark.parametrize("seed", range(3))
def test_eye_has_round_iris_and_pupil(seed: int) -> None:
    eye = build_eye(rng(seed), (240, 400), 200.0)
    assert set(np.unique(eye.classes)) == {PUPIL, IRIS, CORNEA}
    assert (eye.classes == PUPIL).sum() == pytest.approx(np.pi * eye.pupil_px**2, rel=0.08)
    assert (eye.classes != CORNEA).sum() == pytest.approx(np.pi * eye.iris_px**2, rel=0.08)
    center = ndimage.center_of_mass(eye.classes == PUPIL)
    assert np.hypot(center[1] - eye.center_px[0], center[0] - eye.center_px[1]) < 2
    for class_id in (PUPIL, IRIS):
        assert ndimage.label(eye.classes == class_id)[1] == 1, "in one piece"
    share = eye.picture[..., 3]
    assert (share[eye.classes == CORNEA] == 0).all()
    assert share[eye.classes == PUPIL].mean() > 0.7
    assert np.isfinite(eye.picture).all()
    assert eye.picture.min() >= 0


@pytest.mark.parametrize("seed", range(3))
def test_surroundings_cover_where_they_have_a_class(seed: int) -> None:
    layer = build_surroundings(rng(seed), (240, 400), 200.0)
    assert set(np.unique(layer.classes)) == {SKIN, TAPE, RETRACTORS, NOTHING}
    opacity = layer.picture[..., 3]
    # Away from borders between classes, whose edges are smooth.
    lowest, highest = (f(layer.classes, 5) for f in (ndimage.minimum_filter, ndimage.maximum_filter))
    inner = (lowest == highest) & (layer.classes != NOTHING)
    assert inner.mean() > 0.2
    assert (opacity[inner] > 0.97).all()
    middle = np.s_[90:150, 150:250]
    assert (layer.classes[middle] == NOTHING).all(), "the eye is in view"
    assert opacity[middle].max() < 0.4
    assert ndimage.label(layer.classes == RETRACTORS)[1] >= 2, "two wires"


def test_hand_is_in_one_piece_with_fingertips_inside() -> None:
    hand = build_hand(rng(1), 200, 250.0)
    assert set(np.unique(hand.classes)) == {HAND, NOTHING}
    assert ndimage.label(hand.classes == HAND)[1] == 1
    assert (hand.classes[:2] == NOTHING).all(), "fingertips cut off"
    assert (hand.classes[-1] == HAND).any(), "it goes on beyond the patch"


@pytest.mark.parametrize("kind", KINDS)
def test_instrument_has_its_width_and_mask(kind: str) -> None:
    tool = Instrument.draw(rng(3), kind)
    patch = draw_instrument(tool, Pose((60.0, 100.0), (1.0, 0.0), 0.5), (200, 400), 300.0)
    assert patch is not None
    solid = np.zeros((200, 400), bool)
    solid[patch.box] = patch.solid
    np.testing.assert_array_equal(patch.solid, patch.picture[..., 3] > 0.5)
    assert (patch.picture[..., :3] >= 0).all()
    # At the frame's edge the shaft is straight: its width is that of its profile there.
    distance = (399 - 60) / 300
    last = SHAPES[kind][-1]
    radius = last.radius + (last.end_radius - last.radius) * (distance - last.start) / (1.2 - last.start)
    assert solid[:, 399].sum() == pytest.approx(2 * radius * tool.size * 300, abs=2)
    assert not solid[:, :60].any(), "nothing lies before the tip"
    assert solid[:, 60:70].any()


def test_instrument_turns_with_its_pose() -> None:
    tool = Instrument.draw(rng(5), "phaco")
    right = draw_instrument(tool, Pose((100.0, 100.0), (1.0, 0.0), 0.5), (201, 201), 200.0)
    down = draw_instrument(tool, Pose((100.0, 100.0), (0.0, 1.0), 0.5), (201, 201), 200.0)
    assert right is not None
    assert down is not None
    first, second = np.zeros((201, 201), bool), np.zeros((201, 201), bool)
    first[right.box], second[down.box] = right.solid, down.solid
    assert (first != second.T).mean() < 0.002, "a straight tool is its own mirror image"


def test_forceps_open() -> None:
    tool = Instrument.draw(rng(5), "forceps")
    spans = []
    for opening in (0.0, 1.0):
        patch = draw_instrument(tool, Pose((60.0, 100.0), (1.0, 0.0), opening), (200, 400), 300.0)
        assert patch is not None
        rows = np.flatnonzero(patch.solid[:, 66 - patch.box[1].start])
        spans.append(rows[-1] - rows[0])
    assert spans[1] > spans[0] + 10


def test_instrument_outside_the_frame_is_none() -> None:
    tool = Instrument.draw(rng(0), "cannula")
    assert draw_instrument(tool, Pose((900.0, 50.0), (1.0, 0.0), 0.5), (200, 400), 300.0) is None


def test_majority_equals_counting() -> None:
    classes = rng(4).choice(np.arange(8, dtype=np.uint8), (40, 60))
    result = majority(classes)
    for row in range(20):
        for col in range(30):
            block = classes[2 * row : 2 * row + 2, 2 * col : 2 * col + 2].ravel()
            counts = np.bincount(block, minlength=8)
            tied = [c for c in FRONT_TO_BACK if counts[c] == counts.max()]
            assert result[row, col] == tied[0]
    assert FRONT_TO_BACK[0] == INSTRUMENT
    assert sorted(FRONT_TO_BACK) == list(range(8))


def test_presence_comes_and_goes() -> None:
    presence = Presence(((1.0, 3.0), (5.0, 6.0)), 0.5)
    values = [presence.at(t) for t in (0.9, 1.25, 2.0, 3.25, 4.0, 5.6)]
    np.testing.assert_allclose(values, [0, 0.5, 1, 0.5, 0, 1])
    drawn = Presence.draw(rng(1), 0.5, (1.0, 2.0), (1.0, 2.0))
    gaps = [b[0] - a[1] for a, b in pairwise(drawn.spells)]
    assert min(gaps) >= 1.0
    assert all(1.0 <= end - start <= 2.0 for start, end in drawn.spells)


def test_motion_is_bounded_and_smooth() -> None:
    times = np.arange(0, 80, 0.04)
    wander = Wander.draw(rng(2), 0.3, 2.0)
    values = np.array([wander.at(t) for t in times])
    assert np.abs(values).max() <= 0.3 + 1e-12
    assert np.abs(np.diff(values)).max() < 0.1
    for seed in range(8):
        shifts = np.array([Gaze.draw(rng(seed)).shift(t) for t in times[::5]])
        # Turning adds its share at the corners, but there lie the lids, which do not turn.
        assert np.abs(shifts).max() < CANVAS_MARGIN, "the eye would leave its canvas"
