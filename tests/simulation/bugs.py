"""How bugs get into the running code: replacements of single functions by ones that do the wrong thing."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import ModuleType
from typing import Any, NamedTuple
from unittest.mock import patch

from services.ingest import delivery
from services.remediate import (
    carrying_out,
    closing,
    healing,
)
from shared.adapters.local import warehouse_rows
from shared.domain import ids
from shared.domain.errors import TerminalError
from shared.events.types import LoadDue
from shared.runtime import receipts, worker
from shared.runtime.handling import Outcome, Runtime

Planted = Callable[[], Any]  # a context manager in which the bug is there


class Mutant(NamedTuple):
    """One bug: what it is, and how it gets there. ``harmless`` says why the design bears it.

    ``plane``: the data plane on whose way the bug is; what touches rows is another code in each.
    """

    name: str
    what: str
    plant: Planted
    harmless: str = ""
    plane: str = "plain"


def swap(place: ModuleType | type, name: str, make: Callable[[Any], Any]) -> Planted:
    """Replace ``place.name`` by what ``make`` makes of it."""

    def planted() -> Any:
        return patch.object(place, name, make(getattr(place, name)))

    return planted


def always(value: Any) -> Callable[[Any], Any]:
    """A function that answers the same, whatever it is asked."""
    return lambda _: lambda *given, **named: value


def both(*plants: Planted) -> Planted:
    """Several replacements together."""

    @contextmanager
    def planted() -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for plant in plants:
                stack.enter_context(plant())
            yield

    return planted


# ── the runtime ────────────────────────────────────────────────────────────────────────────────────────────────────


def _publish_first(original: Any) -> Any:
    def commit(self: Runtime, service: Any, event: Any, version: int, changes: Any, expects: Any) -> None:
        documents = [each.data for each in changes if each.collection == "receipts" and "events" in each.data]
        emitted = [receipts.from_document(each) for document in documents for each in document["events"]]
        self._publish(service, emitted)
        original(self, service, event, version, changes, expects)

    return commit


def _without_expectations(original: Any) -> Any:
    def commit(self: Runtime, service: Any, event: Any, version: int, changes: Any, expects: Any) -> None:
        original(self, service, event, version, changes, [])

    return commit


def _ack_first(original: Any) -> Any:
    def step(self: worker.Worker) -> bool:
        for found in self._bus.pull(self.subscriptions, 1, self._lease_seconds):
            self._bus.ack(found)
            service = self._services[found.subscription.service]
            self._runtime.deliver(service, found.subscription.topic, found.data, found.attributes)
            return True
        return False

    return step


def _seen_as_published(original: Any) -> Any:
    def read(*given: Any) -> Any:
        found = original(*given)
        return found._replace(published=True) if found is not None else None

    return read


def _swallows(kind: type[Exception]) -> Callable[[Any], Any]:
    def make(original: Any) -> Any:
        def settle(self: Runtime, *given: Any) -> Outcome:
            try:
                found: Outcome = original(self, *given)
            except kind:
                return Outcome(True, "handled")
            return found

        return settle

    return make


def _retries_terminal(original: Any) -> Any:
    def fail(self: Runtime, service: Any, event: Any, error: Exception, kind: str) -> Outcome:
        if kind == "unforeseen" or isinstance(error, TerminalError):
            return Outcome(False, kind, 1.0)
        found: Outcome = original(self, service, event, error, kind)
        return found

    return fail


def _forgets_the_event(original: Any) -> Any:
    def writes(*given: Any, **named: Any) -> Any:
        return original(*given, **{**named, "keep_event": False})

    return writes


# ── ingest ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _any_earlier(original: Any) -> Any:
    def repeated(batch: str, kept: Any, seq: str, pipeline: Any, state: Any) -> str:
        position = state.get(delivery.POSITIONS, delivery.content_key(pipeline.pipeline, kept.sha256))
        first = str(position["batch_id"]) if position else ""
        return first if first != batch and kept.bytes else ""

    return repeated


def _keeps_half(original: Any) -> Any:
    def keep(event: Any, *given: Any) -> Any:
        return original(event.model_copy(update={"bytes": 0}), *given)

    return keep


def _without_misfits(original: Any) -> Any:
    def interleaved(columns: Any, schema: Any, rows: int, raw: Any, first: int) -> Any:
        return original(columns, schema, rows, [], first)

    return interleaved


# ── validate ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _passes_all(original: Any) -> Any:
    def failing(rows: int, failures: Any) -> Any:
        return None

    return failing


def _first_failures(most: int) -> Callable[[Any], Any]:
    def make(original: Any) -> Any:
        def failing(rows: int, failures: Any) -> Any:
            found = original(rows, failures)
            return found if found is None else found & (found.cum_sum() <= most)

        return failing

    return make


def _forgets_some_quarantine(original: Any) -> Any:
    def write(self: Any, path: str, rows: Any, failures: Any, aside: Any, held: Any, delivered: Any) -> None:
        count = rows.height if aside is None else int(aside.sum())
        if held is None and count:
            self._written[path] = count  # announced, and to be written some day
            return
        original(self, path, rows, failures, aside, held, delivered)

    return write


def _tells_a_value(original: Any) -> Any:
    def incident(terms: Any, evidence: Any, ports: Any) -> Any:
        found = original(terms, evidence, ports)
        with ports.objects.read(terms.event.parts[0]) as stream:
            import pyarrow.parquet as pq

            notes = [text for text in pq.read_table(stream).to_pylist() if text.get("note")]
        told = str(notes[0]["note"]) if notes else ""
        return found.model_copy(update={"message": f"{found.message}: {told}"[:1_000]})

    return incident


# ── load ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _random_job(original: Any) -> Any:
    return lambda *given: f"load-{secrets.token_hex(8)}"


def _upsert_by_batch_time_alone(original: Any) -> Any:
    """The row number is not compared: of two rows of one delivery any may win."""

    def upsert(self: Any, files: Any, keys: Any) -> int:
        with patch.object(warehouse_rows, "_NEWEST_FIRST", f"{warehouse_rows._SEQ} DESC, {warehouse_rows._ROW} ASC"):
            rows: int = original(self, files, keys)
        return rows

    return upsert


def _forgets_jobs(original: Any) -> Any:
    def run(self: Any, job: Any) -> Any:
        self._done.pop(job.job_id, None)
        return original(self, job)

    return run


def _plain_upsert_replaces(original: Any) -> Any:
    def upsert(self: Any, files: Any, keys: Any) -> int:
        places = self.places(keys)
        keyed = {tuple(row[place] for place in places) for row in self.fitted(files)}
        self.rows = [row for row in self.rows if tuple(row[place] for place in places) not in keyed]
        rows: int = original(self, files, keys)
        return rows

    return upsert


def _plain_overwrite_always(original: Any) -> Any:
    def overwrite(self: Any, files: Any, batch: str, seq: str) -> int:
        self.shown = None if self.shown is not None and self.shown.batch != batch else self.shown
        rows: int = original(self, files, batch, seq)
        return rows

    return overwrite


def _upsert_replaces_always(original: Any) -> Any:
    def upsert(self: Any, files: Any, keys: Any) -> int:
        columns = self.key_columns(keys)
        keyed = self.source(files, [column.name.casefold() for column in columns])
        self._count(f"DELETE FROM {self._sql} AS t USING {keyed} AS f WHERE {warehouse_rows._same(columns)}")
        rows: int = original(self, files, keys)
        return rows

    return upsert


def _drops_the_refused(original: Any) -> Any:
    """A group that is refused is not loaded one by one."""

    def load(event: Any, ports: Any) -> Any:
        return [each for each in original(event, ports) if len(event.members) == 1 or not isinstance(each, LoadDue)]

    return load


def _halted_is_done(original: Any) -> Any:
    """A job that a withdrawal or a refusal has halted is taken for one that was done."""
    return lambda *given: (original(*given), True)[1]


def _group_by_table(original: Any) -> Any:
    """Another group of the same table has the same job."""
    return lambda after, members: ids.derive(members[0].written.table)


def _blind_undo(original: Any) -> Any:
    """What stood there before the load comes back, whatever was loaded since."""

    def restorable(mode: str, standing: Any, every: Any, objects: Any) -> tuple[str, ...]:
        if mode == "append":
            return ()
        oldest = sorted(every, key=lambda each: each.seq)[:1]
        return tuple(file for each in oldest for file in each.files)

    return restorable


# ── remediate ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _reads_again_at_once(original: Any) -> Any:
    def withdraw(work: Any, batch: Any, remedy_id: str, number: int, options_json: str) -> None:
        original(work, batch, remedy_id, number, options_json)
        work.events.pop()
        record = carrying_out.load_remedy(work.ports.state, remedy_id)
        if record is not None:
            healing._ask_for_reading(work, batch, record)

    return withdraw


def _some_violation_is_enough(original: Any) -> Any:
    def repair(frame: Any, repairs: Any, before: Any) -> Any:
        found = original(frame, repairs, before)
        touched = found.cells["_mend_row"].unique()
        return replace(found, ready=touched) if len(touched) else found

    return repair


def _unlogged(original: Any) -> Any:
    def write(objects: Any, path: str, frame: Any) -> int:
        if path.startswith("repairs/") and "old" in frame.columns:
            frame = frame.head(0)
        size: int = original(objects, path, frame)
        return size

    return write


def _drops_the_kept_too(original: Any) -> Any:
    def dropped(*given: Any) -> Any:
        found = original(*given)
        return {**{kept: (kept, reason) for kept, reason in found.values()}, **found}

    return dropped


def _closes_everything(original: Any) -> Any:
    def settled(work: Any, batch: Any, findings: Any) -> Any:
        for each in findings:
            closing.close(work, each, closing.IncidentState.HEALED, "surely")
        return []

    return settled


class _NoDeadLetters:
    """Incidents of ingest, but none about dead letters."""

    def __init__(self, original: Any) -> None:
        self._original = original

    def caused_by(self, cause: Any, about: str, time: int, **fields: Any) -> Any:
        if fields.get("origin") == "dead_letter":
            fields |= {"event_id": "", "service": ""}
        return self._original.caused_by(cause, about, time, **fields)
