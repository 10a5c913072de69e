"""The contract's checks as GoogleSQL: a table in the warehouse is judged where it lies, and only counts come out.

The rules are those of the other engines (``cell_rules``, ``key_rules`` …), each with a condition that is true where a
row breaks it. What cannot be said in SQL with the same meaning is not pushed down: ``unpushable`` says why.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any, NamedTuple

from services.validate.column_checks import INTEGERS, bounds_of, cell_rules, enum_values, pattern_supported, type_rule
from services.validate.dependencies import dependency_rule
from services.validate.findings import Rule
from services.validate.keys import key_rules
from services.validate.relationships import parent_rule
from shared.domain.text_formats import TEXT_FORMATS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from services.validate.terms import Terms
    from shared.domain.contract import Column, Contract, QualityRule
    from shared.ports.warehouse import TableInfo

_PUSHED = ("required", "enum", "pattern", "format", "length", "range", "multiple_of")
# GoogleSQL neither groups nor partitions by these.
_NO_KEYS = ("number", "object", "array")
# RE2 means ASCII by its classes where the engine of the other checks means Unicode; these cannot be respelled.
_UNLIKE = re.compile(r"\\[bBWSwDpP]|&&|--|~~")
_DIGIT, _SPACE = r"\p{Nd}", r"\t\n\v\f\r\x{85}\p{Z}"


class Condition(NamedTuple):
    """A rule and the SQL that is true, never null, in the rows that break it."""

    rule: Rule
    sql: str


def name_sql(name: str) -> str:
    """A column's name, quoted."""
    from sqlglot import exp

    return exp.to_identifier(name, quoted=True).sql(dialect="bigquery")


def table_sql(table: str) -> str:
    """``dataset.table``, quoted."""
    return ".".join(name_sql(part) for part in table.split("."))


def literal(value: Any) -> str:
    """A Python value as a constant of GoogleSQL."""
    from sqlglot import exp

    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, datetime):
        return f"TIMESTAMP '{value.astimezone(UTC).isoformat(sep=' ')}'"
    if isinstance(value, date):
        return f"DATE '{value.isoformat()}'"
    if isinstance(value, time):
        return f"TIME '{value.isoformat()}'"
    if isinstance(value, int | float):
        return f"({value!r})"
    return exp.Literal.string(str(value)).sql(dialect="bigquery")


def unpushable(terms: Terms, table: TableInfo, parents: Mapping[str, TableInfo | None]) -> str:
    """Why the table cannot be judged in the warehouse as the other engines would; "" when it can."""
    contract = terms.contract
    have = {column.name: column.logical_type for column in table.columns}
    if not have.keys() >= set(contract.column_names):
        return ""  # a missing column holds the table, and nothing is judged
    for column in contract.columns:
        if have[column.name] != column.logical_type:
            return f"{column.name} is of another type in the table than in the contract"
        if column.logical_type in ("object", "array"):
            return f"{column.name} holds nested values"
        if column.pattern and not _alike(column.pattern):
            return f"the pattern of {column.name} may mean something else in the warehouse"
    for item in cell_rules(contract.columns, terms.never_null):
        if item.rule.check not in _PUSHED:
            return f"the check {item.rule.check} of {item.rule.column} has no words in SQL"
    keys = [rule.columns for rule in key_rules(contract, terms.pipeline)]
    keys += [each.determinants for each in contract.functional_dependencies]
    keys += [rule.columns for rule in contract.quality if rule.metric == "duplicateValues"]
    for name in {name for key in keys for name in key if have[name] in _NO_KEYS}:
        return f"the warehouse does not group by {name}"
    if contract.custom_checks:
        return "a check of an installed package runs here only"
    for reference in contract.references:
        parent = parents[reference.qualified(terms.pipeline.destination.dataset)]
        types = {each.name: each.logical_type for each in parent.columns} if parent else have
        for child, of in zip(reference.columns, reference.parent_columns, strict=True):
            if parent and types.get(of) != have[child]:
                return f"{child} and the column that it refers to are of different types"
    return next((why for rule in contract.quality if (why := _unpushable_metric(rule, contract))), "")


def _unpushable_metric(rule: QualityRule, contract: Contract) -> str:
    column = contract.column(rule.column) if len(rule.columns) == 1 else None
    if column and (rule.metric == "missingValues" or rule.pattern) and column.logical_type != "string":
        return f"{rule.metric} of {column.name} looks at how its cells were written"
    if rule.pattern and not _alike(rule.pattern):
        return f"the pattern of a rule on {rule.column} may mean something else in the warehouse"
    return ""


