"""Goal: whatever is delivered, fails, dies or is decided, no row is lost, doubled or falsely healed."""

from __future__ import annotations

import secrets

import pytest

from tests.simulation.run import Case, kind_of, live, shrink

FAST_SEEDS, FRESH_SEEDS, REAL_SEEDS = 2_000, 500, 100
_AT_ONCE = {"plain": 100, "real": 10}
_FIRST_FRESH = 1_000_000


def kept(plane: str, first: int) -> str:
    """What some worlds broke, with the command that replays each, and a smaller one that breaks the same as the first;
    "" when they kept every promise."""
    failed = sorted(live(plane, range(first, first + _AT_ONCE[plane]), 1).failed.items())
    told = [f"{Case(plane, seed).command}\n  {problems[0]}" for seed, problems in failed]
    told += [f"smaller: {shrink(Case(plane, seed), kind_of(problems)).command}" for seed, problems in failed[:1]]
    return "\n".join(told)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, FAST_SEEDS, _AT_ONCE["plain"]))
def test_worlds_of_plain_rows(first: int) -> None:
    assert kept("plain", first) == ""


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, REAL_SEEDS, _AT_ONCE["real"]))
def test_real_worlds(first: int) -> None:
    assert kept("real", first) == ""


@pytest.mark.slow
@pytest.mark.parametrize("part", range(FRESH_SEEDS // _AT_ONCE["plain"]))
def test_worlds_that_nobody_has_seen(part: int) -> None:
    """Other seeds each time; what fails is printed with the command that replays it."""
    assert kept("plain", _FIRST_FRESH + secrets.randbelow(10**9)) == ""
