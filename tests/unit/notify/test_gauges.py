"""How things stand is counted from what is open and what ended of late, never from what a stranger made up.

Method: the example project runs for real, and its rows are compared with what ``mend status`` says of them.
"""

import io
import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mend import report
from mend.deploy.watching import MONITORING
from mend.runner import run_events, run_pipeline
from services.notify.gauges import LATEST_MAX, OTHERS, PIPELINES_MAX, REPAIRS_SECONDS, ROWS_SECONDS, gauges
from services.notify.overdue import PROMISES_MAX, overdue
from services.notify.repairs import ENDED_MAX, quantile
from services.notify.row_places import PLACES, batches
from shared.adapters.gcp.gauges import PREFIX
from shared.adapters.gcp.metrics import LogMetrics
from shared.events.types import Event, IncidentJudged, RemedyDecided
from shared.ports.gauges import Gauge
from shared.ports.state_store import Put, StateStore, Stored, Where
from shared.runtime import wiring
from shared.runtime.settings import load
from shared.runtime.wiring import Process
from tests.tidy.tree import ROOT
from tests.unit.mend.small_project import HEADER, SmallProject, lines

SECOND = 1_000_000
NOTHING_ENDED = {("incidents_ended", "", ""), ("wrongly_healed", "")}


def stand(state: StateStore, now: int) -> dict[tuple[str, ...], float]:
    found = {(each.name, *each.labels.values()): each.value for each in gauges(state, now)}
    assert len(found) == len(gauges(state, now)), "one point a series"
    return found


def test_a_store_in_which_nothing_happened(tmp_path: Path) -> None:
    process = SmallProject(tmp_path).process()
    silent = {("incidents_open", "", ""), ("oldest_waiting_seconds",), *NOTHING_ENDED}
    assert stand(process.store, 1) == dict.fromkeys(silent, 0.0)


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
    assert stand(process.store, 1).keys() == {
        ("incidents_open", "p", "waiting"),
        ("oldest_waiting_seconds",),
        *NOTHING_ENDED,
    }


def test_thousands_of_pipelines_are_not_thousands_of_series(tmp_path: Path) -> None:
    process = SmallProject(tmp_path).process()
    many = [
        Put("incidents", f"i{number}", {"state": "open", "pipeline": f"p{number:04d}\x1b[31m" + "x" * 500})
        for number in range(PIPELINES_MAX + 50)
    ]
    process.store.commit(many)
    found = stand(process.store, 1)
    assert found["incidents_open", OTHERS, "open"] == 50.0
    assert len(found) == PIPELINES_MAX + 2 + len(NOTHING_ENDED)
    assert all(len(label) <= 101 and "\x1b" not in label for key in found for label in key)


# ── where rows are, and how repairs went ──────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example project, which breaks in four ways, after it was taken in and healed."""
    folder = tmp_path_factory.mktemp("gauges")
    shutil.copytree(ROOT / "examples" / "orders", folder / "project")
    for pipeline in ("customers", "orders"):
        run_pipeline(opened(folder), pipeline, wait_seconds_max=1.0)
    return folder


def opened(folder: Path) -> Process:
    return wiring.build(load({}, root=str(folder / "store"), project=str(folder / "project")))


def told(folder: Path, event: type[Event], **about: Any) -> Process:
    """The process after a person's word was dealt with."""
    process = opened(folder)
    named = process.ids.new()
    run_events(process, [event(id=named, time=process.clock.now(), subject=named, correlation_id=named, **about)])
    return opened(folder)