def _alike(pattern: str) -> bool:
    """Whether both engines read a pattern the same way."""
    return pattern_supported(pattern) and not _UNLIKE.search(pattern) and "(?" not in pattern and "[[" not in pattern


def respelled(pattern: str) -> str:
    """A pattern for RE2 that means what the other engine means: digits and spaces are those of Unicode."""
    found, inside = "", False
    for piece in re.findall(r"\\.|.", pattern, re.DOTALL):
        if piece in ("[", "]"):
            inside = piece == "["
        classes = {"\\d": _DIGIT, "\\s": _SPACE if inside else f"[{_SPACE}]"}
        found += classes.get(piece, piece)
    return found


def cells(contract: Contract, terms: Terms) -> str:
    """What to select besides the table's own columns: the typed cells ``c0`` …, and ``n0`` … where one has no type."""
    found = []
    for index, column in enumerate(contract.columns):
        name = name_sql(column.name)
        untyped = "FALSE"
        words = terms.rules.nulls_of(column)
        if column.logical_type == "number":
            untyped = f"COALESCE(IS_NAN({name}) OR IS_INF({name}), FALSE)"
            cell = f"IF({untyped}, NULL, {name})"
        elif column.logical_type == "string" and words:
            cell = f"IF({name} IN ({', '.join(literal(word) for word in words)}), NULL, {name})"
        else:
            cell = name
        found += [f"{cell} AS c{index}", f"{untyped} AS n{index}"]
    return ", ".join(found)


def cell_conditions(terms: Terms) -> list[Condition]:
    """Types and cells, in the order in which the other engines judge them."""
    contract = terms.contract
    places = {column.name: index for index, column in enumerate(contract.columns)}
    found = [
        Condition(type_rule(column), f"n{places[column.name]}")
        for column in contract.columns
        if column.logical_type == "number"
    ]
    for item in cell_rules(contract.columns, terms.never_null):
        column = contract.columns[places[item.rule.column]]
        found.append(Condition(item.rule, f"COALESCE({_breaks(item.rule, column, places[column.name])}, FALSE)"))
    return found


def _breaks(rule: Rule, column: Column, place: int) -> str:
    cell = f"c{place}"
    if rule.check == "required":
        return f"{cell} IS NULL AND NOT n{place}"
    if rule.check == "enum":
        return _is_none_of(cell, enum_values(column))
    if rule.check == "pattern":
        return f"NOT REGEXP_CONTAINS({cell}, {literal(respelled(column.pattern))})"
    if rule.check == "format":
        has = TEXT_FORMATS[column.format]  # all within what both engines mean by it
        fails = [f"NOT REGEXP_CONTAINS({cell}, {literal(each)})" for each in has.all_of]
        return " OR ".join([*fails, *(f"REGEXP_CONTAINS({cell}, {literal(each)})" for each in has.none_of)])
    if rule.check == "length":
        high = "" if column.max_length is None else f" OR CHAR_LENGTH({cell}) > {column.max_length}"
        return f"CHAR_LENGTH({cell}) < {column.min_length or 0}{high}"
    if rule.check == "range":
        bounds = [(sign, bound) for sign, bound in bounds_of(column) if bound is not None]
        return "NOT (" + " AND ".join(f"{cell} {sign} {literal(bound)}" for sign, bound in bounds) + ")"
    if rule.check == "multiple_of":
        if isinstance(column.multiple_of, int) and column.logical_type == "integer":
            if column.multiple_of > INTEGERS[1]:
                return f"{cell} != 0"
            return f"MOD({cell}, {column.multiple_of}) != 0"
        if isinstance(column.multiple_of, int):  # exactly, as the other engines; GoogleSQL has no MOD of FLOAT64
            return f"ROUND({cell} / {column.multiple_of}) * {column.multiple_of} != {cell}"
        ratio = f"({cell} / {literal(float(column.multiple_of or 1))})"
        return f"ABS({ratio} - ROUND({ratio})) > 1e-9 * (ABS({ratio}) + 1)"
    raise ValueError(f"the check {rule.check} has no words in SQL")  # unpushable names it first


