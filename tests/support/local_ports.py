"""A process over the real local adapters in a folder of the test's, with a clock that the test turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from shared.events.codec import decode
from shared.events.types import Event
from shared.ports.event_bus import Subscription
from shared.runtime.logs import EventLog, LogLine
from shared.runtime.service import Service
from shared.runtime.settings import load
from shared.runtime.unit_of_work import UnitOfWork
from shared.runtime.wiring import Process, build
from tests.conformance.turned_clock import TurnedClock
from tests.support.indexed_store import IndexedStore


def make_process(folder: Path, clock: TurnedClock | None = None, **settings: object) -> Process:
    """A process whose store is ``folder/store`` and whose project is ``folder``.

    Its store refuses what Firestore would refuse for want of an index.
    """
    given = load({}, root=str(folder / "store"), project=str(folder), **settings)
    process = build(given, clock=clock)
    return replace(process, store=IndexedStore(process.store))


def handle(process: Process, service: Service, event: Event) -> list[Event]:
    """Call a service's handler on an event and commit its state, without the runtime."""
    state = UnitOfWork(process.store, service.name, service.collections)
    emitted = service.handlers[type(event)](event, process.ports(service, state))
    writes, expects = state.changes()
    process.store.commit(writes, expects)
    return list(emitted)


def logged(process: Process) -> tuple[Process, list[LogLine]]:
    """The process with a log whose lines are kept."""
    lines: list[LogLine] = []
    log = EventLog()
    log.listen(lines.append)
    return replace(process, log=log), lines


def watch(process: Process, topics: Sequence[str]) -> Subscription:
    """Subscribe a bystander to the topics, so that what is published there can be looked at with ``seen``."""
    for topic in topics:
        process.bus.subscribe([Subscription(f"watch.{topic}", topic, "watch")])
    return Subscription("watch", "", "watch")


def seen(process: Process, topics: Sequence[str]) -> list[Event]:
    """Events on the topics that ``watch`` has not shown yet."""
    found = process.bus.pull([f"watch.{topic}" for topic in topics], 1_000, 60)
    for delivery in found:
        process.bus.ack(delivery)
    return [decode(delivery.data, delivery.attributes) for delivery in found]
