"""The contract's quality rules, foreign keys and customProperties: what is checked, and what is only kept and said."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from shared.domain.contract import DriftLimits, FunctionalDependency, Reference, RowCountRule, UnsupportedRule
from shared.domain.definition_file import Document, Path, shape_of, suggestion
from shared.domain.errors import DefinitionError

COLUMN_CUSTOMS = ("allowedRepairs", "driftLimits", "nullValues", "unit")
TABLE_CUSTOMS = ("functionalDependencies",)

_DRIFT_KEYS = {
    "enabled": "enabled",
    "meanShift": "mean_shift_max",
    "spreadRatio": "spread_ratio_max",
    "nullShareChange": "null_share_change_max",
}


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a document."""

    document: Document
    path: Path

    def below(self, *steps: str | int) -> Place:
        return Place(self.document, (*self.path, *steps))

    @property
    def line(self) -> int:
        return self.document.position(self.path)[0]

    def error(self, message: str, hint: str = "") -> DefinitionError:
        return self.document.error(self.path, message, hint)


@dataclass(slots=True)
class ColumnRules:
    """What a column's quality rules come to."""

    column: str
    required: bool = False
    unique: bool = False
    pattern: str = ""
    valid_values: list[Any] = field(default_factory=list)
    unsupported: list[UnsupportedRule] = field(default_factory=list)


@dataclass(slots=True)
class TableRules:
    """What a table's quality rules come to."""

    names: Mapping[str, str]
    row_counts: list[RowCountRule] = field(default_factory=list)
    unique_groups: list[tuple[str, ...]] = field(default_factory=list)
    unsupported: list[UnsupportedRule] = field(default_factory=list)


def names_by_logical(schema: Mapping[str, Any]) -> dict[str, str]:
    """Names of columns in the table, by every name the contract may use for them."""
    names: dict[str, str] = {}
    for item in schema.get("properties") or []:
        physical = item.get("physicalName") or item["name"]
        for key in (item["name"], physical, item.get("id")):
            if key:
                names.setdefault(key, physical)
    return names


def column_quality(rules: list[dict[str, Any]], place: Place, found: ColumnRules) -> None:
    """Turn a column's quality rules into checks where that is exact, and keep the others as unsupported."""
    for index, rule in enumerate(rules):
        metric, arguments = rule.get("metric"), rule.get("arguments") or {}
        if not _asks_for_none(rule):
            taken = False
        elif metric == "nullValues" or (metric == "missingValues" and _only_empty(arguments.get("missingValues"))):
            taken = found.required = True
        elif metric == "duplicateValues" and not arguments:
            taken = found.unique = True
        elif metric == "invalidValues":
            taken = _take_valid_values(arguments, found)
        else:
            taken = False
        if not taken:
            found.unsupported.append(_unsupported(rule, found.column, place.below("quality", index)))


def table_quality(rules: list[dict[str, Any]], place: Place, found: TableRules) -> None:
    """The same for the rules of the whole table."""
    for index, rule in enumerate(rules):
        at = place.below("quality", index)
        metric, arguments = rule.get("metric"), rule.get("arguments") or {}
        if metric == "rowCount":
            count = _row_count(rule)
            if count is not None:
                found.row_counts.append(count)
                continue
        elif metric == "duplicateValues" and _asks_for_none(rule) and isinstance(arguments.get("properties"), list):
            group = [str(name) for name in arguments["properties"]]
            for name in group:
                if name not in found.names:
                    raise at.below("arguments").error(f'no column "{name}"', suggestion(name, found.names))
            found.unique_groups.append(tuple(found.names[name] for name in group))
            continue
        found.unsupported.append(_unsupported(rule, "", at))


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
    """True when the rule allows no failing row at all."""
    return (
        _is_zero(rule.get("mustBe"))
        or _is_zero(rule.get("mustBeLessOrEqualTo"))
        or (rule.get("mustBeLessThan") == 1 and rule.get("unit", "rows") == "rows")
    )


def _is_zero(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, (int, float)) and value == 0


