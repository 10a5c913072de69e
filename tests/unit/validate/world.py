"""One pipeline's validate over real local adapters in a temporary folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from services.validate.handlers import SERVICE
from shared.domain import paths
from shared.events.types import BatchHeld, BatchStaged, BatchValidated, Event, IncidentOpened
from shared.ports.clock import Clock
from shared.ports.state_store import Document
from shared.ports.warehouse import Layout, LoadJob, TableColumn
from shared.runtime import wiring
from shared.runtime.settings import Settings
from shared.runtime.unit_of_work import UnitOfWork

PIPELINE = "things"


class World:
    """Write rows, have them judged, look at what became of them."""

    def __init__(
        self,
        folder: Path,
        properties: list[dict[str, Any]],
        rows_per_part: int = 131_072,
        clock: Clock | None = None,
        settle_seconds: float = 0.0,
        **schema: Any,
    ):
        self.folder = folder
        (folder / "pipelines").mkdir(parents=True)
        (folder / "contracts").mkdir()
        self.pipeline: dict[str, Any] = {
            "pipeline": PIPELINE,
            "source": {"kind": "files", "uri": "landing/*.csv"},
            "contract": "contracts/things.odcs.yaml",
            "destination": {"table": "shop.things", "mode": "append"},
        }
        self.contract: dict[str, Any] = {
            "apiVersion": "v3.1.0",
            "kind": "DataContract",
            "id": "things",
            "version": "1.0.0",
            "status": "active",
            "schema": [{"name": "things", "properties": properties, **schema}],
        }
        self.settings = Settings(
            root=str(folder / "store"),
            project=str(folder),
            rows_per_part=rows_per_part,
            settle_seconds=settle_seconds,
        )
        self.process = wiring.build(self.settings, clock=clock)
        self.rows_per_part = rows_per_part
        self.tables_loaded = 0

    def close(self) -> None:
        self.process.close()

    def stage(self, batch: str, rows: pl.DataFrame, attempt: int = 1) -> list[str]:
        """Write rows as ingest would; ``rows`` may bring ``_mend_row``, ``_mend_raw`` and ``_mend_misfit``."""
        ours = {
            "_mend_row": pl.int_range(1, pl.len() + 1, dtype=pl.Int64),
            "_mend_raw": pl.lit(None, dtype=pl.String),
            "_mend_misfit": pl.lit(None, dtype=pl.String),
        }
        full = rows.with_columns(**{name: made for name, made in ours.items() if name not in rows.columns})
        full = full.select(*ours, *(name for name in rows.columns if name not in ours))
        parts = []
        for number, start in enumerate(range(0, max(1, full.height), self.rows_per_part)):
            path = paths.part(paths.staged(batch, attempt), number)
            with self.process.objects.write(path) as stream:
                full.slice(start, self.rows_per_part).write_parquet(stream)
            parts.append(path)
        return parts

    def judge(self, rows: pl.DataFrame, batch: str = "b1", attempt: int = 1, **fields: Any) -> Result:
        """Stage the rows and handle the event, as the runtime would."""
        event = self.staged(rows, batch, attempt, **fields)
        return Result(self, event, self.handle(event))

    def staged(self, rows: pl.DataFrame, batch: str = "b1", attempt: int = 1, **fields: Any) -> BatchStaged:
        """Stage the rows; the event that says so."""
        parts = self.stage(batch, rows, attempt)
        return BatchStaged(
            id=f"staged {batch} {attempt}",
            time=1,
            subject=batch,
            correlation_id="c",
            **{
                "batch_id": batch,
                "pipeline": PIPELINE,
                "attempt": attempt,
                "reading": 1,
                "seq": f"{batch:>10}",
                "parts": parts,
                "rows": rows.height,
                "bytes": 0,
                **fields,
            },
        )

    def define(self) -> None:
        """Write pipeline and contract as they are now."""
        (self.folder / "pipelines/things.yaml").write_text(yaml.safe_dump(self.pipeline))
        (self.folder / self.pipeline["contract"]).write_text(yaml.safe_dump(self.contract))

    def handle(self, event: Event, meanwhile: Callable[[], object] = lambda: None) -> list[Event]:
        """Handle one event and commit its state; ``meanwhile`` is what happens between the two."""
        self.define()
        unit = UnitOfWork(self.process.store, SERVICE.name, SERVICE.collections)
        events = SERVICE.handlers[type(event)](event, self.process.ports(SERVICE, unit))
        meanwhile()
        self.process.store.commit(*unit.changes())
        return list(events)

    def document(self, collection: str, key: str) -> Document | None:
        stored = self.process.store.get(collection, key)
        return stored.data if stored else None

    def read(self, parts: list[str]) -> pl.DataFrame:
        frames = []
        for path in parts:
            with self.process.objects.read(path) as stream:
                frames.append(pl.read_parquet(stream))
        return pl.concat(frames) if frames else pl.DataFrame({"_mend_row": []}, schema={"_mend_row": pl.Int64})

    def table(self, name: str, rows: pl.DataFrame, types: dict[str, Any]) -> None:
        """Make a warehouse table with these rows, or add them to it."""
        self.tables_loaded += 1
        columns = tuple(TableColumn(column, types[column]) for column in rows.columns)
        self.process.warehouse.ensure(name, columns, Layout())
        path = f"loaded/{name}/a0001/part-{self.tables_loaded:05}.parquet"
        full = rows.with_columns(
            pl.lit("p").alias("_mend_batch"),
            pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("_mend_row"),
            pl.lit("1").alias("_mend_seq"),
        )
        with self.process.objects.write(path) as stream:
            full.write_parquet(stream)
        self.process.warehouse.run(
            LoadJob(f"load-{name}-{self.tables_loaded}", name, "append", (path,), columns, (), "p", "1")
        )


class Result:
    """The events of one judged attempt and the files behind them."""

    def __init__(self, world: World, event: BatchStaged, events: list[Event]) -> None:
        self.world = world
        self.event = event
        self.events = events

    @property
    def validated(self) -> BatchValidated:
        return next(event for event in self.events if isinstance(event, BatchValidated))

    @property
    def held(self) -> BatchHeld | None:
        return next((event for event in self.events if isinstance(event, BatchHeld)), None)

    @property
    def incidents(self) -> dict[tuple[str, str], IncidentOpened]:
        return {(event.check, event.column): event for event in self.events if isinstance(event, IncidentOpened)}

    def evidence(self, check: str, column: str = "") -> dict[str, Any]:
        return dict(json.loads(self.incidents[check, column].evidence_json))

    @property
    def passed(self) -> pl.DataFrame:
        return self.world.read(list(self.validated.passed_parts))

    @property
    def quarantine(self) -> pl.DataFrame:
        return self.world.read(list(self.validated.quarantine_parts))

    @property
    def reasons(self) -> dict[tuple[str, str], set[int]]:
        """Row numbers by check and column, as quarantine tells them."""
        found: dict[tuple[str, str], set[int]] = {}
        for row, violations in (
            self.quarantine.select("_mend_row", "_mend_violations").iter_rows() if len(self.quarantine) else ()
        ):
            for violation in violations:
                found.setdefault((violation["check"], violation["column"]), set()).add(row)
        return found