def test_rows_are_where_status_says_they_are(project: Path) -> None:
    process = opened(project)
    found = stand(process.store, process.clock.now())
    reported = report.batches(report.Store(process.store, process.objects))
    for pipeline in ("customers", "orders"):
        mine = [each for each in reported if each["pipeline"] == pipeline and each["state"] != "duplicate"]
        for place in PLACES:
            assert found["recent_rows", pipeline, place] == sum(each[f"rows_{place}"] for each in mine), place
    assert found["recent_rows", "orders", "quarantined"] > 0
    assert found["recent_rows", "orders", "loaded"] > found["recent_rows", "orders", "quarantined"], "healed ones count"
    newest = max((each for each in reported if each["pipeline"] == "orders"), key=lambda each: str(each["seq"]))
    assert found["quality_score", "orders"] == newest["score"]
    later = stand(process.store, process.clock.now() + 2 * ROWS_SECONDS * SECOND)
    assert not {key for key in later if key[0] in ("recent_rows", "quality_score")}, "of the last day alone"


def test_rows_that_a_newer_delivery_makes_void_are_discarded(tmp_path: Path) -> None:
    small = SmallProject(tmp_path, "overwrite")
    small.deliver("a.csv", HEADER + lines(1, 3))
    small.run()
    small.deliver("a.csv", HEADER + lines(1, 5))
    process = small.run()
    found = stand(process.store, process.clock.now())
    reported = report.batches(report.Store(process.store, process.objects))
    for place in PLACES:
        assert found["recent_rows", "orders", place] == sum(each[f"rows_{place}"] for each in reported), place


ATTEMPT = {"reading": 1, "rows": 9, "rows_discarded": 0, "rows_quarantined": 0}


def quarantined(process: Process, attempts: list[dict[str, Any]], verdicts: dict[int, int]) -> tuple[int, int]:
    """Rows read and rows in quarantine of a batch; ``verdicts``: how many rows each attempt set aside."""
    readings = [{"number": number, "rows": 8 + number} for number in (1, 2)]
    delivery = {"batch_id": "b1", "pipeline": "p", "reading": 2, "readings": readings}
    told = [
        Put("verdicts", f"v{number}", {"batch_id": "b1", "attempt": number, "rows_quarantined": rows, "score": 50.0})
        for number, rows in verdicts.items()
    ]
    healing = {"kind": "batch", "batch_id": "b1", "attempts": [{**ATTEMPT, **each} for each in attempts]}
    process.store.commit([*told, *([Put("healings", "b1", healing)] if attempts else [])])
    (found,) = batches(process.store, [delivery])
    return found.places["read"], found.places["quarantined"]


READING = {"number": 1, "kind": "reading", "state": "done", "rows_quarantined": 7}
AGAIN = {"number": 2, "kind": "reading", "state": "open", "reading": 2}
REPAIR = {"number": 2, "kind": "rows", "state": "done", "rows": 5, "rows_quarantined": 2}
OUT = {"state": "withdrawn"}


@pytest.mark.parametrize(
    ("attempts", "verdicts", "wanted"),
    [
        ([], {1: 7}, 7),
        ([READING, REPAIR], {1: 7, 2: 2}, 4),
        ([READING, {**REPAIR, **OUT}], {1: 7, 2: 2}, 7),  # the repair failed: the rows are where they were
        ([READING, {**REPAIR, **OUT}, {**REPAIR, "number": 3, **OUT}], {1: 7, 2: 2, 3: 1}, 7),
        ([{**READING, "rows_quarantined": 0}, {**REPAIR, **OUT}], {1: 7, 2: 2}, 7),  # remediate knows the repair alone
        ([{**READING, **OUT}, AGAIN], {1: 7}, 0),  # read anew, and not judged: they are nowhere
        ([{**READING, **OUT}, AGAIN], {1: 7, 2: 3}, 3),
        ([{**READING, **OUT}, {**AGAIN, **OUT}, {**AGAIN, "number": 3, "reading": 3}], {1: 7, 2: 3}, 0),
    ],
)
def test_what_was_withdrawn_keeps_no_row(
    tmp_path: Path, attempts: list[dict[str, Any]], verdicts: dict[int, int], wanted: int
) -> None:
    process = SmallProject(tmp_path).process()
    assert quarantined(process, attempts, verdicts) == (10, wanted)


