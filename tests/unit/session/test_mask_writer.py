"""When changed masks are written: what the thread does, seen from outside."""

from __future__ import annotations

import errno
import threading

import numpy as np

from napari_hogseg.session.mask_writer import MaskWriter, WriterJobs


class _Disk:
    """Commits that block until they are let go on, and fail while the disk is full."""

    def __init__(self):
        self.full = True
        self.entered, self.go_on = threading.Semaphore(0), threading.Semaphore(0)
        self.saved, self.num_tries = [], 0

    def commit(self, frame_index, _mask):
        full = self.full
        self.num_tries += 1
        self.entered.release()
        assert self.go_on.acquire(timeout=10)
        if full:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.saved.append(frame_index)


def _writer(disk):
    def snapshot(_frame_index):
        return np.zeros((2, 2), np.uint8)

    return MaskWriter(WriterJobs(snapshot, disk.commit, on_state=lambda: None), settle_s=0.0)


def test_a_failure_that_began_before_a_flush_is_not_that_flush_s():
    """Space is freed while a commit is failing: the flush after that tries again and tells of its own try."""
    disk = _Disk()
    writer = _writer(disk)
    writer.touch(3, logged=True)
    assert disk.entered.acquire(timeout=10)
    disk.full = False
    threading.Timer(0.2, disk.go_on.release, args=(10,)).start()  # the failing one ends inside the flush
    assert writer.flush(10.0)
    assert disk.saved == [3]
    assert writer.error is None
    assert writer.close(5.0)


def test_a_flush_tells_its_own_failure_without_waiting_for_the_time_limit():
    disk = _Disk()
    disk.go_on.release(100)
    writer = _writer(disk)
    writer.touch(3, logged=True)
    assert not writer.flush(60.0)
    assert "No space left" in str(writer.error)
    assert disk.num_tries <= 2  # by itself, and for the flush: a full disk is not hammered
    disk.full = False
    assert writer.close(5.0)
