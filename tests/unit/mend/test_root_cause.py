"""Goal: incidents with one cause are one tree, and none hangs on another without a record that says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mend import root_cause
from mend.main import app
from tests.unit.mend.small_project import HEADER, SmallProject, lines

MINUTE = 60_000_000
FEEDS = {"lab.customers": "customers", "lab.orders": "orders"}


def incident(key: str, minute: float, **told: Any) -> dict[str, Any]:
    evidence = told.pop("evidence", {})
    base: dict[str, Any] = {
        "incident_id": key,
        "first_seen": int(minute * MINUTE),
        "closed_at": 0,
        "pipeline": "orders",
    }
    return {**base, "origin": "violation", "evidence_json": json.dumps(evidence), **told}


def orphans(key: str, minute: float, **told: Any) -> dict[str, Any]:
    evidence = {"hypotheses": {"parent_table": "lab.customers"}}
    return incident(key, minute, check="relationship", cause="orphan_rows", evidence=evidence, family=key, **told)


def held(minute: float, **told: Any) -> dict[str, Any]:
    return incident("held", minute, **{"pipeline": "customers", "cause": "column_renamed", "family": "held", **told})


def test_orphans_hang_on_what_kept_their_parents_away() -> None:
    found = root_cause.links([orphans("orphans", 10), held(5)], FEEDS)
    assert found["orphans"].parent == "held"
    assert "lab.customers is loaded by customers" in found["orphans"].because
    assert "held" not in found


@pytest.mark.parametrize(
    "others",
    [
        [held(5, closed_at=6 * MINUTE)],  # over when the orphans came
        [held(11)],  # came after them
        [held(5, pipeline="weather")],  # loads another table
    ],
)
def test_orphans_of_another_day_hang_on_nothing(others: list[dict[str, Any]]) -> None:
    assert root_cause.links([orphans("orphans", 10), *others], FEEDS) == {}


def test_what_is_counted_over_a_batch_follows_from_its_rows_or_its_end() -> None:
    batch = {"batch_id": "b1"}
    few = incident("few", 1, check="type", cause="x", rows_failed_first=3, **batch)
    many = incident("many", 1, check="enum", cause="y", rows_failed_first=90, **batch)
    score = incident("score", 1, check="score", cause="score_low", origin="dataset", **batch)
    count = incident("count", 1, check="row_count", cause="volume_anomaly", origin="dataset", **batch)
    found = root_cause.links([score, many, few, count], {})
    assert {key: link.parent for key, link in found.items()} == {"score": "many"}
    cut = incident("cut", 1, check="delivery_complete", cause="truncated_delivery", origin="dataset", **batch)
    found = root_cause.links([score, many, few, count, cut], {})
    assert {key: link.parent for key, link in found.items()} == {"score": "cut", "count": "cut"}
    other = {**score, "batch_id": "b2"}
    assert root_cause.links([many, other], {}) == {}


def test_one_outage_of_a_source_is_one_tree_and_the_next_day_another() -> None:
    def down(key: str, minute: float, uri: str, cause: str = "source_unavailable") -> dict[str, Any]:
        return incident(key, minute, origin="source", uri=uri, cause=cause)

    found = root_cause.links(
        [
            down("first", 0, "https://api.example/a.csv"),
            down("second", 10, "https://api.example/b.csv"),
            down("third", 20, "https://api.example/c.csv"),  # ten minutes after the second
            down("elsewhere", 5, "https://other.example/a.csv"),
            down("otherwise", 6, "https://api.example/a.csv", "source_permission"),
            down("nextday", 1_440, "https://api.example/a.csv"),
            down("nowhere", 3, "landing/a.csv"),
        ],
        {},
    )
    assert {key: link.parent for key, link in found.items()} == {"second": "first", "third": "first"}


def test_the_first_of_a_run_explains_the_tasks_that_failed_after_it() -> None:
    def task(key: str, minute: float, run: str, dag: str = "nightly") -> dict[str, Any]:
        evidence = {"dag_id": dag, "run_id": run, "task_id": key}
        return incident(key, minute, origin="signal", system="airflow", cause="external_timeout", evidence=evidence)

    found = root_cause.links([task("load", 9, "r1"), task("extract", 1, "r1"), task("load2", 9, "r2")], {})
    assert {key: link.parent for key, link in found.items()} == {"load": "extract"}
    assert root_cause.links([task("a", 1, "r1"), task("b", 2, "r1", "weekly")], {}) == {}


def test_the_same_column_again_and_again_is_one_tree_while_it_lasts() -> None:
    def renamed(key: str, hour: float, **told: Any) -> dict[str, Any]:
        return incident(key, hour * 60, family="f", cause="column_renamed", batch_id=key, **told)

    days = [renamed("d1", 0), renamed("d2", 23), renamed("d3", 46), renamed("later", 100, closed_at=1)]
    found = root_cause.links(days, {})
    # The third is still open when the later one is seen: it has not been put right in between.
    assert {key: link.parent for key, link in found.items()} == {"d2": "d1", "d3": "d1", "later": "d1"}
    days[2]["closed_at"] = int(47 * 60 * MINUTE)
    assert "later" not in root_cause.links(days, {})


def test_the_way_leads_to_the_root_and_never_in_a_circle() -> None:
    chain = [orphans("a", 10), held(5, cause="source_lost"), orphans("b", 12, pipeline="returns")]
    found = root_cause.links(chain, FEEDS)
    assert [each for each, _ in root_cause.root_of("a", found)] == ["held"]
    assert [each for each, _ in root_cause.root_of("b", found)] == ["held"]
    circle = {"x": root_cause.Link("y", ""), "y": root_cause.Link("x", "")}
    assert len(root_cause.root_of("x", circle)) == root_cause.DEPTH_MAX


def test_explain_says_where_it_began_and_what_would_have_changed_the_verdict(tmp_path: Path) -> None:
    project = SmallProject(tmp_path, healing="propose")
    project.deliver("a.csv", HEADER + lines(1, 200))
    for day in ("b.csv", "c.csv"):
        first = 201 if day == "b.csv" else 401
        rows = [row.split(",") for row in lines(first, first + 199).splitlines()]
        swapped = [",".join([*row[:3], "/".join(reversed(row[3].split("-")))]) for row in rows[:40]]
        project.deliver(day, HEADER + "\n".join([*swapped, *(",".join(row) for row in rows[40:])]) + "\n")
    project.run()
    found = [each for each in project.process().store.query("incidents") if each.data.get("check") == "type"]
    first, second = sorted(found, key=lambda each: int(each.data["first_seen"]))

    def told(key: str) -> dict[str, Any]:
        ended = CliRunner().invoke(app, ["explain", key, "--json", "--root", str(project.root)])
        story: dict[str, Any] = json.loads(ended.output)
        return story

    began = told(second.key)["began"]
    assert [each["id"] for each in began["way"]] == [first.key]
    assert told(first.key)["began"]["way"] == []
    assert [each["id"] for each in told(first.key)["began"]["others"]] == [second.key]
    changed = {each["without"]: each["cause"] for each in told(first.key)["believed"]["would_change"]}
    assert changed["date_formats"] != first.data["cause"]
    listed = ["incidents", "--all", "--root", str(project.root)]
    entries = json.loads(CliRunner().invoke(app, [*listed, "--roots", "--json"]).output)["incidents"]
    assert {each["id"]: each["others"] for each in entries}[first.key] == [second.key]
    assert second.key not in {each["id"] for each in entries}
    assert second.key in CliRunner().invoke(app, listed).output
    text = CliRunner().invoke(app, ["explain", second.key, "--root", str(project.root)]).output
    assert "Where it began" in text
    assert first.key in text
    assert "without date_formats it would be: " in text