def test_repairs_are_counted_until_they_prove_wrong(project: Path, tmp_path: Path) -> None:
    shutil.copytree(project, tmp_path / "copy")
    process = opened(tmp_path / "copy")
    before = stand(process.store, process.clock.now())
    healed = before["incidents_ended", "orders", "healed"]
    assert healed >= 2
    assert before["wrongly_healed", ""] == 0.0
    assert 0.0 < before["repair_seconds", "median"] <= before["repair_seconds", "p90"]
    assert before["incidents_ended", "orders", "escalated"] >= 1
    verified = [each.data for each in process.store.query("remedies") if each.data["state"] == "verified"]
    undone = min(verified, key=lambda each: str(each["remedy_id"]))
    about = {"remedy_id": undone["remedy_id"], "decision": "undo", "by": "ada"}
    process = told(tmp_path / "copy", RemedyDecided, **about)
    after = stand(process.store, process.clock.now())
    assert after["wrongly_healed", "orders"] == 1.0, "a person took it back"
    other = next(each["incident_id"] for each in verified if each["incident_id"] != undone["incident_id"])
    judged = {"incident_id": other, "verdict": "wrong", "by": "ada"}
    process = told(tmp_path / "copy", IncidentJudged, **judged)
    assert stand(process.store, process.clock.now())["wrongly_healed", "orders"] == 2.0, "of another cause than it was"
    process = told(tmp_path / "copy", IncidentJudged, **{**judged, "verdict": "right"})
    assert stand(process.store, process.clock.now())["wrongly_healed", "orders"] == 1.0, "the last word counts"
    later = process.clock.now() + (REPAIRS_SECONDS + 60) * SECOND
    past = stand(process.store, later)
    assert past["wrongly_healed", ""] == past["incidents_ended", "", ""] == 0.0, "of the last seven days alone"
    assert not {key for key in past if key[0] == "repair_seconds"}


def test_what_failed_by_itself_was_no_repair(tmp_path: Path) -> None:
    process = SmallProject(tmp_path).process()
    incident = {"incident_id": "i1", "kind": "incident", "state": "classified", "pipeline": "p", "undone_at": 5}
    remedy = {"incident_id": "i1", "state": "undone", "undone_by": "", "verified_at": 0}
    process.store.commit([Put("incidents", "i1", incident), Put("remedies", "r1", remedy)])
    assert stand(process.store, 10)["wrongly_healed", ""] == 0.0
    process.store.commit([Put("remedies", "r2", {**remedy, "undone_by": "ada"})])
    assert stand(process.store, 10)["wrongly_healed", ""] == 0.0, "it was taken back before it was a repair"
    process.store.commit([Put("remedies", "r3", {**remedy, "undone_by": "ada", "verified_at": 4})])
    assert stand(process.store, 10)["wrongly_healed", "p"] == 1.0


def test_quantiles_are_values_that_were_there() -> None:
    took = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 100.0]
    assert [quantile(took, share) for share in (0.0, 0.5, 0.9, 0.91, 1.0)] == [1.0, 5.0, 9.0, 100.0, 100.0]
    assert quantile([4.0], 0.5) == quantile([4.0], 0.9) == 4.0


class CountingStore:
    """The store, and how many documents were read of it."""

    def __init__(self, store: StateStore) -> None:
        self._store = store
        self.limits = store.limits
        self.documents = 0

    def get(self, collection: str, key: str) -> Stored | None:
        self.documents += 1
        return self._store.get(collection, key)

    def query(
        self,
        collection: str,
        where: Sequence[Where] = (),
        order_by: str = "",
        descending: bool = False,
        limit: int = 1_000,
    ) -> list[Stored]:
        found = self._store.query(collection, where, order_by, descending, limit)
        self.documents += len(found)
        return found

    def commit(self, writes: Any, expect: Any = ()) -> None:
        raise AssertionError("how things stand is looked at, not changed")


