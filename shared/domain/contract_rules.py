"""The contract's foreign keys and customProperties: ours are read, other tools' are kept."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from shared.domain.contract import DriftLimits, FunctionalDependency, Reference, UnsupportedRule
from shared.domain.definition_file import Document, Path, shape_of, suggestion
from shared.domain.errors import DefinitionError

COLUMN_CUSTOMS = ("allowedRepairs", "driftLimits", "nullValues", "unit")
TABLE_CUSTOMS = ("driftLimits", "functionalDependencies", "scoreWeights")
SCORE_DIMENSIONS = ("accuracy", "completeness", "consistency", "timeliness", "uniqueness", "validity")

DRIFT_KEYS = {
    "enabled": "enabled",
    "meanShiftMax": "mean_shift_max",
    "spreadRatioMax": "spread_ratio_max",
    "nullShareChangeMax": "null_share_change_max",
    "ksMax": "ks_max",
    "psiMax": "psi_max",
    "newCategories": "new_categories",
    "vanishedCategories": "vanished_categories",
}
TABLE_DRIFT_KEYS = {"enabled": "enabled", "rowCountChangeMax": "row_count_change_max"}
_OLDER_DRIFT_KEYS = {each: f"{each}Max" for each in ("meanShift", "spreadRatio", "nullShareChange")}
_DRIFT_SWITCHES = ("enabled", "newCategories", "vanishedCategories")
# Names that other tools use as well: what is of another kind is theirs.
_OURS_ARE: dict[str, type] = {"unit": str, "nullValues": list, "functionalDependencies": list}


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


def names_by_logical(schema: Mapping[str, Any]) -> dict[str, str]:
    """Names of columns in the table, by every name the contract may use for them."""
    names: dict[str, str] = {}
    for item in schema.get("properties") or []:
        physical = item.get("physicalName") or item["name"]
        for key in (item["name"], physical, item.get("id")):
            if key:
                names.setdefault(key, physical)
    return names


def references(
    value: dict[str, Any], index: int, document: Document, names: Mapping[str, str], unsaid: list[UnsupportedRule]
) -> tuple[Reference, ...]:
    """Foreign keys of the table: columns' own relationships first, then those of the table."""
    schema = value["schema"][index]
    own = {"", schema["name"], schema.get("id"), *_with_last(schema.get("physicalName") or "")}
    found: list[Reference] = []
    for number, item in enumerate(schema.get("properties") or []):
        for order, relation in enumerate(item.get("relationships") or []):
            at = Place(document, ("schema", index, "properties", number, "relationships", order))
            column = item.get("physicalName") or item["name"]
            found.append(_reference([column], relation, value, at, unsaid))
    for order, relation in enumerate(schema.get("relationships") or []):
        at = Place(document, ("schema", index, "relationships", order))
        other = next((each for each in map(_table_of, _texts(relation["from"])) if each not in own), "")
        if other:
            what = f"a relationship from {other} is not checked: that is another table"
            unsaid.append(UnsupportedRule(column="", what=what, line=at.line))
            continue
        columns = []
        for text in _texts(relation["from"]):
            name = text.rpartition("/" if "/" in text else ".")[2]
            if name not in names:
                raise at.below("from").error(f'no column "{name}"', suggestion(name, names))
            columns.append(names[name])
        found.append(_reference(columns, relation, value, at, unsaid))
    return tuple(dict.fromkeys(found))


def _reference(
    columns: list[str], relation: dict[str, Any], value: dict[str, Any], place: Place, unsaid: list[UnsupportedRule]
) -> Reference:
    targets = [_target(text, value) for text in _texts(relation["to"])]
    tables = sorted({table for table, _ in targets})
    if len(tables) > 1:
        raise place.below("to").error(f"one foreign key to {len(tables)} tables", "write one relationship per table")
    if len(targets) != len(columns):
        raise place.below("to").error(f"{len(columns)} columns refer to {len(targets)}", "name as many on both sides")
    parent_columns = tuple(name for _, name in targets)
    return Reference(tuple(columns), tables[0], parent_columns, severity_of(relation, place, "error", unsaid))


def _table_of(text: str) -> str:
    """The table that one end of a relationship names; "" for none."""
    if "/" in text:
        steps = text.rpartition("#")[2].strip("/").split("/")
        return steps[1] if len(steps) >= 4 else ""
    return text.rpartition(".")[0]


def _with_last(name: str) -> tuple[str, str]:
    return name, name.rpartition(".")[2]


def severity_of(
    item_of: dict[str, Any], place: Place, usual: Literal["error", "warning"], unsaid: list[UnsupportedRule]
) -> Literal["error", "warning"]:
    """What the customProperty ``severity`` of a relationship or a service level says."""
    for index, item in enumerate(item_of.get("customProperties") or []):
        if item.get("property") == "severity":
            if item.get("value") in ("error", "warning"):
                return "warning" if item["value"] == "warning" else "error"
            what = f"the severity {item.get('value')} is not known here: it counts as {usual} (write error or warning)"
            unsaid.append(UnsupportedRule(column="", what=what, line=place.below("customProperties", index).line))
    return usual


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
            found["drift_limits"] = _drift_limits(value, at, DRIFT_KEYS)
    return found


