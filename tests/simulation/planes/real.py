"""The real data plane: Polars, Parquet files, DuckDB."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from shared.adapters.local.object_store import FolderObjectStore
from shared.adapters.local.warehouse import DuckDbWarehouse
from shared.adapters.local.warehouse_connection import WarehouseSettings
from shared.ports.clock import Clock
from shared.ports.object_store import ObjectStore
from shared.ports.warehouse import Warehouse


class RealPlane:
    """Nothing is replaced."""

    name = "real"

    def installed(self) -> AbstractContextManager[None]:
        """The services as they are, in one thread: engines that are not loaded yet get no other."""
        os.environ.setdefault("POLARS_MAX_THREADS", "1")
        return nullcontext()

    def objects(self, folder: Path) -> ObjectStore:
        """Files, since DuckDB reads files."""
        return FolderObjectStore(folder / "objects", durable=False)

    def warehouse(self, objects: ObjectStore, clock: Clock, folder: Path) -> Warehouse:
        """DuckDB, its file opened once."""
        settings = WarehouseSettings(idle_seconds=None, threads=1)
        return DuckDbWarehouse(folder / "warehouse.duckdb", folder / "objects", clock, settings)

    def rows(self, objects: ObjectStore, path: str) -> list[dict[str, Any]]:
        """The rows of a Parquet file."""
        import pyarrow.parquet as pq

        with objects.read(path) as stream:
            rows: list[dict[str, Any]] = pq.read_table(stream).to_pylist()
        return rows

    def table(self, warehouse: Warehouse, table: str) -> list[dict[str, Any]]:
        """All rows of a table."""
        return [row for chunk in warehouse.dump(table) for row in chunk.to_pylist()]