def test_what_lies_further_back_costs_nothing(tmp_path: Path) -> None:
    process = SmallProject(tmp_path).process()
    reading = [{"number": 1, "rows": 2}]
    writes = []
    for number in range(3_000):
        at, batch = number * SECOND, f"b{number:05d}"
        delivery = {"batch_id": batch, "pipeline": "p", "registered_at": at, "reading": 1, "readings": reading}
        verdict = {"batch_id": batch, "attempt": 1, "rows_quarantined": 0, "score": 50.0}
        loaded = {"batch_id": batch, "kind": "load", "state": "loaded", "rows_loaded": 2, "rows_discarded": 0}
        incident = {"incident_id": f"i{number}", "state": "healed", "pipeline": "p", "first_seen": 0, "closed_at": at}
        writes += [Put("deliveries", batch, delivery), Put("verdicts", batch, verdict), Put("loads", batch, loaded)]
        writes.append(Put("incidents", f"i{number}", incident))
    for start in range(0, len(writes), process.store.limits.writes_per_commit_max):
        process.store.commit(writes[start : start + process.store.limits.writes_per_commit_max])
    counting = CountingStore(process.store)
    found = {(each.name, *each.labels.values()): each.value for each in gauges(counting, 3_000 * SECOND)}
    assert counting.documents == 3 * LATEST_MAX + ENDED_MAX
    assert found["recent_rows", "p", "loaded"] == 2.0 * LATEST_MAX
    assert found["incidents_ended", "p", "healed"] == ENDED_MAX


def promising(folder: Path, freshness: str) -> None:
    """Let the pipeline of orders promise that something comes that often."""
    path = folder / "pipelines" / "orders.yaml"
    lines_ = [line for line in path.read_text().splitlines() if not line.startswith("alerts:")]
    path.write_text("\n".join([*lines_, f"alerts: {{freshness: {freshness}}}"]))


def test_who_is_later_than_promised_is_told(tmp_path: Path) -> None:
    small = SmallProject(tmp_path)
    small.deliver("a.csv", HEADER + lines(1, 3))
    process = small.run()
    at = int(process.store.query("deliveries")[0].data["registered_at"])
    out = io.StringIO()

    def late(now: int) -> list[Gauge]:
        return overdue(process.store, process.definitions, LogMetrics(out), now)

    assert late(at + 10_000 * SECOND) == [], "nothing is promised"
    promising(tmp_path, "2h")
    assert late(at + 7_200 * SECOND) == [Gauge("overdue_seconds", 0.0, {"pipeline": "orders"})]
    assert out.getvalue() == "", "who is in time has no line that an alert counts"
    assert late(at + 7_201 * SECOND) == [Gauge("overdue_seconds", 1.0, {"pipeline": "orders"})]
    told = json.loads(out.getvalue())
    assert (told["metric"], told["value"], told["labels"]) == ("overdue_seconds", 1.0, {"pipeline": "orders"})
    (tmp_path / "pipelines" / "broken.yaml").write_text("pipeline: [")
    silent = (tmp_path / "pipelines" / "orders.yaml").read_text().replace("pipeline: orders", "pipeline: silent")
    (tmp_path / "pipelines" / "silent.yaml").write_text(silent)
    assert [each.labels["pipeline"] for each in late(at)] == ["orders"], (
        "what cannot be read, or never came, is not late"
    )


def test_what_arrived_last_counts_whatever_its_place_in_the_order(tmp_path: Path) -> None:
    small = SmallProject(tmp_path)
    promising(tmp_path, "2h")
    process = small.process()
    older = {f"zurich_{number}": number for number in range(9)}
    found = {**older, "berlin_1": 10_000}  # ordered by name it comes before all that arrived earlier
    process.store.commit(
        [
            Put("deliveries", name, {"pipeline": "orders", "seq": name, "registered_at": at * SECOND})
            for name, at in found.items()
        ]
    )
    late = overdue(process.store, process.definitions, process.metrics, 17_201 * SECOND)
    assert [each.value for each in late] == [1.0]


