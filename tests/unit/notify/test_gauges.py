"""How things stand is counted from what is open, and never from what a stranger made up."""

from pathlib import Path

from services.notify.gauges import OTHERS, PIPELINES_MAX, gauges
from shared.ports.state_store import Put, StateStore
from tests.unit.mend.small_project import HEADER, SmallProject, lines

SECOND = 1_000_000


def stand(state: StateStore, now: int) -> dict[tuple[str, ...], float]:
    found = {(each.name, *each.labels.values()): each.value for each in gauges(state, now)}
    assert len(found) == len(gauges(state, now)), "one point a series"
    return found


def test_a_store_in_which_nothing_happened(tmp_path: Path) -> None:
    process = SmallProject(tmp_path).process()
    assert stand(process.store, 1) == {("incidents_open", "", ""): 0.0, ("oldest_waiting_seconds",): 0.0}


def test_what_is_open_and_what_waits(tmp_path: Path) -> None:
    project = SmallProject(tmp_path)
    project.deliver("a.csv", HEADER + lines(1, 9) + "x,Rome,1,2024-01-01\n")
    process = project.run()
    now = process.clock.now() + 60 * SECOND
    found = stand(process.store, now)
    assert found["incidents_open", "", ""] == 0.0, "it was handed to a person, which ends it"
    assert 60 <= found["last_delivery_seconds", "orders"] < 7_200
    assert found["oldest_waiting_seconds",] == 0.0
    waiting = {"state": "proposed", "pipeline": "orders", "proposed_at": now - 90 * SECOND}
    opened = {"state": "waiting", "pipeline": "orders"}
    process.store.commit([Put("remedies", "r1", waiting), Put("remedies", "r2", {**waiting, "proposed_at": now})])
    process.store.commit([Put("incidents", "i1", opened), Put("incidents", "i2", opened)])
    found = stand(process.store, now)
    assert found["incidents_open", "orders", "waiting"] == 2.0
    assert found["remedies_waiting", "orders"] == 2.0
    assert found["oldest_waiting_seconds",] == 90.0


def test_what_is_closed_is_not_counted(tmp_path: Path) -> None:
    process = SmallProject(tmp_path).process()
    closed = [Put("incidents", f"i{state}", {"state": state, "pipeline": "p"}) for state in ("healed", "dismissed")]
    process.store.commit([*closed, Put("incidents", "i3", {"state": "waiting", "pipeline": "p"})])
    assert stand(process.store, 1)["incidents_open", "p", "waiting"] == 1.0
    assert stand(process.store, 1).keys() == {("incidents_open", "p", "waiting"), ("oldest_waiting_seconds",)}


def test_thousands_of_pipelines_are_not_thousands_of_series(tmp_path: Path) -> None:
    process = SmallProject(tmp_path).process()
    many = [
        Put("incidents", f"i{number}", {"state": "open", "pipeline": f"p{number:04d}\x1b[31m" + "x" * 500})
        for number in range(PIPELINES_MAX + 50)
    ]
    process.store.commit(many)
    found = stand(process.store, 1)
    assert found["incidents_open", OTHERS, "open"] == 50.0
    assert len(found) == PIPELINES_MAX + 2
    assert all(len(label) <= 101 and "\x1b" not in label for key in found for label in key)
