"""The file that names every failing row of a judgement: delivery, row, check, column; never a cell."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from shared.domain.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import polars as pl


class FailingFile:
    """Parquet, written as it grows; with no path nothing is written. Use as a context."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._writer: Any = None

    def add(self, delivery: str, rows: Iterable[pl.DataFrame]) -> None:
        """Append frames of ``row``, ``check`` and ``column``. ``DefinitionError`` when the file cannot be written."""
        import polars as pl

        for frame in rows if self.path else ():
            named = frame.select(pl.lit(delivery).alias("delivery"), "row", "check", "column")
            table = named.to_arrow(compat_level=pl.CompatLevel.oldest())
            self._open(table.schema).write_table(table)

    def _open(self, schema: Any) -> Any:
        import pyarrow.parquet as pq

        if self._writer is None:
            try:
                self._writer = pq.ParquetWriter(self.path, schema)
            except OSError as error:
                reason = f"cannot be written: {error.strerror or error}"
                raise DefinitionError(str(self.path), 0, 0, reason, "name another file") from error
        return self._writer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """A judgement without a failing row leaves a file without rows."""
        import pyarrow as pa

        if self.path is None:
            return
        kinds = {
            "delivery": pa.large_string(),
            "row": pa.int64(),
            "check": pa.large_string(),
            "column": pa.large_string(),
        }
        self._open(pa.schema(list(kinds.items()))).close()