def table_customs(items: list[dict[str, Any]], place: Place, names: Mapping[str, str]) -> dict[str, Any]:
    """Our customProperties of a table as ``Contract`` arguments; the others are kept as JSON."""
    ours, others = _split(items, place, TABLE_CUSTOMS)
    found: dict[str, Any] = {"custom": others}
    if "driftLimits" in ours:
        found["drift_limits"] = _drift_limits(*ours["driftLimits"], TABLE_DRIFT_KEYS)
    if "scoreWeights" in ours:
        found["score_weights"] = _score_weights(*ours["scoreWeights"])
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
    return found | {"functional_dependencies": tuple(dependencies)}


def others_named_alike(items: list[dict[str, Any]], place: Place) -> Iterator[tuple[str, Place]]:
    """What is said of other tools' custom properties that have the name of one of ours, and where they stand."""
    for index, item in enumerate(items):
        wanted = _OURS_ARE.get(item["property"])
        if wanted is not None and not isinstance(item["value"], wanted):
            kind = "text" if wanted is str else "list"
            yield (
                f"the custom property {item['property']} is not read: it is no {kind}",
                place.below("customProperties", index),
            )


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
    others: list[tuple[str, str]] = []
    folded = {name.lower(): name for name in (*COLUMN_CUSTOMS, *TABLE_CUSTOMS)}
    for index, item in enumerate(items):
        at = place.below("customProperties", index)
        name = item["property"]
        if name in ours:
            raise at.below("property").error(f'custom property "{name}" stands here twice', "keep one of them")
        if name in known and isinstance(item["value"], _OURS_ARE.get(name, object)):
            ours[name] = (item["value"], at.below("value"))
            continue
        near = difflib.get_close_matches(name.lower().replace("_", ""), folded, n=1, cutoff=0.85)
        if near and folded[near[0]] == name and name not in known:
            raise at.below("property").error(f'"{name}" does not belong here', f"known here: {', '.join(known)}")
        if near and name not in known:
            raise at.below("property").error(f'unknown property "{name}"', f'did you mean "{folded[near[0]]}"?')
        others.append((name, json.dumps(item["value"], sort_keys=True, ensure_ascii=False)))
    return ours, tuple(others)


def _text(value: Any, place: Place) -> str:
    if not isinstance(value, str):
        raise place.error(f"text is wanted, found {shape_of(value)}", "quote it")
    return value


def _text_list(value: Any, place: Place) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise place.error(f"a list is wanted, found {shape_of(value)}", "write [a, b]")
    return tuple(_text(item, place.below(index)) for index, item in enumerate(value))


def _score_weights(value: Any, place: Place) -> tuple[tuple[str, float], ...]:
    if not isinstance(value, dict):
        raise place.error(f"a mapping is wanted, found {shape_of(value)}", "write {completeness: 2, timeliness: 0}")
    for name, weight in value.items():
        at = place.below(name)
        if name not in SCORE_DIMENSIONS:
            raise at.error(f'no dimension "{name}"', suggestion(name, SCORE_DIMENSIONS))
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 <= weight < math.inf:
            raise at.error(f'the weight of "{name}" must be a number, 0 or more')
    if set(value) == set(SCORE_DIMENSIONS) and not any(value.values()):
        raise place.error("every dimension has the weight 0", "leave one with a weight")
    return tuple(sorted((str(name), float(weight)) for name, weight in value.items()))


def _drift_limits(value: Any, place: Place, keys: Mapping[str, str]) -> DriftLimits:
    if not isinstance(value, dict):
        example = "psiMax: 0.2" if "psiMax" in keys else "rowCountChangeMax: 0.3"
        raise place.error(f"a mapping is wanted, found {shape_of(value)}", f"write {{{example}}}")
    found: dict[str, Any] = {}
    for key, item in value.items():
        at, name = place.below(key), str(_OLDER_DRIFT_KEYS.get(key, key))
        if name not in keys:
            hint = "it belongs to the table" if name in TABLE_DRIFT_KEYS else ""
            hint = "it belongs to a column" if name in DRIFT_KEYS else hint
            raise at.error(f'unknown key "{key}"', hint or suggestion(key, keys))
        if keys[name] in found:
            raise at.error(f'"{name}" stands here twice', "keep one of them")
        if name in _DRIFT_SWITCHES:
            if not isinstance(item, bool):
                raise at.error(f'"{key}" must be true or false, found {shape_of(item)}', "write true or false")
            found[keys[name]] = item
        elif isinstance(item, bool) or not isinstance(item, (int, float)) or not 0 < item < math.inf:
            raise at.error(f'"{key}" must be a number above 0')
        else:
            found[keys[name]] = float(item)
    return DriftLimits(**found)
