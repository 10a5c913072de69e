"""Counts every row again, from the delivered bytes: each is in exactly one place, and the tables agree.

Nothing here trusts a counter. Records are counted by a second parser, places are told from files, and the tables are
compared with the files of what was loaded. The rules are in ``docs/audit.md``.
"""

from __future__ import annotations

import functools
import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mend import report
from mend.places import Document, Place, Places, place_rows
from mend.record_count import RecordCount, count_records
from mend.table_audit import TableAudit, audit_table
from shared.domain.batch import LoadState
from shared.domain.errors import DefinitionError, DefinitionMissing
from shared.domain.incident import IncidentState, Origin
from shared.domain.masking import clean
from shared.domain.pipeline import parse_pipeline
from shared.domain.reading import ReadingOptions

if TYPE_CHECKING:
    from shared.runtime.wiring import Process

PROBLEMS_MAX: Final = 200
WAITING_MAX: Final = 200
COUNTS_MAX: Final = 8
PAUSE_SECONDS: Final = 0.2
_CHUNK_BYTES: Final = 4 << 20
_OVER: Final = frozenset({IncidentState.HEALED, IncidentState.DISMISSED})
# Whose incidents say that a service could not go on with a batch; findings in its rows leave none of them in flight.
_STOPPING: Final = frozenset({Origin.SOURCE, Origin.DESTINATION, Origin.INTERNAL, Origin.DEAD_LETTER})


@dataclass(slots=True)
class Audit:
    """What was counted, and every sentence about what does not add up."""

    batches: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    tables: list[TableAudit] = field(default_factory=list)
    waiting: list[dict[str, Any]] = field(default_factory=list)  # rows in flight that an open incident explains
    problems: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """True when every row is accounted for."""
        return not self.problems

    def as_json(self) -> dict[str, Any]:
        """The account for programs."""
        problems = self.problems[:PROBLEMS_MAX]
        if len(self.problems) > PROBLEMS_MAX:
            problems.append(f"and {len(self.problems) - PROBLEMS_MAX:,} problems more; mend the first ones first")
        return {
            "ok": self.ok,
            "batches": self.batches,
            **{name: self.counts[name] for name in report.COUNTS},
            "problems": problems,
            "duplicates": self.duplicates,
            "discarded_because": dict(self.reasons.most_common()),
            "waiting": self.waiting[:WAITING_MAX],
            "tables": [
                {
                    "table": each.table,
                    "mode": each.mode,
                    "rows": each.rows,
                    "rows_ours": each.rows_ours,
                    "columns_not_compared": each.columns_not_compared,
                    "under_way": each.under_way,
                }
                for each in self.tables
            ],
        }


def audit(process: Process) -> Audit:
    """Count everything in a store again; when others worked meanwhile, a problem counts if it is seen every time."""
    found, disturbed = _count(process)
    for _ in range(COUNTS_MAX - 1):
        if found.ok or not disturbed:
            break
        process.clock.sleep(PAUSE_SECONDS)
        again, disturbed = _count(process)
        again.problems = [problem for problem in again.problems if problem in found.problems]
        found = again
    return found


def _count(process: Process) -> tuple[Audit, bool]:
    """One count, and whether the store's documents changed while it lasted."""
    auditor = _Auditor(process)
    for number, document in enumerate(auditor.deliveries.values()):
        process.progress("counting records", number, len(auditor.deliveries))
        auditor.batch(document)
    auditor.check_tables()
    return auditor.found, bool(auditor.found.problems) and auditor.disturbed()


