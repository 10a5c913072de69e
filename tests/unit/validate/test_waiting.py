"""A history that lands at once is judged as if it came in order: first verdicts of a young pipeline wait.

Method: what ingest would have registered stands in the store; batches are staged and handled in the worst order, with a
clock that the test turns, through the handlers alone, through the runtime, or by several workers at once.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from typing import Any

import polars as pl
import pytest

from services.validate.handlers import SERVICE
from services.validate.waiting import CALLED_MAX, LOOK_AGAIN_MICROSECONDS
from shared.domain.errors import Conflict
from shared.events.types import BatchDue, BatchStaged, BatchValidated, ClockTicked, Event
from shared.ports.clock import Clock
from shared.ports.state_store import Put
from shared.runtime import wiring
from shared.runtime.handling import messages_of
from tests.conformance.turned_clock import TurnedClock
from tests.support.local_ports import seen, watch
from tests.unit.validate.test_drift import DISTANCE, batch
from tests.unit.validate.world import PIPELINE, World

MONTHS = 12
KILOMETRES = 8  # the month that came in another unit
NARROW = 3  # one that lacks a column, and is held for good
WAIT = 300_000_000
Make = Callable[..., World]


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
def history(world: Make, clock: TurnedClock) -> World:
    return world(DISTANCE, clock=clock)


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


# ── a whole history at once ────────────────────────────────────────────────────────────────────────────────────────

IN_ORDER = list(range(1, MONTHS + 1))


def _shuffled(seed: int) -> list[int]:
    return random.Random(seed).sample(IN_ORDER, MONTHS)


ORDERS = {
    "in order": IN_ORDER,
    "last first": IN_ORDER[::-1],
    "the strange one first": [KILOMETRES, *(month for month in IN_ORDER if month != KILOMETRES)],
    **{f"shuffled {seed}": _shuffled(seed) for seed in range(4)},
}


@pytest.mark.parametrize("order", ORDERS.values(), ids=list(ORDERS))
def test_verdicts_are_those_of_the_order(history: World, clock: TurnedClock, order: list[int]) -> None:
    published(history, order)
    began = clock.now()
    history.process.worker([SERVICE]).run_until_idle(0.0)
    assert_as_in_order(verdicts(history), history)
    assert clock.now() == began, "each verdict calls the next; nobody waits for a timer"


def test_a_verdict_is_told_once_and_under_the_id_it_would_have_had(history: World) -> None:
    published(history, IN_ORDER[::-1])
    history.process.worker([SERVICE]).run_until_idle(0.0)
    told = [event for event in seen(history.process, ["mend-batch-validated-v1"]) if isinstance(event, BatchValidated)]
    assert sorted(event.batch_id for event in told) == [name_of(month) for month in IN_ORDER]
    assert {event.causation_id for event in told} == {f"staged {name_of(month)} 1" for month in IN_ORDER}


@pytest.mark.parametrize("workers", [2, 4])
def test_several_workers_say_the_same(world: Make, workers: int) -> None:
    w = world(DISTANCE)
    published(w, IN_ORDER[::-1])

    def work() -> None:
        process = wiring.build(w.settings)
        process.worker([SERVICE]).run_until_idle(LOOK_AGAIN_MICROSECONDS / 1_000_000)
        process.close()

    threads = [threading.Thread(target=work) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_as_in_order(verdicts(w), w)


# ── who waits, and for whom ────────────────────────────────────────────────────────────────────────────────────────


def test_it_waits_for_one_before_it(history: World) -> None:
    register(history, 1, 2)
    assert judged(history, 2) == []
    assert not is_judged(history, 2)
    assert dues(judged(history, 1)) == [name_of(2)]
    assert [type(event) for event in history.handle(due(2))] == [BatchValidated]
    assert is_judged(history, 2)


def test_one_called_too_early_waits_again(history: World) -> None:
    register(history, 1, 2, 3)
    assert judged(history, 3) == []
    assert dues(judged(history, 1)) == [name_of(3)]
    assert history.handle(due(3)) == []
    assert dues(judged(history, 2)) == [name_of(3)]
    history.handle(due(3, 2))
    assert is_judged(history, 3)


def test_with_enough_to_compare_with_nobody_waits(history: World) -> None:
    register(history, 1, 2, 4, 5)
    for month in (1, 2, 4, 5):
        judged(history, month)
    register(history, 6, 7, 9)
    assert judged(history, 7) == [], "four are too few"
    judged(history, 6)
    judged(history, 9)
    assert is_judged(history, 9), "though the seventh delivery is not judged"


@pytest.mark.parametrize(
    "fields",
    [{"duplicate_of": "b99"}, {"held_above": 10}, {"registered_at": 1}, {"pipeline": "others"}, {"seq": "b03"}],
    ids=lambda fields: next(iter(fields)),
)
def test_what_is_not_waited_for(history: World, fields: dict[str, Any]) -> None:
    register(history, 1, **fields)
    register(history, 2)
    judged(history, 2)
    assert is_judged(history, 2)


@pytest.mark.parametrize("fields", [{"attempt": 2}, {"problem": "truncated"}], ids=["heals", "cut off"])
def test_who_does_not_wait(history: World, fields: dict[str, Any]) -> None:
    register(history, 1, 2)
    told = judged(history, 2, **fields)
    assert isinstance(told[0], BatchValidated)


def test_a_batch_that_was_never_registered_does_not_wait(history: World) -> None:
    register(history, 1)
    judged(history, 2)
    assert is_judged(history, 2)


def test_one_whose_time_is_over_does_not_wait(history: World, clock: TurnedClock) -> None:
    register(history, 2)
    clock.time += WAIT
    register(history, 1)  # an older name that came later
    judged(history, 2)
    assert is_judged(history, 2)


HEALINGS = {
    "nobody has looked": (None, True),
    "not diagnosed": ({"attempts": [{"state": "done", "verdict": "held", "incidents": 2, "classified": ["i1"]}]}, True),
    "another reading is made": ({"flight": {"stage": "rereading"}}, True),
    "a person is asked": ({}, False),
    "another delivery took its place": ({"superseded_by": "b99", "flight": {"stage": "judging"}}, False),
}


@pytest.mark.parametrize(("healing", "waits"), HEALINGS.values(), ids=list(HEALINGS))
def test_what_could_not_be_judged_may_be_mended(history: World, healing: dict[str, Any] | None, waits: bool) -> None:
    register(history, NARROW, 4)
    assert judged(history, NARROW)
    if healing is not None:
        mend(history, NARROW, **healing)
    assert (judged(history, 4) == []) is waits


def test_a_mended_one_calls_those_that_wait(history: World) -> None:
    register(history, NARROW, 4)
    judged(history, NARROW)
    assert judged(history, 4) == []
    again = history.staged(batch(NARROW), name_of(NARROW), 2, seq=name_of(NARROW), reading=2)
    assert dues(history.handle(again)) == [name_of(4)]
    history.handle(due(4))
    found = history.document("verdicts", f"{name_of(4)}:1")
    assert found is not None
    assert found["baseline"] == [f"{PIPELINE}:{name_of(NARROW)}"]


def test_what_was_judged_and_held_is_no_example(history: World) -> None:
    history.pipeline["on_violation"] = {"rows": "reject_batch"}
    register(history, 1, 2)
    bad = batch(1).with_columns(pl.lit("-1").alias("n"))
    history.handle(history.staged(bad, name_of(1), seq=name_of(1)))
    found = history.document("verdicts", f"{name_of(1)}:1")
    assert found is not None
    assert found["state"] == "rejected"
    judged(history, 2)
    assert is_judged(history, 2)


# ── nobody waits for ever ──────────────────────────────────────────────────────────────────────────────────────────


def test_one_that_is_never_judged_is_waited_for_for_a_while(history: World, clock: TurnedClock) -> None:
    register(history, 1, 2)
    judged(history, 2)
    began, looks = clock.now(), 0
    while not is_judged(history, 2):
        looks += 1
        clock.time += LOOK_AGAIN_MICROSECONDS
        assert dues(tick(history)) == [name_of(2)]
        assert tick(history) == [], "who has been called is not called again"
        history.handle(due(2, looks))
    assert clock.now() - began == WAIT
    assert looks == WAIT // LOOK_AGAIN_MICROSECONDS
    assert history.process.store.query("waiting") == []


def test_who_was_not_seen_by_a_verdict_is_called_by_the_clock(history: World, clock: TurnedClock) -> None:
    register(history, 1, 2)
    told = history.handle(staged(history, 1), meanwhile=lambda: judged(history, 2))
    assert dues(told) == [], "it looked before the other waited"
    assert not is_judged(history, 2)
    assert tick(history) == []
    clock.time += LOOK_AGAIN_MICROSECONDS
    assert dues(tick(history)) == [name_of(2)]
    history.handle(due(2))
    assert is_judged(history, 2)


def test_a_verdict_that_comes_meanwhile_ends_the_waiting(history: World) -> None:
    register(history, 1, 2)
    second = staged(history, 2)
    with pytest.raises(Conflict):
        history.handle(second, meanwhile=lambda: judged(history, 1))
    assert isinstance(history.handle(second)[0], BatchValidated)


def test_told_twice_it_is_judged_once(history: World) -> None:
    register(history, 1, 2)
    second = staged(history, 2)
    history.handle(second)
    history.handle(second)
    judged(history, 1)
    assert isinstance(history.handle(due(2))[0], BatchValidated)
    assert history.handle(due(2, 2)) == []
    assert history.handle(second) == []


def test_what_was_put_by_after_its_verdict_is_forgotten(history: World, clock: TurnedClock) -> None:
    """Two announcements of an attempt, of which one saw less than the other."""
    register(history, 1, 2)
    second = staged(history, 2)
    history.handle(second)
    (waits,) = history.process.store.query("waiting")
    judged(history, 1)
    history.handle(due(2))
    history.process.store.commit([Put("waiting", waits.key, waits.data)])
    clock.time += LOOK_AGAIN_MICROSECONDS
    assert dues(tick(history)) == [name_of(2)]
    assert history.handle(due(2, 2)) == []
    assert history.process.store.query("waiting") == []


# ── calling ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_one_is_called_until_there_is_enough_then_all(history: World) -> None:
    months = (1, 2, 4, 5, 6, 7, 9, 10)
    register(history, *months)
    for month in (10, 9, 7, 6):
        judged(history, month)
    for month in (1, 2, 4, 5):
        first = dues(judged(history, month))
        assert first == ([name_of(6)] if month == 1 else []), "one that has been called is not called again"
    assert dues(history.handle(due(6))) == [name_of(7), name_of(9), name_of(10)]


def test_a_tick_calls_as_many_as_one_commit_may(history: World, clock: TurnedClock) -> None:
    register(history, 1)
    one = staged(history, 2)
    for month in range(2, CALLED_MAX + 5):
        name = name_of(month)
        register(history, month)
        event = one.model_copy(update={"id": f"staged {name}", "batch_id": name, "subject": name, "seq": name})
        history.handle(event)
    clock.time += LOOK_AGAIN_MICROSECONDS
    assert len(tick(history)) == CALLED_MAX
    assert len(tick(history)) == 3


def test_a_call_goes_on_with_the_batchs_own_story(history: World) -> None:
    register(history, 1, 2)
    trace = f"00-{'7' * 32}-{'1' * 16}-01"
    own = staged(history, 2).model_copy(update={"correlation_id": "mine", "traceparent": trace})
    history.handle(own)
    (called,) = [event for event in judged(history, 1) if isinstance(event, BatchDue)]
    assert (called.correlation_id, called.traceparent) == ("mine", trace)
    assert called.causation_id == f"staged {name_of(1)} 1"
    told = history.handle(called)[0]
    assert (told.correlation_id, told.causation_id) == ("mine", own.id)


# ── what landed with it ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_young_pipeline_waits_for_what_landed_with_it(world: Make, clock: TurnedClock) -> None:
    """The last is registered first: those before it are not known yet."""
    w = world(DISTANCE, clock=clock, settle_seconds=60.0)
    mend(w, NARROW)
    for month in IN_ORDER[::-1]:
        register(w, month)
        assert judged(w, month) == []
        clock.time += 1_000_000
    clock.time += 60_000_000
    while called := tick(w):
        _finish(w, called)
        clock.time += 60_000_000
    assert_as_in_order(verdicts(w), w)


def _finish(w: World, called: list[Event]) -> None:
    """Handle the newest call first, and what follows from it."""
    while called:
        called += [event for event in w.handle(called.pop()) if isinstance(event, BatchDue)]


def test_an_old_pipeline_does_not(world: Make, clock: TurnedClock) -> None:
    w = world(DISTANCE, clock=clock, settle_seconds=60.0)
    for month in (1, 2, 4, 5, 6):
        judged(w, month)
    register(w, 7)
    judged(w, 7)
    assert is_judged(w, 7)


def test_a_clock_is_any_clock(world: Make) -> None:
    """The worker's own timers call, too."""
    clock: Clock = TurnedClock()
    w = world(DISTANCE, clock=clock, settle_seconds=60.0)
    published(w, [1])
    w.process.worker([SERVICE]).run_until_idle(0.0)
    assert not is_judged(w, 1)
    w.process.worker([SERVICE]).run_until_idle(61.0)
    assert is_judged(w, 1)