def _row_count(rule: dict[str, Any]) -> RowCountRule | None:
    """Bounds of a row count; None when the rule says something that bounds cannot."""
    import math

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


def _unsupported(rule: dict[str, Any], column: str, place: Place) -> UnsupportedRule:
    kind = rule.get("metric") or rule.get("type", "library")
    name = f' "{rule["name"]}"' if rule.get("name") else ""
    return UnsupportedRule(
        column=column,
        what=f"quality rule{name} ({kind}) is not checked",
        raw=json.dumps(rule, sort_keys=True, ensure_ascii=False),
        line=place.line,
    )


def references(
    value: dict[str, Any], index: int, document: Document, names: Mapping[str, str]
) -> tuple[Reference, ...]:
    """Foreign keys of the table: columns' own relationships first, then those of the table."""
    schema = value["schema"][index]
    found: list[Reference] = []
    for number, item in enumerate(schema.get("properties") or []):
        for order, relation in enumerate(item.get("relationships") or []):
            at = Place(document, ("schema", index, "properties", number, "relationships", order))
            column = item.get("physicalName") or item["name"]
            found.append(_reference([column], relation, value, at))
    for order, relation in enumerate(schema.get("relationships") or []):
        at = Place(document, ("schema", index, "relationships", order))
        columns = []
        for text in _texts(relation["from"]):
            name = text.rpartition("/" if "/" in text else ".")[2]
            if name not in names:
                raise at.below("from").error(f'no column "{name}"', suggestion(name, names))
            columns.append(names[name])
        found.append(_reference(columns, relation, value, at))
    return tuple(dict.fromkeys(found))


def _reference(columns: list[str], relation: dict[str, Any], value: dict[str, Any], place: Place) -> Reference:
    targets = [_target(text, value) for text in _texts(relation["to"])]
    tables = sorted({table for table, _ in targets})
    if len(tables) > 1:
        raise place.below("to").error(f"one foreign key to {len(tables)} tables", "write one relationship per table")
    if len(targets) != len(columns):
        raise place.below("to").error(f"{len(columns)} columns refer to {len(targets)}", "name as many on both sides")
    parent_columns = tuple(name for _, name in targets)
    return Reference(tuple(columns), tables[0], parent_columns, _severity(relation, place))


def _severity(relation: dict[str, Any], place: Place) -> Literal["error", "warning"]:
    for index, item in enumerate(relation.get("customProperties") or []):
        if item.get("property") == "severity":
            if item.get("value") not in ("error", "warning"):
                at = place.below("customProperties", index, "value")
                raise at.error("a severity is error or warning", "write error or warning")
            return "warning" if item["value"] == "warning" else "error"
    return "error"


