"""The contract's quality rules: which become checks, which a threshold on a whole batch, and what is only kept."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from shared.domain.contract import (
    COMPARISONS,
    CustomCheck,
    Metric,
    QualityRule,
    RowCountRule,
    UnsupportedRule,
)
from shared.domain.contract_rules import Place
from shared.domain.definition_file import suggestion

_LENIENT = ("warning", "info")  # severities that let a batch pass
_OTHERS = {"text": "it is for people to read", "custom": "the engine {} decides about it"}
_ARGUMENTS: dict[str, tuple[str, ...]] = {
    "nullValues": (),
    "missingValues": ("missingValues",),
    "invalidValues": ("validValues", "pattern"),
    "duplicateValues": ("properties",),
    "rowCount": (),
}


class _Unchecked(Exception):
    """Why a rule of the standard is kept, but not checked."""


@dataclass(slots=True)
class ColumnRules:
    """What a column's quality rules come to."""

    column: str
    logical_type: str = "string"
    required: bool = False
    unique: bool = False
    pattern: str = ""
    valid_values: list[Any] = field(default_factory=list)
    custom_checks: list[CustomCheck] = field(default_factory=list)
    thresholds: list[QualityRule] = field(default_factory=list)
    unsupported: list[UnsupportedRule] = field(default_factory=list)


@dataclass(slots=True)
class TableRules:
    """What a table's quality rules come to."""

    names: Mapping[str, str]
    row_counts: list[RowCountRule] = field(default_factory=list)
    unique_groups: list[tuple[str, ...]] = field(default_factory=list)
    custom_checks: list[CustomCheck] = field(default_factory=list)
    thresholds: list[QualityRule] = field(default_factory=list)
    unsupported: list[UnsupportedRule] = field(default_factory=list)


def column_quality(rules: list[dict[str, Any]], place: Place, found: ColumnRules) -> None:
    """Turn a column's quality rules into checks where that is exact, else into thresholds, and keep the others."""
    for index, rule in enumerate(rules):
        at = place.below("quality", index)
        if _is_ours(rule):
            found.custom_checks.append(_custom_check(rule, found.column, at))
        elif not (_asks_for_none(rule) and _taken(rule, found)):
            try:
                found.thresholds.append(_threshold(rule, (found.column,), found.logical_type, at))
            except _Unchecked as why:
                found.unsupported.append(_unsupported(rule, found.column, at, str(why)))


def _taken(rule: dict[str, Any], found: ColumnRules) -> bool:
    """True when the rule equals a check on single cells, which then names the rows."""
    metric, arguments = rule.get("metric"), rule.get("arguments") or {}
    if metric == "nullValues" or (metric == "missingValues" and _only_empty(arguments.get("missingValues"))):
        found.required = True
    elif metric == "duplicateValues" and not arguments:
        found.unique = True
    else:
        return metric == "invalidValues" and _take_valid_values(arguments, found)
    return True


def table_quality(rules: list[dict[str, Any]], place: Place, found: TableRules) -> None:
    """The same for the rules of the whole table."""
    for index, rule in enumerate(rules):
        at = place.below("quality", index)
        metric = rule.get("metric")
        group = _group(rule, at, found.names) if metric == "duplicateValues" else ()
        count = _row_count(rule) if metric == "rowCount" and rule.get("severity") not in _LENIENT else None
        if _is_ours(rule):
            found.custom_checks.append(_custom_check(rule, "", at))
        elif count is not None:
            found.row_counts.append(count)
        elif group and _asks_for_none(rule):
            found.unique_groups.append(group)
        else:
            try:
                found.thresholds.append(_threshold(rule, group, "", at))
            except _Unchecked as why:
                found.unsupported.append(_unsupported(rule, "", at, str(why)))


def _group(rule: dict[str, Any], place: Place, names: Mapping[str, str]) -> tuple[str, ...]:
    """The columns that a rule on duplicates names."""
    named = (rule.get("arguments") or {}).get("properties")
    if not isinstance(named, list):
        return ()
    group = [str(name) for name in named]
    for name in group:
        if name not in names:
            raise place.below("arguments").error(f'no column "{name}"', suggestion(name, names))
    return tuple(names[name] for name in group)


