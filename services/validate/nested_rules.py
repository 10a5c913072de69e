"""The rules on what is inside objects and arrays, as a tree of places: ``address.zip``, ``lines[].qty``."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from services.validate.column_checks import cell_rules, severity_of, type_rule
from services.validate.findings import Rule

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from services.validate.column_checks import CellRule
    from shared.domain.contract import Column, Inside

ITEMS_MAX: Final = 100_000  # of one array or map; what has more is not judged, and is said to have too many


@dataclass(slots=True)
class Node:
    """One place inside a column's values, or the column itself."""

    column: Column  # its name is the path
    inside: Inside | None
    any_type: bool = False
    cells: list[CellRule] = field(default_factory=list)  # of a place that holds single values
    properties: dict[str, Node] = field(default_factory=dict)
    items: Node | None = None
    keys: Node | None = None
    values: Node | None = None
    declared: frozenset[str] = frozenset()  # the names that must not stand in an object twice

    @property
    def path(self) -> str:
        """Where it is, and the name under which its violations are told."""
        return self.column.name

    @property
    def kind(self) -> str:
        """``object``, ``array``, ``single`` or ``any``."""
        if self.any_type:
            return "any"
        return self.column.logical_type if self.column.logical_type in ("object", "array") else "single"

    def below(self) -> Iterator[Node]:
        """This place and all inside it, in the contract's order."""
        yield self
        for each in (*self.properties.values(), self.items, self.keys, self.values):
            if each is not None:
                yield from each.below()

    def type_rule(self) -> Rule:
        """Its values are of its type, and an object names nothing twice."""
        return type_rule(self.column)

    def required_rule(self) -> Rule:
        """It must not be null, or absent."""
        return Rule("required", (self.path,), f"{self.path} must not be null", severity_of(self.column))

    def absent_rule(self, name: str) -> Rule:
        """The object must have a property of that name."""
        path = f"{self.path}.{name}"
        return Rule("required", (path,), f"{path} must not be null", severity_of(self.column))

    def size_rule(self) -> Rule:
        """It has as many items or properties as the contract says, and no more than are judged."""
        what = "items" if self.kind == "array" else "properties"
        low, high = self.sizes
        said = f"{low} to {high:,} {what}" if low else f"at most {high:,} {what}"
        return Rule("length", (self.path,), f"{self.path} must have {said}", severity_of(self.column))

    def repeated_rule(self) -> Rule:
        """No item of an array is there twice."""
        told = f"{self.path} must have no item twice"
        return Rule("unique_items", (self.path,), told, severity_of(self.column))

    @property
    def sizes(self) -> tuple[int, int]:
        """The least and the greatest number of items or properties."""
        inside = self.inside
        least = inside.size_min if inside is not None else None
        most = inside.size_max if inside is not None else None
        return least or 0, ITEMS_MAX if most is None else min(most, ITEMS_MAX)


def nested_node(column: Column, taken: Collection[str]) -> Node:
    """The tree of one column. ``taken`` are names of columns, which no path inside may be."""
    node = Node(column, column.inside)
    _grow(node)
    for each in node.below():
        if each is not node and each.path in taken:
            each.column = replace(each.column, name=f"$.{each.path}")
            each.cells = _cells(each)
    return node


def _grow(node: Node) -> None:
    inside = node.inside
    if inside is None:
        return
    for column in inside.properties:
        node.properties[column.name] = _made(column, f"{node.path}.{column.name}", column.name in inside.untyped)
    node.declared = frozenset(node.properties) - frozenset(inside.untyped)
    node.items = _optional(inside.items, f"{node.path}[]")
    node.keys = _optional(inside.keys, f"{node.path}.* (key)")
    node.values = _optional(inside.values, f"{node.path}.*")


def _optional(column: Column | None, path: str) -> Node | None:
    return None if column is None else _made(column, path, any_type=False)


def _made(column: Column, path: str, any_type: bool) -> Node:
    node = Node(replace(column, name=path), column.inside, any_type)
    node.cells = _cells(node)
    _grow(node)
    return node


def _cells(node: Node) -> list[CellRule]:
    return cell_rules([node.column], ()) if node.kind == "single" else []


def required_names(node: Node) -> Sequence[str]:
    """Names that an object must have, whether or not anything else is said of them."""
    return node.inside.required if node.inside is not None else ()
