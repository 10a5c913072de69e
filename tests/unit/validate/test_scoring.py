"""Known answers of the score: rows, warnings, rules on the whole batch, service levels, weights."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from services.validate.scoring import Measure, Tally, kept, overall
from shared.ports.state_store import Put
from tests.unit.validate.world import World

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
ROWS = 10
X = {"name": "x", "logicalType": "integer"}


def scored(w: World, cells: list[str], **fields: Any) -> dict[str, float]:
    """The dimensions of a batch with one column of these cells, and the score under ``all``."""
    import json

    result = w.judge(pl.DataFrame({"x": cells}), **fields)
    return {**json.loads(result.validated.dimensions_json), "all": result.validated.score}


def at_table(*rules: dict[str, Any], **customs: Any) -> dict[str, Any]:
    return {"quality": list(rules), "customProperties": [{"property": k, "value": v} for k, v in customs.items()]}


def sql(dimension: str, holds: bool, severity: str = "error") -> dict[str, Any]:
    """A rule on the whole batch that is kept or broken."""
    said = {"dimension": dimension} if dimension else {}
    query = "SELECT COUNT(*) FROM ${table}"
    return {"type": "sql", "query": query, "mustBe": ROWS if holds else 0, "severity": severity, **said}


CELLS = [str(number) for number in range(ROWS)]
WRONG = ["no", "no", *CELLS[2:]]
NULLS = ["", *CELLS[1:]]
CASES: list[tuple[str, dict[str, Any], dict[str, Any], list[str], dict[str, float]]] = [
    ("nothing wrong", {}, {}, CELLS, {"validity": 100, "all": 100}),
    ("two of ten cells of no type", {}, {}, WRONG, {"validity": 80, "all": 80}),
    ("a null where none may be", {"required": True}, {}, NULLS, {"completeness": 90, "validity": 100, "all": 95}),
    ("repeated", {"unique": True}, {}, ["5", "5", *CELLS[6:], *CELLS[:4]],
     {"validity": 100, "uniqueness": 80, "all": 90}),
    ("a warning counts half", {"logicalTypeOptions": {"maximum": 5}, "customProperties": [
        {"property": "severity", "value": "warning"}]}, {}, CELLS, {"validity": 80, "all": 80}),
    ("accuracy by a rule that is kept", {}, at_table(sql("accuracy", True)), CELLS,
     {"validity": 100, "accuracy": 100, "all": 100}),
    ("accuracy by a rule that is broken", {}, at_table(sql("accuracy", False)), CELLS,
     {"validity": 100, "accuracy": 0, "all": 50}),
    ("accuracy by a warning", {}, at_table(sql("accuracy", False, "warning")), CELLS,
     {"validity": 100, "accuracy": 50, "all": 75}),
    ("one of two rules", {}, at_table(sql("accuracy", False), sql("accuracy", True)), CELLS,
     {"validity": 100, "accuracy": 50, "all": 75}),
    ("rules that are kept hide no failing row", {}, at_table(sql("conformity", True), sql("conformity", True)), WRONG,
     {"validity": 80, "all": 80}),
    ("a broken rule and failing rows", {}, at_table(sql("conformity", True), sql("conformity", False)), WRONG,
     {"validity": 40, "all": 40}),
    ("a query without a dimension", {}, at_table(sql("", False)), CELLS, {"validity": 100, "all": 100}),
    ("coverage is completeness", {}, at_table(sql("coverage", False)), CELLS,
     {"completeness": 0, "validity": 100, "all": 50}),
    ("a metric has its dimension", {"quality": [{"metric": "nullValues", "mustBeLessThan": 2}]}, {}, NULLS,
     {"completeness": 100, "validity": 100, "all": 100}),
    ("a metric that is broken", {"quality": [{"metric": "nullValues", "mustBeLessThan": 1, "severity": "warning"}]}, {},
     NULLS, {"completeness": 50, "validity": 100, "all": 75}),
    ("a metric of another dimension", {"quality": [
        {"metric": "nullValues", "mustBeLessThan": 1, "severity": "warning", "dimension": "accuracy"}]}, {}, NULLS,
     {"validity": 100, "accuracy": 50, "all": 75}),
    ("weights", {"required": True}, at_table(scoreWeights={"completeness": 3}), NULLS,
     {"completeness": 90, "validity": 100, "all": 92.5}),
    ("no weight", {"required": True}, at_table(scoreWeights={"completeness": 0}), NULLS,
     {"completeness": 90, "validity": 100, "all": 100}),
    ("weights of what is not measured", {}, at_table(scoreWeights={"timeliness": 9}), WRONG,
     {"validity": 80, "all": 80}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "column", "table", "cells", "wanted"), CASES, ids=[case[0] for case in CASES])
def test_known_answers(
    world: Callable[..., World],
    name: str,
    column: dict[str, Any],
    table: dict[str, Any],
    cells: list[str],
    wanted: dict[str, float],
) -> None:
    assert scored(world([{**X, **column}], **table), cells) == wanted


@pytest.mark.parametrize(
    ("hours", "score"),
    [(1, 100), (24, 100), (24.5, 96), (47, 50), (240, 9.9585)],
)
def test_timeliness_is_the_promised_age_over_the_observed_one(
    world: Callable[..., World], hours: float, score: float
) -> None:
    w = world([{"name": "x", "logicalType": "timestamp"}])
    w.contract["slaProperties"] = [{"property": "freshness", "value": 24, "unit": "h", "element": "things.x"}]
    w.process.store.commit([Put("deliveries", "b1", {"registered_at": int(NOW.timestamp() * 1_000_000)})])
    newest = NOW - timedelta(hours=hours)
    found = scored(w, [(newest - timedelta(hours=row)).strftime("%Y-%m-%dT%H:%M:%SZ") for row in range(ROWS)])
    assert found["timeliness"] == pytest.approx(score, abs=1e-4)
    assert found["all"] == pytest.approx((100 + score) / 2, abs=1e-4)


def test_a_late_batch_may_be_held_for_its_score(world: Callable[..., World]) -> None:
    w = world([{"name": "x", "logicalType": "timestamp"}], **at_table(scoreWeights={"timeliness": 4}))
    w.contract["slaProperties"] = [{"property": "freshness", "value": 24, "unit": "h", "element": "things.x"}]
    w.pipeline["on_violation"] = {"score_below": 80}
    w.process.store.commit([Put("deliveries", "b1", {"registered_at": int(NOW.timestamp() * 1_000_000)})])
    result = w.judge(pl.DataFrame({"x": ["2024-04-29T13:00:00Z"] * ROWS}))
    assert (result.validated.state, result.validated.score) == ("held", pytest.approx(60.0))
    assert result.evidence("score")["dimensions"] == {"validity": 100.0, "timeliness": 50.0}


def test_what_a_person_accepted_is_not_held_against_the_batch(world: Callable[..., World]) -> None:
    w = world([X], **at_table(sql("accuracy", False)))
    assert scored(w, CELLS)["accuracy"] == 0
    assert "accuracy" not in scored(w, CELLS, attempt=2, waive=["quality:sql"])


def test_the_parts_by_themselves() -> None:
    tally = Tally()
    tally.note(0, 8, 1, {"validity": 1.5})
    tally.note(1, 2, 2, {"validity": 2})
    tally.note(1, 2, 0, {})
    assert (tally.rows_total, tally.rows_failed) == (10, 1)
    assert tally.dimensions(["validity"]) == {"validity": 85.0}
    assert tally.dimensions([], [Measure("accuracy", 0.25), Measure("accuracy", 0.75)]) == {"accuracy": 50.0}
    assert Tally().dimensions(["validity"]) == {"validity": 100.0}
    assert [kept(holds, severity) for holds in (True, False) for severity in ("error", "warning")] == [1, 1, 0, 0.5]  # type: ignore[arg-type]
    assert overall({}) == overall({"validity": 3.0}, [("validity", 0.0)]) == 100.0
