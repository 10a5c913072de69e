"""Goal: whatever judges — in memory, in pieces, staged, in the warehouse — the verdict on the same data is the same."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mend.contract_trial import SAME_CONTENT, Engine, Tried, table_trial, trial
from services.validate.pushdown import respelled
from services.validate.sql_rules import other_tables
from shared.domain.contract import parse_contract
from shared.domain.errors import DefinitionError, DefinitionMissing
from shared.domain.text_formats import TEXT_FORMATS, fits
from shared.ports.warehouse import Layout, LoadJob, TableColumn
from shared.runtime.wiring import Process
from tests.support.local_ports import make_process
from tests.unit.validate.test_text_formats import BAD, GOOD

TYPES = {
    "id": ("integer", pl.Int64()),
    "part": ("string", pl.String()),
    "size": ("number", pl.Float64()),
    "kind": ("string", pl.String()),
    "code": ("string", pl.String()),
    "note": ("string", pl.String()),
    "day": ("date", pl.Date()),
    "at": ("timestamp", pl.Datetime("us", "UTC")),
    "flag": ("boolean", pl.Boolean()),
    "count": ("integer", pl.Int64()),
}


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    made = make_process(tmp_path_factory.mktemp("warehouse"))
    load(made, "shop.parents", pl.DataFrame({"id": [1, 2, 3]}, schema={"id": pl.Int64()}), {"id": "integer"})
    wanted = pl.DataFrame({"kind": ["a", "c", "?", None], "size": [0.5, 7.0, None, 1.0]})
    load(made, "shop.wanted", wanted, {"kind": "string", "size": "number"})
    yield made
    made.close()


def load(process: Process, table: str, rows: pl.DataFrame, types: dict[str, str]) -> None:
    """The rows as a table of the warehouse, in the place of the one before."""
    seq = f"{load.__dict__.setdefault('number', 0):09}"
    load.__dict__["number"] += 1
    path = f"rows/{table}/{seq}.parquet"
    given = rows.with_columns(
        pl.lit("b" + seq).alias("_mend_batch"),
        pl.int_range(1, rows.height + 1, dtype=pl.Int64).alias("_mend_row"),
        pl.lit(seq).alias("_mend_seq"),
    )
    with process.objects.write(path) as stream:
        given.write_parquet(stream)
    columns = tuple(TableColumn(name, kind) for name, kind in types.items())  # type: ignore[arg-type]
    process.warehouse.ensure(table, columns, Layout())
    process.warehouse.run(LoadJob(seq, table, "overwrite", (path,), columns, (), "b" + seq, seq))


RULES: dict[str, list[dict[str, Any]]] = {
    "id": [{"required": True}, {"unique": True}, {"primaryKey": True, "primaryKeyPosition": 1}],
    "part": [{"required": True}, {"logicalTypeOptions": {"minLength": 2, "maxLength": 3}}],
    "size": [
        {"logicalTypeOptions": {"minimum": 0, "exclusiveMaximum": 9.5}},
        {"logicalTypeOptions": {"multipleOf": 0.5}, "required": True},
        {"logicalTypeOptions": {"multipleOf": 7}},
        {"quality": [{"metric": "nullValues", "mustBeLessThan": 40, "unit": "percent"}]},
    ],
    "kind": [
        {"enum": [{"value": "a"}, {"value": "b'\\"}]},
        {"quality": [{"metric": "missingValues", "arguments": {"missingValues": ["?"]}, "mustBeLessThan": 2}]},
        {"customProperties": [{"property": "severity", "value": "warning"}], "enum": [{"value": "a"}]},
    ],
    "code": [
        {"logicalTypeOptions": {"pattern": r"^[A-Z]\d+$"}},
        {"logicalTypeOptions": {"pattern": r"^[^\s]+$"}},
        {"quality": [{"metric": "invalidValues", "arguments": {"pattern": "^A"}, "mustBeLessThan": 4}]},
    ],
    "note": [{"logicalTypeOptions": {"format": name}} for name in TEXT_FORMATS],
    "day": [{"logicalTypeOptions": {"minimum": "2020-01-01"}}, {"enum": [{"value": "2020-02-02"}]}],
    "at": [{"logicalTypeOptions": {"maximum": "2021-01-01T00:00:00Z"}}, {"required": True}],
    "flag": [{"required": True}],
    "count": [
        {"logicalTypeOptions": {"exclusiveMinimum": -5, "maximum": 5}},
        {"logicalTypeOptions": {"multipleOf": 3}},
        {"relationships": [{"type": "foreignKey", "to": "parents.id"}]},
        {"quality": [{"metric": "duplicateValues", "mustBeLessThan": 3}]},
        {"quality": [{"metric": "invalidValues", "arguments": {"validValues": [1, 2]}, "mustBeLessThan": 3}]},
    ],
}
TEXTS = [text for known in (GOOD, BAD) for texts in known.values() for text in texts]
OF_THE_TABLE: list[dict[str, Any]] = [
    {"quality": [{"metric": "rowCount", "mustBeGreaterThan": 3}]},
    {"quality": [{"type": "sql", "query": "SELECT COUNTIF(`count` > 2) FROM ${table}", "mustBeLessThan": 2}]},
    {
        "quality": [
            {
                "type": "sql",
                "mustBeLessThan": 2,
                "query": "SELECT SUM(`count`) - (SELECT SUM(id) FROM parents) FROM things",
            }
        ]
    },
    {
        "quality": [
            {
                "type": "sql",
                "mustBe": 0,
                "query": "WITH sums AS (SELECT kind, SUM(size) AS size FROM ${table} GROUP BY kind) SELECT COUNT(*) "
                "FROM sums JOIN shop.wanted AS w ON w.kind = sums.kind WHERE w.size != sums.size OR sums.size IS NULL",
            }
        ]
    },
    {"quality": [{"type": "sql", "mustBe": 0, "query": "SELECT COUNT(*) FROM things JOIN nowhere USING (id)"}]},
    {"quality": [{"metric": "duplicateValues", "arguments": {"properties": ["kind", "flag"]}, "mustBeLessThan": 4}]},
    {
        "customProperties": [
            {"property": "functionalDependencies", "value": [{"from": ["count"], "to": ["kind", "flag"]}]}
        ]
    },
]


@st.composite
def contracts(draw: st.DrawFn) -> dict[str, Any]:
    """Columns with one of their rules each, or none; at most one rule of the table."""
    properties = []
    for name, (kind, _) in TYPES.items():
        rule = draw(st.sampled_from([{}, *RULES.get(name, [])]))
        properties.append({"name": name, "logicalType": kind, **rule})
    schema = {"name": "things", "properties": properties, **draw(st.sampled_from([{}, *OF_THE_TABLE]))}
    about = {"apiVersion": "v3.1.0", "kind": "DataContract", "id": "things", "version": "1.0.0", "status": "active"}
    return {**about, "schema": [schema]}


def rows() -> st.SearchStrategy[list[dict[str, Any]]]:
    some = st.none
    values: dict[str, st.SearchStrategy[Any]] = {
        "id": some() | st.integers(1, 6),
        "part": some() | st.sampled_from(["", "a", "ab", "abc", "äöü", "abcd"]),
        "size": some() | st.sampled_from([0.0, -0.0, 0.5, 0.3, 9.5, -1.0, math.nan, math.inf, 7.0, 7.0000000001]),
        "kind": some() | st.sampled_from(["a", "b'\\", "", "c", "?", "A"]),
        "code": some() | st.sampled_from(["A1", "A", "B٣", "a 1", "A\u00a01", "", "A1\n", "A12"]),
        "note": some() | st.text(max_size=3) | st.sampled_from(TEXTS),
        "day": some() | st.dates(dt.date(2019, 12, 30), dt.date(2020, 2, 3)),
        "at": some()
        | st.sampled_from([dt.datetime(2020, 5, 5, tzinfo=dt.UTC), dt.datetime(2021, 1, 1, 0, 0, 1, tzinfo=dt.UTC)]),
        "flag": some() | st.booleans(),
        "count": some() | st.integers(-6, 6),
    }
    return st.lists(st.fixed_dictionaries(values), max_size=12)


def told(tried: list[Tried]) -> dict[str, Any]:
    (only,) = tried
    document = only.document()
    # The warehouse counts the rows of a broken rule and names none.
    document["broken"] = [{name: each[name] for name in each if name != "rows"} for each in document["broken"]]
    return {name: value for name, value in document.items() if name not in ("input", "rows", "query")}


def on_file(folder: Path, contract: dict[str, Any], frame: pl.DataFrame, engine: Engine) -> Tried:
    file, data = folder / "c.odcs.yaml", folder / "data.parquet"
    file.write_text(yaml.safe_dump(contract, allow_unicode=True))
    frame.write_parquet(data)
    (only,) = trial(file, parse_contract(file.read_text(), str(file)), str(data), engine=engine)
    return only


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(contract=contracts(), given_rows=rows())
def test_every_engine_comes_to_the_same_verdict(
    process: Process,
    tmp_path_factory: pytest.TempPathFactory,
    contract: dict[str, Any],
    given_rows: list[dict[str, Any]],
) -> None:
    folder = tmp_path_factory.mktemp("same")
    frame = pl.DataFrame(given_rows, schema={name: kind for name, (_, kind) in TYPES.items()})
    load(process, "shop.things", frame, {name: kind for name, (kind, _) in TYPES.items()})
    file = folder / "c.odcs.yaml"
    file.write_text(yaml.safe_dump(contract, allow_unicode=True))
    parsed = parse_contract(file.read_text(), str(file))
    engines: tuple[Engine, ...] = ("memory", "streamed", "warehouse")
    of_table = {
        each: told(table_trial(file, parsed, "shop.things", process.warehouse, engine=each)) for each in engines
    }
    assert of_table["streamed"] == of_table["memory"]
    assert of_table["warehouse"] == of_table["memory"]
    if not parsed.references and not other_tables(parsed, str(file)):
        of_file = {each: on_file(folder, contract, frame, each) for each in ("memory", "staged")}  # type: ignore[arg-type]
        assert of_file["memory"].document() == of_file["staged"].document()
        assert told([of_file["memory"]]) == of_table["memory"]


def contract_text(properties: list[dict[str, Any]], **schema: Any) -> str:
    about = {"apiVersion": "v3.1.0", "kind": "DataContract", "id": "things", "version": "1.0.0", "status": "active"}
    return yaml.safe_dump({**about, "schema": [{"name": "things", "properties": properties, **schema}]})


def of_table(process: Process, folder: Path, text: str, engine: Engine = "auto") -> Tried:
    file = folder / "c.odcs.yaml"
    file.write_text(text)
    (only,) = table_trial(file, parse_contract(text, str(file)), "shop.small", process.warehouse, engine=engine)
    return only


@pytest.mark.parametrize(
    ("properties", "schema", "why"),
    [
        ([{"name": "id", "logicalType": "string"}], {}, "id is of another type in the table than in the contract"),
        ([{"name": "size", "logicalType": "number", "unique": True}], {}, "the warehouse does not group by size"),
        ([{"name": "name", "logicalType": "string", "logicalTypeOptions": {"pattern": r"\bx"}}], {},
         "the pattern of name may mean something else in the warehouse"),
        ([{"name": "name", "logicalType": "string", "logicalTypeOptions": {"pattern": "(?i)x"}}], {},
         "the pattern of name may mean something else in the warehouse"),
        ([{"name": "id", "logicalType": "integer",
           "quality": [{"metric": "missingValues", "mustBeLessThan": 1, "arguments": {"missingValues": [0]}}]}], {},
         "missingValues of id looks at how its cells were written"),
    ],
)  # fmt: skip
def test_what_the_warehouse_would_judge_otherwise_is_judged_here(
    process: Process, tmp_path: Path, properties: list[dict[str, Any]], schema: dict[str, Any], why: str
) -> None:
    rows = pl.DataFrame({"id": [1, 1], "size": [1.5, 1.5], "name": ["x", "y"]})
    load(process, "shop.small", rows, {"id": "integer", "size": "number", "name": "string"})
    known = {each["name"] for each in properties}
    kinds = {"id": "integer", "size": "number", "name": "string"}
    whole = [*properties, *({"name": name, "logicalType": kind} for name, kind in kinds.items() if name not in known)]
    text = contract_text(whole, **schema)
    with pytest.raises(DefinitionMissing, match=re.escape(f"cannot be judged in the warehouse: {why}")):
        of_table(process, tmp_path, text, "warehouse")
    assert told([of_table(process, tmp_path, text)]) == told([of_table(process, tmp_path, text, "streamed")])


@pytest.mark.parametrize("name", TEXT_FORMATS)
def test_a_format_means_the_same_in_the_warehouse(process: Process, tmp_path: Path, name: str) -> None:
    load(process, "shop.small", pl.DataFrame({"name": TEXTS}), {"name": "string"})
    text = contract_text([{"name": "name", "logicalType": "string", "logicalTypeOptions": {"format": name}}])
    found = of_table(process, tmp_path, text, "warehouse")
    assert found.rows_failed == sum(not fits(each, name) for each in TEXTS if each)
    assert told([found]) == told([of_table(process, tmp_path, text, "streamed")])


def test_a_column_that_is_missing_or_strange_holds_the_table(process: Process, tmp_path: Path) -> None:
    rows = pl.DataFrame({"id": [1], "empty": [None], "new": ["x"]}, schema_overrides={"empty": pl.String})
    load(process, "shop.small", rows, {"id": "integer", "empty": "string", "new": "string"})
    for properties, held in (
        ([{"name": "id", "logicalType": "integer"}, {"name": "gone", "logicalType": "string"}], "missing_columns"),
        ([{"name": "id", "logicalType": "integer"}], "unexpected_columns"),
        ([{"name": "id", "logicalType": "integer"}, {"name": "new", "logicalType": "string"}], ""),
    ):
        text = contract_text(properties)
        found = of_table(process, tmp_path, text, "warehouse")
        assert found.held_for == held
        assert told([found])["checks"] == told([of_table(process, tmp_path, text, "memory")])["checks"]


def test_the_query_finds_the_rows_that_fail(process: Process, tmp_path: Path) -> None:
    rows = pl.DataFrame({"id": [1, 2, 2], "name": ["x", "it's", None]})
    load(process, "shop.small", rows, {"id": "integer", "name": "string"})
    properties = [
        {"name": "id", "logicalType": "integer", "unique": True},
        {"name": "name", "logicalType": "string", "enum": [{"value": "x"}]},
    ]
    found = of_table(process, tmp_path, contract_text(properties), "warehouse")
    assert (found.rows_failed, found.rows_read) == (2, 3)
    failing = process.warehouse.query(found.query).to_pylist()
    assert sorted((row["id"], row["name"], row["reasons"]) for row in failing if row["name"]) == [
        (2, "it's", "enum name; unique id")
    ]
    assert len(failing) == 2


def test_a_tables_name_is_no_value_in_the_warehouse_either(process: Process, tmp_path: Path) -> None:
    load(process, "shop.small", pl.DataFrame({"id": [1, 2]}), {"id": "integer"})
    load(process, "shop.more", pl.DataFrame({"id": [1]}), {"id": "integer"})
    query = "SELECT COUNT(*) FROM ${table} AS t LEFT JOIN shop.more AS m USING (id) WHERE MISSING IS NULL"
    for missing, refused in (("m", True), ("m.id", False)):
        rule = {"type": "sql", "query": query.replace("MISSING", missing), "mustBe": 1}
        text = contract_text([{"name": "id", "logicalType": "integer", "quality": [rule]}])
        if refused:
            with pytest.raises(DefinitionError, match="m is a table and no value"):
                of_table(process, tmp_path, text, "warehouse")
        else:
            assert of_table(process, tmp_path, text, "warehouse").whole == []


def test_a_large_table_is_judged_where_it_lies(
    process: Process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(process, "shop.small", pl.DataFrame({"id": [1, 2]}), {"id": "integer"})
    text = contract_text([{"name": "id", "logicalType": "integer", "logicalTypeOptions": {"minimum": 2}}])
    assert not of_table(process, tmp_path, text).query
    monkeypatch.setattr("mend.contract_table.ROWS_PUSHED", 1)
    assert of_table(process, tmp_path, text).query


def test_a_table_that_is_not_there(process: Process, tmp_path: Path) -> None:
    file = tmp_path / "c.odcs.yaml"
    file.write_text(contract_text([{"name": "id", "logicalType": "integer"}]))
    with pytest.raises(DefinitionMissing, match="there is no such table"):
        table_trial(file, parse_contract(file.read_text(), str(file)), "shop.nothing", process.warehouse)


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        (r"^\d{3}$", r"^\p{Nd}{3}$"),
        (r"[\d.]", r"[\p{Nd}.]"),
        (r"\\d", r"\\d"),
        (r"[^\s@]", r"[^\t\n\v\f\r\x{85}\p{Z}@]"),
    ],
)
def test_a_pattern_is_respelled_for_the_warehouse(pattern: str, wanted: str) -> None:
    assert respelled(pattern) == wanted


def test_what_is_inside_is_judged_alike(process: Process, tmp_path: Path) -> None:
    lines = {"logicalType": "array", "items": {"logicalType": "integer", "required": True}}
    contract = yaml.safe_load(
        contract_text([{"name": "o", "logicalType": "object", "properties": [{"name": "lines", **lines}]}])
    )
    frame = pl.DataFrame({"o": [{"lines": [1]}, {"lines": [1, None]}, {"lines": None}, None]})
    engines: tuple[Engine, ...] = ("memory", "streamed", "staged")
    found = [on_file(tmp_path, contract, frame, each) for each in engines]
    assert [(each.rows_failed, each.checks[0]["column"]) for each in found] == [(1, "o.lines[]")] * 3
    assert found[0].document() == found[1].document() == found[2].document()
    load(process, "shop.small", pl.DataFrame({"o": ['{"lines": [1]}']}), {"o": "object"})
    with pytest.raises(DefinitionMissing, match="o holds nested values"):
        of_table(process, tmp_path, yaml.safe_dump(contract), "warehouse")


def test_a_file_that_is_no_parquet_is_told_as_ever(tmp_path: Path) -> None:
    text = contract_text([{"name": "id", "logicalType": "integer"}])
    file = tmp_path / "c.odcs.yaml"
    file.write_text(text)
    (tmp_path / "junk.parquet").write_bytes(b"PAR1 and then nothing like it PAR1")
    pl.DataFrame({"id": [1, 2]}).write_parquet(tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_bytes((tmp_path / "a.parquet").read_bytes())
    parsed = parse_contract(text, str(file))
    (junk,) = trial(file, parsed, str(tmp_path / "junk.parquet"))
    assert junk.state == "held"
    same = trial(file, parsed, str(tmp_path / "[ab].parquet"))
    assert [(each.state, each.held_for) for each in same] == [("passed", ""), ("passed", f"{SAME_CONTENT}a.parquet")]


def test_many_rows_are_compared_in_ranges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A repeated key is found wherever its hash lies, when only some hashes are sorted at once."""
    monkeypatch.setattr("services.validate.keys.ROWS_AT_ONCE", 100)
    ids = [*range(2_000), 3, 1_999, 777]
    found = on_file(
        tmp_path,
        yaml.safe_load(contract_text([{"name": "id", "logicalType": "integer", "unique": True}])),
        pl.DataFrame({"id": ids}),
        "streamed",
    )
    assert (found.rows_read, found.rows_failed) == (2_003, 6)


