"""What a run could not end is said, whoever waits for it."""

from __future__ import annotations

from pathlib import Path

from mend.runner import run_events
from shared.ports.state_store import Put
from tests.support.local_ports import make_process


def test_a_batch_that_waits_is_said(tmp_path: Path) -> None:
    process = make_process(tmp_path)
    assert run_events(process, [], 0.0) == ""
    later = process.clock.now() + 10_000_000
    process.store.commit([Put("waiting", "b1:1", {"pipeline": "p", "seq": "1", "wake_at": later})])
    assert "the next mend run goes on with it" in run_events(make_process(tmp_path), [], 0.0)


def test_one_that_was_called_waits_no_more(tmp_path: Path) -> None:
    """Its call is an event of its own: what fails then has an incident, and is no reason for all later runs to fail."""
    process = make_process(tmp_path)
    called = {"pipeline": "p", "seq": "1", "called": True, "wake_at": 0}
    process.store.commit([Put("waiting", "b1:1", called)])
    assert run_events(process, [], 0.0) == ""
