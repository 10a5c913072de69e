"""The real data plane: Polars, Parquet files, DuckDB; in one thread."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from shared.adapters.local.object_store import FolderObjectStore
from shared.adapters.local.warehouse import DuckDbWarehouse
from shared.adapters.local.warehouse_connection import WarehouseSettings
from shared.ports.clock import Clock
from shared.ports.object_store import ObjectStore
from shared.ports.warehouse import Warehouse
from tests.simulation.planes.plane import Seam, replaced


class _AtOnce:
    """An executor without a thread: a background that calls ports would throw the world's dice at moments of its own.

    A failure is told by the future, as a thread's is; a process that dies is dead at once.
    """

    def __init__(self, *_: object) -> None:
        """Takes what the real one takes."""

    def submit(self, function: Callable[..., Any], *given: Any) -> Future[Any]:
        """Call it now."""
        future: Future[Any] = Future()
        try:
            future.set_result(function(*given))
        except Exception as error:  # noqa: BLE001 - of whatever kind, the future tells it
            future.set_exception(error)
        return future

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """There is nothing to wait for."""


_SEAMS = (
    Seam("services.ingest.staging", "ThreadPoolExecutor", _AtOnce),
    Seam("services.validate.judgement", "ThreadPoolExecutor", _AtOnce),
)


class RealPlane:
    """Only the threads are replaced."""

    name = "real"

    @contextmanager
    def installed(self) -> Iterator[None]:
        """The services as they are, in one thread: engines that are not loaded yet get no other."""
        os.environ.setdefault("POLARS_MAX_THREADS", "1")
        with replaced(_SEAMS):
            yield

    @contextmanager
    def in_parts(self, rows: int) -> Iterator[None]:
        """Staged files that are cut after some rows, as ingest cuts large ones."""
        from services.ingest import staging

        before = staging.ROW_GROUP_ROWS_MAX, staging.PART_ROW_GROUPS_MAX
        vars(staging).update(ROW_GROUP_ROWS_MAX=rows, PART_ROW_GROUPS_MAX=2)
        try:
            yield
        finally:
            vars(staging).update(ROW_GROUP_ROWS_MAX=before[0], PART_ROW_GROUPS_MAX=before[1])

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
