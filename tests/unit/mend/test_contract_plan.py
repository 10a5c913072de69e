"""Goal: the plan says what load does and what it cannot, and its SQL is BigQuery's, whatever the names are."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp
from typer.testing import CliRunner

from mend.contract_plan import SQL_TYPES, Step, plan, takes
from mend.main import app
from shared.adapters import table_shape
from shared.adapters.gcp import warehouse_schema
from shared.adapters.table_shape import StoredColumn
from shared.domain.contract import LOGICAL_TYPES, Column, Contract, LogicalType
from shared.domain.errors import ForeignFailure
from shared.ports.warehouse import TableColumn

KINDS = list(itertools.product(LOGICAL_TYPES, LOGICAL_TYPES))


def contract(*columns: Column, table: str = "shop.orders") -> Contract:
    return Contract(id="x", version="1", table=table, columns=columns)


def typed(name: str, kind: LogicalType, **options: Any) -> Column:
    return Column(name=name, logical_type=kind, **options)


def load_does(old: LogicalType, new: LogicalType) -> str:
    """What load makes of a column, by the code that decides it."""
    stored = {"c": StoredColumn("c", SQL_TYPES[old], old)}
    try:
        changes = warehouse_schema.planned(stored, [TableColumn("c", new)])
    except ForeignFailure as error:
        return "you" if error.reason == "incompatible" else error.reason
    return "load" if changes else "nobody"


@pytest.mark.parametrize(("old", "new"), KINDS)
def test_every_change_of_type_is_told_as_load_makes_it(old: LogicalType, new: LogicalType) -> None:
    steps = plan(contract(typed("c", old)), contract(typed("c", new)))
    assert [each.by for each in steps] == ([] if old == new else [load_does(old, new)])
    assert all("loads are refused" in each.what.lower() for each in steps if each.by == "you")


def test_what_load_does_in_place_is_the_sql_of_load() -> None:
    """The adapter's own statement, of a table of one column."""
    from google.cloud import bigquery

    name = warehouse_schema.table_name("p", "shop.orders", [])
    for old, new in KINDS:
        if load_does(old, new) == "load" and SQL_TYPES[old] != SQL_TYPES[new]:
            table = bigquery.Table(name.full, schema=[bigquery.SchemaField("c", SQL_TYPES[old])])
            (step,) = plan(contract(typed("c", old)), contract(typed("c", new)), "p.shop.orders")
            ours, theirs = "".join(step.statements), warehouse_schema.widened(table, name, {"c": new})
            assert ours.split() == theirs.split()
    (step,) = plan(contract(), contract(typed("c", "date")), "p.shop.orders")
    assert "".join(step.statements).split() == warehouse_schema.extended(name, {"c": "date"}).split()


def test_the_names_and_types_are_those_of_the_adapter() -> None:
    assert SQL_TYPES == warehouse_schema.SQL_TYPES
    for character in map(chr, range(1, 256)):
        try:
            warehouse_schema.checked_columns([TableColumn(f"a{character}b", "string")])
            taken = True
        except ForeignFailure:
            taken = False
        assert takes(f"a{character}b") is taken, repr(character)
    assert table_shape.StoredColumn is StoredColumn


BEFORE = contract(
    typed("id", "integer", primary_key_position=1), typed("a", "boolean"), typed("b", "object"),
    typed("gone", "string"), typed("old", "string"), typed("day", "date", required=True), typed("n", "integer"),
)  # fmt: skip
AFTER = contract(
    typed("id", "integer", primary_key_position=1), typed("a", "integer"), typed("b", "array"),
    typed("new", "string", synonyms=("old",)), typed("day", "date"), typed("n", "number"), typed("more", "object"),
)  # fmt: skip


