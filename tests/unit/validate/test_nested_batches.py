"""What is inside the cells of a batch: rows with every reason, columns of Parquet, and what contracts say of it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.domain.contract import parse_contract, write_contract
from tests.oracles import nested_oracle
from tests.unit.validate.test_nested import CELL, ORDER, contract_of, found
from tests.unit.validate.world import World


@pytest.fixture(scope="module", params=[2, 131_072])
def orders(request: pytest.FixtureRequest) -> Iterator[World]:
    with tempfile.TemporaryDirectory() as folder:
        made = World(Path(folder) / "w", [{"name": "n", "logicalType": "integer"}, ORDER], rows_per_part=request.param)
        yield made
        made.close()


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cells=st.lists(CELL | st.sampled_from([None, "no json", 5]), max_size=7))
def test_rows_fail_with_every_reason(orders: World, cells: list[Any]) -> None:
    orders.count = getattr(orders, "count", 0) + 1  # type: ignore[attr-defined]
    texts = [each if each is None or each == "no json" else json.dumps(each) for each in cells]
    rows = pl.DataFrame({"n": ["1"] * len(texts), "order": texts}, schema={"n": pl.String, "order": pl.String})
    wanted: dict[tuple[str, str], set[int]] = {}
    for number, text in enumerate(texts, 1):
        reasons = set() if text is None else {("type", "order")}
        if text is not None and text.startswith("{"):
            reasons = nested_oracle.broken(text, ORDER)
        for reason in reasons:
            wanted.setdefault(reason, set()).add(number)
    result = orders.judge(rows, batch=f"b{orders.count}")  # type: ignore[attr-defined]
    assert result.reasons == wanted
    assert {key: event.rows_failed for key, event in result.incidents.items()} == {
        key: len(numbers) for key, numbers in wanted.items()
    }


def test_a_warning_inside_sets_nothing_aside(world: Callable[..., World]) -> None:
    marked = {"customProperties": [{"property": "severity", "value": "warning"}]}
    inner = {"name": "code", "logicalType": "string", "logicalTypeOptions": {"maxLength": 1}, **marked}
    asked = {"name": "o", "logicalType": "object", "properties": [inner]}
    result = world([asked]).judge(pl.DataFrame({"o": ['{"code": "ab"}', '{"code": "a"}']}))
    assert result.validated.rows_passed == 2
    assert result.evidence("length", "o.code")["severity"] == "warning"


def test_a_path_is_told_from_a_column_of_that_name(world: Callable[..., World]) -> None:
    inner = {"name": "o", "logicalType": "object", "properties": [{"name": "a", "logicalType": "integer"}]}
    made = world([inner, {"name": "o.a", "logicalType": "integer"}])
    result = made.judge(pl.DataFrame({"o": ['{"a": "x"}', '{"a": 1}'], "o.a": ["1", "y"]}))
    assert result.reasons == {("type", "$.o.a"): {1}, ("type", "o.a"): {2}}


NATIVE: dict[str, Any] = {
    "name": "o",
    "logicalType": "object",
    "properties": [
        {"name": "day", "logicalType": "date"},
        {"name": "price", "logicalType": "number", "logicalTypeOptions": {"minimum": 0}},
        {"name": "text", "logicalType": "string"},
        {"name": "lines", "logicalType": "array", "items": {"logicalType": "integer", "required": True}},
    ],
}


def test_structs_and_lists_of_parquet(world: Callable[..., World]) -> None:
    struct = pl.Struct(
        {"day": pl.Date, "price": pl.Decimal(30, 2), "text": pl.Binary, "lines": pl.List(pl.Int64), "f": pl.Float64}
    )
    good = {"day": date(2024, 1, 2), "price": Decimal("1.20"), "text": b"x", "lines": [1, 2], "f": 0.5}
    cells = [
        good, {**good, "price": Decimal("-1.00")}, {**good, "lines": [1, None]}, {**good, "text": b"\xff"},
        {**good, "price": Decimal("12345678901234567890.12")}, {**good, "f": float("nan")}, None,
        {**good, "lines": None},
    ]  # fmt: skip
    result = world([NATIVE]).judge(pl.DataFrame({"o": pl.Series(cells, dtype=struct)}))
    assert result.reasons == {
        ("range", "o.price"): {2},
        ("required", "o.lines[]"): {3},
        ("type", "o"): {4, 5, 6},  # what JSON would lose is not lost
    }
    assert json.loads(result.passed["o"][0]) == {
        "day": "2024-01-02", "price": 1.2, "text": "x", "lines": [1, 2], "f": 0.5,
    }  # fmt: skip


# ── contracts ──


def test_what_is_not_checked_inside_is_said_with_its_path() -> None:
    contract = contract_of(
        {
            "name": "o",
            "logicalType": "object",
            "properties": [
                {"name": "a", "logicalType": "string", "primaryKey": True, "logicalTypeOptions": {"format": "phone"}},
                {
                    "name": "b",
                    "logicalType": "array",
                    "items": {
                        "logicalType": "integer",
                        "quality": [
                            {"metric": "nullValues", "mustBeLessThan": 5},
                            {"metric": "nullValues", "mustBe": 0},
                        ],
                    },
                },
                {"name": "c", "logicalType": "vector", "logicalTypeOptions": {"dimensions": 2, "normalized": True}},
            ],
        }
    )
    assert [(rule.column, rule.what) for rule in contract.unsupported] == [
        ("o.a", 'format "phone" is not checked'),
        ("o.a", "primaryKey is not checked inside a value"),
        ("o.b[]", "quality rule is not checked inside a value"),
        ("o.c", "that the vector is normalized is not checked"),
    ]
    inside = contract.columns[0].inside
    assert inside is not None
    items = inside.properties[1].inside
    assert items is not None
    assert items.items is not None
    assert items.items.required
    again = parse_contract(write_contract(contract), "d.yaml")
    assert again == contract
    assert again.columns[0].inside == inside


def test_ten_levels_are_judged_and_more_are_said() -> None:
    asked: dict[str, Any] = {"name": "l0", "logicalType": "integer"}
    cell: Any = "x"
    for level in range(1, 11):
        asked = {"name": f"l{level}", "logicalType": "object", "properties": [asked]}
        cell = {f"l{level - 1}": cell}
    path = ".".join(f"l{level}" for level in range(10, -1, -1))
    assert found(asked, [json.dumps(cell)]) == [{("type", path)}]
    assert contract_of(asked).unsupported == ()
    deeper = contract_of({"name": "l11", "logicalType": "object", "properties": [asked]})
    assert [rule.what for rule in deeper.unsupported] == ["what is more than 10 levels inside the value is not checked"]
