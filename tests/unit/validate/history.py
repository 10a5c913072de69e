"""A history of months for the tests of waiting: what ingest would have registered, staged in any order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import polars as pl

from services.validate.handlers import SERVICE
from shared.events.types import BatchDue, BatchStaged, ClockTicked, Event
from shared.ports.state_store import Put
from shared.runtime.handling import messages_of
from tests.support.local_ports import watch
from tests.unit.validate.test_drift import batch
from tests.unit.validate.world import PIPELINE, World

MONTHS = 12
KILOMETRES = 8  # the month that came in another unit
NARROW = 3  # one that lacks a column, and is held for good
WAIT = 300_000_000
Make = Callable[..., World]


def name_of(month: int) -> str:
    return f"b{month:02}"


def register(w: World, *months: int, **fields: Any) -> None:
    """As ingest does, now."""
    now = w.process.clock.now()
    for month in months:
        known = {"batch_id": name_of(month), "pipeline": PIPELINE, "seq": name_of(month), "registered_at": now}
        document = {**known, "duplicate_of": "", "held_above": 0, **fields}
        w.process.store.commit([Put("deliveries", name_of(month), document)])


def mend(w: World, month: int, **fields: Any) -> None:
    """As remediate does with one that is held: diagnosed, and a person is asked, unless ``fields`` say otherwise."""
    attempt = {"state": "done", "verdict": "held", "incidents": 1, "classified": ["i1"]}
    document = {"attempts": [attempt], "flight": None, "superseded_by": "", **fields}
    w.process.store.commit([Put("healings", name_of(month), document)])


def examples(w: World, count: int) -> None:
    """So many batches before all months, each as the first of them."""
    w.handle(w.staged(batch(1), "a00", seq="a00"))
    first = w.document("profiles", f"{PIPELINE}:a00")
    assert first is not None
    for number in range(1, count):
        name = f"a{number:02}"
        copied = {**first, "batch_id": name, "seq": name}
        w.process.store.commit([Put("profiles", f"{PIPELINE}:{name}", copied)])


def rows(month: int) -> pl.DataFrame:
    found = batch(month, 1.609344 if month == KILOMETRES else 1.0)
    return found.drop("n") if month == NARROW else found


def staged(w: World, month: int, **fields: Any) -> BatchStaged:
    return w.staged(rows(month), name_of(month), seq=name_of(month), **fields)


def judged(w: World, month: int, **fields: Any) -> list[Event]:
    return w.handle(staged(w, month, **fields))


def tick(w: World) -> list[Event]:
    now = w.process.clock.now()
    return w.handle(ClockTicked(id=f"tick {now}", time=now, subject="clock", correlation_id="clock"))


def dues(events: Sequence[Event]) -> list[str]:
    return [event.batch_id for event in events if isinstance(event, BatchDue)]


def due(month: int, number: int = 1) -> BatchDue:
    name = name_of(month)
    about = {"subject": name, "batch_id": name, "pipeline": PIPELINE, "attempt": 1}
    return BatchDue(id=f"due {month} {number}", time=1, correlation_id="c", **about)


def is_judged(w: World, month: int) -> bool:
    return w.document("verdicts", f"{name_of(month)}:1") is not None


def verdicts(w: World) -> dict[str, Any]:
    """By batch: what was said of it."""
    found = {}
    for each in w.process.store.query("verdicts"):
        said = [(finding["check"], finding["column"], finding["holds"]) for finding in each.data["findings"]]
        found[each.data["batch_id"]] = (each.data["state"], each.data["reason"], said)
    return found


def assert_as_in_order(found: dict[str, Any], w: World) -> None:
    assert len(found) == MONTHS
    held = {name: said for name, said in found.items() if said[0] != "released"}
    assert held == {
        name_of(NARROW): ("held", "missing_columns", [("missing_columns", "", True)]),
        name_of(KILOMETRES): ("held", "shift", [("shift", "distance", True)]),
    }
    assert all(said == ("released", "", []) for name, said in found.items() if name not in held)
    assert w.process.store.query("waiting") == []


def published(w: World, months: Sequence[int]) -> None:
    """All are registered, and their events wait on the bus in this order."""
    w.define()
    register(w, *months)
    mend(w, NARROW)
    watch(w.process, ["mend-batch-validated-v1"])
    w.process.worker([SERVICE])  # its subscriptions stand before anything is said
    w.process.bus.publish(messages_of("ingest", [staged(w, month) for month in months]))
