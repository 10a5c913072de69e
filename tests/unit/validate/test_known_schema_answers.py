"""Known answers of the schema family: cells that have no type, and columns that are not the contract's."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from tests.unit.validate.known_answers import judged, numbers
from tests.unit.validate.world import World

# ── schema: types and columns ──────────────────────────────────────────────────────────────────────────────────────

TYPES: list[tuple[str, dict[str, Any], list[str | None], set[int]]] = [
    ("integer", {}, ["1", "-1", "+1", "007"], set()),
    ("integer", {}, ["1.0", "1.5", "1."], {2, 3}),
    ("integer", {}, ["", None, "0"], set()),
    ("integer", {}, ["1e3", "1_000", "1,000", "1 000"], {1, 2, 3, 4}),
    ("integer", {}, ["9223372036854775807", "9223372036854775808"], {2}),
    ("integer", {}, ["-9223372036854775808", "-9223372036854775809"], {2}),
    ("integer", {}, ["0x1f", "٣", "½", "true"], {1, 2, 3, 4}),
    ("integer", {}, [" 1", "1 ", "1"], {1, 2}),
    ("integer", {"format": "i8"}, ["127", "128", "-128", "-129"], {2, 4}),
    ("integer", {"format": "u8"}, ["0", "255", "256", "-1"], {3, 4}),
    ("number", {}, ["1.5", "-.5", "1.", "1e-3"], set()),
    ("number", {}, ["NaN", "inf", "-Infinity", "1"], {1, 2, 3}),
    ("number", {}, ["1,5", "1.5.1", "--1", "€5"], {1, 2, 3, 4}),
    ("number", {}, ["9007199254740992", "9007199254740993"], {2}),
    ("number", {}, ["1e309", "1e308"], {1}),
    ("number", {}, ["", None, "-0.0"], set()),
    ("boolean", {}, ["true", "FALSE", "t", "0", "yes", "N"], set()),
    ("boolean", {}, ["2", "on", "maybe", "tru"], {1, 2, 3, 4}),
    ("boolean", {}, ["", None], set()),
    ("date", {}, ["2020-02-29", "2021-02-29", "2021-02-28"], {2}),
    ("date", {}, ["2020-1-2", "20200102", "02.01.2020"], {1, 2, 3}),
    ("date", {}, ["0999-12-31", "9999-12-31", "0000-01-01"], {3}),
    ("date", {}, ["2020-04-31", "2020-00-01", "2020-13-01"], {1, 2, 3}),
    ("date", {}, ["2020-01-01T00:00:00", "2020-01-01 "], {1, 2}),
    ("date", {"format": "dd.MM.yyyy"}, ["01.02.2020", "31.04.2020", "2020-02-01"], {2}),
    ("date", {"format": "MM/dd/yyyy"}, ["12/31/2020", "31/12/2020"], {2}),
    ("time", {}, ["00:00", "23:59:59", "24:00", "12:60"], {3, 4}),
    ("time", {}, ["12:00:00.123456", "12:00:00.1234567", "12"], {2, 3}),
    ("timestamp", {}, ["2020-01-01T00:00:00Z", "2020-01-01 00:00", "2020-01-01"], {3}),
    ("timestamp", {}, ["2020-01-01T00:00:00+02:00", "2020-01-01T00:00:00+25:00"], {2}),
    ("timestamp", {}, ["2020-01-01T00:00:60Z", "2020-01-01T24:00:00Z"], {1, 2}),
    ("timestamp", {}, ["2020-01-01T00:00:00.1234567Z", "2020-01-01T00:00:00.1234560Z"], {1}),
    ("object", {}, ['{"a": 1}', "{}", "[]", "{a: 1}"], {3, 4}),
    ("array", {}, ["[1, 2]", "[]", "{}", "1"], {3, 4}),
    ("array", {}, ['["a"', "", None], {1}),
    ("string", {}, ["", " ", "\u0000", "ä\n"], set()),
]


@pytest.mark.parametrize(("kind", "options", "cells", "failing"), TYPES)
def test_cells_that_have_no_type(
    known_world: World, kind: str, options: dict[str, Any], cells: list[str | None], failing: set[int]
) -> None:
    column: dict[str, Any] = {"name": "x", "logicalType": kind}
    result = judged(known_world, [column | ({"logicalTypeOptions": options} if options else {})], {"x": cells})
    known = {check: rows for (check, _), rows in result.reasons.items()}
    wanted = {"range"} if options.get("format", "")[1:].isdigit() else {"type"}
    assert known == ({next(iter(wanted)): failing} if failing else {}) or known == (
        {"type": failing} if failing else {}
    )


NATIVE: list[tuple[str, pl.Series, set[int]]] = [
    ("integer", pl.Series([1.0, 1.5, float("nan")]), {2, 3}),
    ("integer", pl.Series([1, 2**63], dtype=pl.UInt64), {2}),
    ("integer", pl.Series([True, False]), {1, 2}),
    ("number", pl.Series([1.0, float("inf"), float("nan")]), {2, 3}),
    ("number", pl.Series([2**53, 2**53 + 1]), {2}),
    ("string", pl.Series([1, None]), set()),
    ("string", pl.Series([1.5, None]), {1}),
    ("boolean", pl.Series([1, 0, 2]), {3}),
    ("date", pl.Series(["2020-01-01 00:00", "2020-01-01 00:01"]).str.to_datetime("%Y-%m-%d %H:%M"), {2}),
    ("timestamp", pl.Series(["2020-01-01"]).str.to_date(), set()),
    ("timestamp", pl.Series([1, 1_000], dtype=pl.Int64).cast(pl.Datetime("ns")), {1}),
    ("object", pl.Series([{"a": 1}, None]), set()),
    ("array", pl.Series([[1, 2], []]), set()),
    ("array", pl.Series([{"a": 1}]), {1}),
]


@pytest.mark.parametrize(("kind", "cells", "failing"), NATIVE)
def test_typed_cells_that_are_not_of_the_contracts_type(
    known_world: World, kind: str, cells: pl.Series, failing: set[int]
) -> None:
    known_world.contract["schema"] = [{"name": "things", "properties": [{"name": "x", "logicalType": kind}]}]
    result = known_world.judge(pl.DataFrame({"x": cells}), batch=f"b{next(numbers)}")
    assert result.reasons == ({("type", "x"): failing} if failing else {})


COLUMNS: list[tuple[list[str], dict[str, list[str | None]], str]] = [
    (["a"], {"a": ["1"]}, ""),
    (["a", "b"], {"b": ["1"], "a": ["2"]}, ""),
    (["a", "b"], {"a": ["1"]}, "missing_columns"),
    (["a", "b"], {"a": ["1"], "c": ["2"]}, "missing_columns"),
    (["a"], {"a": ["1"], "c": ["2"]}, "unexpected_columns"),
    (["a"], {"a": ["1"], "c": [""]}, ""),
    (["a"], {"a": ["1", "2", "3"], "c": [None, None, "x"]}, "unexpected_columns"),
    (["a"], {"A": ["1"]}, "missing_columns"),
    (["a"], {"a ": ["1"]}, "missing_columns"),
    (["a"], {"b": ["1"]}, "missing_columns"),
]


@pytest.mark.parametrize(("wanted", "columns", "held_for"), COLUMNS)
def test_columns_that_are_not_the_contracts(
    known_world: World, wanted: list[str], columns: dict[str, list[str | None]], held_for: str
) -> None:
    result = judged(known_world, [{"name": name, "logicalType": "string"} for name in wanted], columns)
    rows = len(next(iter(columns.values())))
    assert (result.validated.state, result.validated.rows_quarantined) == (
        ("held", rows) if held_for else ("released", 0)
    )
    assert {check for check, _ in result.incidents} == ({held_for} if held_for else set())


def test_there_are_sixty() -> None:
    assert len(TYPES) + len(NATIVE) + len(COLUMNS) >= 60
