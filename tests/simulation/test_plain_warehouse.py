"""The plain plane's warehouse under the suites of every warehouse; files are Parquet here, as the suites write them."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared.adapters.local.object_store import FolderObjectStore
from tests.conformance.turned_clock import TurnedClock
from tests.conformance.warehouse_rows import Put
from tests.conformance.warehouse_suite import WarehouseSuite
from tests.conformance.warehouse_tables_suite import WarehouseTablesSuite
from tests.simulation.planes.plain_warehouse import PlainWarehouse


class TestPlainWarehouse(WarehouseSuite, WarehouseTablesSuite):
    """No known differences."""

    @pytest.fixture
    def objects(self, tmp_path: Path) -> FolderObjectStore:
        return FolderObjectStore(tmp_path / "objects")

    @pytest.fixture
    def put(self, objects: FolderObjectStore) -> Put:
        def write(path: str, table: pa.Table) -> None:
            with objects.write(path) as stream:
                pq.write_table(table, stream)

        return write

    @pytest.fixture
    def warehouse(self, objects: FolderObjectStore) -> PlainWarehouse:
        return PlainWarehouse(objects, TurnedClock(), arrow=True)
