"""A batch with its surroundings: the real handlers of remediate over a real store, and stand-ins that play validate,
load, ingest and classify by the letter of their promises, in any order a seed gives."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from services.remediate.handlers import SERVICE
from services.remediate.quarantine import VIOLATIONS, Quarantine
from services.remediate.records import Finding, Healing, Remedy, load_finding, load_healing, load_remedy
from shared.domain import paths
from shared.domain.ids import incident_id
from shared.events.types import (
    BatchLoaded,
    BatchStaged,
    BatchValidated,
    BatchWithdraw,
    BatchWithdrawn,
    ClockTicked,
    Event,
    IncidentClassified,
    IncidentClosed,
    RemedyDecided,
    SourceReread,
)
from shared.ports.state_store import Put
from tests.conformance.turned_clock import TurnedClock
from tests.support.local_ports import handle, make_process

CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: trips
version: 1.0.0
status: active
schema:
  - name: trips
    properties:
      - {name: id, logicalType: integer, primaryKey: true, primaryKeyPosition: 1, required: true}
      - {name: day, logicalType: date}
      - name: city
        logicalType: string
        quality:
          - {type: library, metric: invalidValues, mustBe: 0, arguments: {validValues: [Newark, Boston, Kennedy]}}
      - {name: price, logicalType: number}
"""
PIPELINE = """
pipeline: trips
source: {uri: "landing/*.csv"}
contract: contracts/trips.odcs.yaml
destination: {table: travel.trips, mode: append}
healing: {mode: MODE, rows_share_max: SHARE}
"""
CITIES = ["Newark", "Boston", "Kennedy"]
BATCH = "b0000000000000000001"

Check = tuple[str, str, str, pl.Expr]  # check, column, cause, what fails


def fails_city() -> Check:
    return ("enum", "city", "value_misspelled", ~pl.col("city").is_in(CITIES))


def fails_day() -> Check:
    return ("type", "day", "date_format_changed", ~pl.col("day").str.contains(r"^\d{4}-\d{2}-\d{2}$"))


def fails_price() -> Check:
    return ("type", "price", "number_format_changed", ~pl.col("price").str.contains(r"^-?\d+(\.\d+)?$"))


def fails_id() -> Check:
    return ("primary_key", "id", "duplicate_rows", pl.col("id").is_duplicated())


def violating(rows: pl.DataFrame, check: str, column: str) -> pl.DataFrame:
    """The rows with one violation each."""
    told = {"check": check, "column": column, "value": "", "explanation": ""}
    fields = [pl.lit(text).alias(name) for name, text in told.items()]
    return rows.select("_mend_row", pl.struct(fields).alias("violation"))


