"""Goal: two workers that load into and withdraw from one table at once leave what they leave one after the other.

Method: the second worker handles its event, whole, at the nth moment before or after an effect of the first one, for
every n; the runtime runs a handler again whose documents changed meanwhile. Then the old news comes once more.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from shared.events.types import Event
from shared.runtime.handling import Outcome
from tests.unit.load.world import LoadWorld, Row, dying

OLDEST: list[Row] = [{"k": 1, "v": "a1"}, {"k": 2, "v": "a2"}]
MIDDLE: list[Row] = [{"k": 1, "v": "b1"}, {"k": 3, "v": "b3"}]
NEWEST: list[Row] = [{"k": 1, "v": "c1"}, {"k": 2, "v": "c2"}, {"k": 3, "v": "c3"}]
Events = tuple[Event, Event]


def load_and_its_withdrawal(world: LoadWorld) -> Events:
    world.load("b1", OLDEST)
    return world.validated("b3", NEWEST), world.withdraw("b3", reading=1)


def withdrawal_and_an_older_load(world: LoadWorld) -> Events:
    world.load("b1", OLDEST)
    world.load("b3", NEWEST)
    return world.withdraw("b3", reading=1), world.validated("b2", MIDDLE)


def two_withdrawals(world: LoadWorld) -> Events:
    world.load("b1", OLDEST)
    world.load("b2", MIDDLE)
    world.load("b3", NEWEST)
    return world.withdraw("b3", reading=1), world.withdraw("b2", reading=1, remedy="r2")


def two_attempts(world: LoadWorld) -> Events:
    first, second = [{"_mend_row": 1, "k": 1, "v": "c1"}], [{"_mend_row": 2, "k": 2, "v": "c2"}]
    world.load("b1", OLDEST)
    return world.validated("b3", first), world.validated("b3", second, attempt=2)


STORIES: list[Callable[[LoadWorld], Events]] = [
    load_and_its_withdrawal,
    withdrawal_and_an_older_load,
    two_withdrawals,
    two_attempts,
]


@pytest.mark.parametrize(
    ("mode", "story", "turned"),
    [
        ("append", load_and_its_withdrawal, False),
        *(("upsert", story, turned) for story in STORIES for turned in (False, True)),
        *(("overwrite", story, False) for story in STORIES),
    ],
)
def test_at_every_moment(tmp_path: Path, mode: str, story: Callable[[LoadWorld], Events], turned: bool) -> None:
    world = LoadWorld(tmp_path, mode)
    for event in story(world):
        world.deliver(event)
    expected = world.table("k", "v")
    for number in range(1, 60):
        pair = story(world.anew(number))
        first, second = (pair[1], pair[0]) if turned else pair
        happened: list[Outcome] = []
        process, fuse = dying(world.process, number, _then(world, second, happened))
        outcome = world.deliver(first, process)
        over = not happened
        if over:
            happened.append(world.deliver(second))
        assert outcome.acknowledge
        assert happened[0].acknowledge
        assert fuse.steps <= 0 or over
        assert world.table("k", "v") == expected, f"at moment {number}"
        if over:
            assert number > 3
            return
    raise AssertionError("more moments than expected")


def _then(world: LoadWorld, event: Event, happened: list[Outcome]) -> Callable[[], None]:
    return lambda: happened.append(world.deliver(event))


def test_a_load_that_dies_is_halted_by_the_withdrawal_and_hurts_no_new_reading(tmp_path: Path) -> None:
    """The old reading's load died; the new reading has the same row numbers; then the old load comes again."""
    world = LoadWorld(tmp_path, "append")
    for number in range(1, 30):
        world.anew(number)
        event = world.validated("b1", OLDEST)
        process, fuse = dying(world.process, number)
        world.deliver(event, process)
        died = fuse.steps <= 0
        world.deliver(world.withdraw("b1", reading=1))
        world.load("b1", MIDDLE, attempt=2, reading=2)
        world.deliver(event)
        assert world.table("k", "v") == [(1, "b1"), (3, "b3")], f"died at moment {number}"
        if not died:
            return
    raise AssertionError("more moments than expected")


def test_a_load_halted_before_there_is_a_table_hinders_no_later_one(tmp_path: Path) -> None:
    """The withdrawal comes first: the table must not be made then, without the key that every later upsert needs."""
    world = LoadWorld(tmp_path, "upsert")
    halted = world.validated("b1", OLDEST)
    world.deliver(world.withdraw("b1", reading=1))
    assert world.deliver(halted).outcome == "handled"
    assert world.deliver(world.validated("b2", MIDDLE)).outcome == "handled"
    assert world.table("k", "v") == [(1, "b1"), (3, "b3")]
