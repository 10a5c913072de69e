"""A small project of orders, run through the services for real, for the tests of commands that look into a store."""

from __future__ import annotations

from pathlib import Path

import duckdb

from mend.project import Project, remember
from mend.services import every_service
from shared.events.types import SourceDue
from shared.runtime.handling import messages_of
from shared.runtime.wiring import Process
from tests.conformance.turned_clock import TurnedClock
from tests.support.local_ports import make_process

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: orders
name: orders
version: 1.0.0
status: active
schema:
  - name: orders
    physicalName: orders
    properties:
      - {name: id, logicalType: integer, required: true, primaryKey: true, primaryKeyPosition: 1}
      - {name: city, logicalType: string}
      - {name: amount, logicalType: number}
      - {name: day, logicalType: date}
"""

PIPELINE = """\
pipeline: orders
source: {{kind: files, uri: landing/*.csv, order: name, format: {{format: csv}}}}
contract: contracts/orders.odcs.yaml
destination: {{table: shop.orders, mode: {mode}}}
on_violation: {{rows: quarantine, score_below: 0}}
healing: {{mode: {healing}}}
"""

HEADER = "id,city,amount,day\n"


def lines(first: int, last: int, city: str = "Rome") -> str:
    """Good orders with the ids from first to last."""
    return "".join(f"{number},{city},{number}.5,2024-01-{number % 28 + 1:02d}\n" for number in range(first, last + 1))


class SmallProject:
    """A folder with one pipeline, and a process over its store."""

    def __init__(self, folder: Path, mode: str = "append", *, healing: str = "observe", extra: str = "") -> None:
        self.folder = folder
        self.root = folder / "store"
        for name in ("pipelines", "contracts", "landing"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        text = PIPELINE.format(mode=mode, healing=healing) + extra
        (folder / "pipelines" / "orders.yaml").write_text(text, encoding="utf-8")
        (folder / "contracts" / "orders.odcs.yaml").write_text(CONTRACT, encoding="utf-8")
        self.clock = TurnedClock()
        remember(Project(folder, self.root, {}))

    def deliver(self, name: str, text: str | bytes) -> None:
        """Put a file where the pipeline's source looks."""
        content = text.encode() if isinstance(text, str) else text
        (self.folder / "landing" / name).write_bytes(content)

    def process(self) -> Process:
        """A process over the project's store."""
        return make_process(self.folder, self.clock)

    def run(self, *, end: bool = True) -> Process:
        """Look at the source and deal with what follows, to the ``end`` or not at all; a process to look in with."""
        process = self.process()
        worker = process.worker(every_service())
        due = SourceDue(
            id=process.ids.new(), time=process.clock.now(), subject="orders", correlation_id="test", pipeline="orders"
        )
        process.bus.publish(messages_of("mend", [due]))
        if end:
            worker.run_until_idle(0.0)
        process.close()
        return self.process()

    def warehouse(self, *statements: str) -> None:
        """Change the warehouse behind Mendline's back."""
        with duckdb.connect(str(self.root / "warehouse.duckdb")) as connection:
            for statement in statements:
                connection.execute(statement)

    def files(self, pattern: str) -> list[Path]:
        """Files of the object store."""
        return sorted((self.root / "objects").glob(pattern))
