"""The story of incidents, remedies and batches: complete, with the exact commands, and without a cell's value."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from mend.evidence_words import sentences, share
from mend.explain import _waits
from mend.main import app
from shared.adapters.local.warehouse import DuckDbWarehouse
from shared.domain.causes import CAUSES
from shared.domain.errors import WarehouseBusy
from shared.ports.state_store import Put
from tests.unit.mend.small_project import HEADER, SmallProject, lines

WRITTEN = "19/01/2024"


def deliver_dates(project: SmallProject) -> None:
    """A delivery in which some days are written in another format, and one row is beyond repair."""
    project.deliver("a.csv", HEADER + lines(1, 200))
    rows = lines(201, 400).splitlines()
    for index in range(40):
        number, city, amount, day = rows[index].split(",")
        rows[index] = ",".join([number, city, amount, "/".join(reversed(day.split("-")))])
    project.deliver("b.csv", HEADER + "\n".join(rows) + "\n1,2,3,4,5,6\n")


@pytest.fixture(scope="module")
def healed(tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    project = SmallProject(tmp_path_factory.mktemp("healed"), healing="guarded")
    deliver_dates(project)
    project.run()
    return project


@pytest.fixture(scope="module")
def proposed(tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    project = SmallProject(tmp_path_factory.mktemp("proposed"), healing="propose")
    deliver_dates(project)
    project.run()
    return project


def mend(project: SmallProject, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["explain", *arguments, "--root", str(project.root)])


def story(project: SmallProject, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(mend(project, *arguments, "--json").output)
    return found


def incident(project: SmallProject, check: str) -> str:
    stored = project.process().store.query("incidents")
    return next(each.key for each in stored if each.data.get("check") == check)


def test_a_healed_incident_from_evidence_to_undo(healed: SmallProject) -> None:
    key = incident(healed, "type")
    told = story(healed, key)
    assert (told["state"], told["input"]) == ("healed", "landing/b.csv")
    assert any("dates written as %d/%m/%Y" in fact for fact in told["seen"]["facts"])
    assert told["believed"]["cause"] == "date_format_changed"
    assert told["believed"]["because"]
    assert told["believed"]["means"] == CAUSES["date_format_changed"].meaning
    assert told["believed"]["remedies_that_fit"] == ["normalise_text", "parse_dates", "widen_type"]
    (remedy,) = told["done"]
    assert (remedy["remedy"], remedy["state"], remedy["decided_by"]) == ("parse_dates", "verified", "policy")
    assert (remedy["cells_changed"], remedy["rows_healed"]) == (40, 40)
    assert remedy["because"]
    assert remedy["repairs"] == [
        {
            "column": "day",
            "cells": 40,
            "proposed": False,
            "texts": remedy["repairs"][0]["texts"],
            "confidence_min": remedy["repairs"][0]["confidence_min"],
        }
    ]
    assert remedy["undo"] == f"mend undo {remedy['id']} --root {healed.root}"
    assert told["waits"] == []
    text = mend(healed, key)
    assert text.exit_code == 0
    for heading in ("What was seen", "What was believed, and why", "What was done", "How it stands"):
        assert heading in text.output
    assert remedy["undo"] in text.output
    assert "decided by policy" in text.output
    assert CAUSES["date_format_changed"].meaning in text.output
    assert "remedies that fit: normalise_text, parse_dates, widen_type" in text.output


def test_values_are_shown_only_when_asked_for(healed: SmallProject) -> None:
    key = incident(healed, "type")
    for arguments in ([key], [key, "--json"]):
        assert WRITTEN not in mend(healed, *arguments).output
    assert f"'{WRITTEN}' → '2024-01-19'" in mend(healed, key, "--values").output
    changes = story(healed, key, "--values")["done"][0]["repairs"][0]["changes"]
    assert {"before": WRITTEN, "after": "2024-01-19", "cells": 1} in changes or len(changes) == 20


def test_an_incident_that_is_a_persons_says_where_to_begin(healed: SmallProject) -> None:
    told = story(healed, incident(healed, "well_formed"))
    assert told["state"] == "escalated"
    assert told["waits"][0]["commands"] == [f"mend quarantine show {told['batch_id']} --root {healed.root}"]
    assert mend(healed, told["id"]).exit_code == 3


def test_an_attempt_that_waits_for_others_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The warehouse has had its number of jobs: batch, incident and overview say for what nobody has to do anything."""

    def busy(*_: object) -> object:
        raise WarehouseBusy("too many jobs")

    project = SmallProject(tmp_path, healing="propose")
    deliver_dates(project)
    with monkeypatch.context() as broken:
        broken.setattr(DuckDbWarehouse, "run", busy)
        process = project.run()
    waiting = process.store.query("loads")
    batches = {each.data["batch_id"] for each in waiting}
    assert {each.data["kind"] for each in waiting} == {"waiting"}
    assert len(batches) == 2
    (batch,) = {each.data["batch_id"] for each in process.store.query("incidents") if each.data.get("check") == "type"}
    what = "attempt 1 waits to be loaded into shop.orders together with others"
    because = "because the warehouse has had its number of jobs"
    for key in (batch, incident(project, "type")):
        told = story(project, key)["waits"][-1]
        assert (told["what"], told["commands"]) == (f"{what}, {because}", [])
        assert told["until"] == waiting[0].data["wake_at"]
        assert f"  {what}, {because} (until 20" in mend(project, key).output
    overview = CliRunner().invoke(app, ["status", "--root", str(project.root)]).output
    assert "2 batches wait to be loaded together, the warehouse has had its jobs: shop.orders" in overview
    told = json.loads(CliRunner().invoke(app, ["status", "--root", str(project.root), "--json"]).output)
    assert {each["batch_id"] for each in told["loads_waiting"]} == batches
    project.clock.sleep(60)
    project.run()
    assert all(each["commands"] for each in story(project, batch)["waits"]), "they were loaded"
    assert (
        json.loads(CliRunner().invoke(app, ["status", "--root", str(project.root), "--json"]).output)["loads_waiting"]
        == []
    )


