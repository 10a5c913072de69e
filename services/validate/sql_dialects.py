"""Quality rules in the SQL of other systems: the contract is used without them, and they are said to be unchecked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from services.validate.sql_rules import filled, prepare
from shared.domain.contract import UnsupportedRule
from shared.domain.errors import DefinitionError
from shared.domain.masking import clean

if TYPE_CHECKING:
    from collections.abc import Collection

    from shared.domain.contract import Contract, QualityRule


def with_askable_queries(contract: Contract, path: str, dataset: str = "") -> Contract:
    """The contract, with every query that cannot be asked here among what is not checked.

    A query that can be asked and names what is not there is left: that is a mistake, and no other dialect.
    """
    asked, unsaid = [], []
    names = {name.casefold() for each in contract.columns for name in (each.name, each.logical_name) if name}
    for rule in contract.quality:
        why = _why_not(rule, contract, names, path, dataset) if rule.metric == "sql" else ""
        if why:
            about = f' "{clean(rule.name, 60)}"' if rule.name else ""
            what = f"quality rule{about} (sql) is not checked: {why}"
            unsaid.append(UnsupportedRule(column=rule.column, what=what, raw=rule.raw, line=rule.line))
        else:
            asked.append(rule)
    if not unsaid:
        return contract
    return replace(contract, quality=tuple(asked), unsupported=(*contract.unsupported, *unsaid))


def _why_not(rule: QualityRule, contract: Contract, names: Collection[str], path: str, dataset: str) -> str:
    try:
        prepare(rule, contract.logical_table or contract.table, path, dataset)
    except DefinitionError as error:
        return f"{error.message} ({error.hint})"
    quoted = _texts_in_double_quotes(rule, path)
    column = next((text for text in quoted if text.casefold() in names), None)
    if column is None:
        return ""
    text = clean(column, 60)
    return f"\"{text}\" is a text in GoogleSQL, and a column elsewhere (write `{text}` for the column, else '{text}')"


def _texts_in_double_quotes(rule: QualityRule, path: str) -> list[str]:
    """The texts of a query that are between double quotes, where other systems put names."""
    from sqlglot import tokenize

    query = filled(rule, path)
    found = [each for each in tokenize(query, read="bigquery") if each.token_type.name == "STRING"]
    return [each.text for each in found if query[each.start : each.start + 1] == '"']
