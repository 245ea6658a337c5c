"""A mask file that another program changed while it was under review: the reviewer chooses."""

from __future__ import annotations

import numpy as np
from PIL import Image
from review_cases import HEIGHT, WIDTH, settle, truth_mask

from napari_hogseg.io import images

THEIRS = np.full((HEIGHT, WIDTH), 2, np.uint8)


def change(file):
    """Write the mask as an annotation program would: other pixels, other metadata."""
    picture = Image.open(file)
    palette = picture.getpalette()
    picture.close()
    new = Image.fromarray(THEIRS, mode="L").convert("P") if palette is None else Image.fromarray(THEIRS)
    if palette is not None:
        new.putpalette(palette)
    new.save(file)


def paint(review, frame_index, row):
    """Fill a band with class 0 and wait until it is on disk."""
    review.goto(frame_index)
    store = review.controller.session.store
    store.paint(frame_index, np.s_[row : row + 4], 0)
    assert store.flush()
    (file,) = [path for path in store.folder.rglob(f"{frame_index:04d}.png") if "set-aside" not in path.parts]
    return file


def conflict(review, frame_index, row):
    """Let another program change a painted frame, and paint on before it is known."""
    file = paint(review, frame_index, row)
    change(file)
    store = review.controller.session.store
    store.paint(frame_index, np.s_[row + 8], 0)
    assert store.flush()
    np.testing.assert_array_equal(images.read_mask(file), THEIRS)  # not overwritten
    ours = truth_mask(frame_index)
    ours[row : row + 4] = ours[row + 8] = 0
    return file, ours


def choose(review, button):
    before = review.controller.session
    button.click()
    review.wait(lambda: review.controller.session not in (None, before))
    review.wait(lambda: review.state().shown == review.state().frame_index)
    settle(review)
    review.wait(lambda: not review.dock.conflicts.isVisible())


def test_a_mask_that_another_program_changed_is_chosen_between(review, clip_folder):
    review.open(clip_folder)
    bar = review.dock.conflicts
    assert not bar.isVisible()
    file, ours = conflict(review, 2, 10)
    review.wait(bar.isVisible)
    assert f"Frame 2 is locked: {file.name} was changed by another program" in bar.text.text()
    review.goto(4)
    bar.go_button.click()
    review.wait(lambda: review.state().shown == 2)
    np.testing.assert_array_equal(review.layer("Ground truth").data[2], ours + 1)
    choose(review, bar.ours_button)
    store = review.controller.session.store
    assert review.state().frame_index == 2
    np.testing.assert_array_equal(images.read_mask(file), ours)
    np.testing.assert_array_equal(store.mask(2), ours)
    np.testing.assert_array_equal(images.read_mask(store.folder / "set-aside" / "0002.theirs.png"), THEIRS)

    file, ours = conflict(review, 3, 20)
    review.wait(bar.isVisible)
    choose(review, bar.theirs_button)
    store = review.controller.session.store
    np.testing.assert_array_equal(review.layer("Ground truth").data[3], THEIRS + 1)
    np.testing.assert_array_equal(images.read_mask(store.folder / "set-aside" / "0003.ours.png"), ours)
    np.testing.assert_array_equal(store.mask(2)[10:14], 0)  # the other frame's correction stays
    review.controller.truth_layer.undo()
    np.testing.assert_array_equal(store.mask(3), THEIRS)
