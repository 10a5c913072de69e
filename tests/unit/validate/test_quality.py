"""Quality rules with a threshold: known answers for every metric, comparison and unit; what a broken one does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import polars as pl
import pytest

from services.classify.dataset_findings import finding as diagnosis
from services.remediate.playbook.waiting import waiver
from tests.unit.validate.world import World

Make = Callable[..., World]
Cells = list[str | None]

TEN: Cells = ["1", "2", "3", "4", "5", "6", "7", None, None, None]  # three nulls: 30 %
WORDS: Cells = ["a", "a", "b", "c", "C", "n/a", " ", None, "a", "d"]


class Case(NamedTuple):
    """A rule on cells, and what it observes when it is broken; None: it is kept."""

    rule: dict[str, Any]
    cells: Cells
    observed: float | None
    kind: str = "string"


def _nulls(comparison: str, wanted: Any, observed: float | None, **more: Any) -> Case:
    return Case({"metric": "nullValues", comparison: wanted, **more}, TEN, observed, "integer")


def _words(
    metric: str, wanted: int, observed: float | None, cells: Cells = WORDS, kind: str = "string", **a: Any
) -> Case:
    rule = {"metric": metric, "mustBeLessOrEqualTo": wanted}
    return Case(rule | ({"arguments": a} if a else {}), cells, observed, kind)


COMPARISONS = [
    _nulls("mustBe", 3, None),
    _nulls("mustBe", 2, 3),
    _nulls("mustBe", 4, 3),
    _nulls("mustNotBe", 2, None),
    _nulls("mustNotBe", 3, 3),
    _nulls("mustBeGreaterThan", 2, None),
    _nulls("mustBeGreaterThan", 3, 3),
    _nulls("mustBeGreaterOrEqualTo", 3, None),
    _nulls("mustBeGreaterOrEqualTo", 4, 3),
    _nulls("mustBeLessThan", 4, None),
    _nulls("mustBeLessThan", 3, 3),
    _nulls("mustBeLessOrEqualTo", 3, None),
    _nulls("mustBeLessOrEqualTo", 2, 3),
    _nulls("mustBeBetween", [3, 5], None),
    _nulls("mustBeBetween", [1, 3], None),
    _nulls("mustBeBetween", [4, 5], 3),
    _nulls("mustBeBetween", [0, 2], 3),
    _nulls("mustNotBeBetween", [4, 5], None),
    _nulls("mustNotBeBetween", [0, 2], None),
    _nulls("mustNotBeBetween", [3, 5], 3),
    _nulls("mustNotBeBetween", [1, 3], 3),
    _nulls("mustBe", 30, None, unit="percent"),
    _nulls("mustBe", 3, 30, unit="percent"),
    _nulls("mustNotBe", 30, 30, unit="percent"),
    _nulls("mustBeGreaterThan", 29.9, None, unit="percent"),
    _nulls("mustBeGreaterThan", 30, 30, unit="percent"),
    _nulls("mustBeGreaterOrEqualTo", 30.1, 30, unit="percent"),
    _nulls("mustBeLessThan", 30.1, None, unit="percent"),
    _nulls("mustBeLessThan", 30, 30, unit="percent"),
    _nulls("mustBeLessOrEqualTo", 29.9, 30, unit="percent"),
    _nulls("mustBeBetween", [30, 40], None, unit="percent"),
    _nulls("mustBeBetween", [10, 20], 30, unit="percent"),
    _nulls("mustNotBeBetween", [10, 20], None, unit="percent"),
    _nulls("mustNotBeBetween", [20, 40], 30, unit="percent"),
]

NULLS = [
    _words("nullValues", 1, 2, ["", None, "x"]),  # the pipeline's null word
    _words("nullValues", 1, None, ["bad", "worse", None], "integer"),  # without a type is not null
    _words("nullValues", 1, 2, [None, None, "2024-01-02"], "date"),
    _words("nullValues", 1, 3, [None, None, None]),
    _words("nullValues", 1, None, ["x", "y"]),
    _words("nullValues", 1, 2, ["[1]", None, None], "array"),
]

MISSING = [
    _words("missingValues", 1, 2, ["", None, "x"]),
    _words("missingValues", 1, None, ["n/a", None, "x"]),
    _words("missingValues", 1, 2, missingValues=["n/a"]),
    _words("missingValues", 1, 3, missingValues=["n/a", " ", None]),
    _words("missingValues", 2, None, missingValues=["N/A", " "]),  # the case counts
    _words("missingValues", 1, 3, ["-999", "-1", "5", None], "integer", missingValues=[-999, -1]),
    _words("missingValues", 1, 2, ["-999.0", "-9.99e2", "5"], "number", missingValues=[-999]),
    _words("missingValues", 1, 2, ["none", "7", None], "integer", missingValues=["none"]),
    _words("missingValues", 1, 2, ["1900-01-01", None, "2024-05-06"], "date", missingValues=["1900-01-01"]),
    _words("missingValues", 1, None, ["1900-01-01", None], "date", missingValues=["1900-01-02"]),
]

INVALID = [
    _words("invalidValues", 1, 4, validValues=["a", "b", "c"]),
    _words("invalidValues", 4, None, validValues=["a", "b", "c"]),
    _words("invalidValues", 1, 9, validValues=["z"]),
    _words("invalidValues", 1, None, ["a", None, None], validValues=["a"]),  # null is missing, not invalid
    _words("invalidValues", 1, 2, ["1", "x", "3", "2"], "integer", validValues=[1, 2]),  # one has no type
    _words("invalidValues", 1, None, ["1.0", "2", "3"], "number", validValues=[1, 2]),
    _words("invalidValues", 1, 2, ["1.5", "2.50", "1"], "number", validValues=[1]),
    _words("invalidValues", 1, 2, ["true", "no", "false"], "boolean", validValues=[True]),
    _words("invalidValues", 1, 2, ["2024-01-01", "2024-01-02", "2024-01-03"], "date", validValues=["2024-01-01"]),
    _words("invalidValues", 1, 2, ["10:00", "11:00", "12:00"], "time", validValues=["10:00:00"]),
    _words("invalidValues", 1, 3, pattern="^[a-z]$"),
    _words("invalidValues", 3, None, pattern="^[a-z]$"),
    _words("invalidValues", 1, 2, ["ab", "ba", "b"], pattern="a(?=b)"),  # look-around: the other engine
    _words("invalidValues", 1, 2, ["12", "123", "1234"], "integer", pattern="^\\d{3}$"),
    _words("invalidValues", 1, 5, validValues=["a", "C", "n/a"], pattern="^[a-z]"),
    _words("invalidValues", 1, None, ["xay", None], pattern="a"),  # searched, not anchored
]

DUPLICATES = [
    _words("duplicateValues", 1, 3),
    _words("duplicateValues", 3, None),
    _words("duplicateValues", 1, None, ["a", "b", None, None]),
    _words("duplicateValues", 3, 4, ["a", "a", "b", "b", "c"]),
    _words("duplicateValues", 1, 2, ["1", "1.0", "2"], "number"),
    _words("duplicateValues", 1, None, ["bad", "bad", "2"], "integer"),  # without a type: not compared
    Case({"metric": "duplicateValues", "mustBeLessThan": 30, "unit": "percent"}, WORDS, 30),
    Case({"metric": "duplicateValues", "mustBeGreaterThan": 0}, ["a", "b"], 0),
    Case({"metric": "duplicateValues", "mustBe": 0, "severity": "warning"}, ["a", "b", "a"], 2),
]


def _name(case: Case) -> str:
    return f"{case.kind}-{'-'.join(f'{key}={value}' for key, value in case.rule.items())}"


@pytest.mark.parametrize("case", [*COMPARISONS, *NULLS, *MISSING, *INVALID, *DUPLICATES], ids=_name)
def test_known_answers_of_a_column(world: Make, case: Case) -> None:
    w = world([{"name": "x", "logicalType": case.kind, "quality": [case.rule]}], rows_per_part=3)
    result = w.judge(pl.DataFrame({"x": case.cells}, schema={"x": pl.String}))
    key = (f"quality:{case.rule['metric']}", "x")
    assert (key in result.incidents) == (case.observed is not None)
    if case.observed is not None:
        assert result.evidence(*key)["observed"] == case.observed
        assert (result.held is not None) == (case.rule.get("severity") != "warning")


ROW_COUNTS: list[tuple[dict[str, Any], bool]] = [
    ({"mustNotBe": 3}, False),
    ({"mustNotBe": 4}, True),
    ({"mustNotBeBetween": [2, 5]}, False),
    ({"mustNotBeBetween": [4, 5]}, True),
    ({"mustBe": 3, "severity": "info"}, True),
    ({"mustBe": 4, "severity": "info"}, False),
    ({"mustBeLessThan": 3, "severity": "warning"}, False),
    ({"mustBeBetween": [1, 2], "severity": "warning"}, False),
]


@pytest.mark.parametrize(("rule", "kept"), ROW_COUNTS)
def test_known_answers_of_the_number_of_rows(world: Make, rule: dict[str, Any], kept: bool) -> None:
    w = world([{"name": "x", "logicalType": "string"}], quality=[{"metric": "rowCount", **rule}])
    result = w.judge(pl.DataFrame({"x": ["a", "b", "c"]}))
    assert (("quality:rowCount", "") not in result.incidents) == kept
    assert (result.held is None) == (kept or "severity" in rule)


PAIRS = pl.DataFrame({"x": ["a", "a", "a", "b", None, None], "y": ["1", "1", "2", "1", "1", "1"]})


@pytest.mark.parametrize(("properties", "observed"), [(["x", "y"], 2), (["x"], 3), (["y"], 5), (["Ypsilon", "x"], 2)])
def test_known_answers_of_combinations(world: Make, properties: list[str], observed: int) -> None:
    rule = {"metric": "duplicateValues", "mustBeLessThan": 2, "arguments": {"properties": properties}}
    columns = [
        {"name": "x", "logicalType": "string"},
        {"name": "Ypsilon", "physicalName": "y", "logicalType": "integer"},
    ]
    result = world(columns, quality=[rule], rows_per_part=2).judge(PAIRS)
    named = ",".join("y" if each == "Ypsilon" else each for each in properties)
    assert result.evidence("quality:duplicateValues", named)["observed"] == observed


def _few(**more: Any) -> list[dict[str, Any]]:
    rule = {"metric": "nullValues", "mustBeLessThan": 20, "unit": "percent", "name": "few", **more}
    return [{"name": "x", "logicalType": "integer", "quality": [rule]}, {"name": "y", "logicalType": "string"}]


ROWS = pl.DataFrame({"x": ["1", None, "bad", None], "y": ["secret-a", "secret-b", "secret-c", "secret-d"]})


class TestABrokenRule:
    def test_holds_the_batch_and_says_what_where_and_how_many(self, world: Make) -> None:
        result = world(_few(dimension="completeness")).judge(ROWS)
        assert result.validated.state == "held"
        told = "x: 50 % are null where the contract wants less than 20 % (few)"
        assert result.incidents["quality:nullValues", "x"].message == told
        assert result.held is not None
        assert result.held.reason == told
        evidence = result.evidence("quality:nullValues", "x")
        assert evidence | {"rules": 0} == {
            "check": "quality:nullValues",
            "rows": 4,
            "metric": "nullValues",
            "observed": 50.0,
            "expected": "less than 20 %",
            "unit": "percent",
            "rows_concerned": 2,
            "row_first": 2,
            "row_last": 4,
            "severity": "error",
            "dimension": "completeness",
            "rules": 0,
        }
        assert result.reasons == {("quality:nullValues", "x"): {1, 2, 4}, ("type", "x"): {3}}

    def test_is_only_told_when_it_is_a_warning_and_rows_stay_unless_another_rule_takes_them(self, world: Make) -> None:
        result = world(_few(severity="warning")).judge(ROWS)
        assert (result.validated.state, result.validated.rows_passed) == ("released", 3)
        assert result.incidents["quality:nullValues", "x"].rows_failed == 0
        assert result.reasons == {("type", "x"): {3}}

    def test_is_accepted_by_its_waiver(self, world: Make) -> None:
        w = world(_few())
        assert w.judge(ROWS).validated.state == "held"
        waive = waiver("quality:nullValues", "x")
        assert w.judge(ROWS, attempt=2, waive=["quality:nullValues:y"]).validated.state == "held"
        assert w.judge(ROWS, attempt=3, waive=[waive]).validated.rows_passed == 3

    def test_is_looked_for_in_whole_batches_only(self, world: Make) -> None:
        assert world(_few()).judge(ROWS, attempt=2, whole=False).validated.state == "released"

    def test_shares_its_finding_with_other_rules_of_the_metric(self, world: Make) -> None:
        columns = _few(severity="warning")
        columns[0]["quality"] += [{"metric": "nullValues", "mustBe": 1}, {"metric": "nullValues", "mustBe": 2}]
        result = world(columns).judge(ROWS)
        assert result.held is not None
        told = result.incidents["quality:nullValues", "x"].message
        assert told == (
            "x: 2 rows are null where the contract wants exactly 1 rows; "
            "x: 50 % are null where the contract wants less than 20 % (few)"
        )
        assert [each["name"] for each in result.evidence("quality:nullValues", "x")["rules"]] == ["", "few"]

    def test_counts_no_record_that_did_not_fit(self, world: Make) -> None:
        rows = pl.DataFrame(
            {"x": ["1", None, None], "y": ["a", "b", None], "_mend_misfit": [None, None, "too_few_fields"]}
        )
        assert world(_few()).judge(rows).evidence("quality:nullValues", "x")["observed"] == 50.0

    def test_never_tells_a_cell(self, world: Make) -> None:
        columns = _few()
        columns[1]["quality"] = [
            {"metric": "invalidValues", "mustBeLessThan": 1, "unit": "percent", "arguments": {"validValues": ["q"]}},
            {"metric": "duplicateValues", "mustBeGreaterThan": 3},
        ]
        result = world(columns).judge(ROWS)
        assert len(result.incidents) == 4
        assert not [event for event in result.events if "secret" in repr(event)]

    def test_is_diagnosed_as_a_broken_rule(self, world: Make) -> None:
        evidence = world(_few()).judge(ROWS).evidence("quality:nullValues", "x")
        found = diagnosis("quality:nullValues", "x", evidence)
        assert found.cause == "rule_broken"
        assert found.explanation == "nullValues of x is 50 %; the contract wants less than 20 %."


def test_a_batch_without_rows_keeps_percentages_and_breaks_counts(world: Make) -> None:
    columns = _few()
    columns[0]["quality"].append({"metric": "missingValues", "mustBeGreaterThan": 0})
    result = world(columns).judge(pl.DataFrame(schema={"x": pl.String, "y": pl.String}))
    assert set(result.incidents) == {("quality:missingValues", "x")}