def test_a_copy_of_a_pipelines_file_is_not_watched_too(tmp_path: Path) -> None:
    """Cloud Monitoring takes one point a series: with two it refuses all."""
    small = SmallProject(tmp_path)
    promising(tmp_path, "2h")
    process = small.process()
    process.store.commit([Put("deliveries", "b", {"pipeline": "orders", "seq": "a", "registered_at": SECOND})])
    text = (tmp_path / "pipelines" / "orders.yaml").read_text()
    (tmp_path / "pipelines" / "orders_backup.yaml").write_text(text.replace("2h", "9h"))
    (tmp_path / "pipelines" / "orders.yml").write_text(text.replace("2h", "9h"))
    out = io.StringIO()
    late = overdue(process.store, process.definitions, LogMetrics(out), 7_202 * SECOND)
    assert late == [Gauge("overdue_seconds", 1.0, {"pipeline": "orders"})]
    assert len(out.getvalue().splitlines()) == 1


def test_promises_are_counted_not_files(tmp_path: Path) -> None:
    small = SmallProject(tmp_path)
    process = small.process()
    text = (tmp_path / "pipelines" / "orders.yaml").read_text()
    promising(tmp_path, "2h")
    promised = (tmp_path / "pipelines" / "orders.yaml").read_text()
    names = [f"p{number:03}" for number in range(PROMISES_MAX + 1)]
    for name in names:
        (tmp_path / "pipelines" / f"a{name}.yaml").write_text(text.replace("pipeline: orders", f"pipeline: a{name}"))
        (tmp_path / "pipelines" / f"{name}.yaml").write_text(promised.replace("pipeline: orders", f"pipeline: {name}"))
    delivery = {"seq": "a", "registered_at": SECOND}
    process.store.commit([Put("deliveries", name, {**delivery, "pipeline": name}) for name in ("orders", *names)])
    late = overdue(process.store, process.definitions, process.metrics, 2 * SECOND)
    assert [each.labels["pipeline"] for each in late] == ["orders", *names[: PROMISES_MAX - 1]]


# ── what is charted ───────────────────────────────────────────────────────────────────────────────────────────────

_LABEL = re.compile(r"metric\.labels\.(\w+)")


def test_what_is_charted_is_written_and_what_is_written_is_charted(project: Path, tmp_path: Path) -> None:
    process = opened(project)
    waiting = {"state": "proposed", "pipeline": "orders", "proposed_at": process.clock.now()}
    shutil.copytree(project, tmp_path / "copy")
    process = opened(tmp_path / "copy")
    process.store.commit([Put("remedies", "r-waiting", waiting)])
    labels: dict[str, set[str]] = {}
    promising(Path(process.settings.project), "1h")
    late = overdue(process.store, process.definitions, process.metrics, process.clock.now())
    for each in [*gauges(process.store, process.clock.now()), *late]:
        labels.setdefault(each.name, set()).update(each.labels)
    charted: dict[str, set[str]] = {}
    for path in sorted((ROOT / MONITORING).rglob("*.json")):
        for each in _asked(json.loads(path.read_text(encoding="utf-8"))):
            found = re.search(rf'metric\.type="{PREFIX}(\w+)"', each["filter"])
            if found:
                assert 'resource.type="generic_task"' in each["filter"]
                used = _LABEL.findall(json.dumps(each))
                charted.setdefault(found[1], set()).update(used)
    assert charted.keys() == labels.keys()
    for name, used in charted.items():
        assert used <= labels[name], f"{name} has no label {used - labels[name]}"


def _asked(document: Any) -> list[dict[str, Any]]:
    """Every object with a filter in a dashboard, an alert or a metric."""
    if isinstance(document, list):
        return [found for each in document for found in _asked(each)]
    if not isinstance(document, dict):
        return []
    inner = [found for each in document.values() for found in _asked(each)]
    return [document, *inner] if isinstance(document.get("filter"), str) else inner
