"""The thorough look into JSON cells, value by value: it says which rows break which rule inside a column.

The values of every place are gathered into one column, typed and checked by the same expressions as cells are, and the
answers are brought back to the rows they came from. It is for the few cells that ``nested_cells`` could not wave
through, and for the rare rules that only this look can decide.
"""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

from services.validate.column_checks import failing_cells
from services.validate.nested_rules import ITEMS_MAX, required_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import polars as pl

    from services.validate.findings import Rule
    from services.validate.nested_rules import Node

GATHERED_MAX: Final = 500_000  # values held before they are judged
_JSON_TEXT: Final = frozenset({"string", "date", "timestamp", "time"})


class _Number(str):
    """A JSON number, as it is written."""

    __slots__ = ()


class _Object(dict[str, Any]):
    """A JSON object that remembers the names that stand in it twice."""

    __slots__ = ("repeated",)

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        counts = Counter(name for name, _ in pairs) if len(self) != len(pairs) else {}
        self.repeated = {name for name, count in counts.items() if count > 1}


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_Object, parse_float=_Number, parse_int=_Number)


class NestedWalk:
    """Looks into the cells of one column; ``broken`` has the numbers of the rows that break each rule."""

    def __init__(self, root: Node, keep: str = "") -> None:
        self._root = root
        self._keep = keep
        self.kept: list[tuple[pl.Series, pl.Series]] = []  # the values of that place, after the rows they are of
        self.broken: dict[Rule, set[int]] = {}
        self._rows: dict[str, list[int]] = {}
        self._cells: dict[str, list[str | None]] = {}
        self._gathered = 0
        self._looks: dict[str, Callable[[Node, Any, int], None]] = {
            "object": self._object,
            "array": self._array,
            "single": self._single,
            "any": self._anything,
        }

    def look(self, rows: Iterable[int], cells: Iterable[str]) -> None:
        """Judge cells that are known to be JSON of the column's kind."""
        for row, cell in zip(rows, cells, strict=True):
            try:
                value = _DECODER.decode(cell.strip(" \t\r\n"))
            except (ValueError, RecursionError):  # the cast takes no such text: not to be relied on
                self._break(self._root.type_rule(), row)
                continue
            self._value(self._root, value, row)
            if self._gathered >= GATHERED_MAX:
                self._judge()
        self._judge()

    def _break(self, rule: Rule, row: int) -> None:
        self.broken.setdefault(rule, set()).add(row)

    def _value(self, node: Node, value: Any, row: int) -> None:
        if value is None and node.kind != "single":
            if not node.column.nullable:
                self._break(node.required_rule(), row)
            return
        self._looks[node.kind](node, value, row)

    def _anything(self, node: Node, value: Any, row: int) -> None:
        """Something is there, and it may be anything."""

    def _object(self, node: Node, value: Any, row: int) -> None:
        if not isinstance(value, _Object):
            self._break(node.type_rule(), row)
            return
        if node.inside is None:
            return
        if value.repeated and (node.values is not None or value.repeated & node.declared):
            self._break(node.type_rule(), row)
        self._size(node, len(value), row)
        for name in required_names(node):
            if name not in value:
                self._break(node.absent_rule(name), row)
        for name, inner in node.properties.items():
            self._value(inner, value.get(name), row)
        if node.keys is not None or node.values is not None:
            for name, each in list(value.items())[:ITEMS_MAX]:
                if node.keys is not None:
                    self._take(node.keys, name, row, fits=_is_unicode(name))
                if node.values is not None:
                    self._value(node.values, each, row)

    def _array(self, node: Node, value: Any, row: int) -> None:
        if not isinstance(value, list):
            self._break(node.type_rule(), row)
            return
        if node.inside is None:
            return
        self._size(node, len(value), row)
        judged = value[:ITEMS_MAX]
        if node.inside.unique and _repeats(judged):
            self._break(node.repeated_rule(), row)
        if node.items is not None:
            for each in judged:
                self._value(node.items, each, row)

    def _size(self, node: Node, size: int, row: int) -> None:
        low, high = node.sizes
        limited = node.kind == "array" or node.values is not None or node.keys is not None
        most = high if limited or (node.inside is not None and node.inside.size_max is not None) else size
        if not low <= size <= most:
            self._break(node.size_rule(), row)

    def _single(self, node: Node, value: Any, row: int) -> None:
        kind = node.column.logical_type
        if value is None:
            self._gather(node, None, row)
        elif isinstance(value, _Number):
            self._take(node, value, row, fits=kind in ("integer", "number"))
        elif isinstance(value, bool):
            self._take(node, "true" if value else "false", row, fits=kind == "boolean")
        else:
            self._take(node, value, row, fits=isinstance(value, str) and kind in _JSON_TEXT and _is_unicode(value))

    def _take(self, node: Node, value: str, row: int, *, fits: bool) -> None:
        if fits:
            self._gather(node, str(value), row)
        else:
            self._break(node.type_rule(), row)

    def _gather(self, node: Node, cell: str | None, row: int) -> None:
        self._rows.setdefault(node.path, []).append(row)
        self._cells.setdefault(node.path, []).append(cell)
        self._gathered += 1

    def _judge(self) -> None:
        """Type and check what was gathered, and forget it."""
        import polars as pl

        from services.validate.casting import TextRules, cast_frame

        for node in self._root.below():
            rows = self._rows.get(node.path)
            if not rows:
                continue
            staged = pl.DataFrame({node.path: pl.Series(self._cells[node.path], dtype=pl.String)})
            cast = cast_frame(staged, [node.column], TextRules(null_values=()))
            at = pl.Series(rows, dtype=pl.Int64)
            if node.path == self._keep:
                self.kept.append((at, cast.frame.to_series()))
            masks = [(node.type_rule(), mask) for mask in cast.failed.values()]
            masks += [(each.rule, each.mask) for each in failing_cells(cast.frame, node.cells, cast.failed)]
            for rule, mask in masks:
                self.broken.setdefault(rule, set()).update(at.filter(mask).to_list())
        self._rows, self._cells, self._gathered = {}, {}, 0


def _is_unicode(text: str) -> bool:
    """False for halves of a surrogate pair, which no column holds."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _repeats(items: list[Any]) -> bool:
    """True when two items are equal as JSON values: 1 and 1.0 are, and so are objects in any order of names."""
    seen: set[Any] = set()
    for each in items:
        known = len(seen)
        seen.add(_comparable(each))
        if len(seen) == known:
            return True
    return False


def _comparable(value: Any) -> Any:
    if isinstance(value, _Number):
        try:
            return "number", Decimal(value).normalize()
        except InvalidOperation:  # an exponent beyond all bounds
            return "number", str(value)
    if isinstance(value, dict):
        return "object", frozenset((name, _comparable(each)) for name, each in value.items())
    if isinstance(value, list):
        return "array", tuple(_comparable(each) for each in value)
    return type(value).__name__, value