class _Auditor:
    """One audit: the documents it looks things up in, and what it found so far."""

    def __init__(self, process: Process) -> None:
        state = process.store
        self.found = Audit()
        self.process = process
        self.deliveries: dict[str, Document] = dict(report.documents(state, "deliveries"))
        self._healings = {key: data for key, data in report.documents(state, "healings") if data.get("kind") == "batch"}
        self._loads: dict[str, list[Document]] = {}
        self._tables: dict[str, list[Document]] = {}
        self._put_by: dict[str, str] = {}  # by batch that waits to be loaded: its table
        for data in _loads_of(process):
            if data["kind"] == "waiting":
                self._put_by[str(data["batch_id"])] = str(data["table"])
                continue
            self._loads.setdefault(str(data["batch_id"]), []).append(data)
            standing = self._tables.setdefault(str(data["table"]), [])
            if data["state"] == LoadState.LOADED:
                standing.append(data)
        self._incidents = _open_incidents(process)
        self._records: dict[tuple[str, str], RecordCount] = {}

    def disturbed(self) -> bool:
        """True when another process changed what this count was looking at."""
        now = _Auditor(self.process)
        mine, theirs = ((each.deliveries, each._healings, each._loads) for each in (self, now))
        return mine != theirs

    # ── batches ────────────────────────────────────────────────────────────────────────────────────────────────────

    def batch(self, delivery: Document) -> None:
        """Count one batch's records and find each of them."""
        self.found.batches += 1
        batch = str(delivery["batch_id"])
        if not delivery["readings"] and delivery["duplicate_of"]:
            self._duplicate(delivery)
            return
        records = self._count(delivery, _options_of(delivery) or self._declared(delivery))
        if not delivery["readings"]:
            rows = records.records if records else 0
            self._add(rows_read=rows, rows_in_flight=rows)
            self._in_flight(delivery, rows)
            return
        spots = place_rows(self.process.objects, batch, self._healings.get(batch), self._loads.get(batch, []))
        read = records.records if records else spots.size
        counts = {
            "rows_loaded": spots.count(Place.LOADED, read),
            "rows_quarantined": spots.count(Place.QUARANTINED, read),
            "rows_discarded": spots.count(Place.DISCARDED, read),
        }
        in_flight = read - sum(counts.values())
        self._add(rows_read=read, rows_in_flight=in_flight, **counts)
        self.found.reasons.update(spots.reasons)
        self._check_places(delivery, spots, read)
        self._in_flight(delivery, in_flight)

    def _duplicate(self, delivery: Document) -> None:
        """All records of a repetition are discarded, if it really is one."""
        self.found.duplicates += 1
        original = self.deliveries.get(str(delivery["duplicate_of"]))
        if original is None or original["sha256"] != delivery["sha256"]:
            self._problem(
                delivery,
                f"was discarded as a duplicate of {delivery['duplicate_of']}, which has other bytes or does not exist",
                "deliver the file again under another name",
            )
        first = original
        for _ in range(len(self.deliveries)):
            if first is None or first["readings"] or not first["duplicate_of"]:
                break
            first = self.deliveries.get(str(first["duplicate_of"]))
        options = (_options_of(first) if first is not None else None) or self._declared(delivery)
        records = self._count(delivery, options)
        rows = records.records if records else 0
        self._add(rows_read=rows, rows_discarded=rows)
        if rows:
            self.found.reasons["duplicate of another delivery"] += rows

    def _count(self, delivery: Document, options: ReadingOptions) -> RecordCount | None:
        """The records in the delivered bytes, which must be those that were registered; None when they are gone."""
        path = str(delivery["raw_path"])
        try:
            content = self._digest(path)
        except FileNotFoundError:
            self._problem(delivery, f"has lost its delivered bytes ({path})", "restore that file from a copy")
            return None
        if content != delivery["sha256"]:
            self._problem(
                delivery,
                f"has other bytes than were delivered ({path})",
                "restore that file from a copy, or fetch the delivery again",
            )
        key = (content, options.to_json())
        if key not in self._records:
            self._records[key] = count_records(functools.partial(self.process.objects.read, path), options)
        return self._records[key]

    def _digest(self, path: str) -> str:
        digest = hashlib.sha256()
        with self.process.objects.read(path) as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                digest.update(chunk)
        return digest.hexdigest()

    def _declared(self, delivery: Document) -> ReadingOptions:
        """How a delivery that was never read would be."""
        try:
            file = self.process.definitions.read(f"pipelines/{delivery['pipeline']}.yaml")
            return parse_pipeline(file.text, file.path).source.declared or ReadingOptions()
        except (DefinitionError, DefinitionMissing):
            return ReadingOptions()

    def _check_places(self, delivery: Document, spots: Places, records: int) -> None:
        path = delivery["raw_path"]
        beyond = spots.size - records
        if beyond > 0:
            self._problem(
                delivery,
                f"has {beyond:,} rows that its {records:,} delivered records do not account for ({path})",
                "compare its staged files with that file, or withdraw the batch",
            )
        if spots.strays:
            self._problem(
                delivery, f"has {spots.strays:,} rows without a proper number", "restore its files from a copy"
            )
        if spots.twice:
            self._problem(
                delivery,
                f"has {spots.twice:,} rows in two places at once",
                "restore its passed, quarantine and discarded files from a copy",
            )
        if spots.shadowed:
            self._problem(
                delivery,
                f"has {spots.shadowed:,} rows in the warehouse that a later attempt holds elsewhere",
                f"see mend explain {delivery['batch_id']}",
            )
        standing = {int(each["number"]) for each in self._attempts(delivery) if each["state"] != "withdrawn"}
        for load in self._loads.get(str(delivery["batch_id"]), []):
            if load["state"] == LoadState.LOADED and standing and int(load["attempt"]) not in standing:
                self._problem(
                    delivery,
                    f"shows the rows of attempt {load['attempt']}, which was taken back",
                    "run mend run once more; if it stays, restore the warehouse from a copy",
                )

    def _attempts(self, delivery: Document) -> list[Document]:
        healing = self._healings.get(str(delivery["batch_id"]))
        return list(healing.get("attempts", [])) if healing else []

    def _in_flight(self, delivery: Document, rows: int) -> None:
        """Rows without a place are a problem, unless work is under way or an open incident explains them."""
        if rows <= 0:
            return
        batch = str(delivery["batch_id"])
        entry: dict[str, Any] = {"batch_id": batch, "input": delivery["uri"], "rows": rows}
        told = [*self._incidents.get(batch, []), *self._incidents.get(str(delivery["uri"]), [])]
        incidents = sorted({key for key, origin in told if origin in _STOPPING or not delivery["readings"]})
        if incidents:
            self.found.waiting.append({**entry, "incidents": incidents, "because": "an open incident"})
        elif batch in self._put_by or self._under_way:
            self.found.waiting.append(
                {**entry, "incidents": [], "because": "work is under way; run mend run to end it"}
            )
        else:
            self._problem(
                delivery,
                f"has {rows:,} rows in flight although nothing is under way: no file says where they are",
                "restore its passed, loaded, quarantine and discarded files from a copy of the store",
            )

    @functools.cached_property
    def _under_way(self) -> bool:
        """True when the bus still has messages for a service."""
        return self._has_messages()

    def _has_messages(self, service_name: str = "") -> bool:
        from mend.services import every_service
        from shared.runtime.handling import subscriptions_of

        chosen = [service for service in every_service() if service_name in ("", service.name)]
        names = [f"{service.name}.{topic}" for service in chosen for topic in subscriptions_of(service)]
        return self.process.bus.next_due(names) is not None

    def _add(self, **counts: int) -> None:
        self.found.counts.update(counts)

    def _problem(self, delivery: Document, what: str, advice: str) -> None:
        name = clean(str(delivery["uri"]), 200)
        self.found.problems.append(f"batch {delivery['batch_id']} ({name}) {what}; {advice}")

    # ── tables ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def check_tables(self) -> None:
        """Compare every table that was ever loaded with the loads that stand."""
        uris = {batch: clean(str(each["uri"]), 200) for batch, each in self.deliveries.items()}
        process = self.process
        for table, loads in sorted(self._tables.items()):
            told = audit_table(process.warehouse, process.objects, table, loads, uris, process.progress)
            self.found.tables.append(told)
            if told.problems and (table in self._put_by.values() or self._has_messages("load")):
                # A load that was cut off: its rows may be in the table already, and what records them is still to come.
                told.under_way = True
                continue
            self.found.problems += told.problems