def _texts(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _target(text: str, value: dict[str, Any]) -> tuple[str, str]:
    """Table and column of ``airlines.carrier``, ``travel.airlines.carrier`` or ``/schema/airlines/properties/x``."""
    file, hash_, inside = text.rpartition("#")
    if "/" not in inside:
        table, _, column = inside.rpartition(".")
    else:
        steps = inside.strip("/").split("/")
        table, column = (steps[1], steps[3]) if len(steps) >= 4 else (steps[0], steps[-1])
    if file or hash_:
        return table, column
    for schema in value.get("schema") or []:
        if table in (schema.get("id"), schema["name"]):
            return schema.get("physicalName") or schema["name"], names_by_logical(schema).get(column, column)
    return table, column


def column_customs(items: list[dict[str, Any]], place: Place) -> dict[str, Any]:
    """Our customProperties of a column as ``Column`` arguments; the others are kept as JSON."""
    ours, others = _split(items, place, COLUMN_CUSTOMS)
    found: dict[str, Any] = {"custom": others}
    for name, (value, at) in ours.items():
        if name == "unit":
            found["unit"] = _text(value, at)
        elif name == "nullValues":
            found["null_values"] = _text_list(value, at)
        elif name == "allowedRepairs":
            found["allowed_repairs"] = _text_list(value, at)
        else:
            found["drift_limits"] = _drift_limits(value, at)
    return found


def table_customs(
    items: list[dict[str, Any]], place: Place, names: Mapping[str, str]
) -> tuple[tuple[FunctionalDependency, ...], tuple[tuple[str, str], ...]]:
    """Our customProperties of a table, and the others as JSON."""
    ours, others = _split(items, place, TABLE_CUSTOMS)
    dependencies: list[FunctionalDependency] = []
    if "functionalDependencies" in ours:
        value, at = ours["functionalDependencies"]
        if not isinstance(value, list):
            raise at.error(f"a list is wanted, found {shape_of(value)}", "write - {from: [zip], to: [city]}")
        for index, item in enumerate(value):
            here = at.below(index)
            if not isinstance(item, dict) or set(item) != {"from", "to"}:
                raise here.error("a dependency names two sides", "write {from: [zip], to: [city]}")
            sides = [_columns(item[side], here.below(side), names) for side in ("from", "to")]
            dependencies.append(FunctionalDependency(determinants=sides[0], dependents=sides[1]))
    return tuple(dependencies), others


def _columns(value: Any, place: Place, names: Mapping[str, str]) -> tuple[str, ...]:
    found = _text_list([value] if isinstance(value, str) else value, place)
    for name in found:
        if name not in names:
            raise place.error(f'no column "{name}"', suggestion(name, names))
    if not found:
        raise place.error("no column is named", "name at least one")
    return tuple(names[name] for name in found)


def _split(
    items: list[dict[str, Any]], place: Place, known: tuple[str, ...]
) -> tuple[dict[str, tuple[Any, Place]], tuple[tuple[str, str], ...]]:
    """Split customProperties into ours and other tools'; a near miss of ours is refused, since it would drop a rule."""
    ours: dict[str, tuple[Any, Place]] = {}
    others: dict[str, str] = {}
    folded = {name.lower(): name for name in (*COLUMN_CUSTOMS, *TABLE_CUSTOMS)}
    for index, item in enumerate(items):
        at = place.below("customProperties", index)
        name = item["property"]
        if name in ours or name in others:
            raise at.below("property").error(f'custom property "{name}" stands here twice', "keep one of them")
        if name in known:
            ours[name] = (item["value"], at.below("value"))
            continue
        near = difflib.get_close_matches(name.lower().replace("_", ""), folded, n=1, cutoff=0.85)
        if near and folded[near[0]] == name:
            raise at.below("property").error(f'"{name}" does not belong here', f"known here: {', '.join(known)}")
        if near:
            raise at.below("property").error(f'unknown property "{name}"', f'did you mean "{folded[near[0]]}"?')
        others[name] = json.dumps(item["value"], sort_keys=True, ensure_ascii=False)
    return ours, tuple(others.items())


def _text(value: Any, place: Place) -> str:
    if not isinstance(value, str):
        raise place.error(f"text is wanted, found {shape_of(value)}", "quote it")
    return value


def _text_list(value: Any, place: Place) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise place.error(f"a list is wanted, found {shape_of(value)}", "write [a, b]")
    return tuple(_text(item, place.below(index)) for index, item in enumerate(value))


def _drift_limits(value: Any, place: Place) -> DriftLimits:
    if not isinstance(value, dict):
        raise place.error(f"a mapping is wanted, found {shape_of(value)}", "write {meanShift: 4}")
    found: dict[str, Any] = {}
    for key, item in value.items():
        at = place.below(key)
        if key not in _DRIFT_KEYS:
            raise at.error(f'unknown key "{key}"', suggestion(key, _DRIFT_KEYS))
        if key == "enabled":
            if not isinstance(item, bool):
                raise at.error(f'"enabled" must be true or false, found {shape_of(item)}', "write true or false")
            found["enabled"] = item
        elif isinstance(item, bool) or not isinstance(item, (int, float)) or item <= 0:
            raise at.error(f'"{key}" must be a number above 0')
        else:
            found[_DRIFT_KEYS[key]] = float(item)
    return DriftLimits(**found)
