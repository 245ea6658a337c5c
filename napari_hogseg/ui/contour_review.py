"""The doubtful contours of a clip: what the check found, which one is looked at, and what is drawn of them.

Owns the reports by frame and the one that a person chose. A frame whose mask changes is checked anew, so
that a contour that was mended goes from list and canvas. Widgets are `contours_tab`'s, the thread
`contour_scan`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_hogseg.ui.contour_marks import ContourMarks
from napari_hogseg.ui.contour_scan import ContourScan

if TYPE_CHECKING:
    from napari_hogseg.metrics.sloppy_labels import ContourReport, DoubtfulContour
    from napari_hogseg.ui.contours_tab import ContoursTab
    from napari_hogseg.ui.review_controller import ReviewController


class ContourReview(QObject):
    """Puts check, list and canvas together.

    Parameters
    ----------
    controller : ReviewController
    tab : ContoursTab
    parent : QObject, optional

    Attributes
    ----------
    reports : dict of int to ContourReport
        By frame.
    chosen : (int, DoubtfulContour) or None
        Frame and contour that a person went to.
    changed : Signal()
        Other reports than before; the list follows by `refresh`.
    settled : Signal()
        A check began or ended: the list must follow at once.
    """

    changed = Signal()
    settled = Signal()

    def __init__(self, controller: ReviewController, tab: ContoursTab, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._controller, self._tab = controller, tab
        self.reports: dict[int, ContourReport] = {}
        self.chosen: tuple[int, DoubtfulContour] | None = None
        self.scan = ContourScan(self)
        self.marks = ContourMarks(controller, self)
        tab.chosen.connect(self.go_to)
        tab.toggled.connect(self.check_masks)
        tab.drawing_changed.connect(self.draw)
        self.scan.checked.connect(self._on_checked)
        self.scan.progressed.connect(self._on_progressed)
        self.scan.ended.connect(self._on_ended)
        controller.live_changed.connect(lambda _state: self.draw())
        controller.corrections_changed.connect(self._on_corrections)

    def check_masks(self) -> None:
        """Begin to check the contours of all masks in the background, or stop doing so."""
        session = self._controller.session
        if self.scan.running:
            self.scan.stop()
        elif session is None:
            self._tab.show_run("No clip is open.", running=False)
        else:
            self.clear()
            self.settled.emit()
            self._tab.show_run("Checking ...", running=True)
            self.scan.start(session.clip.source, session.store)

    def go_to(self, contour: DoubtfulContour, frame_index: int) -> None:
        """Show a stretch of contour, zoomed, with the brush of the class it was drawn round."""
        self.chosen = frame_index, contour
        self._controller.go_to(frame_index, contour.bbox, contour.class_id)
        self.draw()

    def leave(self) -> None:
        """Let go of the chosen one: a person went somewhere else."""
        self.chosen = None
        self.draw()

    def clear(self) -> None:
        """Forget all reports."""
        self.scan.stop()
        self.reports, self.chosen = {}, None
        self.marks.close()

    def refresh(self) -> None:
        """Fill the list anew."""
        self._tab.set_reports(self.reports)
        self.draw()

    def draw(self) -> None:
        """Draw what is wanted of the frame that is on screen."""
        self.marks.draw(self._wanted())

    def close(self) -> None:
        """End the threads and take all away."""
        self.scan.close()
        self.marks.close()

    def _wanted(self) -> tuple[DoubtfulContour, ...]:
        session = self._controller.session
        shown = None if session is None else session.live.state.shown
        if shown is None or shown not in self.reports or self._tab.drawing == "nothing":
            return ()
        chosen = (self.chosen[1],) if self.chosen is not None and self.chosen[0] == shown else ()
        if self._tab.drawing == "chosen":
            return chosen
        rest = (each for each in self.reports[shown].segments if each not in chosen)
        return (*rest, *chosen)

    def _on_checked(self, frame_index: int, report: ContourReport) -> None:
        self.reports[frame_index] = report
        if self.chosen is not None and self.chosen[0] == frame_index:
            again = same_contour(self.chosen[1], report)
            self.chosen = None if again is None else (frame_index, again)
        self.draw()
        self.changed.emit()

    def _on_progressed(self, num_done: int, num_frames: int) -> None:
        self._tab.show_run(f"{num_done} of {num_frames} frames", running=True)

    def _on_ended(self, reason: str) -> None:
        self._tab.show_run(reason or f"{len(self.reports)} masks checked", running=False)
        self.settled.emit()

    def _on_corrections(self) -> None:
        """Check the frame on screen anew if it was checked: its mask may be another one now."""
        session = self._controller.session
        if session is not None and session.live.state.frame_index in self.reports:
            self.scan.check_again(session.clip.source, session.store, session.live.state.frame_index)


def same_contour(contour: DoubtfulContour, report: ContourReport) -> DoubtfulContour | None:
    """Find what became of a contour when its frame was checked anew: most of one's box is the other's."""

    def common_px(other: DoubtfulContour) -> float:
        if (contour.class_id, contour.other_class) != (other.class_id, other.other_class):
            return 0.0
        a, b = contour.bbox, other.bbox
        height, width = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
        smaller = min((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
        return max(height, 0) * max(width, 0) / smaller

    best = max(report.segments, key=common_px, default=None)
    return best if best is not None and common_px(best) > 0.5 else None
