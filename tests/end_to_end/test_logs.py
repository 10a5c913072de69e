"""``mend explain --logs``: what the services wrote about one thing, and about nothing else."""

from pathlib import Path

import pytest

from tests.end_to_end.orders import GOOD, Orders
from tests.unit.mend.small_project import HEADER

pytestmark = pytest.mark.slow
PLANTED = "Xanadu-4711"


def test_an_incident_with_its_log(tmp_path: Path) -> None:
    orders = Orders(tmp_path)
    orders.deliver("a.csv", GOOD)
    orders.deliver("b.csv", HEADER + f"oops,{PLANTED},1,2024-01-01\n")
    orders.run_it()
    (incident,) = orders.mend("incidents", "--root", "store", "--json").json["incidents"]
    without = orders.mend("explain", incident["id"], "--root", "store", "--json").json
    assert "logs" not in without
    story = orders.mend("explain", incident["id"], "--root", "store", "--logs", "--json").json
    events = [(each["service"], each["event"]) for each in story["logs"]]
    assert ("validate", "batch.staged.v1") in events
    assert ("classify", "incident.opened.v1") in events
    assert {each["about"] for each in story["logs"]} <= {story["id"], story["batch_id"]}
    times = [each["time"] for each in story["logs"]]
    assert times == sorted(times)
    assert times[0] > 1_700_000_000_000_000
    shown = orders.mend("explain", incident["id"], "--root", "store", "--logs")
    assert "What the services wrote" in shown.out
    assert "classify  incident.opened.v1" in shown.out
    assert PLANTED not in shown.out


def test_a_log_that_is_gone(tmp_path: Path) -> None:
    orders = Orders(tmp_path)
    orders.deliver("a.csv", GOOD)
    orders.run_it()
    (batch,) = orders.mend("status", "--root", "store", "--json").json["batches"]
    (orders.root / "log.jsonl").unlink()
    shown = orders.mend("explain", batch["batch_id"], "--root", "store", "--logs")
    assert "nothing that is still kept" in shown.out
