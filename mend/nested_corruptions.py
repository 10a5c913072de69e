"""What goes wrong inside objects and arrays: a name that is not there any more, a value of another type.

The places are those that the sample itself has (``nested_claims``), so that each rule suggested holds for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any, Final, NamedTuple

import polars as pl

from mend.nested_claims import nested
from shared.domain.contract import Column, Contract
from shared.domain.contract_nested import KEPT_AS

PLACES_MAX: Final = 40  # of one column
BYTES_MAX: Final = 100_000_000  # each place costs the column's cells twice
_ITEM: Final = "[]"
_OTHER: Final[dict[str, Any]] = {"string": 7}  # a value of another type; for all other types a text

Amend = Callable[[Contract], Contract]


class InsideCorrupted(NamedTuple):
    """A column's cells with one thing wrong inside."""

    corruption: str
    what: str
    cells: pl.Series
    rule: str
    amend: Amend


class _Place(NamedTuple):
    """A property or the items of an array: names down to it, its type, whether it is always there."""

    path: tuple[str, ...]
    kind: str
    required: bool

    @property
    def told(self) -> str:
        return ".".join(self.path).replace(f".{_ITEM}", _ITEM)


def inside_corruptions(column: Column, values: pl.Series, chosen: pl.Series) -> Iterator[InsideCorrupted]:
    """What means something for these cells, each put into the chosen rows."""
    known = json.loads(column.nested) if column.nested else {}
    if known.get("logicalType") in KEPT_AS:  # a map's names are data
        return
    claims = nested(values.drop_nulls())
    most = min(PLACES_MAX, BYTES_MAX // max(int(values.str.len_bytes().sum()), 1))
    for place in islice(_places(json.loads(claims) if claims else {}, ()), most):
        at = f"{column.name}{'' if place.path[0] == _ITEM else '.'}{place.told}"
        if place.path[-1] != _ITEM and place.required:
            gone = _in_cells(values, chosen, place.path, _without)
            rule = _claim(column.name, place, required=True)
            yield InsideCorrupted(
                "absent inside", f"{at} is absent in every tenth row", gone, f"{at}: required: true", rule
            )
        if place.kind:
            other = _in_cells(values, chosen, place.path, _set_to(_OTHER.get(place.kind, "?!")))
            said, rule = f"{at}: logicalType: {place.kind}", _claim(column.name, place, logicalType=place.kind)
            yield InsideCorrupted("other type inside", f"{at} is no {place.kind} in every tenth row", other, said, rule)


def _places(claims: dict[str, Any], above: tuple[str, ...]) -> Iterator[_Place]:
    inside = [(each["name"], each) for each in claims.get("properties", [])]
    inside += [(_ITEM, claims["items"])] if "items" in claims else []
    for name, said in inside:
        path = (*above, name)
        yield _Place(path, said.get("logicalType", ""), bool(said.get("required")))
        yield from _places(said, path)


_Change = Callable[[Any, Any], None]  # of what holds the value, and the name or number under which it does


def _without(holder: Any, key: Any) -> None:
    del holder[key]


def _set_to(value: Any) -> _Change:
    def change(holder: Any, key: Any) -> None:
        holder[key] = value

    return change


def _in_cells(values: pl.Series, chosen: pl.Series, path: tuple[str, ...], change: _Change) -> pl.Series:
    """The cells with all values at ``path`` changed in the chosen rows."""
    changed = [
        _in_cell(cell, path, change) if taken and cell is not None else cell
        for cell, taken in zip(values, chosen, strict=True)
    ]
    return pl.Series(values.name, changed, dtype=pl.String)


def _in_cell(cell: str, path: tuple[str, ...], change: _Change) -> str:
    try:
        value = json.loads(cell)
    except (ValueError, RecursionError):
        return cell
    _walk(value, path, change)
    return json.dumps(value, ensure_ascii=False)


def _walk(value: Any, path: tuple[str, ...], change: _Change) -> None:
    name, rest = path[0], path[1:]
    keys = range(len(value)) if name == _ITEM and isinstance(value, list) else [name]
    for key in keys:
        there = isinstance(value, list) or (isinstance(value, dict) and key in value)
        if there and rest:
            _walk(value[key], rest, change)
        elif there:
            change(value, key)


def _claim(name: str, place: _Place, **said: Any) -> Amend:
    """The contract with something said of a place inside a column; what holds it gets the type that the sample has."""

    def amend(contract: Contract) -> Contract:
        columns = (
            replace(each, nested=_with(each.nested, place, said), inside=None) if each.name == name else each
            for each in contract.columns
        )
        return replace(contract, columns=tuple(columns))

    return amend


def _with(text: str, place: _Place, said: dict[str, Any]) -> str:
    top: dict[str, Any] = json.loads(text) if text else {}
    node = top
    for number, name in enumerate(place.path):
        if number:
            node.setdefault("logicalType", "array" if name == _ITEM else "object")
        node = node.setdefault("items", {}) if name == _ITEM else _property(node, name)
    node.update(said)
    return json.dumps(top, ensure_ascii=False)


def _property(node: dict[str, Any], name: str) -> dict[str, Any]:
    properties: list[dict[str, Any]] = node.setdefault("properties", [])
    found = next((each for each in properties if (each.get("physicalName") or each["name"]) == name), None)
    if found is None:
        found = {"name": name}
        properties.append(found)
    return found
