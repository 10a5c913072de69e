"""What of a contract can be checked here: the rest is said to be unchecked, and the contract is used without it.

That is a query in the SQL of another system, or about a column that the contract lacks, and a pattern that is no
regular expression.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from services.validate.column_checks import pattern_readable
from services.validate.sql_rules import filled, prepare
from shared.domain.contract import UnsupportedRule
from shared.domain.definition_file import suggestion
from shared.domain.errors import DefinitionError
from shared.domain.masking import clean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.domain.contract import Column, Contract, Inside, QualityRule


def checkable(contract: Contract, path: str, dataset: str = "") -> Contract:
    """The contract, with what cannot be checked here among what is said of it.

    A query whose column may be one of another table is left: whoever asks it finds out.
    ``DefinitionError`` for a contract without columns.
    """
    if not contract.columns:
        raise DefinitionError(path, 0, 0, "the table has no columns", "list them under properties: of the schema")
    unsaid: list[UnsupportedRule] = []
    columns = tuple(_with_readable_patterns(each, each.name, unsaid) for each in contract.columns)
    asked = []
    for rule in contract.quality:
        if rule.metric == "sql":
            why = _why_not(rule, contract, path, dataset)
        else:
            why = "" if pattern_readable(rule.pattern) else _no_pattern(rule.pattern)
        if why:
            about = f' "{clean(rule.name, 60)}"' if rule.name else ""
            what = f"quality rule{about} ({rule.metric}) is not checked: {why}"
            unsaid.append(UnsupportedRule(column=rule.column, what=what, raw=rule.raw, line=rule.line))
        else:
            asked.append(rule)
    if not unsaid:
        return contract
    said = (*contract.unsupported, *unsaid)
    return replace(contract, columns=columns, quality=tuple(asked), unsupported=said)


def _no_pattern(pattern: str) -> str:
    return f"{clean(pattern, 100)} is no regular expression (look at its brackets, and quote it in '…')"


def _with_readable_patterns(column: Column, place: str, unsaid: list[UnsupportedRule]) -> Column:
    """The column (``place`` is its name or path) without patterns that no engine reads, those inside it included."""
    if not pattern_readable(column.pattern):
        what = f"the pattern is not checked: {_no_pattern(column.pattern)}"
        unsaid.append(UnsupportedRule(column=place, what=what))
        column = replace(column, pattern="")
    inside = column.inside
    if inside is None:
        return column

    def below(each: Column | None, step: str) -> Column | None:
        return None if each is None else _with_readable_patterns(each, place + step, unsaid)

    kept: Inside = replace(
        inside,
        properties=tuple(_with_readable_patterns(each, f"{place}.{each.name}", unsaid) for each in inside.properties),
        items=below(inside.items, "[]"),
        keys=below(inside.keys, ".* (key)"),
        values=below(inside.values, ".*"),
    )
    return replace(column, inside=kept)


def _why_not(rule: QualityRule, contract: Contract, path: str, dataset: str) -> str:
    try:
        query = prepare(rule, (contract.logical_table or contract.table, contract.table), path, dataset)
    except DefinitionError as error:
        return f"{error.message} ({error.hint})"
    names = {name.casefold() for each in contract.columns for name in (each.name, each.logical_name) if name}
    quoted = _texts_in_double_quotes(rule, path)
    column = next((text for text in quoted if text.casefold() in names), None)
    if column is not None:
        text = clean(column, 60)
        how = f"write `{text}` for the column, else '{text}'"
        return f'"{text}" is a text in GoogleSQL, and a column elsewhere ({how})'
    missing = sorted(query.own - {each.name.casefold() for each in contract.columns})
    return _no_column(missing[0], contract.columns) if missing else ""


def _no_column(name: str, columns: Sequence[Column]) -> str:
    called = next((each.name for each in columns if each.logical_name.casefold() == name), "")
    hint = f"it is called {called} in the data" if called else suggestion(name, [each.name for each in columns])
    return f'the contract has no column "{clean(name, 60)}" ({hint})'


def _texts_in_double_quotes(rule: QualityRule, path: str) -> list[str]:
    """The texts of a query that are between double quotes, where other systems put names."""
    from sqlglot import tokenize

    query = filled(rule, path)
    found = [each for each in tokenize(query, read="bigquery") if each.token_type.name == "STRING"]
    return [each.text for each in found if query[each.start : each.start + 1] == '"']
