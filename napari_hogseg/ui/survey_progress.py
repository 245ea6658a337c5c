"""A bar in napari's activity dock for long work.

napari's bar handles all waiting events whenever it is made or moved, also those that end it: what is called
while that goes on is remembered, and done afterwards.
"""

from __future__ import annotations

from napari.utils import progress


class _Silent:
    """Where tqdm may write what it would write to the terminal."""

    def write(self, _text: str) -> None:
        """Forget it."""

    def flush(self) -> None:
        """Nothing is kept."""


class SurveyProgress:
    """One bar or none; for the GUI thread.

    Parameters
    ----------
    what : str
        What the bar says.
    """

    def __init__(self, what: str = "Surveying the clip") -> None:
        self._what = what
        self._bar: progress | None = None
        self._is_busy = self._is_wanted = False

    def show(self, num_done: int, num_frames: int) -> None:
        """Show how far the survey is."""
        if self._is_busy:
            return
        self._is_busy = self._is_wanted = True
        try:
            if self._bar is None:
                self._bar = progress(total=num_frames, desc=self._what, file=_Silent())
            self._bar.update(num_done - self._bar.n)
        finally:
            self._is_busy = False
        if not self._is_wanted:
            self.end()

    def end(self) -> None:
        """Take the bar away."""
        self._is_wanted = False
        if self._bar is not None and not self._is_busy:
            bar, self._bar = self._bar, None
            bar.close()