def _threshold(rule: dict[str, Any], columns: tuple[str, ...], logical_type: str, place: Place) -> QualityRule:
    """The rule as a threshold; ``_Unchecked`` with the reason when it is none."""
    metric = "sql" if rule.get("type") == "sql" else rule.get("metric")
    if rule.get("type", "library") not in ("library", "sql") or (metric != "sql" and metric not in _ARGUMENTS):
        raise _Unchecked(_OTHERS.get(str(rule.get("type")), "").format(rule.get("engine", "")))
    arguments = rule.get("arguments") or {}
    if metric != "sql":
        _check_subject(rule, columns, logical_type)
    percent = rule.get("unit", "rows") == "percent"
    low, high, comparison = _bounds(rule)
    return QualityRule(
        metric=cast(Metric, metric),
        columns=columns,
        comparison=comparison,
        low=low,
        high=high,
        percent=percent,
        valid_values=_listed(arguments, "validValues"),
        pattern=arguments.get("pattern") or "",
        query=rule.get("query", ""),
        missing_values=_listed(arguments, "missingValues") if "missingValues" in arguments else ("",),
        severity="warning" if rule.get("severity") in _LENIENT else "error",
        dimension=rule.get("dimension", ""),
        name=rule.get("name", ""),
        raw=json.dumps(rule, sort_keys=True, ensure_ascii=False),
        line=place.line,
    )


def _check_subject(rule: dict[str, Any], columns: tuple[str, ...], logical_type: str) -> None:
    """``_Unchecked`` unless the metric fits where it stands, and says what it needs."""
    metric, arguments, unit = rule["metric"], rule.get("arguments") or {}, rule.get("unit", "rows")
    unknown = sorted(set(arguments) - set(_ARGUMENTS[metric]))
    if unknown:
        raise _Unchecked(f"it has the argument {', '.join(unknown)}, which the standard does not know")
    if unit not in ("rows", "percent"):
        raise _Unchecked(f"its unit is {unit}, not rows or percent")
    if metric == "rowCount" and (logical_type or unit == "percent"):
        raise _Unchecked("a number of rows belongs to the table, and has no percentage")
    if metric != "rowCount" and not columns:
        raise _Unchecked("it names no column")
    if metric == "duplicateValues" and logical_type and arguments:
        raise _Unchecked("a combination of columns belongs to the table")
    if logical_type in ("object", "array") and metric != "nullValues":
        raise _Unchecked(f"a value of type {logical_type} is not compared as a whole")
    if metric == "invalidValues" and not (arguments.get("validValues") or arguments.get("pattern")):
        raise _Unchecked("it names neither validValues nor a pattern")
    if not isinstance(arguments.get("pattern") or "", str):
        raise _Unchecked("its pattern is no text")


def _bounds(rule: dict[str, Any]) -> tuple[float, float, Any]:
    name = next((each for each in COMPARISONS if each in rule), None)
    if name is None:
        raise _Unchecked("it compares with nothing")
    given = rule[name] if isinstance(rule[name], list) else [rule[name], 0]
    if any(isinstance(each, bool) or not isinstance(each, (int, float)) for each in given):
        raise _Unchecked(f"{name} is compared with a number, and is none")
    if not all(math.isfinite(each) for each in given) or (isinstance(rule[name], list) and given[0] > given[1]):
        raise _Unchecked(f"{name} wants two finite numbers, the smaller one first")
    return float(given[0]), float(given[1]), name


def _listed(arguments: dict[str, Any], key: str) -> tuple[Any, ...]:
    values = arguments.get(key) or []
    if not isinstance(values, list) or any(isinstance(each, (list, dict)) for each in values):
        raise _Unchecked(f"its {key} are no list of values")
    return tuple(each for each in values if each is not None)


