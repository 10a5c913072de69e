"""Goal: whoever dies, and whoever comes between, each row of a group is in the table once, and no withdrawn one is.

Method: an actor (a load, a withdrawal, the clock) works on attempts that wait; at the nth moment before or after an
effect of it, for every n, it dies or another actor does all that it does. Then everything comes to rest.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from services.load import handlers, together
from shared.runtime.wiring import Process
from tests.unit.load.waiters import Waiters, busy, refused
from tests.unit.load.world import Row, dying

ROWS: dict[str, list[Row]] = {
    "b1": [{"k": 1, "v": "a1"}, {"k": 2, "v": "a2"}],
    "b2": [{"k": 1, "v": "b1"}],
    "b3": [{"k": 3, "v": "c3"}],
}
MOMENTS_MAX = 90
Actor = Callable[[Process], object]  # told the process in which it acts
Story = Callable[[Waiters], tuple[Actor, Actor]]


def rows_of(*batches: str) -> list[tuple[object, ...]]:
    return sorted((row["k"], row["v"]) for batch in batches for row in ROWS[batch])


def waiting(world: Waiters) -> None:
    for batch, rows in ROWS.items():
        world.put_by(batch, rows)


def group_and_withdrawal(world: Waiters) -> tuple[Actor, Actor]:
    waiting(world)
    group, gone = world.called(), world.withdraw("b2", reading=1)
    return lambda process: world.deliver(group, process), lambda process: world.deliver(gone, process)


def call_and_withdrawal(world: Waiters) -> tuple[Actor, Actor]:
    waiting(world)
    tick, gone = world.tick(), world.withdraw("b2", attempt=1)
    return lambda process: world.deliver(tick, process), lambda process: world.deliver(gone, process)


def whole_way_and_withdrawal(world: Waiters) -> tuple[Actor, Actor]:
    """From being called to being loaded, all in one moment of the withdrawal."""
    waiting(world)
    tick, gone = world.tick(), world.withdraw("b2", reading=1)

    def loaded(process: Process) -> None:
        world.deliver(tick, process)
        world.load_due(process)

    return loaded, lambda process: world.deliver(gone, process)


def own_job_and_group(world: Waiters) -> tuple[Actor, Actor]:
    """b2's own load is under way, and another delivery of it was refused, waits, is called and is loaded."""
    world.put_by("b1", ROWS["b1"])
    world.put_by("b3", ROWS["b3"])
    event = world.validated("b2", ROWS["b2"])

    def together(process: Process) -> None:
        world.deliver(event, world.with_warehouse(busy))
        world.deliver(world.tick())
        world.load_due(process)

    return lambda process: world.deliver(event, process), together


def group_twice(world: Waiters) -> tuple[Actor, Actor]:
    waiting(world)
    group = world.called()
    return lambda process: world.deliver(group, process), lambda process: world.deliver(group, process)


def group_done_and_refused(world: Waiters) -> tuple[Actor, Actor]:
    """One delivery does the job, and is about to say so; another one of the same is refused."""
    waiting(world)
    group = world.called()

    def other(process: Process) -> None:
        world.deliver(group, world.with_warehouse(refused))
        world.load_due(process)

    return lambda process: world.deliver(group, process), other


def two_withdrawals(world: Waiters) -> tuple[Actor, Actor]:
    """Two of a group are withdrawn; between, what the first has left of the group is loaded."""
    waiting(world)
    group = world.called()
    gone, other = world.withdraw("b2", reading=1), world.withdraw("b3", reading=1, remedy="r2")

    def others(process: Process) -> None:
        world.deliver(group, process)
        world.deliver(other, process)
        world.load_due(process)

    return others, lambda process: world.deliver(gone, process)


STORIES: dict[Story, tuple[str, ...]] = {
    group_and_withdrawal: ("b1", "b3"),
    call_and_withdrawal: ("b1", "b3"),
    whole_way_and_withdrawal: ("b1", "b3"),
    own_job_and_group: ("b1", "b2", "b3"),
    group_twice: ("b1", "b2", "b3"),
    group_done_and_refused: ("b1", "b2", "b3"),
    two_withdrawals: ("b1",),
}


def lived(world: Waiters, story: Story, number: int, *, turned: bool) -> bool:
    """One acts, and at its nth moment the other does; False when the one has fewer moments."""
    actors = story(world.anew(number))  # type: ignore[arg-type]
    first, second = reversed(actors) if turned else actors
    happened: list[object] = []
    process, _ = dying(world.process, number, lambda: happened.append(second(world.process)))
    first(process)
    over = not happened
    if over:
        second(world.process)
    check(world, STORIES[story], number)
    return not over


def check(world: Waiters, left: tuple[str, ...], number: int) -> None:
    world.come_to_rest()
    assert world.table("k", "v") == rows_of(*left), f"at moment {number}"
    for batch in ROWS:
        assert world.state(batch) in (("loaded",) if batch in left else ("ignored", "withdrawn")), f"{batch}, {number}"
    for batch in left:
        world.take_out(batch, reading=1)
    assert world.table() == [], f"at moment {number}, all withdrawn"


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("story", STORIES)
def test_another_at_every_moment(tmp_path: Path, story: Story, turned: bool) -> None:
    world = Waiters(tmp_path)
    for number in range(1, MOMENTS_MAX):
        if not lived(world, story, number, turned=turned):
            assert number > 2
            return
    raise AssertionError("more moments than expected")


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("story", STORIES)
def test_one_that_dies_at_every_moment(tmp_path: Path, story: Story, turned: bool) -> None:
    """What died is delivered again, after the other has acted."""
    world = Waiters(tmp_path)
    for number in range(1, MOMENTS_MAX):
        actors = story(world.anew(number))  # type: ignore[arg-type]
        first, second = reversed(actors) if turned else actors
        process, fuse = dying(world.process, number)
        first(process)
        second(world.process)
        first(world.process)
        check(world, STORIES[story], number)
        if fuse.steps > 0:
            assert number > 2
            return
    raise AssertionError("more moments than expected")


def _in_no_group(original: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    return lambda *given: [each._replace(group="") for each in original(*given)]


def _nowhere(original: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    return lambda *given: [each._replace(place="") for each in original(*given)]


@pytest.mark.parametrize(
    ("module", "name", "planted", "story", "turned"),
    [
        (together, "_settled", lambda original: lambda *given: False, group_done_and_refused, False),
        (together, "_came_alone", lambda original: lambda *given: False, own_job_and_group, False),
        (handlers, "_unrecorded", _in_no_group, group_and_withdrawal, False),
        (handlers, "_unrecorded", _nowhere, whole_way_and_withdrawal, True),
    ],
)
def test_it_would_be_seen(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: ModuleType,
    name: str,
    planted: Callable[[Any], Any],
    story: Story,
    turned: bool,
) -> None:
    """A group left before its job is settled, a member's own job not looked at, a group's not halted, what was taken
    out from one place taken for what came from the next."""
    monkeypatch.setattr(module, name, planted(getattr(module, name)))
    world = Waiters(tmp_path)
    with pytest.raises(AssertionError, match="at moment"):
        all(lived(world, story, number, turned=turned) for number in range(1, MOMENTS_MAX))
