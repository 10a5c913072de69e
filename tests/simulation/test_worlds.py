"""Goal: whatever is delivered, fails, dies or is decided, no row is lost, doubled or falsely healed."""

from __future__ import annotations

import secrets

import pytest

from tests.simulation.run import Case, live

FAST_SEEDS, FRESH_SEEDS, REAL_SEEDS = 2_000, 500, 100
_AT_ONCE = {"plain": 100, "real": 10}
_FIRST_FRESH = 1_000_000


def kept(plane: str, first: int) -> str:
    """What some worlds broke, with the command that replays each; "" when they kept every promise."""
    failed = live(plane, range(first, first + _AT_ONCE[plane]), 1).failed
    return "\n".join(f"{Case(plane, seed).command}\n  {problems[0]}" for seed, problems in sorted(failed.items()))


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