def test_every_failing_row_is_named_in_a_file(tmp_path: Path) -> None:
    """The same by every engine: delivery, number, check, column, in the order of the rows; no cell."""
    text = contract_text(
        [
            {"name": "id", "logicalType": "integer", "unique": True},
            {"name": "name", "logicalType": "string", "required": True, "enum": [{"value": "x"}]},
        ]
    )
    file = tmp_path / "c.odcs.yaml"
    file.write_text(text)
    rows = pl.DataFrame({"id": [1, 2, 1, 4], "name": ["x", None, "secret", "x"]})
    rows.write_parquet(tmp_path / "data.parquet")
    wanted = [(1, "unique", "id"), (2, "required", "name"), (3, "enum", "name"), (3, "unique", "id")]
    for engine in ("memory", "streamed", "staged"):
        named = tmp_path / f"{engine}.parquet"
        trial(file, parse_contract(text, str(file)), str(tmp_path / "data.parquet"), engine=engine, failing=named)  # type: ignore[arg-type]
        found = pl.read_parquet(named)
        assert found.columns == ["delivery", "row", "check", "column"]
        assert sorted(found.drop("delivery").iter_rows()) == wanted
        assert set(found["delivery"]) == {"data.parquet"}
    rows.head(1).write_parquet(tmp_path / "data.parquet")
    trial(file, parse_contract(text, str(file)), str(tmp_path / "data.parquet"), failing=named)
    assert pl.read_parquet(named).height == 0
    with pytest.raises(DefinitionError, match="cannot be written"):
        trial(
            file, parse_contract(text, str(file)), str(tmp_path / "data.parquet"), failing=tmp_path / "no" / "x.parquet"
        )
