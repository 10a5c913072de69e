"""Who waits for whom before a first verdict, and for how long.

Method: what ingest would have registered stands in the store; the handlers alone, with a clock that the test turns.
"""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from services.validate import waiting
from services.validate.baseline import BASELINE_MAX
from services.validate.terms import Terms
from services.validate.waiting import CALLED_MAX, LOOK_AGAIN_MICROSECONDS
from shared.domain.errors import Conflict
from shared.events.types import BatchDue, BatchValidated
from shared.ports.ports import Ports
from shared.ports.state_store import Put
from tests.conformance.turned_clock import TurnedClock
from tests.unit.validate.history import (
    NARROW,
    WAIT,
    due,
    dues,
    examples,
    is_judged,
    judged,
    mend,
    name_of,
    register,
    staged,
    tick,
)
from tests.unit.validate.test_drift import batch
from tests.unit.validate.world import PIPELINE, World

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


@pytest.mark.parametrize(("count", "waits"), [(5, True), (BASELINE_MAX - 1, True), (BASELINE_MAX, False)])
def test_with_all_that_a_comparison_takes_nobody_waits(history: World, count: int, waits: bool) -> None:
    examples(history, count)
    register(history, 1, 2)
    judged(history, 2)
    assert is_judged(history, 2) is not waits


def test_irregular_batches_do_not_make_a_pipeline_young_again(history: World) -> None:
    examples(history, BASELINE_MAX)
    held = history.document("profiles", f"{PIPELINE}:a07")
    assert held is not None
    history.process.store.commit([Put("profiles", f"{PIPELINE}:a07", {**held, "judged_before": True})])
    register(history, 1, 2)
    judged(history, 2)
    assert is_judged(history, 2)


def test_a_verdict_between_the_two_readings_is_compared_with(history: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The baseline was read before it came, the verdicts after."""
    register(history, 1, 2)
    until = waiting._until

    def meanwhile(terms: Terms, ports: Ports) -> int:
        monkeypatch.undo()
        judged(history, 1)
        return until(terms, ports)

    monkeypatch.setattr(waiting, "_until", meanwhile)
    judged(history, 2)
    found = history.document("verdicts", f"{name_of(2)}:1")
    assert found is not None
    assert found["baseline"] == [f"{PIPELINE}:{name_of(1)}"]


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


def test_the_next_in_order_is_called(history: World) -> None:
    register(history, 1, 2, 4, 5)
    for month in (5, 4, 2):
        assert judged(history, month) == []
    assert dues(judged(history, 1)) == [name_of(2)]
    assert dues(history.handle(due(2))) == [name_of(4)]
    assert history.handle(due(2, 2)) == []
    assert dues(history.handle(due(4))) == [name_of(5)]
    assert dues(history.handle(due(5))) == []


def test_one_that_has_been_called_is_not_called_again(history: World) -> None:
    register(history, 1, 2, 4)
    assert judged(history, 4) == []
    assert dues(judged(history, 1)) == [name_of(4)]
    assert dues(judged(history, 2)) == [], "its call is under way"


def test_all_are_called_as_soon_as_there_is_enough(history: World) -> None:
    examples(history, BASELINE_MAX - 1)
    register(history, 1, 2, 4, 5, 6)
    for month in (6, 5, 4, 2):
        assert judged(history, month) == []
    assert dues(judged(history, 1)) == [name_of(2)]
    assert dues(history.handle(due(2))) == [name_of(4), name_of(5), name_of(6)]
    assert dues(history.handle(due(4))) == []
    register(history, 7)
    assert isinstance(judged(history, 7)[0], BatchValidated)


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


def test_a_tick_calls_the_first_in_order_however_late_it_was_registered(history: World, clock: TurnedClock) -> None:
    register(history, 1)
    one = staged(history, 9)
    for month in [*range(9, CALLED_MAX + 15), 2]:
        name = name_of(month)
        register(history, month)
        history.handle(one.model_copy(update={"id": f"staged {name}", "batch_id": name, "subject": name, "seq": name}))
        clock.time += 1
    clock.time += LOOK_AGAIN_MICROSECONDS
    called = dues(tick(history))
    assert len(called) == CALLED_MAX + 1
    assert name_of(2) in called


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
