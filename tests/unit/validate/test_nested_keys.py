"""Goal: values inside cells that must be unique are compared over the whole batch, and every row that has one is named.

Method: a plain look through all cells counts the values of a place; whatever the cells and however they are split into
chunks, the rows that fail are those that have a value which stands there more than once.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.validate.test_nested import contract_of
from tests.unit.validate.world import World

Make = Callable[..., World]
LINES: dict[str, Any] = {
    "name": "lines",
    "logicalType": "array",
    "items": {"logicalType": "object", "properties": [{"name": "sku", "logicalType": "string", "unique": True}]},
}


def _of(kind: str, **more: Any) -> dict[str, Any]:
    inner = {"name": "a", "logicalType": kind, "unique": True, **more}
    return {"name": "o", "logicalType": "object", "properties": [inner]}


CASES: list[tuple[dict[str, Any], list[str | None], str, set[int]]] = [
    (LINES, ['[{"sku": "a"}, {"sku": "b"}]', '[{"sku": "c"}]'], "lines[].sku", set()),
    (LINES, ['[{"sku": "a"}, {"sku": "b"}]', '[{"sku": "a"}]', '[{"sku": "c"}]'], "lines[].sku", {1, 2}),
    (LINES, ['[{"sku": "a"}, {"sku": "a"}]', '[{"sku": "b"}]'], "lines[].sku", {1}),
    (LINES, ['[{"sku": null}, {"sku": null}, {}]', "[]", None], "lines[].sku", set()),
    (LINES, ['[{"sku": "a", "other": 1}]', '[{"sku": "a", "other": [2]}]'], "lines[].sku", {1, 2}),
    (LINES, ['[{"sku": "a"}]', '[{"sku": 5}]', '[{"sku": "a"}]'], "lines[].sku", {1, 3}),
    (LINES, ['[{"sku": "5"}]', '[{"sku": 5}]'], "lines[].sku", set()),  # 5 is of another type: that is told
    (_of("integer"), ['{"a": 1}', '{"a": 2}', '{"a": 1}'], "o.a", {1, 3}),
    (_of("number"), ['{"a": 1}', '{"a": 1.0}', '{"a": 1.5}'], "o.a", {1, 2}),
    (_of("number"), ['{"a": 0.0}', '{"a": -0.0}'], "o.a", {1, 2}),
    (_of("number"), ['{"a": 9007199254740992}', '{"a": 9007199254740993}'], "o.a", set()),
    (_of("number"), ['{"a": 9007199254740992}', '{"a": 9007199254740993}', '{"a": "x"}'], "o.a", set()),
    (_of("number"), ['{"a": 1e400}', '{"a": 2e400}', '{"a": 1e300}', '{"a": 10e299}'], "o.a", {3, 4}),
    (_of("boolean"), ['{"a": true}', '{"a": false}', '{"a": true}'], "o.a", {1, 3}),
    (_of("date"), ['{"a": "2024-01-01"}', '{"a": "2024-01-02"}', '{"a": "2024-01-01"}'], "o.a", {1, 3}),
    (_of("timestamp"), ['{"a": "2024-01-01T00:00:00Z"}', '{"a": "2024-01-01T01:00:00+01:00"}'], "o.a", {1, 2}),
    (_of("string"), ['{"a": "é"}', '{"a": "é"}', '{"a": "e"}'], "o.a", {1, 2}),
    (_of("string"), ['{"a": "x"}', "no json", '{"a": "x"}'], "o.a", {1, 3}),
    (
        {"name": "t", "logicalType": "array", "items": {"logicalType": "string", "unique": True}},
        ['["a", "b"]', '["c", "b"]', '["d"]'],
        "t[]",
        {1, 2},
    ),
    (
        {
            "name": "m",
            "logicalType": "map",
            "map": {"key": {"logicalType": "string"}, "value": {"logicalType": "integer", "unique": True}},
        },
        ['{"a": 1, "b": 2}', '{"a": 3, "c": 2}', '{"a": 4}'],
        "m.*",
        {1, 2},
    ),
    (
        {
            "name": "m",
            "logicalType": "map",
            "map": {
                "key": {"logicalType": "string"},
                "value": {"logicalType": "object", "properties": [_of("integer")["properties"][0]]},
            },
        },
        ['{"x": {"a": 1}}', '{"y": {"a": 1}}', '{"y": {"a": 2}}'],
        "m.*.a",
        {1, 2},
    ),
    (
        _of("string", quality=[{"metric": "duplicateValues", "mustBe": 0}], unique=False),
        ['{"a": "x"}', '{"a": "x"}'],
        "o.a",
        {1, 2},
    ),
]


@pytest.mark.parametrize("rows_per_part", [1, 1_000])
@pytest.mark.parametrize(("column", "cells", "path", "rows"), CASES)
def test_known_answers(
    world: Make, column: dict[str, Any], cells: list[str | None], path: str, rows: set[int], rows_per_part: int
) -> None:
    frame = pl.DataFrame({column["name"]: pl.Series(cells, dtype=pl.String)})
    made = world([column], rows_per_part=rows_per_part)
    made.contract["apiVersion"] = "v3.2.0"  # that has maps
    result = made.judge(frame)
    assert result.reasons.get(("unique_inside", path), set()) == rows


ITEM = st.fixed_dictionaries({"sku": st.sampled_from(["a", "b", "c", "d", "e", "", None]) | st.integers(0, 2)})
CELL = st.none() | st.lists(ITEM | st.sampled_from([5, None]), max_size=3)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cells=st.lists(CELL, max_size=7), rows_per_part=st.sampled_from([1, 3, 100]))
def test_whatever_the_cells_the_rows_are_those_of_a_plain_count(
    tmp_path_factory: pytest.TempPathFactory, cells: list[Any], rows_per_part: int
) -> None:
    counts: Counter[str] = Counter()
    having: dict[str, set[int]] = {}
    for number, cell in enumerate(cells, 1):
        for each in cell or ():
            sku = each.get("sku") if isinstance(each, dict) else None
            if isinstance(sku, str):
                counts[sku] += 1
                having.setdefault(sku, set()).add(number)
    wanted = {number for sku, many in counts.items() if many > 1 for number in having[sku]}
    made = World(Path(tmp_path_factory.mktemp("keys")) / "w", [LINES], rows_per_part=rows_per_part)
    texts = [None if cell is None else json.dumps(cell) for cell in cells]
    result = made.judge(pl.DataFrame({"lines": pl.Series(texts, dtype=pl.String)}))
    made.close()
    assert result.reasons.get(("unique_inside", "lines[].sku"), set()) == wanted


NUMBERS: dict[str, Any] = {
    "name": "n",
    "logicalType": "array",
    "items": {"logicalType": "number", "unique": True},
}
WRITTEN = ["0", "-0.0", "1", "1.0", "10e-1", "0.1", "0.10", "9007199254740991", "9007199254740992", "9007199254740993"]
WRITTEN += ["-9007199254740993", "9007199254740993.0", "1e300", "10e299", '"1"', "true", "null"]


def _number(written: str) -> float | None:
    """The number that a cell would be: no whole number that a double cannot hold."""
    if not written.lstrip("-")[0].isdigit():
        return None
    exact = not written.lstrip("-").isdigit() or int(float(written)) == int(written)
    return float(written) + 0.0 if exact else None


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cells=st.lists(st.lists(st.sampled_from(WRITTEN), max_size=3), max_size=7),
    rows_per_part=st.sampled_from([1, 3, 100]),
    slice_rows=st.sampled_from([2, 4_096]),
)
def test_numbers_are_the_same_whatever_stands_beside_them(
    tmp_path_factory: pytest.TempPathFactory, cells: list[list[str]], rows_per_part: int, slice_rows: int
) -> None:
    having: dict[float, list[int]] = {}
    for row, cell in enumerate(cells, 1):
        for number in [_number(each) for each in cell]:
            if number is not None:
                having.setdefault(number, []).append(row)
    wanted = {row for rows in having.values() if len(rows) > 1 for row in rows}
    made = World(Path(tmp_path_factory.mktemp("numbers")) / "w", [NUMBERS], rows_per_part=rows_per_part)
    texts = pl.Series([f"[{', '.join(cell)}]" for cell in cells], dtype=pl.String)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("services.validate.nested_keys.SLICE_ROWS", slice_rows)
        result = made.judge(pl.DataFrame({"n": texts}))
    made.close()
    assert result.reasons.get(("unique_inside", "n[]"), set()) == wanted


def test_a_value_that_an_earlier_attempt_released_counts(world: Make) -> None:
    made = world([{"name": "n", "logicalType": "integer"}, LINES])
    first = made.judge(pl.DataFrame({"n": ["1", "x"], "lines": ['[{"sku": "a"}]', '[{"sku": "b"}]']}))
    assert first.validated.rows_passed == 1
    again = pl.DataFrame({"_mend_row": [2], "n": ["2"], "lines": ['[{"sku": "a"}]']})
    second = made.judge(again, attempt=2)
    assert second.reasons == {("unique_inside", "lines[].sku"): {2}}
    assert second.evidence("unique_inside", "lines[].sku")["hypotheses"] == {"groups": 1, "earlier_share": 1.0}


def test_it_is_measured_as_uniqueness_and_may_be_a_warning(world: Make) -> None:
    marked = {"customProperties": [{"property": "severity", "value": "warning"}]}
    result = world([_of("integer", **marked)]).judge(pl.DataFrame({"o": ['{"a": 1}', '{"a": 1}']}))
    assert result.validated.rows_passed == 2
    assert json.loads(result.validated.dimensions_json)["uniqueness"] == 50.0
    evidence = result.evidence("unique_inside", "o.a")
    assert (evidence["severity"], evidence["hypotheses"]["groups"]) == ("warning", 1)


@pytest.mark.parametrize(
    ("inner", "said"),
    [
        ({"name": "a", "unique": True}, "unique is not checked inside a value"),
        ({"name": "a", "logicalType": "object", "unique": True}, "unique is not checked inside a value"),
        ({"name": "a", "logicalType": "integer", "primaryKey": True}, "primaryKey is not checked inside a value"),
        ({"name": "a", "logicalType": "integer", "relationships": [{"to": "t.a"}]}, "relationships is not checked"),
        (
            {
                "name": "a",
                "logicalType": "integer",
                "quality": [{"metric": "nullValues", "mustBeLessThan": 5, "name": "q"}],
            },
            'quality rule "q" is not checked inside a value',
        ),
    ],
)
def test_what_is_not_compared_is_said(inner: dict[str, Any], said: str) -> None:
    asked = {"name": "o", "logicalType": "object", "properties": [inner]}
    told = contract_of(asked).unsupported
    assert [each.column for each in told] == ["o.a"]
    assert said in told[0].what
