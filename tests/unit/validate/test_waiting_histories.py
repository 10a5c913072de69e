"""A history that lands at once is judged as if it came in order: first verdicts of a young pipeline wait.

Method: what ingest would have registered stands in the store; batches are staged and handled in the worst order, with a
clock that the test turns, through the handlers alone, through the runtime, or by several workers at once.
"""

from __future__ import annotations

import random
import threading

import pytest

from services.validate.handlers import SERVICE
from services.validate.waiting import LOOK_AGAIN_MICROSECONDS
from shared.events.types import BatchDue, BatchValidated, Event
from shared.ports.clock import Clock
from shared.runtime import wiring
from tests.conformance.turned_clock import TurnedClock
from tests.support.local_ports import seen
from tests.unit.validate.history import (
    KILOMETRES,
    MONTHS,
    NARROW,
    Make,
    assert_as_in_order,
    is_judged,
    judged,
    mend,
    name_of,
    published,
    register,
    tick,
    verdicts,
)
from tests.unit.validate.test_drift import DISTANCE
from tests.unit.validate.world import World

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
