"""A bar in napari's activity dock for long work, with a Cancel button where the work can be ended there.

napari's bar handles all waiting events whenever it is made or moved, also those that end it: what is called
while that goes on is remembered, and done afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.utils.progress import cancelable_progress, progress

if TYPE_CHECKING:
    from collections.abc import Callable


#: napari writes what comes after the last bar; tqdm's own words push the button out of the dock.
SHORT = "{l_bar}|{n_fmt} of {total_fmt}"


class _Silent:
    """Where tqdm may write what it would write to the terminal."""

    def write(self, _text: str) -> None:
        """Forget it."""

    def flush(self) -> None:
        """Nothing is kept."""


class _Cancelable(cancelable_progress):
    """A bar that tells at once that it was cancelled; napari's own tells only the loop that iterates it."""

    def __init__(self, *args: Any, told: Callable[[], object], **kwargs: Any) -> None:  # noqa: ANN401 - tqdm's
        super().__init__(*args, **kwargs)
        self._told = told

    def cancel(self) -> None:
        """Stop; called by the button."""
        super().cancel()
        self._told()


class ActivityBar:
    """One bar or none; for the GUI thread.

    Parameters
    ----------
    what : str
        What the bar says.
    cancel : callable, optional
        Ends the work, as a button beside the bar does then; without it there is no button.

    Attributes
    ----------
    what : str
        Said by the next bar that is shown.
    """

    def __init__(self, what: str, cancel: Callable[[], object] | None = None) -> None:
        self.what, self._cancel = what, cancel
        self._bar: progress | None = None
        self._is_busy = self._is_wanted = False

    def show(self, num_done: int, num_all: int) -> None:
        """Show how far the work is."""
        if self._is_busy:
            return
        self._is_busy = self._is_wanted = True
        try:
            if self._bar is None:
                self._bar = self._make(num_all)
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

    def _make(self, num_all: int) -> progress:
        about: dict[str, Any] = {"total": num_all, "desc": self.what, "file": _Silent(), "bar_format": SHORT}
        return progress(**about) if self._cancel is None else _Cancelable(told=self._cancel, **about)