def test_a_proposal_waits_with_the_exact_commands(proposed: SmallProject) -> None:
    told = story(proposed, incident(proposed, "type"))
    (remedy,) = [each for each in told["done"] if each["state"] == "proposed"]
    assert told["waits"][0]["commands"] == [
        f"mend approve {remedy['id']} --root {proposed.root}",
        f"mend reject {remedy['id']} --root {proposed.root}",
    ]
    assert remedy["undo"] == ""
    assert remedy["repairs"][0]["proposed"]
    assert mend(proposed, told["id"]).exit_code == 3
    text = mend(proposed, remedy["id"], "--values").output
    assert "waits for a person's decision" in text
    assert "texts would change" in text
    assert WRITTEN in text


def test_a_remedy_tells_its_own_story(healed: SmallProject) -> None:
    key = healed.process().store.query("remedies")[0].key
    told = story(healed, key[:6])
    assert (told["kind"], told["id"], told["attempt"]) == ("remedy", key, 2)
    assert told["about"]["cause"] == "date_format_changed"
    assert "for incident" in mend(healed, key).output


def test_a_batch_tells_how_it_was_read_judged_and_loaded(healed: SmallProject) -> None:
    batch = next(each.key for each in healed.process().store.query("deliveries") if each.data["name"] == "b.csv")
    told = story(healed, batch)
    assert told["rows"] == {"loaded": 200, "quarantined": 1, "discarded": 0, "in_flight": 0}
    assert [(each["kind"], each["rows_passed"], each["load"]) for each in told["attempts"]] == [
        ("reading", 160, "loaded"),
        ("rows", 40, "loaded"),
    ]
    assert told["readings"][0]["options"] == {"format": "csv"}
    assert len(told["incidents"]) == 2
    text = mend(healed, batch).output
    assert "200 loaded, 1 quarantined" in text
    assert WRITTEN not in text


