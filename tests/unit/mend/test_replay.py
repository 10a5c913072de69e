"""`mend replay` has failed and given-up events handled again, once each, and says what came of it."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mend.main import app
from mend.services import every_service
from shared.events.types import SourceDue
from shared.ports.event_bus import DEAD_LETTER_TOPIC
from shared.runtime import settings, wiring
from shared.runtime.handling import messages_of
from tests.unit.mend.small_project import CONTRACT, HEADER, PIPELINE, lines

DUE = {"time": 1, "subject": "orders", "correlation_id": "e1", "pipeline": "orders"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A pipeline of orders whose deliveries are not there yet."""
    for folder in ("pipelines", "contracts"):
        (tmp_path / folder).mkdir()
    (tmp_path / "pipelines" / "orders.yaml").write_text(PIPELINE.format(mode="append", healing="observe"))
    (tmp_path / "contracts" / "orders.odcs.yaml").write_text(CONTRACT)
    (tmp_path / "store" / ".mend").mkdir(parents=True)
    known = {"project": str(tmp_path), "files": {}}
    (tmp_path / "store" / ".mend" / "project.json").write_text(json.dumps(known))
    return tmp_path


def opened(project: Path) -> wiring.Process:
    """A process over the project's store."""
    return wiring.build(settings.load({}, root=str(project / "store"), project=str(project)))


def due(process: wiring.Process, seconds: float = 1.0) -> None:
    """The source of orders is looked at."""
    worker = process.worker(every_service())
    process.bus.publish(messages_of("test", [SourceDue(id="e1", **DUE)]))  # type: ignore[arg-type]
    worker.run_until_idle(seconds)
    process.close()


def deliver(project: Path) -> None:
    """The deliveries arrive."""
    (project / "landing").mkdir()
    (project / "landing" / "a.csv").write_text(HEADER + lines(1, 5))


def replay(project: Path, *what: str) -> tuple[int, dict[str, Any]]:
    """Exit code and report of the command."""
    result = CliRunner().invoke(app, ["replay", *what, "--root", str(project / "store"), "--json"])
    return result.exit_code, json.loads(result.stdout) if result.stdout else {"error": str(result.exception)}


def loaded(project: Path) -> int:
    """Rows in the warehouse."""
    process = opened(project)
    rows = sum(batch.num_rows for batch in process.warehouse.dump("shop.orders"))
    process.close()
    return rows


def test_a_failed_event_is_handled_when_its_cause_is_gone(project: Path) -> None:
    process = opened(project)
    due(process)
    receipt = process.store.get("receipts", "ingest:e1")
    assert receipt is not None
    assert receipt.data["state"] == "failed"
    deliver(project)
    code, report = replay(project, "e1")
    assert (code, [each["outcome"] for each in report["replayed"]]) == (0, ["handled"])
    assert loaded(project) == 5


def test_a_failed_event_that_fails_again_says_so(project: Path) -> None:
    due(opened(project))
    code, report = replay(project, "e1")
    assert (code, [each["outcome"] for each in report["replayed"]]) == (1, ["failed"])


def test_replaying_twice_loads_once(project: Path) -> None:
    due(opened(project))
    deliver(project)
    replay(project, "e1")
    replay(project, "e1")
    assert loaded(project) == 5


@pytest.mark.parametrize(("healing", "way"), [("propose", "approve"), ("observe", "retry")])
def test_by_its_incident(project: Path, healing: str, way: str) -> None:
    """One that waits for a person closes with it, and that person is on record; one that was given up stays so."""
    (project / "pipelines" / "orders.yaml").write_text(PIPELINE.format(mode="append", healing=healing))
    process = opened(project)
    due(process)
    deliver(project)
    (incident,) = [stored.key for stored in process.store.query("incidents") if "origin" in stored.data]
    code, report = replay(project, incident, "--by", "ada")
    assert code == 0
    assert (report["replayed"][0]["way"], report["replayed"][0]["outcome"]) == (way, "handled")
    assert report["replayed"][0]["incident_state"] == ("healed" if way == "approve" else "escalated")
    assert any(s.data.get("decided_by") == "ada" for s in process.store.query("remedies")) == (way == "approve")
    assert loaded(project) == 5


def bury(process: wiring.Process) -> None:
    """The event of the source uses up its deliveries without ever being handled."""
    process.worker(every_service())
    process.bus.publish(messages_of("test", [SourceDue(id="e1", **DUE)]))  # type: ignore[arg-type]
    name = f"ingest.{messages_of('test', [SourceDue(id='e1', **DUE)])[0].topic}"  # type: ignore[arg-type]
    for _ in range(process.bus.limits.deliveries_max):
        for delivery in process.bus.pull([name], 1, 60):
            process.bus.nack(delivery, 0)
    assert process.bus.next_due([f"ingest.{DEAD_LETTER_TOPIC}"]) is not None


@pytest.mark.parametrize("how", ["incident", "event", "all"])
def test_a_dead_letter_comes_back_to_life(project: Path, how: str) -> None:
    process = opened(project)
    deliver(project)
    bury(process)
    process.worker(every_service()).run_until_idle(1.0)
    process.close()
    assert loaded(project) == 0
    (letter,) = [s.key for s in process.store.query("incidents") if s.data.get("origin") == "dead_letter"]
    code, report = replay(project, {"incident": letter, "event": "e1", "all": "--dead-letters"}[how])
    assert (code, [each["outcome"] for each in report["replayed"]]) == (0, ["handled"])
    assert loaded(project) == 5
    assert replay(project, "--dead-letters")[1] == {"replayed": []}
    assert "handled" in replay(project, letter)[1]["error"]


def test_what_was_handled_is_not_replayed(project: Path) -> None:
    deliver(project)
    due(opened(project))
    code, report = replay(project, "e1")
    assert code != 0
    assert "was handled by every service" in report["error"]


def test_a_batch_or_nothing_known_is_refused_with_advice(project: Path) -> None:
    deliver(project)
    process = opened(project)
    due(process)
    batch = process.store.query("deliveries")[0].key
    assert "is a batch" in replay(project, batch)[1]["error"]
    assert "no incident and no event" in replay(project, "nothing")[1]["error"]


def test_one_thing_or_all_must_be_named(project: Path) -> None:
    opened(project)
    for words in ([], ["e1", "--dead-letters"]):
        result = CliRunner().invoke(app, ["replay", *words, "--root", str(project / "store")])
        assert result.exit_code == 2
