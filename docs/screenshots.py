"""Photograph a review of real frames: errors, carried masks, layouts, fine-tune, session; and a data set.

    python docs/screenshots.py --data vocalfolds --model RUN [--out docs/images] [--steps 120]

`--data` is the vocal-fold data set (Laves et al. 2019, CC BY 4.0), `--model` a run trained on its sequences
6 and 7. Sequence 5 is reviewed: on five frames the void along the boundaries is painted with the class beside
it, and the dock's own Start button is pressed. Needs a display of 1440x900 or more; Xvfb will do.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import distance_transform_edt

from napari_hogseg.data.scheme import IGNORE

if TYPE_CHECKING:
    import numpy.typing as npt
    from napari.viewer import Viewer
    from qtpy.QtWidgets import QWidget

    from napari_hogseg.ui.review_dock import ReviewDock

CORRECTED = (2, 7, 12, 17, 22)
SHOWN = 4
"""A frame on which the model errs, and which is not corrected."""

CARRIED = 3
"""The first frame whose mask can be carried on to so many is shown."""

MIN_CURVE_POINTS = 3
PAINTED_PX = 2.0
TIMEOUT_S = 900.0


def main() -> None:
    """Read the flags, open the window, take the pictures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "images")
    parser.add_argument("--steps", type=int, default=120)
    flags = parser.parse_args()
    import torch  # noqa: F401 - on Windows it must be loaded before Qt
    import napari  # isort: skip

    from napari_hogseg.ui import demo

    flags.out.mkdir(parents=True, exist_ok=True)
    viewer = napari.Viewer(title="napari-hogseg")
    with tempfile.TemporaryDirectory(prefix="hogseg-docs-", ignore_cleanup_errors=True) as folder:
        clip = flags.data.resolve() / "images" / "patient2_seq5"
        dock = demo.open_review(viewer, clip, None, flags.model, Path(folder))
        dock.finetune.runs_root = Path(folder) / "runs"
        try:
            mend(viewer, dock, flags.out)
            review(viewer, dock, flags.out, flags.steps)
            show_session(viewer, dock, flags.out)
            show_data_set(viewer, dock, flags.data.resolve(), flags.out)
        finally:
            dock.controller.close()
            viewer.close()


def mend(viewer: Viewer, dock: ReviewDock, out: Path) -> None:
    """Go to the worst error, take over a frame's prediction, carry its mask on; then the other layouts."""
    from napari_hogseg.ui import demo

    def surveyed() -> bool:
        worker = None if dock.timeline is None else dock.timeline.worker
        return worker is not None and worker.idle

    demo.show_frame(viewer, dock, SHOWN)
    demo.wait_until(dock, surveyed, "The survey did not end", TIMEOUT_S)
    triage = dock.triage
    assert triage is not None
    triage.refresh()
    raise_dock(triage)
    triage.tabs.setCurrentWidget(triage.errors)
    triage.next_blob()
    demo.turn(2.0)
    demo.photograph(viewer).save(out / "worst-error.png", optimize=True)

    raise_dock(dock)
    viewer.reset_view()
    for section in (dock.source, dock.model, dock.legend, dock.tools, dock.mending):
        section.opened = False
    dock.carrying.opened = True
    for frame_index in range(int(viewer.dims.nsteps[0]) - 1):
        demo.show_frame(viewer, dock, frame_index)
        dock.carrying.forward.click()
        flow = dock.carrying.worker
        demo.wait_until(dock, lambda: not flow.running, "The masks were not carried on", TIMEOUT_S)  # noqa: B023
        demo.turn(0.2)
        if dock.carrying.table.rowCount() >= CARRIED:
            break
        dock.carrying.reject_every()
    dock.carrying.table.selectRow(0)
    demo.turn(2.0)
    demo.photograph(viewer).save(out / "proposals.png", optimize=True)
    dock.carrying.reject_every()
    dock.controller.set_layout("swipe", ("truth", "prediction"))
    demo.turn(2.0)
    demo.photograph(viewer).save(out / "swipe.png", optimize=True)
    dock.controller.set_layout("strip")
    demo.turn(2.0)
    demo.photograph(viewer).save(out / "strip.png", optimize=True)
    dock.controller.set_layout("grid")
    for section in (dock.source, dock.model, dock.legend, dock.tools, dock.mending):
        section.opened = True
    demo.turn(1.0)


