"""The four traps of pandera that the design names, and that none of them catches us."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pandera.errors
import pandera.polars as pa
import polars as pl
import pytest

from services.validate.column_checks import cell_rules, failing_cells
from services.validate.column_schema import broken_rules, contract_schema
from services.validate.findings import Rule
from services.validate.keys import KeyLedger
from shared.domain.contract import Column, Contract
from tests.unit.validate.world import World

CONTRACT = Contract(
    id="x",
    version="1",
    table="t",
    columns=(
        Column(name="a", logical_type="integer", required=True, minimum=1, maximum=9),
        Column(name="b", pattern="^[A-Z]+$", max_length=3, enum=("AB", "CD")),
        Column(name="c", logical_type="timestamp", exclusive_maximum="2014-01-01T00:00:00Z"),
        Column(name="d", logical_type="number", multiple_of=0.5),
    ),
)
MOMENT = datetime(2013, 1, 1, tzinfo=UTC)


def frame(a: int | None = 1, b: str | None = "AB", c: datetime = MOMENT, d: float = 1.5) -> pl.DataFrame:
    types: dict[str, Any] = {"a": pl.Int64, "b": pl.String, "c": pl.Datetime("us", "UTC"), "d": pl.Float64}
    return pl.DataFrame({"a": [5, a], "b": [None, b], "c": [None, c], "d": [None, d]}, schema=types)


def test_a_lazy_frame_passes_in_silence_so_frames_are_validated_with_the_depth_set() -> None:
    schema = pa.DataFrameSchema({"a": pa.Column(pl.Int64, checks=[pa.Check.ge(2)])})
    broken = pl.DataFrame({"a": [1]})
    schema.validate(broken.lazy()).collect()  # the trap: no error
    with pytest.raises(pandera.errors.SchemaError):
        schema.validate(broken)
    assert contract_schema(CONTRACT, ()) is contract_schema(CONTRACT, ())  # built once


@pytest.mark.parametrize("depth", ["", "SCHEMA_ONLY"])
@pytest.mark.parametrize(
    "broken",
    [
        frame(a=None),
        frame(a=0),
        frame(a=10),
        frame(b="ABCD"),
        frame(b="ab"),
        frame(c=datetime(2014, 1, 1, tzinfo=UTC)),
        frame(d=0.3),
    ],
)
def test_a_broken_row_is_caught_whatever_the_environment_says(
    broken: pl.DataFrame, depth: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if depth:
        monkeypatch.setenv("PANDERA_VALIDATION_DEPTH", depth)
    assert broken_rules(frame(), CONTRACT, ()) == []
    named = broken_rules(broken, CONTRACT, ())
    assert named
    rules = cell_rules(CONTRACT.columns, ())
    assert [rules[place].rule for place in named] == [each.rule for each in failing_cells(broken, rules, {})]


@pytest.mark.parametrize("value", [1, 0])
def test_a_chunk_is_gone_once_it_was_looked_at(value: int) -> None:
    broken_rules(frame(), CONTRACT, ())  # what is loaded or built once is no part of this
    gc.collect()
    gc.disable()
    try:
        chunk = frame(a=value)
        gone = weakref.ref(chunk)
        broken_rules(chunk, CONTRACT, ())
        del chunk
        assert gone() is None
    finally:
        gc.enable()


def test_a_finding_about_the_whole_is_never_told_of_the_first_row(world: Callable[..., World]) -> None:
    """pandera reports a failed aggregate check at row 0; here it is a dataset finding, and row 1 is not to blame."""
    w = world([{"name": "x", "logicalType": "integer"}], quality=[{"metric": "rowCount", "mustBeGreaterThan": 5}])
    result = w.judge(pl.DataFrame({"x": ["1", "2"]}))
    assert result.incidents["row_count", ""].origin == "dataset"
    assert result.reasons == {("row_count", ""): {1, 2}}


def test_a_composite_key_of_duplicates_alone_is_quick_and_small() -> None:
    rows = 1_000_000
    numbers = pl.int_range(0, rows, eager=True) // 2
    typed = pl.DataFrame({"a": numbers, "b": numbers % 7})
    ledger = KeyLedger(Rule("unique", ("a", "b"), ""))
    ledger.add(0, typed)
    started = datetime.now()
    verdict = ledger.verdict(lambda numbers: [(0, typed)], lambda: iter(()))
    seconds = (datetime.now() - started).total_seconds()
    assert verdict is not None
    assert (int(verdict.masks[0].sum()), verdict.groups, verdict.rows_identical) == (rows, rows // 2, rows)
    assert seconds < 6, f"{seconds:.1f} s where a mask takes a fraction of a second"


def test_a_cell_that_cannot_be_cast_is_told_with_its_column(world: Callable[..., World]) -> None:
    """pandera's coercion names no column; here the type is a violation of cell and column."""
    result = world([{"name": "x", "logicalType": "integer"}, {"name": "y", "logicalType": "integer"}]).judge(
        pl.DataFrame({"x": ["1", "2"], "y": ["1", "two"]})
    )
    violation = result.quarantine["_mend_violations"][0][0]
    assert (violation["check"], violation["column"], violation["value"]) == ("type", "y", "two")
    assert result.reasons == {("type", "y"): {2}}
