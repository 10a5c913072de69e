"""How bugs get into the running code: replacements of single functions by ones that do the wrong thing."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, NamedTuple
from unittest.mock import patch

from services.ingest import delivery
from shared.domain import paths
from shared.domain.errors import TerminalError
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


def _no_receipt(original: Any) -> Any:
    """Nobody writes down that an event was handled."""

    def writes(*given: Any, **named: Any) -> Any:
        return [] if named["state"] == "handled" else original(*given, **named)

    return writes


def _receipt_first(original: Any) -> Any:
    """An event counts as handled before what handling it changed is there."""

    def commit(self: Runtime, service: Any, event: Any, version: int, changes: Any, expects: Any) -> None:
        alone = [each for each in changes if each.collection == receipts.COLLECTION]
        if len(alone) < len(changes):
            original(self, service, event, version, alone, [])
            known = self._store.get(receipts.COLLECTION, receipts.key_of(service.name, event.id))
            version = known.version if known is not None else 0
        original(self, service, event, version, changes, expects)

    return commit


_IN_HAND: list[tuple[Any, Any]] = []


def _held_in_hand(original: Any) -> Any:
    def deliver(self: worker.Worker, found: Any) -> Any:
        _IN_HAND.append((self._bus, found))
        try:
            return original(self, found)
        finally:
            _IN_HAND.pop()

    return deliver


def _acknowledges(original: Any) -> Any:
    """The message is gone, and then what it caused is published."""

    def publish(self: Runtime, service: Any, emitted: Any) -> None:
        if emitted and _IN_HAND:
            bus, found = _IN_HAND[-1]
            bus.ack(found)
        original(self, service, emitted)

    return publish


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


def _believes_the_event(original: Any) -> Any:
    """As many bytes came as the event says."""

    def keep(event: Any, *given: Any) -> Any:
        return original(event.model_copy(update={"bytes": 0}), *given)._replace(bytes=event.bytes)

    return keep


def _anywhere(original: Any) -> Any:
    """The files of a reading get names that nobody can derive."""

    def make(*given: Any, **named: Any) -> Any:
        mark, derived = secrets.token_hex(4), paths.staged
        with patch.object(paths, "staged", lambda *about: f"{derived(*about)}{mark}-"):
            return original(*given, **named)

    return make


def _counts_what_was_read(original: Any) -> Any:
    """The audit believes that a delivery has as many records as were read of it."""

    def count(self: Any, document: Any, options: Any) -> Any:
        found = original(self, document, options)
        made = document["readings"]
        return found._replace(records=int(made[-1]["rows"])) if found is not None and made else found

    return count


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


def _neighbours_too(original: Any) -> Any:
    """The row after each failing one fails as well."""

    def failing(*given: Any) -> Any:
        return [each._replace(mask=each.mask | each.mask.shift(1, fill_value=False)) for each in original(*given)]

    return failing


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


class _NoDeadLetters:
    """Incidents of ingest, but none about dead letters."""

    def __init__(self, original: Any) -> None:
        self._original = original

    def caused_by(self, cause: Any, about: str, time: int, **fields: Any) -> Any:
        if fields.get("origin") == "dead_letter":
            fields |= {"event_id": "", "service": ""}
        return self._original.caused_by(cause, about, time, **fields)