class World:
    """One pipeline ``trips`` and what happens to its batches."""

    def __init__(
        self, folder: Path, checks: list[Check], *, mode: str = "guarded", share: float = 1.0, seed: int | None = None
    ) -> None:
        self.clock = TurnedClock()
        (folder / "pipelines").mkdir(parents=True)
        (folder / "contracts").mkdir()
        pipeline = PIPELINE.replace("MODE", mode).replace("SHARE", str(share))
        (folder / "pipelines/trips.yaml").write_text(pipeline)
        (folder / "contracts/trips.odcs.yaml").write_text(CONTRACT)
        self.folder = folder
        self.process = make_process(folder, self.clock)
        self.checks = checks
        self.chance = random.Random(seed) if seed is not None else None
        self.queue: list[Event] = []
        self.emitted: list[Event] = []
        self.loaded: dict[int, set[int]] = {}
        self.hold: Callable[[pl.DataFrame, BatchStaged], list[dict[str, Any]]] = lambda rows, event: []
        self.on_reread: Callable[[SourceReread], list[Event]] = lambda event: []
        self.confidence = 0.95
        self.hypotheses: dict[str, Any] = {}
        self.cause = ClockTicked(id="start", time=self.clock.now(), subject="test", correlation_id="test")
        self.count = 0

    # ── what tests do ──────────────────────────────────────────────────────────────────────────────────────────────

    def deliver(self, rows: pl.DataFrame, batch: str = BATCH) -> None:
        """A first reading of a delivery arrives and everything that follows from it."""
        readings = [{"options": '{"format":"csv"}'}]
        delivery = {"batch_id": batch, "uri": f"landing/{batch}.csv", "seq": "s1", "readings": readings}
        self.process.store.commit([Put("deliveries", batch, delivery)])
        marks = [
            pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("_mend_row"),
            pl.lit(None, dtype=pl.String).alias("_mend_raw"),
            pl.lit(None, dtype=pl.String).alias("_mend_misfit"),
        ]
        full = rows.select(*marks, *rows.columns)
        self.write(paths.part(paths.staged(batch, 1), 0), full)
        self.queue += self.judge(
            BatchStaged.caused_by(
                self.cause,
                f"{batch}|1",
                self.clock.now(),
                batch_id=batch,
                pipeline="trips",
                attempt=1,
                reading=1,
                seq="s1",
                parts=[paths.part(paths.staged(batch, 1), 0)],
                rows=full.height,
            )
        )
        self.run()

    def run(self, *, ticks: int = 40) -> None:
        """Until nothing is due any more within two minutes of the test's time."""
        for _ in range(ticks):
            self.drain()
            due = [
                int(stored.data["wake_at"])
                for collection in ("healings", "remedies")
                for stored in self.process.store.query(collection)
                if stored.data.get("wake_at", 0)
            ]
            near = [each for each in due if each <= self.clock.now() + 120_000_000]
            if not near:
                return
            self.clock.time = max(self.clock.time, min(near))
            self.tick()

    def tick(self) -> None:
        self.count += 1
        self.queue.append(
            ClockTicked(id=f"tick{self.count}", time=self.clock.now(), subject="clock", correlation_id="clock")
        )

    def say(self, remedy_id: str, decision: str, by: str = "ada") -> None:
        """A person decides."""
        self.count += 1
        about = f"{remedy_id}|{decision}|{self.count}"
        self.queue.append(
            RemedyDecided.caused_by(self.cause, about, self.clock.now(), remedy_id=remedy_id, decision=decision, by=by)
        )
        self.run()

    def drain(self) -> None:
        while self.queue:
            index = self.chance.randrange(len(self.queue)) if self.chance else 0
            event = self.queue.pop(index)
            if type(event) not in SERVICE.handlers:
                self.queue += self.play(event)
                continue
            emitted = handle(self.process, SERVICE, event)
            if self.chance and self.chance.random() < 0.2:
                again = handle(self.process, SERVICE, event)  # as if the receipt had been lost
                emitted += [each for each in again if each.id not in {known.id for known in emitted}]
            known = {each.id for each in self.emitted}
            fresh = [each for each in emitted if each.id not in known]
            self.emitted += fresh
            self.queue += fresh

    # ── the other services ─────────────────────────────────────────────────────────────────────────────────────────

    def play(self, event: Event) -> list[Event]:
        if isinstance(event, BatchStaged):
            return self.judge(event)
        if isinstance(event, BatchWithdraw):
            for number in list(self.loaded):
                if event.reading or number == event.attempt:
                    del self.loaded[number]
            return [
                BatchWithdrawn.caused_by(
                    event,
                    event.id,
                    self.clock.now(),
                    batch_id=event.batch_id,
                    pipeline=event.pipeline,
                    remedy_id=event.remedy_id,
                    reading=event.reading,
                    attempt=event.attempt,
                )
            ]
        if isinstance(event, SourceReread):
            return self.on_reread(event)
        return []

    def judge(self, event: BatchStaged) -> list[Event]:
        """What validate, classify and load make of an attempt."""
        frames = []
        for path in event.parts:
            with self.process.objects.read(path) as stream:
                frames.append(pl.read_parquet(stream))
        rows = pl.concat(frames)
        view = rows.rename(json.loads(event.rename_json) if event.rename_json else {}, strict=False)
        held = self.hold(rows, event)
        checks = [] if any(each["check"] in ("missing_columns", "unexpected_columns") for each in held) else self.checks
        found = [violating(view.filter(fails), check, column) for check, column, _, fails in checks]
        found += [violating(view, each["check"], each.get("column", "")) for each in held]
        found += [violating(view.head(0), "", "")]
        lists = pl.concat(found).group_by("_mend_row").agg(pl.col("violation").alias(VIOLATIONS))
        failed = rows.join(lists, on="_mend_row", how="inner", maintain_order="left")
        passed = rows.join(lists, on="_mend_row", how="anti")
        if failed.height:
            self.write(paths.part(paths.quarantine(event.batch_id, event.attempt), 0), failed)
        reports = [
            self.report(event, check, column, cause, view.filter(fails).height, rows.height, {})
            for check, column, cause, fails in checks
            if view.filter(fails).height
        ]
        reports += [
            self.report(event, each["check"], each.get("column", ""), each["cause"], rows.height, rows.height, each)
            for each in held
        ]
        return [*self.released(event, rows, passed, failed, held=bool(held), incidents=len(reports)), *reports]

    def released(
        self, event: BatchStaged, rows: pl.DataFrame, passed: pl.DataFrame, failed: pl.DataFrame, *, held: bool,
        incidents: int,
    ) -> list[Event]:  # fmt: skip
        """The verdict, and the load if there is anything to load."""
        about = {"batch_id": event.batch_id, "pipeline": "trips", "attempt": event.attempt, "reading": event.reading}
        now, name = self.clock.now(), f"{event.batch_id}|{event.attempt}"
        state = "held" if held or passed.is_empty() else "released"
        validated = BatchValidated.caused_by(
            event, name, now, **about, seq="s1", state=state, rows=rows.height,
            rows_passed=passed.height, rows_quarantined=failed.height, score=90.0, incidents=incidents,
        )  # fmt: skip
        if passed.height == 0:
            return [validated]
        self.loaded[event.attempt] = set(passed["_mend_row"].to_list())
        counts = {"rows_passed": passed.height, "rows_loaded": passed.height, "rows_discarded": 0}
        loaded = BatchLoaded.caused_by(validated, name, now, **about, **counts, table="travel.trips", mode="append")
        return [validated, loaded]

    def report(
        self, event: BatchStaged, check: str, column: str, cause: str, failed: int, rows: int, evidence: dict[str, Any]
    ) -> Event:
        fingerprint = f"trips|{event.batch_id}|{check}|{column}"
        return IncidentClassified.caused_by(
            event, f"{fingerprint}|{event.attempt}", self.clock.now(), incident_id=incident_id(fingerprint, 1),
            fingerprint=fingerprint, origin="dataset" if evidence else "violation", pipeline="trips",
            batch_id=event.batch_id, attempt=event.attempt, reading=event.reading, failure_class="data_corruption",
            cause=cause, confidence=self.confidence, check=check, column=column, rows=rows, rows_failed=failed,
            evidence_json=json.dumps({"check": check, "columns": column.split(",") if column else [], **evidence,
                                      "hypotheses": self.hypotheses}),
        )  # fmt: skip

    def write(self, path: str, frame: pl.DataFrame) -> None:
        buffer = io.BytesIO()
        frame.write_parquet(buffer)
        with self.process.objects.write(path) as stream:
            stream.write(buffer.getvalue())

    # ── what tests look at ─────────────────────────────────────────────────────────────────────────────────────────

    @property
    def state(self) -> Any:
        from shared.runtime.unit_of_work import UnitOfWork

        return UnitOfWork(self.process.store, "remediate", SERVICE.collections)

    def healing(self, batch: str = BATCH) -> Healing:
        found = load_healing(self.state, batch)
        assert found is not None
        return found

    def finding(self, check: str, column: str = "", batch: str = BATCH) -> Finding:
        found = load_finding(self.state, incident_id(f"trips|{batch}|{check}|{column}", 1))
        assert found is not None
        return found

    def remedies(self) -> list[Remedy]:
        keys = [stored.key for stored in self.process.store.query("remedies")]
        found = [load_remedy(self.state, key) for key in keys]
        return sorted((each for each in found if each is not None), key=lambda each: (each.proposed_at, each.remedy_id))

    def of(self, kind: type[Event]) -> list[Any]:
        return [each for each in self.emitted if isinstance(each, kind)]

    def closed(self) -> dict[str, str]:
        return {each.incident_id: each.state for each in self.of(IncidentClosed)}

    def waiting_rows(self, batch: str = BATCH) -> set[int]:
        frames = Quarantine(self.process.objects, self.healing(batch)).frames()
        return {row for frame in frames for row in frame["_mend_row"].to_list()}

    def discarded_rows(self, batch: str = BATCH) -> set[int]:
        rows: set[int] = set()
        for attempt in self.healing(batch).standing():
            path = paths.discarded(batch, attempt.number, "remediate")
            if self.process.objects.stat(path) is not None:
                with self.process.objects.read(path) as stream:
                    rows |= set(pl.read_parquet(stream)["_mend_row"].to_list())
        return rows

    def places(self, rows: int, batch: str = BATCH) -> None:
        """Every row is in exactly one place."""
        loaded = [row for numbers in self.loaded.values() for row in numbers]
        everywhere = sorted([*loaded, *self.waiting_rows(batch), *self.discarded_rows(batch)])
        assert everywhere == list(range(1, rows + 1))
