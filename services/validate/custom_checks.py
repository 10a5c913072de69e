"""Checks of installed packages: what the contract names is looked up, called on typed rows, and never believed blindly.

A package announces a check under ``mendline.checks``; it is called with the chunk's typed rows (a Polars frame with the
contract's columns), the column that the rule stands at ("" = the table) and the rule's arguments, and answers with a
Boolean series: true where a row breaks the rule.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from services.validate.findings import Failure, Rule
from shared.domain.errors import DefinitionError
from shared.domain.masking import clean
from shared.runtime import plugins

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import polars as pl

    from shared.domain.contract import Contract


class CustomRule(NamedTuple):
    """A loaded check with its rule."""

    rule: Rule
    name: str
    column: str
    arguments: Mapping[str, Any]
    breaks: Callable[[pl.DataFrame, str, Mapping[str, Any]], Any]
    path: str  # of the contract
    line: int


def load_checks(contract: Contract, path: str) -> list[CustomRule]:
    """The contract's custom rules; ``DefinitionError`` for a check that no installed package brings."""
    found = []
    for check in contract.custom_checks:
        breaks = plugins.load(plugins.CHECKS, check.name, place=(path, check.line))
        about = check.column or "the row"
        said = check.explanation or f"{about} must pass the check {check.name}"
        columns = (check.column,) if check.column else ()
        rule = Rule(f"custom:{check.name}", columns, clean(said, 300), check.severity, check.dimension)
        arguments = json.loads(check.arguments)
        found.append(CustomRule(rule, check.name, check.column, arguments, breaks, path, check.line))
    return found


def broken_rows(frame: pl.DataFrame, rules: Sequence[CustomRule], raw: pl.Series | None) -> list[Failure]:
    """What the checks say of a chunk. One that fails, or answers with something else, is an error and no verdict."""
    failures = []
    for rule in rules:
        mask = _asked(frame, rule)
        if raw is not None:
            mask = mask & ~raw
        if mask.any():
            failures.append(Failure(rule.rule, mask))
    return failures


def _asked(frame: pl.DataFrame, rule: CustomRule) -> pl.Series:
    import polars as pl

    hint = "repair or remove its package, then mend replay what failed"
    try:
        mask = plugins.call(rule.breaks, frame, rule.column, rule.arguments)
    except plugins.PluginFailed as error:
        what = f"the check {clean(rule.name, 60)} failed with {error}"
        raise DefinitionError(rule.path, rule.line, 0, what, hint) from error
    if not isinstance(mask, pl.Series) or mask.dtype != pl.Boolean or mask.len() != frame.height:
        what = f"the check {clean(rule.name, 60)} did not answer with one true or false for each row"
        raise DefinitionError(rule.path, rule.line, 0, what, hint)
    return mask.fill_null(False)
