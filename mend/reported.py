"""What became of what was told by hand: a failure has an incident, by its fingerprint; a deployment has its record."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from services.classify.records import INCIDENTS, index_key
from services.ingest import deployments, signals
from shared.domain.incident import IncidentState
from shared.events.types import Event, IncidentOpened
from shared.ports.event_bus import SIGNALS_TOPIC
from shared.ports.state_store import Document, StateStore, Where
from shared.runtime.handling import raw_message
from shared.runtime.wiring import Process

_UNDECIDED: Final = frozenset({"", IncidentState.OPEN, IncidentState.CLASSIFIED})


class Reported(NamedTuple):
    """A report that is about to be sent, and what was known of its failure before."""

    process: Process
    data: bytes
    kind: str
    fingerprint: str
    known: str  # the incident that it belonged to; "" when there was none
    reports: int

    @classmethod
    def of(cls, process: Process, data: bytes, kind: str) -> Reported:
        """The report as ingest will read it."""
        fingerprint = _read(process, data, kind, "")[1].fingerprint
        known, document = _current(process.store, fingerprint)
        return cls(process, data, kind, fingerprint, known, int(document.get("reports", 0)))

    def heard(self) -> str:
        """The incident that has taken the report in; "" when none has so far."""
        now, document = _current(self.process.store, self.fingerprint)
        is_news = now != self.known or int(document.get("reports", 0)) > self.reports
        return now if is_news else ""

    def is_dealt_with(self) -> bool:
        """Whether the report has an incident about which something was decided."""
        incident = self.heard()
        healing = self.process.store.get("healings", incident) if incident else None
        return healing is not None and str(healing.data.get("state", "")) not in _UNDECIDED

    def stopped_by(self, message_id: str) -> str:
        """The incident of a service that could not deal with the report, once it was sent under an id; "" when none."""
        events = [each.id for each in _read(self.process, self.data, self.kind, message_id)]
        found = self.process.store.query(INCIDENTS, [Where("event_id", "in", events)], limit=1)
        return found[0].key if found else ""


class Told(NamedTuple):
    """Word of a deployment that is about to be sent."""

    process: Process
    data: bytes
    attributes: dict[str, str]

    @classmethod
    def of(cls, process: Process, data: bytes, kind: str) -> Told:
        """The word as ingest will read it. ``MalformedEvent`` when it does not say of what it is, or when."""
        told = cls(process, data, {"kind": kind} if kind else {})
        told._key("")
        return told

    def kept(self, message_id: str) -> Document | None:
        """What was kept of it, once it was sent under an id; None when nothing was so far."""
        stored = self.process.store.get(deployments.DEPLOYMENTS, self._key(message_id))
        return None if stored is None else stored.data

    def _key(self, message_id: str) -> str:
        raw = raw_message(SIGNALS_TOPIC, self.data, self.attributes, message_id, self.process.clock.now())
        return deployments.read(signals.parse(self.data), raw.event)[0]


def _read(process: Process, data: bytes, kind: str, message_id: str) -> tuple[Event, IncidentOpened]:
    """The report as a message, and as what ingest makes of it."""
    raw = raw_message(SIGNALS_TOPIC, data, {"kind": kind} if kind else {}, message_id, process.clock.now())
    return raw.event, signals.incident_of(signals.parse(data), kind, raw.event, process.clock.now())


def _current(store: StateStore, fingerprint: str) -> tuple[str, dict[str, Any]]:
    """The incident to which a fingerprint's reports belong now, and its document."""
    index = store.get(INCIDENTS, index_key(fingerprint))
    incident = str(index.data["incident_id"]) if index is not None else ""
    stored = store.get(INCIDENTS, incident) if incident else None
    return (incident, stored.data) if stored is not None else ("", {})
