"""Staged rows as tables: cells, or the raw record with the reason why it is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from shared.domain.reading import MISFIT, RAW, ROW

if TYPE_CHECKING:
    import pyarrow as pa


class RawRecord(NamedTuple):
    """A record that is no row."""

    number: int
    misfit: str
    text: str
    line: int  # in the delivery, from 1; 0 = not known


class StagedRows(NamedTuple):
    """A table in record order, our three columns first, and its raw records once more."""

    table: pa.Table
    raw: list[RawRecord]


def text_schema(columns: list[str]) -> pa.Schema:
    """The schema of cells kept as text."""
    import pyarrow as pa

    return pa.schema([pa.field(name, pa.string()) for name in columns])


def interleaved(cells: list[Any], schema: pa.Schema, count: int, raw: list[RawRecord], first: int) -> StagedRows:
    """``count`` rows (``cells`` are their columns) and the raw records, numbered from ``first`` without a gap."""
    import pyarrow as pa

    numbers = pa.arange(first, first + count + len(raw))
    if count == 0:
        cells = [pa.nulls(0, field.type) for field in schema]
    if not raw:
        return StagedRows(with_ours(cells, schema, numbers), raw)
    import pyarrow.compute as pc  # takes long to load, and most deliveries have no raw record

    raw_numbers = pa.array([record.number for record in raw], pa.int64())
    raw_table = with_ours(
        [pa.nulls(len(raw), field.type) for field in schema],
        schema,
        raw_numbers,
        pa.array([record.text for record in raw], pa.string()),
        pa.array([record.misfit for record in raw], pa.string()),
    )
    if count == 0:
        table = raw_table
    else:
        cell_numbers = numbers.filter(pc.invert(pc.is_in(numbers, raw_numbers)))
        table = pa.concat_tables([with_ours(cells, schema, cell_numbers), raw_table])
    return StagedRows(table.take(pc.sort_indices(table[ROW])), raw)


def with_ours(
    cells: list[Any], schema: pa.Schema, numbers: pa.Array, texts: pa.Array = None, misfits: pa.Array = None
) -> pa.Table:
    """A table of cells with our columns before them."""
    import pyarrow as pa

    nothing = pa.nulls(len(numbers), pa.string())
    ours = [pa.field(ROW, pa.int64()), pa.field(RAW, pa.string()), pa.field(MISFIT, pa.string())]
    texts, misfits = (nothing if array is None else array for array in (texts, misfits))
    return pa.table([numbers, texts, misfits, *cells], schema=pa.schema([*ours, *schema]))
