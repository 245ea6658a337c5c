"""The smart edge as a switch: off, nothing happens; on, a stroke's rim moves, in a step of its own."""

from __future__ import annotations

import numpy as np
from PIL import Image
from qtpy.QtTest import QTest
from review_cases import HEIGHT, WIDTH, canvas_point, drag, truth_mask, write_clip

BAR = np.zeros((HEIGHT, WIDTH), bool)
BAR[40:56] = True


def bar_clip(root):
    """A clip whose picture shows a bright bar that no mask has."""
    folder = write_clip(root)
    frame = np.where(BAR[..., None], 220, 60).astype(np.uint8).repeat(3, axis=2)
    Image.fromarray(frame).save(folder / "0000.png")
    return folder


def stroke(review):
    layer = review.controller.truth_layer
    review.controller.select_class(2)
    layer.brush_size = 12
    drag(review, [canvas_point(review, 48, col) for col in range(30, 96, 6)])


def test_the_rim_moves_only_where_it_is_wanted(review, tmp_path):
    review.open(bar_clip(tmp_path))
    store, switch = review.controller.session.store, review.dock.tools.smart_edge
    middle = (slice(None), slice(45, 80))
    assert not switch.isChecked()
    stroke(review)
    QTest.qWait(300)
    assert not switch.running
    assert not np.array_equal(store.mask(0), truth_mask(0))
    review.controller.truth_layer.undo()
    np.testing.assert_array_equal(store.mask(0), truth_mask(0))

    switch.setChecked(True)
    steps = []  # masks after each of napari's strokes: no two drags by mouse are alike to the pixel
    review.controller.truth_layer.events.paint.connect(lambda _event: steps.append(store.mask(0).copy()))
    stroke(review)
    plain = steps[0]
    review.wait(lambda: not switch.running and not np.array_equal(store.mask(0), plain))
    snapped = store.mask(0)
    wrong = [((mask == 2) != BAR)[middle].sum() for mask in (plain, snapped)]
    assert wrong[1] < 0.4 * wrong[0]
    review.controller.truth_layer.undo()  # the snap alone
    np.testing.assert_array_equal(store.mask(0), plain)
    review.controller.truth_layer.undo()
    np.testing.assert_array_equal(store.mask(0), truth_mask(0))
