"""Rows of a Parquet file where it lies, in pieces or whole: nothing is staged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.validate.staged_rows import CELLS_MAX, Chunk
from shared.domain.reading import staged_names

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

CELLS_IN_MEMORY = 5 * CELLS_MAX  # a file of more is read in pieces


class ParquetRows:
    """All rows of a Parquet file in order, of at most ``rows_max`` in a piece; numbered from 1 as ingest does.

    ``OSError`` or polars' ``ComputeError`` when it is not a Parquet file that can be read where it lies.
    """

    def __init__(self, path: Path, rows_max: int = 0) -> None:
        """``rows_max`` 0: by the file's size, whole or in pieces."""
        import polars as pl

        self._scan = pl.scan_parquet(path, glob=False, hive_partitioning=False)
        delivered = self._scan.collect_schema().names()
        self.columns = staged_names(delivered)
        self._names = dict(zip(delivered, self.columns, strict=True))
        self.rows: int = self._scan.select(pl.len()).collect().item()
        width = max(1, len(delivered))
        if rows_max:
            self._rows_max = min(rows_max, max(1, self.rows))
        elif self.rows * width <= CELLS_IN_MEMORY:
            self._rows_max = max(1, self.rows)
        else:
            self._rows_max = max(1, CELLS_MAX // width)

    def chunks(self, only: Collection[int] | None = None) -> Iterator[Chunk]:
        """The pieces; with ``only``, those of these numbers."""
        import polars as pl

        nothing = pl.lit(None, dtype=pl.String)
        for number, start in enumerate(range(0, max(self.rows, 1), self._rows_max)):
            if only is not None and number not in only:
                continue
            rows = self._scan.slice(start, self._rows_max).collect().rename(self._names)
            numbers = pl.int_range(start + 1, start + rows.height + 1, dtype=pl.Int64)
            marks = (numbers.alias("_mend_row"), nothing.alias("_mend_raw"), nothing.alias("_mend_misfit"))
            yield Chunk(number, rows.select(*marks, pl.all()))
