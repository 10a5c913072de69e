"""Goal: one incident is shown as among all, without reading all; what a report by hand comes to is read so."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mend import report
from mend.main import app
from services.classify import text_model
from shared.ports.state_store import Put, Stored, Where
from tests.support.indexed_store import IndexedStore
from tests.unit.mend.small_project import HEADER, SmallProject, lines

_OTHERS = 500


class CountingStore(IndexedStore):
    """The store, and how many documents were read from it."""

    read = 0

    def get(self, collection: str, key: str) -> Stored | None:
        self.read += 1
        found: Stored | None = self._store.get(collection, key)
        return found

    def query(
        self,
        collection: str,
        where: Sequence[Where] = (),
        order_by: str = "",
        descending: bool = False,
        limit: int = 1_000,
    ) -> list[Stored]:
        found = super().query(collection, where, order_by, descending, limit)
        self.read += len(found)
        return found


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    """Rows with dates of another form and a wrong number, which are several incidents with their remedies."""
    project = SmallProject(tmp_path_factory.mktemp("project"), healing="guarded")
    project.deliver("a.csv", HEADER + lines(1, 200))
    project.run()
    rows = lines(201, 400).splitlines()
    for index in range(40):
        number, city, amount, day = rows[index].split(",")
        rows[index] = ",".join([number, city, amount, "/".join(reversed(day.split("-")))])
    project.deliver("b.csv", HEADER + "\n".join(rows) + "\nx,Rome,1,2024-01-01\n1,2,3,4,5,6\n")
    process = project.run()
    document = {"failure_class": "unknown", "fingerprint": "f", "pipeline": "p", "state": "healed"}
    for start in range(0, _OTHERS, 100):
        names = [f"other{number}" for number in range(start, start + 100)]
        process.store.commit([Put("incidents", name, {**document, "first_seen": 1}) for name in names])
        process.store.commit([Put("remedies", f"r-{name}", {"incident_id": name}) for name in names])
    return project


def test_an_incident_alone_is_as_among_all(project: SmallProject) -> None:
    process = project.process()
    everything = report.incidents(report.Store(process.store, process.objects))
    own = [each for each in everything if not each["id"].startswith("other")]
    assert len(own) > 2
    assert any(each["remedies"] for each in own)
    for entry in [*own, everything[-1]]:
        counting = CountingStore(process.store)
        assert report.incident_alone(report.Store(counting, process.objects), entry["id"]) == entry
        assert counting.read < 10


def test_one_that_is_not_there_or_not_classified(project: SmallProject) -> None:
    process = project.process()
    store = report.Store(process.store, process.objects)
    process.store.commit([Put("incidents", "young", {"fingerprint": "f", "pipeline": "p"})])
    assert report.incident_alone(store, "young") is None
    assert report.incident_alone(store, "nobody") is None


def test_a_report_by_hand_reads_no_other_incident(
    project: SmallProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: Any, **named: Any) -> None:
        pytest.fail("a store may hold a year of incidents")

    monkeypatch.setattr(report, "incidents", refuse)
    signal = tmp_path / "signal.json"
    signal.write_text(json.dumps({"system": "etl", "message": "disk full"}))
    ended = CliRunner().invoke(app, ["signal", str(signal), "--root", str(project.root), "--json"])
    (entry,) = json.loads(ended.stdout)["incidents"]
    assert entry["explanation"]


def test_a_report_that_we_cannot_deal_with_names_the_incident_that_says_why(
    project: SmallProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEND_TEXT_MODEL", str(tmp_path / "nowhere"))
    text_model.chosen.cache_clear()
    for number in range(2):
        signal = tmp_path / f"signal{number}.json"
        signal.write_text(json.dumps({"system": "etl", "message": "disk full"}))
        ended = CliRunner().invoke(app, ["signal", str(signal), "--root", str(project.root)])
        assert ended.exit_code == 1
        assert "we could not deal with it, which is incident i" in ended.stderr
        assert "holds no text model that can be read" in ended.stderr
        ended = CliRunner().invoke(app, ["signal", str(signal), "--root", str(project.root), "--json"])
        told = json.loads(ended.stdout)
        assert told["incidents"] == []
        assert project.process().store.get("incidents", told["stopped_by"])
    text_model.chosen.cache_clear()
