"""Goal: a load or a withdrawal that dies anywhere and runs again gives the table that it gives without dying.

Method: real adapters; the process dies at its nth moment before or after any effect, for every n, then runs again.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.domain.errors import StoreUnavailable
from tests.unit.load.world import LoadWorld, Row, dying

MODES = ["append", "upsert", "overwrite"]
FIRST: list[Row] = [{"k": 1, "v": "a1"}, {"k": 2, "v": "a2"}]
SECOND: list[Row] = [{"k": 2, "v": "b2"}, {"k": 3, "v": "b3"}, {"k": 9, "v": "b9"}]
TRANSFORM = "transform: SELECT k, UPPER(v) AS v FROM batch WHERE v <> 'b9'"
MOMENTS_MAX = 60


def at_every_moment(world: LoadWorld, event: object, number: int) -> bool:
    """Die at the nth moment of handling the event; False when there are fewer."""
    process, fuse = dying(world.process, number)
    try:
        world.handle(event, process)  # type: ignore[arg-type]
    except StoreUnavailable:
        return True
    assert fuse.steps > 0, "the handler swallowed the death of its process"
    return False


def prepared(world: LoadWorld, number: int) -> LoadWorld:
    world.anew(number).foreign([{"k": key, "v": f"theirs {key}"} for key in (2, 3, 5)])
    world.load("b1", FIRST)
    return world


@pytest.mark.parametrize("mode", MODES)
def test_a_load_that_dies_anywhere(tmp_path: Path, mode: str) -> None:
    world = LoadWorld(tmp_path, mode, extra=TRANSFORM)
    calm = prepared(world, 0)
    before = calm.table()
    calm.load("b2", SECOND)
    loaded = calm.table()
    calm.take_out("b2", attempt=1)
    undone = calm.table()
    assert undone == before
    for number in range(1, MOMENTS_MAX):
        prepared(world, number)
        event = world.validated("b2", SECOND)
        died = at_every_moment(world, event, number)
        world.handle(event)
        assert world.table() == loaded, f"died at moment {number}"
        assert world.state("b2") == "loaded"
        assert "b2" not in {row.split("|")[0] for row in world.replaced("b2")}, "its own rows are no before-image"
        assert world.discarded("b2") == [(3, "the transform's WHERE dropped it")]
        world.take_out("b2", attempt=1)
        assert world.table() == undone, f"died at moment {number}, then withdrawn"
        if not died:
            assert number > 5
            return
    raise AssertionError("a load has more moments than expected; raise MOMENTS_MAX")


@pytest.mark.parametrize("mode", MODES)
def test_a_withdrawal_that_dies_anywhere(tmp_path: Path, mode: str) -> None:
    world = LoadWorld(tmp_path, mode, extra=TRANSFORM)
    calm = prepared(world, 0)
    calm.load("b2", SECOND)
    calm.take_out("b1", reading=1)
    expected = calm.table()
    for number in range(1, MOMENTS_MAX):
        prepared(world, number)
        world.load("b2", SECOND)
        event = world.withdraw("b1", reading=1)
        died = at_every_moment(world, event, number)
        world.handle(event)
        assert world.table() == expected, f"died at moment {number}"
        assert world.state("b1") == "withdrawn"
        if not died:
            assert number > 3
            return
    raise AssertionError("a withdrawal has more moments than expected; raise MOMENTS_MAX")


@pytest.mark.parametrize("mode", ["upsert", "overwrite"])
def test_a_load_that_comes_again_finds_its_own_rows_and_takes_them_for_nobody_elses(tmp_path: Path, mode: str) -> None:
    """It replaced nothing, did its job and died before its commit."""
    world = LoadWorld(tmp_path, mode)
    event = world.validated("b1", FIRST)
    moments = 0
    while world.table() == []:
        moments += 1
        at_every_moment(world, event, moments)
    world.handle(event)
    assert (world.replaced("b1"), world.table("k")) == ([], [(1,), (2,)])
