"""Every check is seen failing, and on random rows fails exactly where the oracle says, in every chunking."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.domain.contract import parse_contract
from tests.oracles import check_oracle
from tests.unit.validate.world import World

KEYED: list[dict[str, Any]] = [
    {"name": "id", "logicalType": "integer", "required": True, "primaryKey": True},
    {"name": "part", "logicalType": "string", "primaryKey": True},
    {
        "name": "code",
        "logicalType": "string",
        "unique": True,
        "logicalTypeOptions": {"pattern": "^[A-Z]+$", "maxLength": 3},
    },
    {"name": "kind", "logicalType": "string", "enum": [{"value": "a"}, {"value": "b"}]},
    {
        "name": "price",
        "logicalType": "number",
        "logicalTypeOptions": {"minimum": 0, "exclusiveMaximum": 10, "multipleOf": 0.5},
    },
    {"name": "day", "logicalType": "date", "logicalTypeOptions": {"minimum": "2013-01-02"}},
    {"name": "at", "logicalType": "timestamp", "logicalTypeOptions": {"maximum": "2013-06-01T00:00:00Z"}},
    {"name": "shop", "logicalType": "string", "relationships": [{"to": "shops.id"}]},
    {"name": "floor", "logicalType": "integer"},
    {"name": "city", "logicalType": "string", "required": True},
]
TABLE: dict[str, Any] = {
    "relationships": [
        {"type": "foreignKey", "from": ["things.shop", "things.floor"], "to": ["floors.shop", "floors.floor"]}
    ],
    "customProperties": [{"property": "functionalDependencies", "value": [{"from": ["shop"], "to": ["city"]}]}],
}
GOOD = {
    "id": "1", "part": "x", "code": "AB", "kind": "a", "price": "1.5", "day": "2013-01-02",
    "at": "2013-01-02T03:04:05Z", "shop": "s1", "floor": "1", "city": "Rome",
}  # fmt: skip
CELLS: dict[str, st.SearchStrategy[str]] = {
    "id": st.sampled_from(["1", "2", "3", "", "x", "2.0"]),
    "part": st.sampled_from(["x", "y", ""]),
    "code": st.one_of(st.sampled_from(["AB", "ab", "ABCD", "", "É", "ÉÉÉ", "ÉÉÉÉ"]), st.text("ABé", max_size=5)),
    "kind": st.sampled_from(["a", "b", "A", "", "c "]),
    "price": st.sampled_from(["0", "-0.5", "10", "9.5", "1.25", "x", "", "1e0", "inf"]),
    "day": st.sampled_from(["2013-01-02", "2013-01-01", "01/02/2013", ""]),
    "at": st.sampled_from(["2013-06-01T00:00:00Z", "2013-06-01 00:00", "2013-06-01T00:00:00.000001Z", "later", ""]),
    "shop": st.sampled_from(["s1", "s2", "s3", ""]),
    "floor": st.sampled_from(["1", "2", "", "x"]),
    "city": st.sampled_from(["Rome", "Oslo", ""]),
}
ROW: st.SearchStrategy[dict[str, str]] = st.one_of(
    st.fixed_dictionaries(CELLS),
    st.just(GOOD),
    st.builds(lambda number: {**GOOD, "id": str(number), "code": ""}, st.integers(1, 99)),
    st.just({}),
)


def as_frame(rows: list[dict[str, str]], columns: list[str]) -> pl.DataFrame:
    """Rows as ingest stages them; an empty one is a record that did not fit."""
    frame = pl.DataFrame(
        [{name: row.get(name) for name in columns} for row in rows], schema=dict.fromkeys(columns, pl.String)
    )
    misfit = pl.Series(["too_few_fields" if not row else None for row in rows], dtype=pl.String)
    return frame.with_columns(_mend_misfit=misfit, _mend_raw=pl.when(misfit.is_not_null()).then(pl.lit("junk")))


def with_parents(world: World) -> World:
    world.table("shop.shops", pl.DataFrame({"id": ["s1", "s2"]}), {"id": "string"})
    world.table(
        "shop.floors",
        pl.DataFrame({"shop": ["s1", "s1", "s2"], "floor": [1, 2, 1]}),
        {"shop": "string", "floor": "integer"},
    )
    return world


PARENTS: dict[str, Any] = {"shops": {("s1",), ("s2",)}, "floors": {("s1", 1), ("s1", 2), ("s2", 1)}}


@pytest.fixture(scope="module", params=[3, 131_072])
def keyed(request: pytest.FixtureRequest) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        world = with_parents(World(Path(folder) / "w", KEYED, rows_per_part=request.param, **TABLE))
        yield world
        world.close()


def contract_of(world: World) -> Any:
    return parse_contract((world.folder / "contracts/things.odcs.yaml").read_text(), "things.odcs.yaml")


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(rows=st.lists(ROW, max_size=12), upsert=st.booleans())
def test_the_same_rows_fail_as_in_the_oracle(keyed: World, rows: list[dict[str, str]], upsert: bool) -> None:
    keyed.pipeline["destination"]["mode"] = "upsert" if upsert else "append"
    keyed.count = getattr(keyed, "count", 0) + 1  # type: ignore[attr-defined]
    frame = as_frame(rows, [item["name"] for item in KEYED])
    result = keyed.judge(frame, batch=f"b{keyed.count}")  # type: ignore[attr-defined]
    expected = check_oracle.judge(rows, contract_of(keyed), parents=PARENTS)
    assert result.reasons == expected
    failing = set().union(*expected.values()) if expected else set()
    assert set(result.quarantine["_mend_row"]) == failing
    assert set(result.passed["_mend_row"]) == set(range(1, len(rows) + 1)) - failing
    assert {key: event.rows_failed for key, event in result.incidents.items()} == {
        key: len(numbers) for key, numbers in expected.items()
    }
    assert result.validated.incidents == len(expected)


@pytest.mark.parametrize(
    ("check", "column", "cell"),
    [
        ("type", "id", {"id": "one"}),
        ("type", "at", {"at": "02.01.2013"}),
        ("required", "city", {"city": ""}),
        ("required", "part", {"part": ""}),
        ("enum", "kind", {"kind": "z"}),
        ("pattern", "code", {"code": "ab"}),
        ("length", "code", {"code": "ABCDE"}),
        ("range", "price", {"price": "10"}),
        ("range", "day", {"day": "2012-12-31"}),
        ("range", "at", {"at": "2013-06-01T00:00:01Z"}),
        ("multiple_of", "price", {"price": "1.3"}),
        ("unique", "code", {"code": "BB"}),
        ("primary_key", "id,part", {"id": "2"}),
        ("relationship", "shop", {"shop": "s9", "floor": ""}),
        ("relationship", "shop,floor", {"floor": "9"}),
        ("functional_dependency", "shop", {"city": "Oslo"}),
    ],
)
def test_each_check_is_seen_failing(keyed: World, check: str, column: str, cell: dict[str, str]) -> None:
    rows = [{**GOOD, "id": "2", "code": "BB"}, {**GOOD, "id": "1", "code": "AA", **cell}]
    keyed.pipeline["destination"]["mode"] = "append"
    result = keyed.judge(as_frame(rows, list(GOOD)), batch=f"seen {check} {column}")
    assert 2 in result.reasons[check, column]
    assert result.incidents[check, column].origin == "violation"
    evidence = result.evidence(check, column)
    assert evidence["rows_failed"] == len(result.reasons[check, column])
    assert {
        "columns",
        "logical_type",
        "severity",
        "share_failed",
        "null_share",
        "distinct_failed",
        "hypotheses",
    } <= set(evidence)


def test_a_pattern_that_the_engine_cannot_do_is_done_all_the_same(world: Callable[..., World]) -> None:
    result = world([{"name": "x", "logicalType": "string", "logicalTypeOptions": {"pattern": r"(\w)\1"}}]).judge(
        pl.DataFrame({"x": ["aa", "ab", "", "xbb"]})
    )
    assert result.reasons == {("pattern", "x"): {2}}


def test_a_warning_is_told_and_scored_but_sets_nothing_aside(world: Callable[..., World]) -> None:
    marked = {"customProperties": [{"property": "severity", "value": "warning"}]}
    w = world([{"name": "x", "logicalType": "string", "logicalTypeOptions": {"maxLength": 1}, **marked}])
    result = w.judge(pl.DataFrame({"x": ["a", "bb"]}))
    assert result.validated.rows_passed == 2
    assert result.evidence("length", "x")["severity"] == "warning"
    assert result.validated.score == 75.0


def test_the_frame_is_typed_in_contract_order(keyed: World) -> None:
    frame = as_frame([GOOD], list(reversed(GOOD)))
    keyed.pipeline["destination"]["mode"] = "append"
    passed = keyed.judge(frame, batch="typed").passed
    names = [item["name"] for item in KEYED]
    assert passed.columns == ["_mend_row", *names, "_mend_batch", "_mend_seq"]
    assert passed.schema["at"] == pl.Datetime("us", "UTC")
    assert passed.schema["id"] == pl.Int64
    assert passed.schema["price"] == pl.Float64
