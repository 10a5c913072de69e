"""Rows and jobs for the warehouse's suites, and a model in plain Python of what a table must hold."""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from shared.ports.warehouse import Layout, LoadJob, Mode, TableColumn, Warehouse

Row = dict[str, Any]
Put = Callable[[str, pa.Table], None]

COLUMNS = (TableColumn("k", "integer"), TableColumn("v", "string"))
ARROW = {
    "string": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "time": pa.time64("us"),
    "object": pa.string(),
    "array": pa.string(),
}
TABLE = "travel.flights"
numbers = itertools.count(1)


def arrow(rows: Iterable[Row], columns: Sequence[TableColumn] = COLUMNS) -> pa.Table:
    """Rows as load writes them: the table's columns and the three of provenance."""
    schema = pa.schema(
        [(column.name, ARROW[column.logical_type]) for column in columns]
        + [("_mend_batch", pa.string()), ("_mend_row", pa.int64()), ("_mend_seq", pa.string())]
    )
    return pa.Table.from_pylist(list(rows), schema=schema)


class Files:
    """Writes a batch's rows to the object store and makes jobs of them."""

    def __init__(self, put: Put) -> None:
        self._put = put

    def job(
        self,
        mode: Mode,
        batch: str,
        rows: Sequence[Mapping[str, Any]],
        *,
        seq: str = "",
        table: str = TABLE,
        job_id: str = "",
        columns: Sequence[TableColumn] = COLUMNS,
        keys: tuple[str, ...] = ("k",),
    ) -> LoadJob:
        """A job; rows get their number by position unless they have one."""
        number = next(numbers)
        path = f"loaded/{batch}/n{number}/part-00000.parquet"
        full = [
            {"_mend_batch": batch, "_mend_row": n, "_mend_seq": seq or batch, **row} for n, row in enumerate(rows, 1)
        ]
        self._put(path, arrow(full, columns))
        return LoadJob(
            job_id or f"job{number}", table, mode, (path,), tuple(columns), keys, batch, seq or batch, Layout()
        )


def content(warehouse: Warehouse, table: str = TABLE, *names: str) -> list[tuple[Any, ...]]:
    """The table's rows in a comparable order."""
    rows = [row for batch in warehouse.dump(table) for row in batch.to_pylist()]
    wanted = names or ("k", "v", "_mend_batch", "_mend_row", "_mend_seq")
    return sorted((tuple(row.get(name) for name in wanted) for row in rows), key=repr)


def placed(rows: Iterable[Row]) -> list[tuple[Any, ...]]:
    """Rows of the model as ``content`` gives those of a table."""
    names = ("k", "v", "_mend_batch", "_mend_row", "_mend_seq")
    return sorted((tuple(row.get(name) for name in names) for row in rows), key=repr)


def newest(rows: Iterable[Row]) -> list[Row]:
    """The model of upsert: per key the row with the greatest (seq, row)."""
    best: dict[Any, Row] = {}
    for row in rows:
        known = best.get(row["k"])
        if known is None or (row["_mend_seq"], row["_mend_row"]) > (known["_mend_seq"], known["_mend_row"]):
            best[row["k"]] = row
    return list(best.values())


def rows_of(contents: Sequence[Sequence[Row]]) -> dict[str, list[Row]]:
    """Batches b0, b1 …, each later in order than the one before it."""
    return {
        f"b{index}": [
            {**row, "_mend_batch": f"b{index}", "_mend_row": number, "_mend_seq": f"s{index}"}
            for number, row in enumerate(rows, 1)
        ]
        for index, rows in enumerate(contents)
    }
