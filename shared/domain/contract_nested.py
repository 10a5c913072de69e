"""What a contract asks of the inside of an object or array: its properties or items, how many, and which must be there.

``Column.nested`` keeps what the file says, ``Column.inside`` is what of it is checked; the rest is said.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from shared.domain.contract import Column, Inside, LogicalType, UnsupportedRule
from shared.domain.contract_quality import ColumnRules
from shared.domain.contract_rules import Place

LEVELS_MAX: Final = 10
KEPT_AS: Final = {"map": "object", "vector": "array"}
_SCALED: Final = {"int8": (-128, 127), "uint8": (0, 255), "binary": (0, 1)}  # elements of a vector that are whole
_TEXTS: Final = re.compile(r"(?:n?var)?n?char|text|string|utf-?8", re.IGNORECASE)
# What would need more than one value of a batch, and what it says of itself.
_BETWEEN_ROWS: Final = ("unique", "primaryKey", "relationships")

Reader = Callable[[dict[str, Any], Place, int], tuple[Column, list[UnsupportedRule], ColumnRules]]


def kept(item: dict[str, Any], kind: str, declared: str) -> str:
    """What a file says of the inside, as JSON, so that writing the contract keeps it; "" for nothing."""
    if kind not in KEPT_AS.values():
        return ""
    inside: dict[str, Any] = {key: item[key] for key in ("properties", "items", "map") if item.get(key)}
    if item.get("logicalTypeOptions"):
        inside["logicalTypeOptions"] = item["logicalTypeOptions"]
    if declared != kind:
        inside["logicalType"] = declared
    return json.dumps(inside, sort_keys=True, ensure_ascii=False) if inside else ""


class InsideReader:
    """Reads the inside of one column, with notes on what is not checked of it."""

    def __init__(self, read: Reader, level: int) -> None:
        self._read, self._level = read, level
        self.notes: list[UnsupportedRule] = []

    def inside(self, item: dict[str, Any], declared: str, path: str, place: Place) -> Inside | None:
        """None when nothing is asked of the inside. ``path`` is the column's own."""
        options = item.get("logicalTypeOptions") or {}
        if declared not in ("object", "array", "map", "vector"):
            return None
        if self._level >= LEVELS_MAX and {"properties", "items", "map"} & item.keys():
            self._note(path, f"what is more than {LEVELS_MAX} levels inside the value is not checked", place)
            return None
        found = {"object": self._object, "array": self._array, "map": self._map, "vector": self._vector}[declared](
            item, options, path, place
        )
        return None if found == Inside() else found

    def _note(self, path: str, what: str, place: Place) -> None:
        self.notes.append(UnsupportedRule(column=path, what=what, line=place.line))

    def _object(self, item: dict[str, Any], options: dict[str, Any], path: str, place: Place) -> Inside:
        columns: list[Column] = []
        untyped: list[str] = []
        for number, each in enumerate(item.get("properties") or []):
            at = place.below("properties", number)
            name = each.get("physicalName") or each["name"]
            column, typed = self._column(each, f"{path}.{name}", at)
            if any(column.name == other.name for other in columns):
                raise at.below("name").error(f'property "{column.name}" stands here twice', "keep one of them")
            columns.append(column)
            if not typed:
                untyped.append(column.name)
        least, most = options.get("minProperties") or None, options.get("maxProperties")
        self._possible(least, most, place.below("logicalTypeOptions"), "maxProperties", "minProperties")
        return Inside(
            properties=tuple(columns),
            untyped=tuple(untyped),
            size_min=least,
            size_max=most,
            required=tuple(options.get("required") or ()),
        )

    def _array(self, item: dict[str, Any], options: dict[str, Any], path: str, place: Place) -> Inside:
        items = self._unnamed(item.get("items"), f"{path}[]", place.below("items"))
        least, most = options.get("minItems") or None, options.get("maxItems")
        self._possible(least, most, place.below("logicalTypeOptions"), "maxItems", "minItems")
        return Inside(items=items, size_min=least, size_max=most, unique=bool(options.get("uniqueItems", False)))

    def _map(self, item: dict[str, Any], options: dict[str, Any], path: str, place: Place) -> Inside:
        given, at = item.get("map") or {}, place.below("map")
        if options:
            self._note(path, f"{', '.join(sorted(options))} of a map is not checked", place)
        keys = self._unnamed(given.get("key"), f"{path}.* (key)", at.below("key"))
        return Inside(keys=keys, values=self._unnamed(given.get("value"), f"{path}.*", at.below("value")))

    def _vector(self, item: dict[str, Any], options: dict[str, Any], path: str, place: Place) -> Inside:
        if options.get("normalized"):
            self._note(path, "that the vector is normalized is not checked", place)
        low, high = _SCALED.get(options.get("elementType", "float32"), (None, None))
        kind: LogicalType = "number" if low is None else "integer"
        element = Column(name="[]", logical_type=kind, required=True, minimum=low, maximum=high)
        dimensions = options.get("dimensions")
        return Inside(items=element, size_min=dimensions, size_max=dimensions)

    def _possible(self, least: int | None, most: int | None, place: Place, key: str, other: str) -> None:
        if least is not None and most is not None and least > most:
            raise place.below(key).error(f"{key} is less than {other}", "exchange them")

    def _unnamed(self, item: dict[str, Any] | None, path: str, place: Place) -> Column | None:
        """Items of arrays, keys and values of maps; None when nothing is asked of them."""
        if not item:
            return None
        plain = {key: value for key, value in item.items() if key != "physicalName"}
        column, typed = self._column({**plain, "name": "[]"}, path, place)
        return column if typed or column.required else None

    def _column(self, item: dict[str, Any], path: str, place: Place) -> tuple[Column, bool]:
        """The column, and whether anything says of what type it is."""
        column, notes, rules = self._read(item, place, self._level + 1)
        own = column.name
        for note in notes:
            inner = note.column.removeprefix(own)
            self.notes.append(replace(note, column=f"{path}{inner}", raw=""))
        nested = column.logical_type in KEPT_AS.values()
        physical = column.logical_type != "string" or _TEXTS.match(column.physical_type.strip()) is not None
        typed = "logicalType" in item or (bool(column.physical_type) and physical)
        typed = typed or bool(column.enum or column.pattern)
        unique = bool(item.get("unique") or rules.unique)
        compared = unique and typed and not nested
        for said in _BETWEEN_ROWS:
            if (unique and not compared) if said == "unique" else item.get(said):
                self._note(path, f"{said} is not checked inside a value", place)
        if column.enum and nested:
            self._note(path, "enum is not checked of a whole object or array", place)
        for name in (*(each.name for each in rules.thresholds), *(each.name for each in rules.custom_checks)):
            told = f' "{name}"' if name else ""
            self._note(path, f"quality rule{told} is not checked inside a value", place)
        return replace(column, unique=compared), typed