def show_session(viewer: Viewer, dock: ReviewDock, out: Path) -> None:
    """Photograph the session's tab: what the corrections took."""
    from napari_hogseg.ui import demo

    assert dock.session_panel is not None
    raise_dock(dock.session_panel)
    demo.turn(2.5)
    demo.photograph(viewer).save(out / "session.png", optimize=True)
    raise_dock(dock)


def raise_dock(widget: QWidget) -> None:
    """Bring a tabified dock to the front."""
    from qtpy.QtWidgets import QDockWidget

    parent = widget.parentWidget()
    while not isinstance(parent, QDockWidget):
        parent = parent.parentWidget()
    parent.raise_()


def review(viewer: Viewer, dock: ReviewDock, out: Path, steps: int) -> None:
    """Correct, fine-tune and look again."""
    from napari_hogseg.ui import demo

    demo.show_frame(viewer, dock, SHOWN)
    demo.photograph(viewer).save(out / "review-before.png", optimize=True)

    session = dock.controller.session
    assert session is not None
    store = session.store
    for frame_index in CORRECTED:
        store.paint(frame_index, ..., without_thin_void(store.mask(frame_index)))
    demo.wait_until(dock, lambda: not store.unsaved_frames, "The corrections were not saved")
    panel = dock.finetune
    dock.finetune_section.opened = True
    mending = (dock.tools, dock.mending, dock.carrying)
    for section in (dock.source, dock.legend, dock.scores, dock.show_section, *mending):
        section.opened = False
    panel.form.set_value(panel.form.value().model_copy(update={"steps": steps}))
    panel.button.click()
    wanted = max(MIN_CURVE_POINTS, steps // 2)

    def advanced() -> bool:
        if not panel.problem.isHidden():
            raise RuntimeError(panel.problem.text())
        return bool(panel.bar.value() >= wanted)

    demo.wait_until(dock, advanced, "The fine-tune did not advance", TIMEOUT_S)
    demo.photograph(viewer).save(out / "review-during.png", optimize=True)

    before = dock.controller.base_model()
    demo.wait_until(dock, lambda: dock.controller.base_model() != before, "No model came back", TIMEOUT_S)
    demo.show_frame(viewer, dock, SHOWN)
    demo.photograph(viewer).save(out / "review-after.png", optimize=True)
    dock.finetune_section.opened = False
    dock.scores.opened = dock.legend.opened = True
    demo.turn(1.0)
    demo.photograph(viewer).save(out / "review-after-scores.png", optimize=True)


def show_data_set(viewer: Viewer, review: ReviewDock, root: Path, out: Path) -> None:
    """Check the whole data set in its own dock."""
    from napari_hogseg.ui import demo

    _, dock = viewer.window.add_plugin_dock_widget("napari-hogseg", "Data set", tabify=True)
    dock.open(root)
    demo.wait_until(review, lambda: dock.dataset is not None, "The data set was not opened")
    dock.check_button.click()
    demo.wait_until(review, lambda: dock.bar.isHidden(), "The check did not end", TIMEOUT_S)
    dock.tabs.setCurrentWidget(dock.classes)
    demo.turn(1.0)
    demo.photograph(viewer).save(out / "data-set.png", optimize=True)


def without_thin_void(mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Give void pixels next to a class that class, as a careful reviewer would; (H, W) uint8 class ids."""
    distance, (rows, cols) = distance_transform_edt(mask == IGNORE, return_indices=True)
    return np.where(distance <= PAINTED_PX, mask[rows, cols], mask)


if __name__ == "__main__":
    main()
