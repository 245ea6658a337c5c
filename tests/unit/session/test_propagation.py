"""Carrying masks: motions whose truth is known, chains that lose heart, interpolation's ends and middles."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_hogseg.data.scheme import IGNORE
from napari_hogseg.metrics.boundary import surface_dice
from napari_hogseg.session import propagation
from napari_hogseg.session.clips import open_clip
from napari_hogseg.session.propagation import (
    Carried,
    ChainEnd,
    compose,
    interpolate,
    interpolate_along,
    propagate,
    propagate_along,
    warp,
)
from napari_hogseg.session.trust import expected_fill_iou

HEIGHT, WIDTH = 120, 160
TEXTURE = cv2.GaussianBlur(np.random.default_rng(3).random((3 * HEIGHT, 3 * WIDTH, 3)), (0, 0), 2.0)
TEXTURE = (255 * (TEXTURE - TEXTURE.min()) / np.ptp(TEXTURE)).astype(np.uint8)


def scene(shift=(0.0, 0.0), turn_deg=0.0):
    """Frame and mask of textured tissue (0) with a pupil (1) and a thin tool (2), moved as one (x, y)."""
    motion = cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), turn_deg, 1.0)
    motion[:, 2] += shift
    back = cv2.invertAffineTransform(motion)
    rows, cols = np.indices((HEIGHT, WIDTH), np.float32)
    x = back[0, 0] * cols + back[0, 1] * rows + back[0, 2]
    y = back[1, 0] * cols + back[1, 1] * rows + back[1, 2]
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[(x - 60) ** 2 + (y - 60) ** 2 < 25**2] = 1
    mask[(np.abs(x - 110) < 6) & (y > 30)] = 2
    texture = cv2.remap(
        TEXTURE, (x + WIDTH).astype(np.float32), (y + HEIGHT).astype(np.float32), cv2.INTER_LINEAR
    )
    gain = np.array([0.75, 1.1, 0.55])[mask]
    return np.clip(texture * gain[..., None], 0, 255).astype(np.uint8), mask


def iou(a, b, class_id):
    return ((a == class_id) & (b == class_id)).sum() / ((a == class_id) | (b == class_id)).sum()


@pytest.mark.parametrize(("shift", "turn_deg"), [((4, -3), 0), ((0, 0), 6), ((-18, 9), 4), ((0, 0), 0)])
def test_a_moved_and_turned_scene_is_followed_to_the_pixel(shift, turn_deg):
    before, mask = scene()
    after, truth = scene(shift, turn_deg)
    carried, sure = propagate(before, after, mask)
    seen = carried != IGNORE
    assert seen.mean() > 0.75
    for class_id in (0, 1, 2):
        assert iou(carried[seen], truth[seen], class_id) > 0.9
    assert surface_dice(carried, truth, 1, tolerance_px=1) > 0.97
    assert sure > 0.7


def test_what_comes_from_outside_the_frame_is_unlabelled():
    before, mask = scene()
    after, truth = scene((30, 0))
    carried, _ = propagate(before, after, mask)
    assert (carried[20:-20, :24] == IGNORE).mean() > 0.9
    assert (carried[:, 40:] != IGNORE).mean() > 0.97
    assert iou(carried, truth, 1) > 0.9


def inverted(frame):
    return 255 - frame


def black(frame):
    return np.zeros_like(frame)


def another_shot(frame):
    return TEXTURE[: frame.shape[0], : frame.shape[1]]


def noise(frame):
    return np.random.default_rng(5).integers(0, 255, frame.shape).astype(np.uint8)


CUTS = [inverted, black, another_shot, noise]


@pytest.mark.parametrize("cut", CUTS)
def test_another_picture_is_not_trusted(cut):
    before, mask = scene()
    assert propagate(before, cut(before), mask)[1] == 0.0


def test_a_change_of_light_is_no_cut():
    before, mask = scene()
    after, truth = scene((4, 0))
    darker = (after * 0.6 + 20).astype(np.uint8)
    carried, sure = propagate(before, darker, mask)
    assert iou(carried, truth, 1) > 0.85
    assert sure > 0.7


def test_a_mask_without_a_label_gives_no_confidence():
    before, mask = scene()
    assert propagate(before, before, np.full_like(mask, IGNORE))[1] == 0.0
    assert propagate(before, before, np.zeros_like(mask))[1] > 0.95  # one class: no border to look at


def moving(frame_index):
    return scene((3.0 * frame_index, 1.5 * frame_index), 1.0 * frame_index)


def test_a_chain_stays_on_the_shape_where_a_copy_falls_behind():
    mask = moving(0)[1]
    chain = list(propagate_along(lambda index: moving(index)[0], 0, range(1, 9), mask))
    assert [carried.frame_index for carried in chain] == list(range(1, 9))
    for carried in chain:
        assert iou(carried.mask, moving(carried.frame_index)[1], 1) > 0.9
    assert iou(mask, moving(8)[1], 1) < 0.5
    sureness = [carried.confidence for carried in chain]
    assert sureness == sorted(sureness, reverse=True)


def test_a_chain_goes_backward_too():
    chain = list(propagate_along(lambda index: moving(index)[0], 4, range(3, -1, -1), moving(4)[1]))
    assert [carried.frame_index for carried in chain] == [3, 2, 1, 0]
    assert iou(chain[-1].mask, moving(0)[1], 2) > 0.8


@pytest.mark.parametrize("cut", CUTS)
def test_a_chain_ends_at_a_cut_in_the_video(cut):
    def frames(index):
        return cut(moving(index)[0]) if index >= 3 else moving(index)[0]

    ends = []
    chain = propagate_along(frames, 0, range(1, 9), moving(0)[1], on_end=ends.append)
    assert [carried.frame_index for carried in chain] == [1, 2]
    assert ends == [ChainEnd(3, 0.0)]
    assert ends[0].is_cut


def test_a_chain_ends_when_cancelled_or_unsure():
    mask, ends = moving(0)[1], []
    answers = iter([False, False, True])
    chain = propagate_along(
        lambda index: moving(index)[0], 0, range(1, 9), mask, cancelled=lambda: next(answers)
    )
    assert [carried.frame_index for carried in chain] == [1, 2]
    chain = propagate_along(
        lambda index: moving(index)[0], 0, range(1, 9), mask, min_confidence=1.01, on_end=ends.append
    )
    assert list(chain) == []
    assert ends[0].frame_index == 1
    assert not ends[0].is_cut


def test_filling_over_a_cut_takes_each_side_from_its_own_end():
    def frames(index):
        return moving(index)[0] if index < 3 else inverted(moving(index)[0])

    filled = list(interpolate_along(frames, (0, moving(0)[1]), (6, moving(6)[1])))
    assert [carried.frame_index for carried in filled] == [1, 2, 3, 4, 5]
    for carried in filled:
        assert iou(carried.mask, moving(carried.frame_index)[1], 2) > 0.85


def test_flows_follow_one_another():
    first, second = np.zeros((20, 30, 2), np.float32), np.zeros((20, 30, 2), np.float32)
    first[..., 0], second[..., 0], second[..., 1] = 3, -1, 2
    np.testing.assert_allclose(compose(first, second)[5, 5], (2, 2))


def test_a_whole_pixel_flow_moves_a_mask_exactly():
    mask = np.random.default_rng(1).integers(0, 3, (20, 30)).astype(np.uint8)
    back = np.zeros((20, 30, 2), np.float32)
    back[..., 0], back[..., 1] = -4, 2
    carried = warp(mask, back)
    np.testing.assert_array_equal(carried[:18, 4:], mask[2:, :26])
    assert (carried[:, :4] == IGNORE).all()


masks = arrays(np.uint8, (9, 11), elements=st.sampled_from([0, 1, 2, IGNORE]))


@settings(max_examples=40, deadline=None)
@given(masks, masks, st.floats(0.05, 0.95))
def test_interpolation_begins_and_ends_at_its_masks_and_keeps_what_both_share(mask_a, mask_b, t):
    np.testing.assert_array_equal(interpolate(mask_a, mask_b, 0.0), mask_a)
    np.testing.assert_array_equal(interpolate(mask_a, mask_b, 1.0), mask_b)
    middle = interpolate(mask_a, mask_b, t)
    same = mask_a == mask_b
    np.testing.assert_array_equal(middle[same], mask_a[same])
    assert set(np.unique(middle)) <= set(np.unique(mask_a)) | set(np.unique(mask_b))


def disk(radius, col=40):
    rows, cols = np.indices((80, 80))
    return ((rows - 40) ** 2 + (cols - col) ** 2 < radius**2).astype(np.uint8)


@pytest.mark.parametrize("t", [0.25, 0.5, 0.75])
def test_a_disk_grows_evenly(t):
    expected = disk(10 + 20 * t)
    assert iou(interpolate(disk(10), disk(30), t), expected, 1) > 0.97


def test_a_class_that_only_one_end_has_shrinks_away():
    sizes = [(interpolate(disk(20), disk(0), t) == 1).sum() for t in (0.1, 0.3, 0.5, 0.7, 0.9)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 0.7 * disk(20).sum()
    assert sizes[-1] < 0.1 * disk(20).sum()


def test_interpolation_by_flow_follows_a_tool_that_distances_alone_would_lose():
    first, last = 0, 6
    filled = list(
        interpolate_along(lambda index: moving(index)[0], (first, moving(0)[1]), (last, moving(6)[1]))
    )
    assert [carried.frame_index for carried in filled] == [1, 2, 3, 4, 5]
    for carried in filled:
        truth = moving(carried.frame_index)[1]
        assert iou(carried.mask, truth, 2) > 0.85
        assert carried.confidence > 0.5
    plain = interpolate(moving(0)[1], moving(6)[1], 0.5)
    assert iou(plain, moving(3)[1], 2) < 0.6


def test_a_fill_is_expected_to_be_better_the_surer_its_ends_are_and_the_more_they_agree():
    assert expected_fill_iou(0.0, 0.0, 1.0) == 0.0  # neither end reaches it
    assert expected_fill_iou(1.0, 1.0, 1.0) <= 1.0
    assert expected_fill_iou(0.6, 0.5, 0.8) == expected_fill_iou(0.5, 0.6, 0.8)
    assert expected_fill_iou(0.6, 0.5, 0.6) < expected_fill_iou(0.6, 0.5, 0.8)
    assert expected_fill_iou(0.6, 0.5, 0.8) < expected_fill_iou(0.8, 0.5, 0.8)
    # Each end by itself is worse than both put together.
    assert expected_fill_iou(0.6, 0.6, 0.8) > 0.6


def test_an_interpolation_between_neighbours_or_cancelled_gives_nothing():
    frames = lambda index: moving(index)[0]  # noqa: E731
    assert list(interpolate_along(frames, (0, moving(0)[1]), (1, moving(1)[1]))) == []
    ends = (0, moving(0)[1]), (3, moving(3)[1])
    assert list(interpolate_along(frames, *ends, cancelled=lambda: True)) == []


def test_the_nearer_and_surer_end_pulls_harder():
    near, far = disk(10), disk(30)
    met = propagation.meet(Carried(1, near, 0.9), Carried(1, far, 0.1), 0.5)
    assert abs((met.mask == 1).sum() - disk(12).sum()) < 60
    assert met.confidence < 0.9  # the ends disagree


@pytest.fixture(scope="module")
def larynx(shared_data):
    """Frames and masks of sequence 5, on which nothing was chosen."""
    clip = open_clip(shared_data / "vocalfolds" / "images" / "patient2_seq5")
    yield clip
    clip.source.close()


def mean_iou(mask, truth):
    return np.mean([iou(mask, truth, class_id) for class_id in np.unique(truth) if class_id != IGNORE])


def test_on_real_video_flow_beats_a_copy_and_its_confidence_is_the_iou_to_expect(larynx):
    sure, flow, copy = [], [], []
    for start in (0, 6, 12, 18):
        mask = larynx.truth(start)
        chain = propagate_along(larynx.source.frame, start, range(start + 1, start + 6), mask)
        for carried in chain:
            truth = larynx.truth(carried.frame_index)
            sure.append(carried.confidence)
            flow.append(mean_iou(carried.mask, truth))
            copy.append(mean_iou(mask, truth))
    assert len(flow) >= 6
    assert np.mean(flow) > np.mean(copy) + 0.1
    assert np.mean(flow) > 0.7
    assert abs(np.mean(sure) - np.mean(flow)) < 0.12


def test_on_real_video_a_fill_is_as_good_as_it_says(larynx):
    sure, iou_found, copy = [], [], []
    for start in (0, 18):
        ends = [(each, larynx.truth(each)) for each in (start, start + 3)]
        for carried in interpolate_along(larynx.source.frame, *ends, min_confidence=0.0):
            truth = larynx.truth(carried.frame_index)
            sure.append(carried.confidence)
            iou_found.append(mean_iou(carried.mask, truth))
            copy.append(max(mean_iou(mask, truth) for _, mask in ends))
    assert len(sure) == 4
    assert np.mean(iou_found) > np.mean(copy) + 0.05
    assert abs(np.mean(sure) - np.mean(iou_found)) < 0.12


@pytest.mark.parametrize("cut", [inverted, black, noise])
def test_on_real_video_a_cut_is_seen(larynx, cut):
    for start in (2, 11, 20):
        frame = larynx.source.frame(start + 1)
        assert propagate(larynx.source.frame(start), cut(frame), larynx.truth(start))[1] == 0.0
