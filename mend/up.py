"""Runs every service in one process until it is stopped: watches sources, keeps schedules, takes in signals."""

from __future__ import annotations

import functools
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from mend.services import every_service
from mend.watching import Watch
from shared.domain.errors import TransientError
from shared.domain.masking import clean
from shared.runtime import receipts
from shared.runtime.handling import messages_of
from shared.runtime.wiring import at_rest_of

if TYPE_CHECKING:
    from shared.runtime.http_server import LocalServer
    from shared.runtime.wiring import Process

LOOK_SECONDS = 0.1
LOOK_SECONDS_MAX = 2.0
LOOK_SHARE_MAX = 0.1  # of the time, spent on looking: where it takes long, it is done less often
PAUSE_SECONDS = 5.0


def run(process: Process, stopped: Callable[[], bool], say: Callable[[str], None]) -> None:
    """Work until ``stopped``, which is asked between two events; nothing is left half done.

    When our own store says no for now (a full disk, a lock held for long) that is said, and tried again.
    """
    worker = process.worker(every_service())
    try:
        while not stopped():
            try:
                worker.run(stopped, _Looking(process, say))
            except TransientError as error:
                say(f"{clean(str(error))}; trying again in {PAUSE_SECONDS:g} s")
                process.clock.sleep(PAUSE_SECONDS)
    finally:
        process.close()


class _Looking:
    """A look at the sources between two events, several times a second where that costs little."""

    def __init__(self, process: Process, say: Callable[[str], None]) -> None:
        self._process = process
        handled = functools.partial(_settled, process)
        at_rest = at_rest_of(process.settings)
        self._watch = Watch(process.definitions, process.source, process.clock, handled, say, at_rest)
        self._next = float("-inf")

    def __call__(self) -> None:
        clock = self._process.clock
        began = clock.monotonic()
        if began < self._next:
            return
        due = self._watch.look()
        ended = clock.monotonic()
        self._next = ended + min(max(LOOK_SECONDS, (ended - began) / LOOK_SHARE_MAX), LOOK_SECONDS_MAX)
        if due:
            self._process.bus.publish(messages_of("mend", due))


def _settled(process: Process, event_id: str) -> bool:
    """True when ingest has dealt with the event, here or in another process, now or before."""
    receipt = receipts.read(process.store, "ingest", event_id)
    return receipt is not None and receipt.state != "failing"


@contextmanager
def until_signalled() -> Iterator[Callable[[], bool]]:
    """SIGTERM and SIGINT end the work after the event in hand; a second SIGINT ends it at once."""
    asked = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        if asked.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def listen(process: Process, port: int) -> LocalServer:
    """``POST /signals/{kind}`` and ``POST /requests`` on this machine's loopback.

    Signals are believed as the settings say, since what listens here may have been led to from outside.
    """
    from services.ingest.handlers import SERVICE
    from shared.ports.event_bus import REQUESTS_TOPIC, SIGNALS_TOPIC
    from shared.runtime.http import take_in
    from shared.runtime.http_server import LocalServer

    runtime = process.runtime()
    judge = process.callers.judge
    return LocalServer(
        port,
        {
            "signals": lambda request: take_in(SERVICE, runtime, SIGNALS_TOPIC, request, process.ids.new(), judge),
            "requests": lambda request: take_in(SERVICE, runtime, REQUESTS_TOPIC, request, process.ids.new()),
        },
    )
