"""Latest-only work off the GUI thread, and the stopwatch that shows how long we held the GUI thread.

A worker has one slot: what is submitted while it is busy replaces what waits. What the work is, and whether a
result is still wanted when it arrives, is the caller's part; a token travels with it for that.
"""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

from qtpy.QtCore import QObject, Signal

from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

_LOG = logging.getLogger(__name__)

MethodT = TypeVar("MethodT", bound="Callable[..., Any]")


class LatestWorker(QObject):
    """One daemon thread with one slot.

    Parameters
    ----------
    name : str
        Of the thread.
    parent : QObject, optional

    Attributes
    ----------
    done : Signal(object, object)
        Token and result, delivered in the thread this object lives in.
    failed : Signal(object, object)
        Token and InputError. Any other exception is logged and wrapped: a bug in one product must leave the
        others alive and nothing stuck at "computing".
    """

    done = Signal(object, object)
    failed = Signal(object, object)

    def __init__(self, name: str, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._name = name
        self._wake = threading.Condition()
        self._slot: tuple[object, Callable[[], object]] | None = None
        self._closed = False
        self._thread: threading.Thread | None = None

    def submit(self, token: object, job: Callable[[], object]) -> None:
        """Put work into the slot; what waited there is forgotten."""
        with self._wake:
            if self._closed:
                return
            self._slot = (token, job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"hogseg {self._name}", daemon=True)
                self._thread.start()
            self._wake.notify_all()

    def clear(self) -> None:
        """Forget what waits; what runs goes on."""
        with self._wake:
            self._slot = None

    def close(self, timeout_s: float = 3.0) -> bool:
        """End the thread; False if its work did not end in time (it is a daemon: it holds up no exit)."""
        with self._wake:
            self._closed, self._slot = True, None
            self._wake.notify_all()
        if self._thread is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._wake:
                while self._slot is None and not self._closed:
                    self._wake.wait()
                if self._closed or self._slot is None:
                    return
                (token, job), self._slot = self._slot, None
            self._work(token, job)

    def _work(self, token: object, job: Callable[[], object]) -> None:
        try:
            self._send(self.done, token, job())
        except InputError as error:
            self._send(self.failed, token, error)
        except MemoryError:
            self._send(self.failed, token, InputError("Not enough memory", where=self._name))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the last line of defence, see `failed`
            _LOG.exception("%s failed", self._name)
            wrapped = InputError(
                f"{type(error).__name__}: {error}", where=self._name, remedy="The log has the details."
            )
            self._send(self.failed, token, wrapped)

    def _send(self, signal: Any, token: object, value: object) -> None:  # noqa: ANN401 - a bound Qt signal
        if self._closed:
            return
        try:
            signal.emit(token, value)
        except RuntimeError:
            # The C++ half is gone: the window closed while we computed. Nobody waits for the result.
            _LOG.debug("%s: result after the window closed", self._name)


class Stopwatch:
    """Durations of our calls on the GUI thread, the newest few thousand. Costs a microsecond a call."""

    def __init__(self, max_calls: int = 4096) -> None:
        self._calls: deque[tuple[str, float]] = deque(maxlen=max_calls)

    def add(self, name: str, seconds: float) -> None:
        """Note one call."""
        self._calls.append((name, seconds))

    def clear(self) -> None:
        """Forget all calls."""
        self._calls.clear()

    @property
    def calls(self) -> list[tuple[str, float]]:
        """Name and seconds of each call, oldest first."""
        return list(self._calls)


GUI_CALLS = Stopwatch()


def on_gui_thread(method: MethodT) -> MethodT:
    """Time a slot or event handler of ours into `GUI_CALLS`; entry points on the GUI thread carry it."""

    @functools.wraps(method)
    def timed(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the wrapped method's own
        begin_s = time.perf_counter()
        try:
            return method(*args, **kwargs)
        finally:
            GUI_CALLS.add(method.__qualname__, time.perf_counter() - begin_s)

    return cast("MethodT", timed)


@dataclass(frozen=True, eq=False)
class Token:
    """What travels with a request: who asked, and for what."""

    generation: int
    subject: object


class LiveChannel(QObject):
    """One product, computed for the newest request; results of an older generation are dropped.

    A generation ends with `invalidate`: when the clip, the parameters or the model change. Requests of one
    generation may overtake each other only by replacing what waits, so results arrive in the order of the
    requests.

    Parameters
    ----------
    name : str
        Of the thread, and of the product in messages.
    parent : QObject, optional

    Attributes
    ----------
    ready : Signal(object)
        A result that is still wanted.
    failed : Signal(object, object)
        The subject and InputError of a request that is still wanted.
    """

    ready = Signal(object)
    failed = Signal(object, object)

    def __init__(self, name: str, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._worker = LatestWorker(name, self)
        self._worker.done.connect(self._on_done)
        self._worker.failed.connect(self._on_failed)
        self._generation = 0
        self._awaited: Token | None = None

    @property
    def busy(self) -> bool:
        """Whether the newest request's result has not arrived yet (what is dropped is not awaited)."""
        return self._awaited is not None

    def request(self, subject: object, job: Callable[[], object]) -> None:
        """Ask for `job`'s result; `subject` names it if it fails (a frame index)."""
        self._awaited = Token(self._generation, subject)
        self._worker.submit(self._awaited, job)

    def invalidate(self) -> None:
        """End the generation: drop what waits and what is still to arrive."""
        self._generation += 1
        self._awaited = None
        self._worker.clear()

    def close(self, timeout_s: float = 3.0) -> bool:
        """End the thread; see `LatestWorker.close`."""
        self.invalidate()
        return self._worker.close(timeout_s)

    @on_gui_thread
    def _on_done(self, token: Token, result: object) -> None:
        if self._wanted(token):
            self.ready.emit(result)

    @on_gui_thread
    def _on_failed(self, token: Token, error: InputError) -> None:
        if self._wanted(token):
            self.failed.emit(token.subject, error)

    def _wanted(self, token: Token) -> bool:
        if token is self._awaited:
            self._awaited = None
        return token.generation == self._generation