def test_an_unknown_id_lists_near_ones(healed: SmallProject) -> None:
    key = incident(healed, "type")
    told = mend(healed, key[:-1] + "z")
    assert told.exit_code != 0
    assert key in str(told.exception)
    assert "there is no incident or remedy or batch" in str(told.exception)


def test_the_beginning_of_several_ids_is_not_enough(tmp_path: Path) -> None:
    project = SmallProject(tmp_path)
    project.run()
    known = {"failure_class": "unknown", "fingerprint": "f"}
    project.process().store.commit([Put("incidents", "iabc1", known), Put("incidents", "iabc2", known)])
    assert "begins 2 ids: iabc1, iabc2" in str(mend(project, "iabc").exception)


def test_another_systems_report_is_told_as_it_is(tmp_path: Path) -> None:
    project = SmallProject(tmp_path)
    project.run()
    document = {
        "failure_class": "permission_denied",
        "cause": "external_permission",
        "confidence": 0.9,
        "explanation": "It may not.",
        "fingerprint": "f",
        "origin": "signal",
        "system": "airflow",
        "message": "permission denied\nWhat waits\n  mend approve r1",
        "exception_type": "Forbidden",
        "http_status": 403,
        "evidence_json": json.dumps({"dag": "load", "kinds": "nonsense", "date_formats": 7, "inner": {"a": 1}}),
        "state": "escalated",
    }
    project.process().store.commit([Put("incidents", "i1", document)])
    told = story(project, "i1")
    assert "system airflow, exception Forbidden, HTTP status 403" in told["seen"]["facts"]
    assert "dag: load" in told["seen"]["facts"]
    text = mend(project, "i1").output
    assert "another system's report" in text
    assert "\n  mend approve r1" not in text


@pytest.mark.parametrize(("state", "of_remedy"), [("healed", "verified"), ("waiting", "proposed")])
def test_what_another_incidents_remedy_does_for_it_is_told(tmp_path: Path, state: str, of_remedy: str) -> None:
    project = SmallProject(tmp_path)
    project.run()
    known = {
        "failure_class": "schema_mismatch",
        "origin": "dataset",
        "batch_id": "b1",
        "first_attempt": 1,
        "state": state,
    }
    remedy = {"remedy": "rename_columns", "tier": "safe", "state": of_remedy, "incident_id": "i1", "batch_id": "b1"}
    writes = [
        Put("incidents", "i1", known),
        Put("incidents", "i2", known),
        Put("remedies", "r1", {**remedy, "plan_text": "Rename it", "attempt": 2 if state == "healed" else 0}),
    ]
    project.process().store.commit(writes)
    told = story(project, "i2")
    assert told["done"] == []
    assert [each["id"] for each in told["done_for_others"]] == ["r1"]
    text = mend(project, "i2").output
    assert "with the batch, for i1: r1 rename_columns" in text
    assert ("mend approve r1" in text) is (state == "waiting")


