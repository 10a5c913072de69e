"""The rows that a load replaces, kept before it replaces them; those that were never ours are kept apart."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

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
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    path = paths.before(event.batch_id, event.attempt)
    if mode == "append" or ports.objects.stat(path) is not None:
        return
    found = ports.warehouse.dump(table) if mode == "overwrite" else ports.warehouse.rows_with_keys(table, files, keys)
    replaced = (others for batch in found if (others := _of_others(batch, event.batch_id)).num_rows)
    first = next(replaced, None)
    if first is None:
        return
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


def _of_others(rows: pa.RecordBatch, batch_id: str) -> pa.RecordBatch:
    """Rows that the batch itself did not load: a load that died half way may have."""
    import pyarrow.compute as pc

    mine = pc.equal(rows.column(BATCH_COLUMN), batch_id)
    return rows.filter(pc.invert(pc.fill_null(mine, False)))
