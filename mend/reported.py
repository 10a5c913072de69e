"""What became of what was told by hand: a failure has an incident, by its fingerprint; a deployment has its record."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from services.classify.records import INCIDENTS, index_key
from services.ingest import deployments, signals
from shared.domain.incident import IncidentState
from shared.ports.event_bus import SIGNALS_TOPIC
from shared.ports.state_store import Document, StateStore
from shared.runtime.handling import raw_message
from shared.runtime.wiring import Process

_UNDECIDED: Final = frozenset({"", IncidentState.OPEN, IncidentState.CLASSIFIED})


class Reported(NamedTuple):
    """A report that is about to be sent, and what was known of its failure before."""

    store: StateStore
    fingerprint: str
    known: str  # the incident that it belonged to; "" when there was none
    reports: int

    @classmethod
    def of(cls, process: Process, data: bytes, kind: str) -> Reported:
        """The report as ingest will read it."""
        raw = raw_message(SIGNALS_TOPIC, data, {}, "", process.clock.now())
        incident = signals.incident_of(signals.parse(data), kind, raw.event, process.clock.now())
        known, document = _current(process.store, incident.fingerprint)
        return cls(process.store, incident.fingerprint, known, int(document.get("reports", 0)))

    def heard(self) -> str:
        """The incident that has taken the report in; "" when none has so far."""
        now, document = _current(self.store, self.fingerprint)
        is_news = now != self.known or int(document.get("reports", 0)) > self.reports
        return now if is_news else ""

    def is_dealt_with(self) -> bool:
        """Whether the report has an incident about which something was decided."""
        incident = self.heard()
        healing = self.store.get("healings", incident) if incident else None
        return healing is not None and str(healing.data.get("state", "")) not in _UNDECIDED


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


def _current(store: StateStore, fingerprint: str) -> tuple[str, dict[str, Any]]:
    """The incident to which a fingerprint's reports belong now, and its document."""
    index = store.get(INCIDENTS, index_key(fingerprint))
    incident = str(index.data["incident_id"]) if index is not None else ""
    stored = store.get(INCIDENTS, incident) if incident else None
    return (incident, stored.data) if stored is not None else ("", {})
