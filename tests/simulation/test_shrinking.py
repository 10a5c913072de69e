"""A world that fails is made smaller, and what is printed of it fails again in the same way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.simulation import test_worlds
from tests.simulation.mutants import MUTANTS
from tests.simulation.planes import plane_named
from tests.simulation.project import make_world
from tests.simulation.run import Case, kind_of, main, shrink

BUG, SEED, KIND = "acknowledge_first", 1, "accounts"  # as the table of docs/simulation.md has it


@contextmanager
def planted() -> Iterator[None]:
    """The running code with the bug."""
    mutant = next(each for each in MUTANTS if each.name == BUG)
    with mutant.plant(), plane_named(mutant.plane).installed():
        yield


def arguments(command: str) -> list[str]:
    """What stands behind ``python -m MODULE``."""
    assert command.startswith("python -m tests.simulation.run ")
    return command.split()[3:]


def test_a_smaller_world_breaks_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    whole = Case("plain", SEED)
    with planted():
        lived = whole.lived()
        smaller = shrink(whole, kind_of(lived.problems))
        assert main(arguments(smaller.command)) == 1
    shown = capsys.readouterr().out
    assert kind_of(lived.problems) == KIND
    assert f"\n  {KIND}: " in shown
    deliveries = {each.name for each in make_world(SEED, "plain").deliveries}
    assert 0 < len(smaller.without) < len(deliveries)
    assert smaller.strikes is not None
    assert 0 < len(smaller.strikes) < lived.strikes
    told = [line for line in shown.splitlines() if " strike " in line]
    assert len(told) == len(smaller.strikes), "each strike that is left is told when it happens"
    assert main(arguments(smaller.command)) == 0, "without the bug the smaller world keeps its promises"


def test_a_failing_test_prints_the_smaller_world(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(test_worlds._AT_ONCE, "plain", 2)
    with planted():
        told = test_worlds.kept("plain", SEED)
        _, _, command = told.rpartition("smaller: ")
        assert main(arguments(command)) == 1
    assert told.startswith(f"{Case('plain', SEED).command}\n  {KIND}: ")