def test_a_whole_plan() -> None:
    steps = [(each.column, each.by, list(each.statements)) for each in plan(BEFORE, AFTER)]
    copied = "SAFE_CAST(`a` AS INT64) AS `a`, SAFE_CAST(`b` AS STRING) AS `b`"
    assert steps == [
        ("new", "you", ["ALTER TABLE `shop.orders` RENAME COLUMN `old` TO `new`;"]),
        (
            "",
            "you",
            [
                f"CREATE TABLE `shop.orders_next` AS SELECT * REPLACE ({copied}) FROM `shop.orders`;",
                "ALTER TABLE `shop.orders` RENAME TO `orders_before`;",
                "ALTER TABLE `shop.orders_next` RENAME TO `orders`;",
            ],
        ),
        (
            "more",
            "load",
            ["ALTER TABLE `shop.orders` ADD COLUMN IF NOT EXISTS `more` STRING OPTIONS (description = 'object');"],
        ),
        ("n", "load", ["ALTER TABLE `shop.orders` ALTER COLUMN `n` SET DATA TYPE FLOAT64;"]),
        ("gone", "nobody", ["ALTER TABLE `shop.orders` DROP COLUMN `gone`;"]),
        ("day", "nobody", ["ALTER TABLE `shop.orders` ALTER COLUMN `day` DROP NOT NULL;"]),
    ]
    assert plan(AFTER, AFTER) == []


NAME = st.text(min_size=1, max_size=8) | st.sampled_from(
    ["`; DROP TABLE x; --", "a\\", "a\nb", "select", "Ü b", "_TABLE_x"]
)
COLUMN = st.builds(Column, name=NAME, logical_type=st.sampled_from(LOGICAL_TYPES), required=st.booleans())
COLUMNS = st.lists(COLUMN, max_size=4, unique_by=lambda column: column.name.casefold())


@given(COLUMNS, COLUMNS, st.sampled_from(["shop.orders", "orders", "my-p.shop.orders", "x`y.z", "a.b;c", ""]) | NAME)
def test_every_statement_is_one_statement(before: list[Column], after: list[Column], table: str) -> None:
    """No name of a column or table leaves its quotes."""
    kinds = (exp.Alter, exp.Create)
    for step in plan(contract(*before), contract(*after, table=table or "t")):
        for statement in step.statements:
            (parsed,) = sqlglot.parse(statement, dialect="bigquery")
            assert isinstance(parsed, kinds), statement
            assert "\n" not in statement
            assert statement.count(";") == 1


def test_names_that_bigquery_does_not_take_are_said() -> None:
    (first, second) = plan(contract(), contract(typed("a.b", "string")))
    assert (first.column, first.by, first.statements) == ("a.b", "you", ())
    assert second == Step("a.b", "is added, null in the rows that are there", "load")
    (added,) = plan(contract(), contract(typed("c", "date")), "my-project.shop.orders")
    assert added.statements[0].startswith("ALTER TABLE `my-project.shop.orders` ADD")
    assert "--table" in plan(contract(), contract(table="a b.c d"))[0].what


def test_the_command(tmp_path: Path) -> None:
    from shared.domain.contract import write_contract

    for name, each in (("a", BEFORE), ("b", AFTER)):
        (tmp_path / f"{name}.yaml").write_text(write_contract(each))
    arguments = ["contract", "diff", str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml")]
    shown = CliRunner().invoke(app, [*arguments, "--plan", "--table", "other.place"])
    assert shown.exit_code == 1  # breaking, as without the plan
    assert "\nALTER TABLE `other.place` RENAME COLUMN `old` TO `new`;\n" in shown.stdout
    assert "\n--   ALTER TABLE `other.place` DROP COLUMN `gone`;\n" in shown.stdout
    told = json.loads(CliRunner().invoke(app, [*arguments, "--plan", "--json"]).stdout)
    assert [each["by"] for each in told["plan"]] == ["you", "you", "load", "load", "nobody", "nobody"]
    assert "plan" not in json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    same = CliRunner().invoke(app, [*arguments[:3], arguments[2], "--plan"])
    assert "it stays as it is" in same.stdout
