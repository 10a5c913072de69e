"""Values inside cells that no other of the batch may equal: ``unique`` of a property or of the items of an array.

The values of one place are spread into rows of their own, so that the ledger of ordinary keys compares them, and what
it says is brought back to the rows whose cells they are in.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from services.validate.column_checks import severity_of
from services.validate.findings import Rule
from services.validate.keys import KeyLedger
from services.validate.nested_cells import EXACT_IN_DOUBLE, read_as, shape_of
from services.validate.nested_rules import ITEMS_MAX, Node, nested_node
from services.validate.nested_walk import NestedWalk
from shared.domain.contract import Inside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import polars as pl
    import pyarrow as pa

    from services.validate.keys import KeyVerdict
    from shared.domain.contract import Column

SLICE_ROWS: Final = 4_096


def nested_keys(columns: Iterable[Column]) -> list[NestedKey]:
    """One for every place inside a value whose values must be unique."""
    known = list(columns)
    roots = [nested_node(column, {each.name for each in known}) for column in known if column.inside is not None]
    return [
        NestedKey(root, place) for root in roots for place in root.below() if place.column.unique and place is not root
    ]


class NestedKey:
    """Does for a place inside a column what ``KeyLedger`` does for columns."""

    def __init__(self, root: Node, place: Node) -> None:
        self._column = root.path
        self._path = place.path
        self._tree = _only(root, place)
        self._shape = shape_of(self._tree)
        told = f"{place.path} must be unique in the batch"
        self.rule = Rule("unique_inside", (place.path,), told, severity_of(place.column))
        self._ledger = KeyLedger(self.rule)
        self._heights: dict[int, int] = {}

    def add(self, number: int, typed: pl.DataFrame) -> None:
        """Take in the values of a chunk."""
        self._heights[number] = typed.height
        self._ledger.add(number, self._values(typed))

    def add_earlier(self, typed: pl.DataFrame) -> None:
        """Take in the values of rows that an earlier attempt released."""
        self._ledger.add_earlier(self._values(typed))

    def verdict(
        self,
        reread: Callable[[Sequence[int]], Iterable[tuple[int, pl.DataFrame]]],
        earlier: Callable[[], Iterator[pl.DataFrame]],
    ) -> KeyVerdict | None:
        """None when every value occurs once; see ``KeyLedger.verdict``."""
        rows: dict[int, pl.Series] = {}

        def values_again(numbers: Sequence[int]) -> Iterator[tuple[int, pl.DataFrame]]:
            for number, typed in reread(numbers):
                values = self._values(typed)
                rows[number] = values["_mend_row"]
                yield number, values

        found = self._ledger.verdict(values_again, lambda: (self._values(typed) for typed in earlier()))
        if found is None:
            return None
        masks = {
            number: _mask(rows[number].filter(repeated), self._heights[number])
            for number, repeated in found.masks.items()
        }
        return found._replace(masks=masks)

    def _values(self, typed: pl.DataFrame) -> pl.DataFrame:
        """The place's values, each with the number in the chunk of the row whose cell has it."""
        import polars as pl

        from services.validate.casting import polars_type

        kind = polars_type(self._place.column.logical_type)
        cells = pl.DataFrame({"row": pl.int_range(typed.height, eager=True), "cell": typed[self._column]}).drop_nulls()
        pieces = [pl.DataFrame(schema={"_mend_row": pl.Int64, self._path: kind})]
        for rows, values in self._spread(cells):
            pieces.append(pl.DataFrame({"_mend_row": rows.cast(pl.Int64), self._path: values.cast(kind)}).drop_nulls())
        return pl.concat(pieces)

    @property
    def _place(self) -> Node:
        *_, last = self._tree.below()
        return last

    def _spread(self, cells: pl.DataFrame) -> Iterator[tuple[pl.Series, pl.Series]]:
        """Read as a whole, or where something else stands among them slice by slice, or value by value."""
        whole = _read(self._tree, cells, self._shape)
        if whole is not None:
            yield from whole
            return
        for start in range(0, cells.height, SLICE_ROWS):
            part = cells.slice(start, SLICE_ROWS)
            quick = _read(self._tree, part, self._shape) if cells.height > SLICE_ROWS else None
            if quick is not None:
                yield from quick
                continue
            walk = NestedWalk(self._tree, keep=self._path)
            walk.look(part["row"], part["cell"])
            yield from walk.kept


def _only(node: Node, place: Node) -> Node:
    """The tree with nothing in it but the way to the place, and nothing asked on it."""
    if node is place:
        return Node(replace(node.column, required=False), None)
    bare = Node(replace(node.column, required=False), Inside())
    for name, each in node.properties.items():
        if _has(each, place):
            bare.properties[name] = _only(each, place)
    for name in ("items", "keys", "values"):
        each = getattr(node, name)
        if each is not None and _has(each, place):
            setattr(bare, name, _only(each, place))
    return bare


def _has(node: Node, place: Node) -> bool:
    return any(each is place for each in node.below())


def _read(tree: Node, cells: pl.DataFrame, shape: pa.DataType | None) -> list[tuple[pl.Series, pl.Series]] | None:
    """The values and their rows; None where only the look value by value tells what they are.

    So it is of numbers that a double may not hold: here they are another number, and there no value.
    """
    found = read_as(cells, shape) if cells.height else None
    if found is None:
        return None
    pieces = list(_values_in(tree, cells["row"], found))
    numbers = [values for _, values in pieces if values.dtype.is_float()]
    held = all((values.is_finite() & (values.abs() < EXACT_IN_DOUBLE)).all() for values in numbers)
    return pieces if held else None


def _values_in(node: Node, rows: pl.Series, cells: pl.Series) -> Iterator[tuple[pl.Series, pl.Series]]:
    from services.validate.casting import TextRules, cast_texts

    there = cells.is_not_null()
    rows, cells = rows.filter(there), cells.filter(there)
    if not cells.len():
        return
    if node.kind == "single":
        dated = node.column.logical_type in ("date", "timestamp", "time")
        yield rows, cast_texts(cells.alias(node.path), node.column, TextRules(null_values=())) if dated else cells
    elif node.items is not None:
        filled = cells.list.len() > 0
        if filled.any():
            judged = cells.filter(filled).list.head(ITEMS_MAX).alias("cell")
            spread = rows.filter(filled).to_frame("row").with_columns(judged).explode("cell")
            yield from _values_in(node.items, spread["row"], spread["cell"])
    else:
        for name, each in node.properties.items():
            yield from _values_in(each, rows, cells.struct.field(name))


def _mask(rows: pl.Series, height: int) -> pl.Series:
    import polars as pl

    return pl.repeat(False, height, dtype=pl.Boolean, eager=True).scatter(rows.unique(), True)