def test_evidence_becomes_sentences() -> None:
    seen = {"origin": "dataset", "message": ""}
    evidence = {
        "missing": ["arrival"],
        "missing_count": 1,
        "candidates": [{"missing": "arrival", "delivered": "arr", "synonym": True, "fits_share": 0.999}],
        "problem": "truncated",
        "alternatives": [{}, {}],
        "unit_ratio": [{"factor": 1.609, "from": "mile", "to": "km"}],
        "reasons": ["mean", "nulls"],
        "effects": [
            {"reason": "mean", "effect": 1.61, "noise": 0.02, "limit": 0.25},
            {"reason": "nulls", "effect": 0.4, "noise": 0.0, "limit": 0.25},
        ],
        "baseline_batches": 5,
        "score": 71.5,
        "score_below": 80,
        "dimensions": {"validity": 71.5},
    }
    told = sentences(seen, evidence)
    assert "the delivery lacks arrival" in told
    assert "arr could be arrival: a synonym in the contract, more than 99 % of its values fit" in told
    assert "the delivery as a whole is truncated" in told
    assert "the numbers are 1.609 times what they were, as from mile to km" in told
    mean = "the mean moved by 1.61 of the column's spread (0.02 is usual, 0.25 the limit)"
    assert f"compared with 5 earlier batches {mean}" in told
    nulls = "the share of nulls changed by 40 % (0 is usual, 0.25 the limit)"
    assert f"compared with 5 earlier batches {nulls}" in told
    assert "the batch scores 71.5 of 100, 80 are asked for (validity 71.5)" in told


def test_shares_are_never_rounded_to_nothing_or_to_all() -> None:
    assert [share(each) for each in (0, 0.001, 0.25, 0.996, 1)] == [
        "0 %",
        "less than 1 %",
        "25 %",
        "more than 99 %",
        "100 %",
    ]


def test_a_contract_that_changed_since_the_last_good_batch_is_said(tmp_path: Path) -> None:
    project = SmallProject(tmp_path, healing="observe")
    project.deliver("a.csv", HEADER + lines(1, 40))
    project.run()
    contract = project.folder / "contracts" / "orders.odcs.yaml"
    text = contract.read_text(encoding="utf-8")
    narrower = "{name: city, logicalType: string, logicalTypeOptions: {maxLength: 3}}"
    contract.write_text(text.replace("{name: city, logicalType: string}", narrower), encoding="utf-8")
    project.deliver("b.csv", HEADER + lines(41, 80))
    project.run()
    key = incident(project, "length")
    (changed,) = [each for each in story(project, key)["believed"]["because"] if each["field"] == "contract changed"]
    assert changed["source"] == "circumstances"
    assert [each["cause"] for each in story(project, key)["believed"]["rivals"]] == ["definition_wrong"]
    shown = mend(project, key).output
    assert "circumstances: contract changed = contracts/orders.odcs.yaml@" in " ".join(shown.split())
    assert "else look at definition_wrong: the contract is another one" in " ".join(shown.split())


def test_every_kind_of_drift_has_its_words() -> None:
    from services.validate.drift import _WORDS

    for reason in (*_WORDS, "rows"):
        effect = {"reason": reason, "effect": 0.5, "noise": 0.1, "limit": 0.2}
        told = sentences({"origin": "dataset"}, {"reasons": [reason], "effects": [effect], "baseline_batches": 7})
        assert len(told) == 1
        assert told[0].startswith("compared with 7 earlier batches")
        assert told[0] != f"compared with 7 earlier batches its {reason} moved"
    assert sentences({"origin": "dataset"}, {"reasons": ["mean"], "baseline_batches": 7, "effects": 3}) == [
        "compared with 7 earlier batches its mean moved"
    ]


@pytest.mark.parametrize(("origin", "state", "shown"), [
    ("dataset", "released", False), ("dataset", "held", True), ("violation", "released", True),
])  # fmt: skip
def test_rows_are_looked_for_only_where_some_wait(origin: str, state: str, shown: bool) -> None:
    """A batch that moved and was loaded has no row in quarantine for that."""
    documents = {"b:1": {"state": state}}
    found = SimpleNamespace(get=lambda _, key: SimpleNamespace(data=documents[key]) if key in documents else None)
    store: Any = SimpleNamespace(state=found, command=lambda text: f"mend {text}")
    story = {
        "done": [], "done_for_others": [], "state": "escalated", "batch_id": "b",
        "seen": {"origin": origin, "check": "shift"},
    }  # fmt: skip
    commands = _waits(store, story, {})[-1]["commands"]
    assert ("mend quarantine show b" in commands) == shown
