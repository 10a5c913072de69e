"""What ``make simulate`` says of many worlds, and of one."""

from __future__ import annotations

import re

import pytest

from tests.simulation import run
from tests.simulation.run import main


def counted(shown: str, whom: str) -> dict[str, int]:
    """The counts under a heading of the summary."""
    found = re.search(rf"^{whom}:\n((?:  .*\n)+)", shown, re.MULTILINE)
    assert found is not None, f"{whom} is not in\n{shown}"
    lines = (line.split(maxsplit=1) for line in found[1].splitlines())
    return {kind: int(count.replace(",", "")) for count, kind in lines}


def test_the_summary_counts_whatever_befell(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "20", "--from", "100", "--workers", "1"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("20 worlds, ")
    assert counted(shown, "ports")["store before"] > 5
    assert counted(shown, "delivery")["clean"] > 20
    assert len(counted(shown, "delivery")) > 20
    assert {"approve", "reject", "undo"} <= set(counted(shown, "people"))
    assert counted(shown, "process")["died"] > 10
    assert {"+7,200 s", "-90 s"} <= set(counted(shown, "clock"))
    assert counted(shown, "bus")["a dead letter"] > 0


def test_progress_without_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A line each, now and then: what reads a log sees that it goes on."""
    monkeypatch.setattr(run, "FILE_SECONDS", 0.0)
    assert main(["--seeds", "2", "--workers", "1"]) == 0
    told = capsys.readouterr().err
    assert re.fullmatch(r"2 worlds, .* 0 failed; .*\n", told)


def test_one_world_is_told_step_by_step(capsys: pytest.CaptureFixture[str]) -> None:
    """Each event that a service handled, each strike with the call that it hit, each death: a line each."""
    assert main(["--seed", "139"]) == 0
    lines = capsys.readouterr().out.splitlines()
    steps = [line for line in lines if re.match(r"    +\d+ ", line)]
    assert len(steps) > 50
    assert any(re.search(r" ingest: delivery\.arrived\.v1 handled landing/orders/d00\.csv$", line) for line in steps)
    assert any(re.search(r" strike \d+: [a-z]+\.[a-z]+: [a-z ]+ \(at .+\)$", line) for line in steps)
