"""Whose turn it is with a database file that admits one process: an advisory lock, and a queue before it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

from shared.domain.errors import WarehouseUnavailable
from shared.domain.masking import clean
from shared.ports.clock import Clock

_POLL_SECONDS_FIRST: Final = 0.002
_POLL_SECONDS_MAX: Final = 0.03


class WarehouseLock:
    """An exclusive lock between processes; it dies with its process.

    Whoever wants it takes the queue's lock first and keeps that until the turn comes. So the holder sees that somebody
    waits (``wanted``), and having let go cannot overtake the one who waits.
    """

    def __init__(self, path: Path, clock: Clock, wait_seconds: float) -> None:
        self._turn = path.with_name(path.name + ".lock")
        self._queue = path.with_name(path.name + ".queue")
        self._clock = clock
        self._wait_seconds = wait_seconds
        self._turn_file = -1
        self._queue_file = -1

    def acquire(self) -> None:
        """Wait for the turn; ``WarehouseUnavailable`` names the process that holds it when the wait gets too long."""
        deadline = self._clock.monotonic() + self._wait_seconds
        try:
            if self._turn_file < 0:
                self._turn.parent.mkdir(parents=True, exist_ok=True)
                self._queue_file = os.open(self._queue, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
                self._turn_file = os.open(self._turn, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            self._wait(self._queue_file, deadline)
            try:
                self._wait(self._turn_file, deadline)
                os.ftruncate(self._turn_file, 0)
                os.pwrite(self._turn_file, f"{os.getpid()}\n".encode(), 0)
            finally:
                fcntl.flock(self._queue_file, fcntl.LOCK_UN)
        except OSError as error:
            raise WarehouseUnavailable(f"cannot lock the warehouse: {clean(str(error.strerror))}") from error

    def release(self) -> None:
        """Let the next one in; harmless when not held."""
        if self._turn_file >= 0:
            fcntl.flock(self._turn_file, fcntl.LOCK_UN)

    def wanted(self) -> bool:
        """Whether somebody waits for the lock that we hold."""
        if not _try(self._queue_file):
            return True
        fcntl.flock(self._queue_file, fcntl.LOCK_UN)
        return False

    def close(self) -> None:
        """Release, and give up the files."""
        for file in (self._turn_file, self._queue_file):
            if file >= 0:
                os.close(file)
        self._turn_file = self._queue_file = -1

    def _wait(self, file: int, deadline: float) -> None:
        pause = _POLL_SECONDS_FIRST
        while not _try(file):
            if self._clock.monotonic() >= deadline:
                raise WarehouseUnavailable(
                    f"the warehouse is in use by process {self._holder()} (waited {self._wait_seconds:g} s)"
                )
            self._clock.sleep(pause)
            pause = min(pause * 1.5, _POLL_SECONDS_MAX)

    def _holder(self) -> str:
        try:
            return os.pread(self._turn_file, 20, 0).decode("ascii", "replace").strip() or "unknown"
        except OSError:
            return "unknown"


def _try(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