def _take_valid_values(arguments: dict[str, Any], found: ColumnRules) -> bool:
    if not arguments or not set(arguments) <= {"validValues", "pattern"}:
        return False
    values, pattern = arguments.get("validValues") or [], arguments.get("pattern") or ""
    if not isinstance(values, list) or not isinstance(pattern, str) or (found.valid_values and values):
        return False
    found.valid_values = found.valid_values or values
    found.pattern = found.pattern or pattern
    return True


def _only_empty(values: Any) -> bool:
    return isinstance(values, list) and all(value in (None, "") for value in values)


def _asks_for_none(rule: Mapping[str, Any]) -> bool:
    """True when the rule allows no failing row at all, and does not let such rows pass."""
    return rule.get("severity") not in _LENIENT and (
        _is_zero(rule.get("mustBe"))
        or _is_zero(rule.get("mustBeLessOrEqualTo"))
        or (rule.get("mustBeLessThan") == 1 and rule.get("unit", "rows") == "rows")
    )


def _is_zero(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, (int, float)) and value == 0


def _row_count(rule: dict[str, Any]) -> RowCountRule | None:
    """Bounds of a row count; None when the rule says something that bounds cannot."""
    if rule.get("unit", "rows") != "rows":
        return None
    name = rule.get("name", "")
    between = rule.get("mustBeBetween")
    if between is not None:
        return RowCountRule(name=name, minimum=math.ceil(between[0]), maximum=math.floor(between[1]))
    exact = rule.get("mustBe")
    if isinstance(exact, int) and not isinstance(exact, bool):
        return RowCountRule(name=name, minimum=exact, maximum=exact)
    if "mustBeGreaterThan" in rule:
        return RowCountRule(name=name, minimum=math.floor(rule["mustBeGreaterThan"]) + 1)
    if "mustBeGreaterOrEqualTo" in rule:
        return RowCountRule(name=name, minimum=math.ceil(rule["mustBeGreaterOrEqualTo"]))
    if "mustBeLessThan" in rule:
        return RowCountRule(name=name, maximum=math.ceil(rule["mustBeLessThan"]) - 1)
    if "mustBeLessOrEqualTo" in rule:
        return RowCountRule(name=name, maximum=math.floor(rule["mustBeLessOrEqualTo"]))
    return None


def _is_ours(rule: Mapping[str, Any]) -> bool:
    """True for a rule that asks for a check of an installed package."""
    return rule.get("type") == "custom" and rule.get("engine") == "mendline"


def _custom_check(rule: dict[str, Any], column: str, place: Place) -> CustomCheck:
    """``implementation`` is the check's name, or ``{check: NAME, arguments: {…}}``."""
    given = rule.get("implementation")
    named = {"check": given} if isinstance(given, str) else given if isinstance(given, dict) else {}
    name, arguments = named.get("check"), named.get("arguments") or {}
    at = place.below("implementation") if given is not None else place
    if not isinstance(name, str) or not name or not isinstance(arguments, dict) or set(named) - {"check", "arguments"}:
        raise at.error("a custom rule names its check", "write implementation: NAME, or {check: NAME, arguments: {…}}")
    return CustomCheck(
        column=column,
        name=name,
        arguments=json.dumps(arguments, sort_keys=True, ensure_ascii=False),
        explanation=str(rule.get("description") or rule.get("name") or ""),
        severity="warning" if rule.get("severity") == "warning" else "error",
        dimension=rule.get("dimension", ""),
        raw=json.dumps(rule, sort_keys=True, ensure_ascii=False),
        line=place.line,
    )


def _unsupported(rule: dict[str, Any], column: str, place: Place, why: str) -> UnsupportedRule:
    kind = rule.get("metric") or rule.get("type", "library")
    name = f' "{rule["name"]}"' if rule.get("name") else ""
    return UnsupportedRule(
        column=column,
        what=f"quality rule{name} ({kind}) is not checked{f': {why}' if why else ''}",
        raw=json.dumps(rule, sort_keys=True, ensure_ascii=False),
        line=place.line,
    )
