"""The plain plane: rows are Python lists, files are JSON under the product's names, tables are in memory.

It knows what simulated worlds hold and no more: CSV deliveries of the two projects in ``project.py``, with the
faults in ``FAULTS_PLAIN`` and no transform. No engine (Polars, pyarrow, DuckDB, pandera) is called on its way.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shared.ports.clock import Clock
from shared.ports.object_store import ObjectStore
from shared.ports.warehouse import Warehouse
from tests.simulation.object_store import SimulatedObjectStore
from tests.simulation.planes import rows_file
from tests.simulation.planes.plain_warehouse import PlainWarehouse
from tests.simulation.planes.plane import Seam, replaced
from tests.simulation.planes.rows_file import Rows


def seams() -> list[Seam]:
    """All that is simulated of the services, in one list."""
    from tests.simulation.planes import plain_delivery, plain_judging, plain_load, plain_quarantine, plain_remedies

    playbook = "services.remediate.playbook"
    return [
        Seam("services.ingest.dialect", "sniff", plain_delivery.sniff),
        Seam("services.ingest.staging", "stage", plain_delivery.stage),
        Seam("services.validate.handlers", "_judged", plain_judging.judged),
        Seam("services.load.table_rows", "table_rows", plain_load.table_rows),
        Seam("services.load.table_rows", "columns_of_file", plain_load.columns_of_file),
        Seam("services.load.before_images", "write", plain_load.write_before),
        Seam("services.remediate.quarantine", "Quarantine.gone", plain_quarantine.gone),
        Seam("services.remediate.quarantine", "Quarantine.frames", plain_quarantine.frames),
        Seam("services.remediate.quarantine", "Quarantine.columns", plain_quarantine.columns),
        Seam("services.remediate.quarantine", "Quarantine.counts", plain_quarantine.counts),
        Seam("services.remediate.quarantine", "Quarantine.values", plain_quarantine.values),
        Seam("services.remediate.attempt", "tried", plain_quarantine.tried),
        Seam("services.remediate.attempt", "rows_ready", plain_quarantine.rows_ready),
        Seam("services.remediate.attempt", "write_attempt", plain_quarantine.write_attempt),
        Seam("services.remediate.attempt", "discard_all", plain_quarantine.discard_all),
        Seam("services.remediate.verifying", "count_rows", plain_quarantine.count_rows),
        Seam("services.remediate.verifying", "_blamed", plain_quarantine.blamed),
        Seam("services.remediate.parents", "are_there", plain_quarantine.are_there),
        Seam("services.remediate.deciding", "_write_diff", plain_remedies.write_diff),
        Seam(f"{playbook}.normalise_text", "_NormaliseText.plan", plain_remedies.normalise_text),
        Seam(f"{playbook}.parse_dates", "_ParseDates.plan", plain_remedies.parse_dates),
        Seam(f"{playbook}.snap_to_allowed", "_SnapToAllowed.plan", plain_remedies.snap_to_allowed),
        Seam(f"{playbook}.deduplicate", "_Deduplicate.plan", plain_remedies.deduplicate),
        Seam(f"{playbook}.parse_numbers", "_ParseNumbers.plan", plain_remedies.never),
        Seam(f"{playbook}.convert_unit", "_ConvertUnit.plan", plain_remedies.convert_unit),
    ]


class PlainPlane:
    """Rows as Python lists."""

    name = "plain"
    _in_place = False

    @contextmanager
    def installed(self) -> Iterator[None]:
        """The services' functions that touch rows replaced, everywhere they are known; once, however deep."""
        from mend.services import every_service

        if PlainPlane._in_place:
            yield
            return
        every_service()
        with replaced(seams()):
            PlainPlane._in_place = True
            try:
                yield
            finally:
                PlainPlane._in_place = False

    def objects(self, folder: Path) -> ObjectStore:
        """Objects in memory."""
        return SimulatedObjectStore()

    def warehouse(self, objects: ObjectStore, clock: Clock, folder: Path) -> Warehouse:
        """Tables in memory."""
        return PlainWarehouse(objects, clock)

    def rows(self, objects: ObjectStore, path: str) -> list[dict[str, Any]]:
        """The rows of a file."""
        return rows_file.read(objects, path).to_pylist()

    def table(self, warehouse: Warehouse, table: str) -> list[dict[str, Any]]:
        """The rows of a table."""
        found: list[dict[str, Any]] = []
        for rows in warehouse.dump(table):
            shown: Rows = rows
            found += shown.to_pylist()
        return found
