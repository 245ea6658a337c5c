"""Display labels: the duck array over the store behaves as the numpy array it stands for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from napari.layers import Labels

from napari_hogseg.data.scheme import IGNORE, LabelScheme
from napari_hogseg.metrics.error_map import CORRECT, MISSED, SPURIOUS
from napari_hogseg.session.annotations import AnnotationStore, SessionIdentity
from napari_hogseg.ui.labels import (
    ERROR_COLORS,
    EditableMasks,
    display_colormap,
    error_colormap,
    to_class_ids,
    to_display,
)

SCHEME = LabelScheme(
    name="eye", classes=("pupil", "iris", "tool"), colors=((0, 0, 255), (0, 255, 0), (255, 0, 9))
)
SHAPE = (4, 6, 7)


def truth(frame_index):
    if frame_index == 3:
        return None
    return np.random.default_rng(frame_index).integers(0, 3, SHAPE[1:]).astype(np.uint8)


@pytest.fixture
def make_masks(tmp_path_factory):
    stores = []

    def make(painted=lambda _: None, refused=pytest.fail):
        names = tuple("abcd")
        folder = tmp_path_factory.mktemp("session")
        store = AnnotationStore(folder, SessionIdentity("x", names, *SHAPE[1:], SCHEME), truth, settle_s=60)
        stores.append(store)
        return EditableMasks(store, painted, refused)

    yield make
    for store in stores:
        store.close()


def reference():
    frames = [truth(index) for index in range(SHAPE[0] - 1)] + [np.full(SHAPE[1:], IGNORE, np.uint8)]
    return np.stack(frames) + np.uint8(1)


def test_class_ids_and_display_labels_are_one_to_one():
    ids = np.arange(256, dtype=np.uint8)
    assert to_display(ids)[IGNORE] == 0
    assert to_display(ids)[0] == 1
    np.testing.assert_array_equal(to_class_ids(to_display(ids)), ids)


KEYS = [
    1,
    -1,
    np.int64(2),
    (2, slice(1, 3), slice(None)),
    (slice(2, 3), slice(1, 4), slice(2, 5)),
    (slice(None), 3, slice(None)),
    (slice(0, 0),),
    (0, 3, 4),
    (np.array([0, 2, 2]), np.array([1, 1, 5]), np.array([0, 6, 3])),
    Ellipsis,
]


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_reading_equals_numpy(make_masks, key):
    np.testing.assert_array_equal(np.asarray(make_masks()[key]), reference()[key])


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_writing_equals_numpy(make_masks, key):
    masks, expected = make_masks(), reference()
    masks[key] = 2
    expected[key] = 2
    np.testing.assert_array_equal(masks[:], expected)


frames = st.integers(0, SHAPE[0] - 1)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    frame=frames,
    rows=st.tuples(st.integers(0, 5), st.integers(1, 6)),
    cols=st.tuples(st.integers(0, 6), st.integers(1, 7)),
    seed=st.integers(0, 99),
)
def test_writing_a_block_of_values_equals_numpy(make_masks_once, frame, rows, cols, seed):
    masks = make_masks_once
    key = (slice(frame, frame + 1), slice(*sorted(rows)), slice(*sorted(cols)))
    expected = masks[:]
    values = np.random.default_rng(seed).integers(0, 4, expected[key].shape).astype(np.uint8)
    masks[key] = values
    expected[key] = values
    np.testing.assert_array_equal(masks[:], expected)


@pytest.fixture
def make_masks_once(make_masks):
    return make_masks()


def test_painting_tells_which_frame(make_masks):
    painted = []
    masks = make_masks(painted=painted.append)
    masks[2, 0, 0] = 1
    masks[np.array([0, 1]), np.array([0, 0]), np.array([0, 0])] = 1
    assert painted == [2, 0, 1]


def test_a_refused_label_changes_nothing(make_masks):
    refused = []
    masks = make_masks(refused=refused.append)
    masks[0, 0, 0] = 9
    assert "not classes" in str(refused[0])
    np.testing.assert_array_equal(masks[:], reference())


def test_a_labels_layer_paints_fills_undoes_and_redoes(make_masks):
    masks = make_masks()
    layer = Labels(masks, colormap=display_colormap(SCHEME))
    layer.brush_size = 1
    layer.paint((1, 2, 3), 3)
    painted = reference()
    painted[1, 2, 3] = 3
    np.testing.assert_array_equal(masks[:], painted)
    layer.fill((3, 0, 0), 2)
    filled = painted.copy()
    filled[3] = 2
    np.testing.assert_array_equal(masks[:], filled)
    layer.undo()
    np.testing.assert_array_equal(masks[:], painted)
    layer.undo()
    np.testing.assert_array_equal(masks[:], reference())
    layer.redo()
    layer.redo()
    np.testing.assert_array_equal(masks[:], filled)
    layer.data_setitem((np.array([0]), np.array([0]), np.array([1])), 0)
    assert masks.store.mask(0)[0, 1] == IGNORE


def test_undo_of_another_frame_is_written_there(make_masks):
    masks = make_masks()
    layer = Labels(masks)
    layer.brush_size = 1
    layer.paint((2, 1, 1), 1 + (int(masks[2, 1, 1])) % 3)
    layer.undo()
    np.testing.assert_array_equal(masks[:], reference())


def test_colours_are_the_schemes_and_nothing_cycles():
    colormap = display_colormap(SCHEME)
    colors = np.round(colormap.map(np.arange(256, dtype=np.uint8)) * 255).astype(int)
    np.testing.assert_array_equal(colors[1:4, :3], SCHEME.colors)
    assert (colors[[0, *range(4, 256)], 3] == 0).all()
    assert (colors[1:4, 3] == 255).all()


def test_error_colours_stay_apart_for_red_green_blind_eyes():
    assert set(ERROR_COLORS) == {MISSED, SPURIOUS, CORRECT}
    # Deuteranopia (Vienot 1999): red and green cones see one value; the rest must tell the three apart.
    seen = []
    for _, (red, green, blue) in ERROR_COLORS.values():
        linear = (np.array([red, green, blue]) / 255) ** 2.2
        seen.append((0.29 * linear[0] + 0.71 * linear[1], linear[2]))
    gaps = [np.hypot(*np.subtract(seen[i], seen[j])) for i, j in ((0, 1), (0, 2), (1, 2))]
    assert min(gaps) > 0.08
    colors = error_colormap().map(np.arange(4, dtype=np.uint8))
    np.testing.assert_allclose(colors[MISSED, :3] * 255, ERROR_COLORS[MISSED][1], atol=0.5)
