"""All classes' boundary scores against MONAI, surface-distance and the definitions written out with scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.metrics import compute_hausdorff_distance, compute_surface_dice
from scipy import ndimage
from scipy.spatial.distance import cdist
from surface_distance import compute_surface_dice_at_tolerance, compute_surface_distances

from napari_hogseg.io.errors import InputError
from napari_hogseg.metrics import boundary_iou, boundary_scores, surface_dice

# surface-distance still imports from scipy.ndimage.filters; MONAI warns of empty masks and of itself.
pytestmark = [
    pytest.mark.filterwarnings(
        "ignore:Please import .* from the `scipy.ndimage` namespace:DeprecationWarning"
    ),
    pytest.mark.filterwarnings("ignore:the (prediction|ground truth) of class:UserWarning"),
    pytest.mark.filterwarnings("ignore:monai.metrics.utils:FutureWarning"),
]

VOID = 255
ALL_PARTS = ("nsd", "nsd_contour", "hd95_px", "boundary_iou", "davis_f")
TOLERANCES = st.sampled_from([0, 1, np.sqrt(2), 2, 2.5, np.sqrt(5), 6])
SCENES = st.integers(0, 2**32 - 1)


def scene(seed: int, *, void: bool = False) -> tuple[np.ndarray, np.ndarray, int]:
    """A prediction, a truth and the number of classes: from one pixel to 30, of all kinds that go wrong."""
    rng = np.random.default_rng(seed)
    num_classes = int(rng.integers(1, 8))
    shape = tuple(int(side) for side in rng.integers(1, 31, 2))
    truth = layout(rng, shape, num_classes)
    prediction = altered(rng, truth) if rng.random() < 0.5 else layout(rng, shape, num_classes)
    if void:
        truth[layout(rng, shape, 3) == 0] = VOID
        prediction[rng.random(shape) < rng.choice([0, 0.05])] = VOID
    return prediction, truth, num_classes


def layout(rng: np.random.Generator, shape: tuple[int, int], num_classes: int) -> np.ndarray:
    kind = rng.choice(["empty", "noise", "specks", "smooth", "boxes", "lines"])
    mask = np.full(shape, rng.integers(num_classes), np.uint8)
    if kind == "noise":
        return rng.integers(0, num_classes, shape, dtype=np.uint8)
    if kind == "specks":
        speck = rng.random(shape) < 0.05
        mask[speck] = rng.integers(0, num_classes, speck.sum())
    if kind == "smooth":
        noise = ndimage.gaussian_filter(rng.standard_normal((num_classes, *shape)), (0, 3, 3))
        return noise.argmax(axis=0).astype(np.uint8)
    if kind in ("boxes", "lines"):
        for _ in range(rng.integers(1, 6)):
            # Slices that reach beyond the frame touch its edge.
            top, left = rng.integers(0, shape[0]), rng.integers(0, shape[1])
            height, width = rng.integers(1, 20, 2) if kind == "boxes" else rng.permutation([1, 20])
            mask[top : top + height, left : left + width] = rng.integers(num_classes)
    return mask


def altered(rng: np.random.Generator, truth: np.ndarray) -> np.ndarray:
    """The truth moved by a few pixels: what a network's prediction looks like."""
    moved = np.roll(truth, rng.integers(-3, 4, 2), axis=(0, 1))
    speck = rng.random(truth.shape) < 0.02
    return np.where(speck, rng.permutation(moved.ravel()).reshape(moved.shape), moved)


def edges_of(mask: np.ndarray, *, counted: bool) -> np.ndarray:
    """Coordinates of the pixels that the cross erodes."""
    cross = ndimage.generate_binary_structure(2, 1)
    return np.argwhere(mask & ~ndimage.binary_erosion(mask, cross, border_value=not counted))


