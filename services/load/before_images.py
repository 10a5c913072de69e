"""The rows that a load replaces, kept before it replaces them; those that were never ours are kept apart."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from services.load import foreign_rows
from shared.domain import paths
from shared.events.types import BatchValidated
from shared.ports.ports import Ports
from shared.ports.warehouse import BATCH_COLUMN, Mode

if TYPE_CHECKING:
    import pyarrow as pa


def write(
    event: BatchValidated, table: str, mode: Mode, files: Sequence[str], keys: Sequence[str], ports: Ports
) -> None:
    """Keep what the load of ``files`` replaces, once: a repeated load would find its own rows.

    The foreign rows are written first, since the other file says that both are there.
    """
    path = paths.before(event.batch_id, event.attempt)
    if mode == "append" or ports.objects.stat(path) is not None:
        return
    import pyarrow.compute as pc  # takes long to load, and an append replaces nothing
    import pyarrow.parquet as pq

    found = ports.warehouse.dump(table) if mode == "overwrite" else ports.warehouse.rows_with_keys(table, files, keys)
    replaced = (others for batch in found if (others := _of_others(batch, event.batch_id)).num_rows)
    first = next(replaced, None)
    if first is None:
        return
    if mode == "overwrite" and _is_foreign(table, event.batch_id, ports):
        foreign_rows.supersede(table, event.batch_id, event.attempt, ports.objects)
    # Contexts end in reverse: the foreign rows' file is in place before the other one is.
    with (
        ports.objects.write(path) as stream,
        pq.ParquetWriter(stream, first.schema) as writer,
        ports.objects.write(paths.before_foreign(event.batch_id, event.attempt)) as foreign_stream,
        pq.ParquetWriter(foreign_stream, first.schema) as foreign,
    ):
        for batch in itertools.chain([first], replaced):
            writer.write_batch(batch)
            foreign.write_batch(batch.filter(pc.is_null(batch.column(BATCH_COLUMN))))


def _is_foreign(table: str, batch_id: str, ports: Ports) -> bool:
    """True when the table holds nothing that another batch loaded; read only as far as that is not decided."""
    import pyarrow.compute as pc

    others = (_of_others(rows, batch_id) for rows in ports.warehouse.dump(table))
    return not any(pc.any(pc.is_valid(rows.column(BATCH_COLUMN))).as_py() for rows in others)


def _of_others(rows: pa.RecordBatch, batch_id: str) -> pa.RecordBatch:
    """Rows that the batch itself did not load: a load that died half way may have."""
    import pyarrow.compute as pc

    mine = pc.equal(rows.column(BATCH_COLUMN), batch_id)
    return rows.filter(pc.invert(pc.fill_null(mine, False)))