def _is_none_of(cell: str, allowed: Sequence[Any]) -> str:
    listed = ", ".join(literal(value) for value in allowed)
    return f"{cell} NOT IN ({listed})" if listed else f"{cell} IS NOT NULL"


def whole_sql(contract: Contract, columns: Sequence[str]) -> str:
    """True where none of the columns is null."""
    return " AND ".join(f"{cell} IS NOT NULL" for cell in cells_of(contract, columns))


def cells_of(contract: Contract, columns: Sequence[str]) -> list[str]:
    """The selected names of some columns' cells."""
    places = {column.name: index for index, column in enumerate(contract.columns)}
    return [f"c{places[name]}" for name in columns]


def reference_conditions(terms: Terms, parents: Mapping[str, TableInfo | None]) -> list[Condition]:
    """Keys without a row in their parent table; of a table that is not there, all of them."""
    found = []
    for reference in terms.contract.references:
        table = reference.qualified(terms.pipeline.destination.dataset)
        whole = whole_sql(terms.contract, reference.columns)
        known = parents[table] is not None
        same = " AND ".join(
            f"parent.{name_sql(of)} = {cell}"
            for of, cell in zip(reference.parent_columns, cells_of(terms.contract, reference.columns), strict=True)
        )
        orphan = f"{whole} AND NOT EXISTS (SELECT 1 FROM {table_sql(table)} AS parent WHERE {same})"
        found.append(Condition(parent_rule(reference, known=known), orphan if known else whole))
    return found


def set_conditions(terms: Terms) -> list[Condition]:
    """Keys that another row has too, and rows that disagree with others of their group."""
    contract = terms.contract
    found = []
    for rule in key_rules(contract, terms.pipeline):
        partition = ", ".join(cells_of(contract, rule.columns))
        found.append(
            Condition(rule, f"{whole_sql(contract, rule.columns)} AND COUNT(*) OVER (PARTITION BY {partition}) > 1")
        )
    for dependency in contract.functional_dependencies:
        whole = whole_sql(contract, (*dependency.determinants, *dependency.dependents))
        partition = ", ".join(cells_of(contract, dependency.determinants))
        kinds = []
        for name, cell in zip(dependency.dependents, cells_of(contract, dependency.dependents), strict=True):
            column = contract.column(name)
            value = f"CAST({cell} AS INT64)" if column and column.logical_type == "boolean" else cell
            seen = f"(IF({whole}, {value}, NULL)) OVER (PARTITION BY {partition})"
            kinds.append(f"MIN{seen} != MAX{seen}")
        found.append(Condition(dependency_rule(dependency), f"COALESCE({whole} AND ({' OR '.join(kinds)}), FALSE)"))
    return found


def metric_sql(rule: QualityRule, contract: Contract) -> str:
    """How many rows a metric concerns, as an aggregate over the typed cells; "" for those that are asked otherwise."""
    if rule.metric in ("rowCount", "sql", "duplicateValues"):
        return ""
    place = contract.column_names.index(rule.column)
    column = contract.columns[place]
    cell, name = f"c{place}", name_sql(rule.column)
    null = f"({cell} IS NULL AND NOT n{place})"
    if rule.metric == "nullValues":
        return f"COUNTIF({null})"
    if rule.metric == "missingValues":
        words = [literal(str(each)) for each in rule.missing_values]
        return f"COUNTIF({null}" + (f" OR COALESCE({name} IN ({', '.join(words)}), FALSE)" if words else "") + ")"
    fails = [f"n{place}"]
    if rule.valid_values:
        from dataclasses import replace

        allowed = enum_values(replace(column, enum=rule.valid_values))
        fails.append(f"COALESCE({_is_none_of(cell, allowed)}, FALSE)")
    if rule.pattern:
        fails.append(f"COALESCE(NOT REGEXP_CONTAINS({name}, {literal(respelled(rule.pattern))}), FALSE)")
    return f"COUNTIF(({' OR '.join(fails)}) AND NOT {null})"


def repeated_sql(contract: Contract, columns: Sequence[str]) -> str:
    """How many rows share their values of the columns with another row."""
    group = ", ".join(cells_of(contract, columns))
    groups = f"SELECT COUNT(*) AS many FROM cells WHERE {whole_sql(contract, columns)} GROUP BY {group}"
    return f"(SELECT COALESCE(SUM(many), 0) FROM ({groups}) WHERE many > 1)"