def _loads_of(process: Process) -> list[Document]:
    """Every load that was recorded or waits, in order of its batch."""
    every = report.documents(process.store, "loads")
    found = [data for _, data in every if data.get("kind") in ("load", "waiting")]
    return sorted(found, key=lambda each: (str(each["batch_id"]), int(each["attempt"])))


def _options_of(delivery: Document) -> ReadingOptions | None:
    """The options of the current reading."""
    current = [each for each in delivery["readings"] if each["number"] == delivery["reading"]]
    return ReadingOptions.from_json(str(current[0]["options"])) if current else None


def _open_incidents(process: Process) -> Mapping[str, list[tuple[str, str]]]:
    """Ids and origins of the incidents that are not over, by batch and by address."""
    found: dict[str, list[tuple[str, str]]] = {}
    healings = {
        key: data for key, data in report.documents(process.store, "healings") if data.get("kind") == "incident"
    }
    for key, data in report.documents(process.store, "incidents"):
        if "failure_class" not in data:
            continue
        state = healings.get(key, {}).get("state") or data.get("state", IncidentState.OPEN)
        if state in _OVER:
            continue
        for about in {str(data.get("batch_id") or ""), str(data.get("uri") or "")} - {""}:
            found.setdefault(about, []).append((key, str(data.get("origin", ""))))
    return found