def corners_of(mask: np.ndarray, *, counted: bool) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates and contour lengths of the corners whose four pixels are not all alike."""
    padded = np.pad(mask, 1) if counted else np.pad(mask, 1, mode="edge")
    upper_left, upper_right = padded[:-1, :-1], padded[:-1, 1:]
    lower_left, lower_right = padded[1:, :-1], padded[1:, 1:]
    num_inside = sum(quarter.astype(int) for quarter in (upper_left, upper_right, lower_left, lower_right))
    lengths = np.where(num_inside % 2, np.sqrt(0.5), np.where(num_inside == 2, 1.0, 0.0))
    lengths[(num_inside == 2) & (upper_left == lower_right)] = np.sqrt(2)
    return np.argwhere(lengths > 0), lengths[lengths > 0]


def brute_distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return cdist(one, other).min(axis=1) if len(one) and len(other) else np.full(len(one), np.inf)


def brute_nsd(one, other, tolerance_px, lengths=None):
    lengths_one, lengths_other = lengths or (np.ones(len(one)), np.ones(len(other)))
    total = lengths_one.sum() + lengths_other.sum()
    near_one = brute_distances(one, other) <= tolerance_px + 1e-9
    near_other = brute_distances(other, one) <= tolerance_px + 1e-9
    return (lengths_one[near_one].sum() + lengths_other[near_other].sum()) / total if total else np.nan


def brute_hd95(one, other):
    if len(one) == 0 or len(other) == 0:
        return np.inf if len(one) + len(other) else np.nan
    return max(np.quantile(brute_distances(*pair), 0.95) for pair in ((one, other), (other, one)))


def published_boundary_iou(one: np.ndarray, other: np.ndarray, band_px: int, *, counted: bool) -> float:
    """Each mask without its repeated 3x3 erosion, as in Cheng et al."""
    square = np.ones((3, 3), bool)
    bands = [
        mask & ~ndimage.binary_erosion(mask, square, iterations=band_px, border_value=not counted)
        for mask in (one, other)
    ]
    union = (bands[0] | bands[1]).sum()
    return (bands[0] & bands[1]).sum() / union if union else np.nan


def davis_contour(mask: np.ndarray) -> np.ndarray:
    """Pixels unlike their right, lower or lower right neighbour; a neighbour beyond the frame is none."""
    contour = np.zeros_like(mask)
    contour[:, :-1] |= mask[:, :-1] != mask[:, 1:]
    contour[:-1] |= mask[:-1] != mask[1:]
    contour[:-1, :-1] |= mask[:-1, :-1] != mask[1:, 1:]
    return contour


def published_davis_f(one: np.ndarray, other: np.ndarray) -> float:
    """F of precision and recall under dilation with a disk, as in Perazzi et al. and the DAVIS challenges."""
    radius = int(np.ceil(0.008 * np.hypot(*one.shape)))
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    disk = x * x + y * y <= radius * radius
    contours = [davis_contour(mask) for mask in (one, other)]
    dilated = [ndimage.binary_dilation(contour, disk) for contour in contours]
    if not contours[0].any() and not contours[1].any():
        return 1.0
    if not contours[0].any() or not contours[1].any():
        return 0.0
    precision = (contours[0] & dilated[1]).sum() / contours[0].sum()
    recall = (contours[1] & dilated[0]).sum() / contours[1].sum()
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def one_hot(mask: np.ndarray, num_classes: int) -> torch.Tensor:
    return torch.from_numpy((mask == np.arange(num_classes)[:, None, None])[None].astype(np.float32))


def held(mask: np.ndarray, num_classes: int) -> np.ndarray:
    return np.array([(mask == class_id).any() for class_id in range(num_classes)])


@settings(max_examples=250, deadline=None, derandomize=True)
@given(seed=SCENES, tolerance=TOLERANCES)
def test_pixel_nsd_and_hd95_equal_monai(seed, tolerance):
    prediction, truth, num_classes = scene(seed)
    pair = one_hot(prediction, num_classes), one_hot(truth, num_classes)
    nsd = compute_surface_dice(*pair, [tolerance] * num_classes, include_background=True)[0].numpy()
    hd95 = compute_hausdorff_distance(*pair, include_background=True, percentile=95)[0].numpy()
    ours = boundary_scores(prediction, truth, num_classes, tolerance_px=tolerance)
    np.testing.assert_allclose(ours.nsd, nsd, atol=1e-6)
    both = ours.in_truth & ours.in_prediction
    # MONAI interpolates between ranks in float32.
    np.testing.assert_allclose(ours.hd95_px[both], hd95[both], rtol=1e-5, atol=1e-5)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(seed=SCENES, tolerance=TOLERANCES)
def test_contour_nsd_equals_surface_distance(seed, tolerance):
    prediction, truth, num_classes = scene(seed)
    ours = boundary_scores(prediction, truth, num_classes, tolerance_px=tolerance, parts=["nsd_contour"])
    for class_id in np.flatnonzero(ours.in_truth & ours.in_prediction):
        distances = compute_surface_distances(truth == class_id, prediction == class_id, (1, 1))
        theirs = compute_surface_dice_at_tolerance(distances, tolerance)
        assert ours.nsd_contour[class_id] == pytest.approx(theirs, abs=1e-9)


@settings(max_examples=1200, deadline=None, derandomize=True)
@given(
    seed=SCENES, tolerance=TOLERANCES, band_px=st.integers(1, 9), counted=st.booleans(), void=st.booleans()
)
def test_every_score_equals_its_definition_written_out(seed, tolerance, band_px, counted, void):
    prediction, truth, num_classes = scene(seed, void=void)
    ours = boundary_scores(
        prediction,
        truth,
        num_classes,
        tolerance_px=tolerance,
        band_px=band_px,
        frame_edge="counted" if counted else "ignored",
        parts=ALL_PARTS,
    )
    labelled = truth != VOID
    for class_id in np.flatnonzero(ours.in_truth & ours.in_prediction):
        one, other = (prediction == class_id) & labelled, (truth == class_id) & labelled
        edges = [edges_of(mask, counted=counted) for mask in (one, other)]
        (corners_one, lengths_one), (corners_other, lengths_other) = (
            corners_of(mask, counted=counted) for mask in (one, other)
        )
        lengths = lengths_one, lengths_other
        want = {
            "nsd": brute_nsd(*edges, tolerance),
            "nsd_contour": brute_nsd(corners_one, corners_other, tolerance, lengths),
            "hd95_px": brute_hd95(*edges),
            "boundary_iou": published_boundary_iou(one, other, band_px, counted=counted),
            "davis_f": published_davis_f(one, other)
            if davis_contour(one).any() or davis_contour(other).any()
            else np.nan,
        }
        got = {part: getattr(ours, part)[class_id] for part in want}
        assert got == pytest.approx(want, rel=1e-12, nan_ok=True)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(seed=SCENES, counted=st.booleans(), void=st.booleans())
def test_absent_missed_and_invented_classes_score_by_the_stated_rule(seed, counted, void):
    prediction, truth, num_classes = scene(seed, void=void)
    ours = boundary_scores(
        prediction,
        truth,
        num_classes + 1,
        frame_edge="counted" if counted else "ignored",
        parts=ALL_PARTS,
    )
    in_truth = held(truth, num_classes + 1)
    in_prediction = held(np.where(truth == VOID, VOID, prediction), num_classes + 1)
    np.testing.assert_array_equal(ours.in_truth, in_truth)
    np.testing.assert_array_equal(ours.in_prediction, in_prediction)
    for part in ALL_PARTS:
        scores = getattr(ours, part)
        assert np.isnan(scores[~in_truth & ~in_prediction]).all()
        worst = np.inf if part == "hd95_px" else 0.0
        assert (scores[in_truth ^ in_prediction] == worst).all()


@settings(max_examples=150, deadline=None, derandomize=True)
@given(seed=SCENES, tolerance=TOLERANCES, counted=st.booleans())
def test_one_class_at_a_time_scores_the_same(seed, tolerance, counted):
    prediction, truth, num_classes = scene(seed, void=True)
    policy = "counted" if counted else "ignored"
    ours = boundary_scores(prediction, truth, num_classes, tolerance_px=tolerance, frame_edge=policy)
    bands = boundary_scores(prediction, truth, num_classes, band_px=2, parts=["boundary_iou"]).boundary_iou
    for class_id in range(num_classes):
        single = surface_dice(prediction, truth, class_id, tolerance, frame_edge=policy)
        assert ours.nsd[class_id] == pytest.approx(single, nan_ok=True)
        assert bands[class_id] == pytest.approx(boundary_iou(prediction, truth, class_id, 2), nan_ok=True)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(seed=SCENES)
def test_prediction_and_truth_may_change_places(seed):
    prediction, truth, num_classes = scene(seed)
    there = boundary_scores(prediction, truth, num_classes, parts=ALL_PARTS)
    back = boundary_scores(truth, prediction, num_classes, parts=ALL_PARTS)
    for part in ALL_PARTS:
        np.testing.assert_allclose(getattr(there, part), getattr(back, part), rtol=1e-14)
    np.testing.assert_array_equal(there.in_truth, back.in_prediction)


def test_larger_frames_equal_monai_and_surface_distance():
    rng = np.random.default_rng(5)
    noise = rng.standard_normal((6, 180, 320))
    truth, prediction = (
        ndimage.gaussian_filter(noise, (0, sigma, sigma)).argmax(axis=0).astype(np.uint8)
        for sigma in (14, 12)
    )
    prediction[20:160, 100:104] = 5  # a far-off failure: distances of more than a hundred pixels
    ours = boundary_scores(prediction, truth, 6, tolerance_px=3, parts=ALL_PARTS)
    pair = one_hot(prediction, 6), one_hot(truth, 6)
    hd95 = compute_hausdorff_distance(*pair, include_background=True, percentile=95)[0].numpy()
    np.testing.assert_allclose(ours.hd95_px, hd95, rtol=1e-5)
    np.testing.assert_allclose(
        ours.nsd, compute_surface_dice(*pair, [3.0] * 6, include_background=True)[0].numpy(), atol=1e-6
    )
    for class_id in range(6):
        distances = compute_surface_distances(truth == class_id, prediction == class_id, (1, 1))
        theirs = compute_surface_dice_at_tolerance(distances, 3)
        assert ours.nsd_contour[class_id] == pytest.approx(theirs, abs=1e-9)
        masks = prediction == class_id, truth == class_id
        assert ours.davis_f[class_id] == pytest.approx(published_davis_f(*masks))
        assert ours.boundary_iou[class_id] == pytest.approx(published_boundary_iou(*masks, 3, counted=True))


def test_each_part_alone_gives_what_all_together_give():
    prediction, truth, num_classes = scene(9)
    together = boundary_scores(prediction, truth, num_classes, parts=ALL_PARTS)
    for part in ALL_PARTS:
        alone = boundary_scores(prediction, truth, num_classes, parts=[part])
        np.testing.assert_array_equal(getattr(alone, part), getattr(together, part))
        assert all(np.isnan(getattr(alone, other)).all() for other in ALL_PARTS if other != part)
    assert np.isnan(boundary_scores(prediction, truth, num_classes).nsd_contour).all()


def test_any_integer_type_and_memory_layout_is_scored_alike_and_left_alone():
    prediction, truth, num_classes = scene(4, void=True)
    copies = prediction.copy(), truth.copy()
    want = boundary_scores(prediction, truth, num_classes)
    forms = [
        (prediction.astype(np.int64), truth.astype(np.int32)),
        (np.asfortranarray(prediction), np.asfortranarray(truth)),
        (np.repeat(prediction, 2, axis=1)[:, ::2], np.repeat(truth, 2, axis=0)[::2]),
    ]
    for form in forms:
        for mask in form:
            mask.flags.writeable = False
        got = boundary_scores(*form, num_classes)
        np.testing.assert_array_equal(got.nsd, want.nsd)
        np.testing.assert_array_equal(got.boundary_iou, want.boundary_iou)
    np.testing.assert_array_equal(prediction, copies[0])
    np.testing.assert_array_equal(truth, copies[1])


def test_void_may_have_any_value_above_the_classes():
    prediction, truth, num_classes = scene(12, void=True)
    want = boundary_scores(prediction, truth, num_classes, parts=ALL_PARTS)
    others = (np.where(mask == VOID, 100, mask) for mask in (prediction, truth))
    got = boundary_scores(*others, num_classes, ignore=100, parts=ALL_PARTS)
    for part in ALL_PARTS:
        np.testing.assert_array_equal(getattr(got, part), getattr(want, part))


def test_as_many_classes_as_a_mask_holds():
    truth = np.arange(255, dtype=np.uint8).repeat(4).reshape(30, 34)
    ours = boundary_scores(truth, truth, 255, parts=ALL_PARTS)
    for part in ("nsd", "nsd_contour", "boundary_iou", "davis_f"):
        assert (getattr(ours, part) == 1).all()
    assert (ours.hd95_px == 0).all()


def test_masks_of_void_alone_have_no_score():
    ours = boundary_scores(np.zeros((5, 5), np.uint8), np.full((5, 5), VOID), 2, parts=ALL_PARTS)
    assert not (ours.in_truth | ours.in_prediction).any()
    assert all(np.isnan(getattr(ours, part)).all() for part in ALL_PARTS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tolerance_px": -1}, "from 0 on"),
        ({"tolerance_px": float("nan")}, "from 0 on"),
        ({"tolerance_px": float("inf")}, "from 0 on"),
        ({"band_px": 0}, "at least one pixel"),
        ({"parts": ["hd95"]}, "no such boundary score: hd95"),
        ({"frame_edge": "void"}, "no such policy"),
        ({"num_classes": 2}, "values that are no class"),
        ({"num_classes": 300}, "do not fit"),
        ({"prediction": np.zeros((4, 5), np.uint8)}, "differ in size"),
        ({"prediction": np.full((4, 4), 9)}, "the prediction holds values that are no class"),
        ({"prediction": np.full((4, 4), -1)}, "outside 0 to 255"),
    ],
)
def test_bad_input_is_refused(change, message):
    mask = np.zeros((4, 4), np.uint8)
    mask[0, 0] = 2
    with pytest.raises(InputError, match=message):
        boundary_scores(**{"prediction": mask, "truth": mask, "num_classes": 3} | change)


def test_a_mask_without_pixels_is_refused():
    with pytest.raises(InputError, match="without pixels"):
        boundary_scores(np.zeros((0, 4), np.uint8), np.zeros((0, 4), np.uint8), 2)
