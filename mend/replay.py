"""Has a service handle an event again that it could not handle, and says what came of it.

Three ways, each sound by itself. An event whose failure left a receipt is kept in it: the service handles it again
under a derived id. If its incident waits for a person, saying "again" is that person's decision, so that the incident
closes with it. An event that used up its deliveries left no receipt: the bus carries it once more as it was; every
service that has handled it knows it by its id and does nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from mend.lookup import trace_of
from shared.domain.errors import DefinitionMissing
from shared.domain.incident import CLOSED, Origin
from shared.domain.remedy import RemedyState
from shared.domain.store_health import KeptEvent
from shared.events.codec import from_document, topic_of
from shared.events.types import EVENT_TYPES, Event, RemedyDecided, RetryRequested
from shared.ports.state_store import Where
from shared.runtime import receipts
from shared.runtime.service import Service
from shared.runtime.wiring import Process

DEAD_LETTERS_MAX = 1_000
_AGAIN = ("retry_with_backoff", "hold_for_person")  # remedies that have an event handled again once approved

Way = Literal["retry", "approve", "publish"]


class Case(NamedTuple):
    """An event that a service could not handle."""

    service: str
    event_id: str
    event_type: str
    way: Way
    incident_id: str = ""
    remedy_id: str = ""  # the proposal that waits for a person


class Replayed(NamedTuple):
    """What came of it: handled, failed, waiting."""

    service: str
    event_id: str
    event_type: str
    way: Way
    incident_id: str
    outcome: str
    incident_state: str


class Replay:
    """Finds cases in a store and handles them again."""

    def __init__(self, process: Process, services: Sequence[Service], by: str) -> None:
        self._process = process
        self._services = {service.name: service for service in services}
        self._by = by
        self._carried = process.carried

    def cases_of(self, what: str) -> list[Case]:
        """The cases that an event's or an incident's id names; ``DefinitionMissing`` says why there is none."""
        store = self._process.store
        stored = store.get("incidents", what)
        if stored is not None:
            return [self._of_incident(what, stored.data)]
        if store.get("deliveries", what) is not None:
            hint = f"mend incidents shows what failed in it; mend run PIPELINE.yaml --uri … brings {what}'s data anew"
            raise DefinitionMissing(f"{what} is a batch; what can be replayed is an event or an incident; {hint}")
        found = [case for service in self._services if (case := self._of_event(service, what)) is not None]
        if found:
            return found
        carried = self._carried(what)
        if carried is None:
            raise DefinitionMissing(f"there is no incident and no event {what}; mend incidents --all lists incidents")
        raise DefinitionMissing(f"event {what} ({carried.type}) was handled by every service that hears it")

    def dead_letters(self) -> list[Case]:
        """Every event that used up its deliveries and was not handled since."""
        where = [Where("origin", "==", str(Origin.DEAD_LETTER))]
        found = self._process.store.query("incidents", where, limit=DEAD_LETTERS_MAX)
        cases = []
        for stored in found:
            service, event_id = str(stored.data.get("service", "")), str(stored.data.get("event_id", ""))
            if event_id and not self._is_handled(service, event_id) and self._carried(event_id) is not None:
                cases.append(self._of_incident(stored.key, stored.data))
        return cases

    def event_of(self, case: Case) -> Event:
        """The event that has the case handled again."""
        process = self._process
        if case.way == "publish":
            return from_document(self._carried_event(case.event_id)._asdict())
        request = process.ids.new()
        envelope: dict[str, Any] = {"id": request, "time": process.clock.now(), "correlation_id": request}
        if case.way == "approve":
            decision: dict[str, Any] = {
                "remedy_id": case.remedy_id,
                "decision": "approve",
                "by": self._by,
                "reason": "replayed",
            }
            envelope["traceparent"] = trace_of(process.store, case.incident_id)
            return RemedyDecided(**envelope, **decision, subject=case.remedy_id)
        return RetryRequested(
            **envelope,
            subject=case.incident_id or case.event_id,
            remedy_id="",
            service=case.service,
            event_id=case.event_id,
            event_topic=topic_of(case.event_type),
        )

    def outcome_of(self, case: Case, sent: Event) -> Replayed:
        """What the receipts say after the work is done."""
        if case.way == "approve":
            receipt = receipts.read(self._process.store, "remediate", sent.id)
        else:
            receipt = receipts.read(self._process.store, case.service, sent.id)
        outcome = "waiting" if receipt is None or receipt.state == "failing" else receipt.state
        state = self._incident_state(case.incident_id)
        if case.way == "approve" and outcome == "handled":
            outcome = "handled" if state in CLOSED else "waiting"
        return Replayed(*case[:5], outcome, state)

    # ── finding ──

    def _of_incident(self, incident_id: str, data: dict[str, Any]) -> Case:
        service, event_id = str(data.get("service", "")), str(data.get("event_id", ""))
        if not event_id or not service:
            what = "is not about an event of ours" if data.get("origin") != Origin.DEAD_LETTER else "held no event"
            raise DefinitionMissing(f"incident {incident_id} {what}; mend explain {incident_id} says what helps")
        case = self._of_event(service, event_id)
        if case is None:
            raise DefinitionMissing(f"{service} has handled event {event_id} since; nothing is left to replay")
        proposal = self._proposal(incident_id)
        if case.way == "retry" and proposal:
            return case._replace(way="approve", incident_id=incident_id, remedy_id=proposal)
        return case._replace(incident_id=incident_id)

    def _of_event(self, service: str, event_id: str) -> Case | None:
        """The case of an event in a service; None when the service has handled it, or never had to."""
        receipt = receipts.read(self._process.store, service, event_id)
        if receipt is not None and receipt.event is not None and receipt.state == "failed":
            if receipt.event["type"] not in EVENT_TYPES:
                raise DefinitionMissing(f"what {service} could not read was no event of ours; send it anew, put right")
            return Case(service, event_id, str(receipt.event["type"]), "retry")
        if receipt is not None and receipt.state != "failing":
            return None
        carried = self._carried(event_id)
        if carried is None or not self._hears(service, carried.type):
            return None
        return Case(service, event_id, carried.type, "publish")

    def _hears(self, service: str, event_type: str) -> bool:
        if service not in self._services:
            return False
        return any(event_type == model.TYPE for model in self._services[service].handlers)

    def _is_handled(self, service: str, event_id: str) -> bool:
        receipt = receipts.read(self._process.store, service, event_id)
        return receipt is not None and receipt.state == "handled"

    def _carried_event(self, event_id: str) -> KeptEvent:
        found = self._carried(event_id)
        if found is None:
            raise DefinitionMissing(f"the store does not hold event {event_id} any more")
        return found

    def _proposal(self, incident_id: str) -> str:
        """The remedy whose approval has the event handled again, if the incident waits for a person."""
        finding = self._process.store.get("healings", incident_id)
        remedy_id = str(finding.data.get("proposal", "")) if finding is not None else ""
        remedy = self._process.store.get("remedies", remedy_id) if remedy_id else None
        waits = remedy is not None and remedy.data.get("remedy") in _AGAIN
        return remedy_id if waits and remedy is not None and remedy.data["state"] == RemedyState.PROPOSED else ""

    def _incident_state(self, incident_id: str) -> str:
        for collection in ("healings", "incidents"):
            stored = self._process.store.get(collection, incident_id) if incident_id else None
            if stored is not None and stored.data.get("state"):
                return str(stored.data["state"])
        return ""
