"""Judges what is inside objects and arrays, as the contract's ``properties``, ``items`` and their options say.

Cells arrive here as JSON text, from whatever they were delivered. Nearly all are right, and pyarrow's JSON reader with
the contract's types as schema shows that of a whole chunk at once: it refuses every value of another kind, every whole
number that loses something, and every name that stands twice. Where it refuses, or a rule is not kept, the thorough
look of ``nested_walk`` says what is wrong; so both never have to agree on that, only on what is right.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

from services.validate.findings import Failure
from services.validate.nested_rules import Node, nested_node, required_names
from services.validate.nested_walk import NestedWalk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import polars as pl
    import pyarrow as pa

    from services.validate.findings import Rule
    from shared.domain.contract import Column

SLICE_ROWS: Final = 4_096  # looked at together again where a chunk as a whole is not right
BYTES_MAX: Final = 256_000_000  # read in one piece
EXACT_IN_DOUBLE: Final = 2.0**53


class NestedCells:
    """The nested columns of a contract."""

    def __init__(self, columns: Iterable[Column]) -> None:
        known = list(columns)
        names = {column.name for column in known}
        self._roots = [nested_node(column, names) for column in known if column.inside is not None]
        self._schemas: dict[str, pa.DataType | None] = {}

    def rules(self) -> Iterator[Rule]:
        """What is asked inside cells, as far as it says which dimensions are measured."""
        for root in self._roots:
            for node in root.below():
                if node is not root and not node.column.nullable:
                    yield node.required_rule()
                yield from (node.absent_rule(name) for name in required_names(node))

    def failures(self, typed: pl.DataFrame) -> list[Failure]:
        """The rows of a chunk that break a rule inside a cell; null cells have no inside."""
        found: list[Failure] = []
        for root in self._roots:
            found += _failures(root, typed[root.path], self._schema_of(root))
        return found

    def _schema_of(self, root: Node) -> pa.DataType | None:
        if root.path not in self._schemas:
            self._schemas[root.path] = shape_of(root)
        return self._schemas[root.path]


def _failures(root: Node, cells: pl.Series, schema: pa.DataType | None) -> list[Failure]:
    import polars as pl

    present = pl.DataFrame({"row": pl.int_range(cells.len(), eager=True), "cell": cells}).drop_nulls("cell")
    if not present.height:
        return []
    walk = NestedWalk(root)
    doubted = _doubted(root, present, schema)
    for part in (present.slice(start, SLICE_ROWS) for start in range(0, present.height, SLICE_ROWS)):
        if doubted is None:
            rows = _doubted(root, part, schema) if present.height > SLICE_ROWS else None
            left = part if rows is None else part.filter(pl.col("row").is_in(rows.implode()))
        else:
            left = part.filter(pl.col("row").is_in(doubted.implode()))
        walk.look(left["row"], left["cell"])
    return [Failure(rule, _mask(rows, cells.len())) for rule, rows in _by_key(walk.broken)]


def _by_key(broken: dict[Rule, set[int]]) -> list[tuple[Rule, set[int]]]:
    """One entry per check and place, in a fixed order: a rule may be broken for two reasons in one place."""
    together: dict[tuple[str, str], tuple[Rule, set[int]]] = {}
    for rule, rows in broken.items():
        known = together.get(rule.key)
        together[rule.key] = (rule if known is None else known[0], rows if known is None else known[1] | rows)
    return [together[key] for key in sorted(together)]


def _mask(rows: set[int], height: int) -> pl.Series:
    import polars as pl

    return pl.Series([False] * height, dtype=pl.Boolean).scatter(sorted(rows), True)


# ── the quick look ─────────────────────────────────────────────────────────────────────────────────────────────────


def _doubted(root: Node, present: pl.DataFrame, schema: pa.DataType | None) -> pl.Series | None:
    """The rows that may be wrong: all others are right. None when the reader does not take the cells as a whole."""
    import polars as pl

    found = read_as(present, schema)
    if found is None:
        return None
    rows = present["row"]
    return pl.concat([rows.clear(), *_doubts(root, rows, found)]).unique()


def read_as(present: pl.DataFrame, schema: pa.DataType | None) -> pl.Series | None:
    """The values of some JSON cells; None when one of them is of another type, or when they are too large together."""
    import polars as pl
    import pyarrow as pa
    import pyarrow.json as reader

    if schema is None or int(present["cell"].str.len_bytes().sum()) > BYTES_MAX:
        return None
    lines = present.select(pl.concat_str(pl.lit('{"x":'), "cell", pl.lit("}\n")).str.join(""))
    text = str(lines.item()).encode()
    try:
        table = reader.read_json(
            io.BytesIO(text),
            read_options=reader.ReadOptions(use_threads=False, block_size=len(text) + 1),
            parse_options=reader.ParseOptions(
                explicit_schema=pa.schema([("x", schema)]), unexpected_field_behavior="ignore"
            ),
        )
    except (pa.ArrowInvalid, pa.ArrowCapacityError):
        return None
    if table.num_rows != present.height:
        return None
    return pl.Series(pl.from_arrow(table.column("x")))


def shape_of(node: Node) -> pa.DataType | None:
    """The type that takes nothing else; None where there is none, as for maps and for numbers of properties."""
    import pyarrow as pa

    singles = {"integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_()}
    if node.kind == "single":
        return None if node.column.null_values else singles.get(node.column.logical_type, pa.string())
    if node.kind == "any":
        return None
    if node.kind == "array":
        inner = None if node.items is None else shape_of(node.items)
        return None if inner is None else pa.list_(inner)
    inside = node.inside
    if inside is None:
        return pa.struct([])
    counted = inside.size_min is not None or inside.size_max is not None
    if counted or node.keys is not None or node.values is not None or set(inside.required) - node.declared:
        return None
    fields: list[tuple[str, pa.DataType]] = []
    for name, each in node.properties.items():
        if each.kind == "any" and each.column.nullable and name not in inside.required:
            continue
        kind = shape_of(each)
        if kind is None:
            return None
        fields.append((name, kind))
    return pa.struct(fields)


def _doubts(node: Node, rows: pl.Series, cells: pl.Series) -> Iterator[pl.Series]:
    """Row numbers of values that may be wrong; ``rows`` says which row each of ``cells`` came from."""
    null = cells.is_null()
    if null.any():
        if not node.column.nullable:
            yield rows.filter(null)
        rows, cells = rows.filter(~null), cells.filter(~null)
    if cells.len():
        looks = {"single": _single_doubts, "array": _array_doubts, "object": _object_doubts}
        yield from looks[node.kind](node, rows, cells)


def _single_doubts(node: Node, rows: pl.Series, cells: pl.Series) -> Iterator[pl.Series]:
    import polars as pl

    from services.validate.casting import TextRules, cast_texts

    kind = node.column.logical_type
    if kind in ("date", "timestamp", "time"):
        cells = cast_texts(cells.alias(node.path), node.column, TextRules(null_values=()))
        yield rows.filter(cells.is_null())
    if kind == "number":
        yield rows.filter(~(cells.is_finite() & (cells.abs() < EXACT_IN_DOUBLE)))
    if node.cells:
        kept = pl.all_horizontal(item.passes().fill_null(True) for item in node.cells)
        yield rows.filter(~cells.alias(node.path).to_frame().select(kept).to_series())


def _array_doubts(node: Node, rows: pl.Series, cells: pl.Series) -> Iterator[pl.Series]:
    low, high = node.sizes
    sizes = cells.list.len()
    yield rows.filter(~sizes.is_between(low, high))
    if node.inside is not None and node.inside.unique:
        yield rows.filter(cells.list.n_unique() != sizes)
    filled = sizes > 0
    if node.items is not None and filled.any():
        spread = rows.filter(filled).to_frame("row").with_columns(cells.filter(filled).alias("cell")).explode("cell")
        yield from _doubts(node.items, spread["row"], spread["cell"])


def _object_doubts(node: Node, rows: pl.Series, cells: pl.Series) -> Iterator[pl.Series]:
    for name in required_names(node):  # null, or not there: the thorough look tells which
        yield rows.filter(cells.struct.field(name).is_null())
    names = set(cells.struct.fields) if node.properties else set()
    for name, each in node.properties.items():
        if name in names:
            yield from _doubts(each, rows, cells.struct.field(name))
