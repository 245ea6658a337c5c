"""Latest-only workers: newest wins, stale results are dropped, an error never stops the next request."""

from __future__ import annotations

import threading

import pytest
from qtpy.QtCore import Qt

from napari_hogseg.io.errors import InputError
from napari_hogseg.ui.live import GUI_CALLS, LatestWorker, LiveChannel, Stopwatch, on_gui_thread


class Gate:
    """A job that says when it began and ends when it is told to."""

    def __init__(self, value):
        self.value = value
        self.began, self.go = threading.Event(), threading.Event()

    def __call__(self):
        self.began.set()
        assert self.go.wait(5)
        return self.value


@pytest.fixture
def channel(qtbot):
    channel = LiveChannel("test")
    channel.results, channel.errors = [], []
    channel.ready.connect(channel.results.append)
    channel.failed.connect(lambda subject, error: channel.errors.append((subject, error)))
    yield channel
    assert channel.close()


def test_the_newest_request_replaces_what_waits(channel, qtbot):
    first = Gate("first")
    channel.request(0, first)
    assert first.began.wait(5)
    for number in range(1, 50):
        channel.request(number, lambda number=number: number)
    first.go.set()
    qtbot.waitUntil(lambda: 49 in channel.results)
    assert channel.results == ["first", 49]


def test_results_arrive_on_the_gui_thread(channel, qtbot):
    threads = []
    channel.ready.connect(lambda _: threads.append(threading.current_thread()))
    channel.request(0, lambda: threading.current_thread().name)
    qtbot.waitUntil(lambda: bool(threads))
    assert threads == [threading.main_thread()]
    assert channel.results == ["hogseg test"]


def test_a_stale_result_is_dropped(channel, qtbot):
    old = Gate("old parameters")
    channel.request(0, old)
    assert old.began.wait(5)
    channel.invalidate()
    channel.request(0, lambda: "new parameters")
    old.go.set()
    qtbot.waitUntil(lambda: bool(channel.results))
    assert channel.results == ["new parameters"]


def test_a_result_that_was_already_delivered_to_the_queue_is_dropped_too(channel, qtbot):
    finished = threading.Event()
    channel._worker.done.connect(lambda *_: finished.set(), Qt.ConnectionType.DirectConnection)
    channel.request(0, lambda: "old")
    assert finished.wait(5)  # the thread is done; its signal waits for the event loop
    channel.invalidate()
    channel.request(1, lambda: "new")
    qtbot.waitUntil(lambda: bool(channel.results))
    assert channel.results == ["new"]


def test_what_waits_is_forgotten_by_invalidating(channel, qtbot):
    running = Gate("running")
    ran = []
    channel.request(0, running)
    assert running.began.wait(5)
    channel.request(1, lambda: ran.append(1))
    channel.invalidate()
    running.go.set()
    assert not channel.busy
    channel.request(2, lambda: None)
    qtbot.waitUntil(lambda: not channel.busy)
    assert ran == []
    assert channel.results == [None]


def raise_(error):
    raise error


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (InputError("The file is gone", where="x.png"), "The file is gone"),
        (MemoryError(), "Not enough memory"),
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero"),
        (SystemExit(3), "SystemExit: 3"),
    ],
)
def test_an_error_is_reported_and_the_next_request_works(channel, qtbot, error, what):
    channel.request(7, lambda: raise_(error))
    qtbot.waitUntil(lambda: bool(channel.errors))
    subject, reported = channel.errors[0]
    assert subject == 7
    assert isinstance(reported, InputError)
    assert reported.what == what
    channel.request(8, lambda: "fine")
    qtbot.waitUntil(lambda: channel.results == ["fine"])


def test_a_stale_error_is_dropped(channel, qtbot):
    gate = Gate(None)
    channel.request(0, lambda: (gate(), raise_(InputError("old"))))
    assert gate.began.wait(5)
    channel.invalidate()
    gate.go.set()
    channel.request(1, lambda: "new")
    qtbot.waitUntil(lambda: channel.results == ["new"])
    assert channel.errors == []


def test_closing_does_not_wait_for_ever(qtbot):
    worker = LatestWorker("stuck")
    stuck = Gate(None)
    worker.submit(0, stuck)
    assert stuck.began.wait(5)
    assert not worker.close(timeout_s=0.1)
    stuck.go.set()
    assert worker.close(timeout_s=5)
    worker.submit(1, lambda: pytest.fail("ran after closing"))


def test_a_result_for_a_window_that_is_gone_is_swallowed(qtbot, caplog):
    worker = LatestWorker("orphan")
    gate = Gate("nobody waits")
    worker.submit(0, gate)
    assert gate.began.wait(5)
    worker.deleteLater()
    qtbot.wait(20)
    gate.go.set()
    assert worker.close(timeout_s=5)
    assert "Traceback" not in caplog.text


def test_the_stopwatch_keeps_the_newest_calls_of_decorated_methods():
    class Slots:
        @on_gui_thread
        def add(self, one, two):
            """Docs stay."""
            return one + two

    GUI_CALLS.clear()
    assert Slots().add(1, two=2) == 3
    assert Slots.add.__doc__ == "Docs stay."
    ((name, seconds),) = GUI_CALLS.calls
    assert name.endswith("Slots.add")
    assert 0 <= seconds < 0.1
    watch = Stopwatch(max_calls=2)
    for number in range(3):
        watch.add(str(number), 0.0)
    assert [name for name, _ in watch.calls] == ["1", "2"]
