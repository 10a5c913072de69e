"""What remediate does with each event: keep what it says, then take the next step of the healing it belongs to."""

from __future__ import annotations

from services.remediate import corrections, lone, people, timers
from services.remediate import healing as steps
from services.remediate.records import (
    COLLECTIONS,
    HEALINGS,
    REMEDIES,
    Finding,
    Healing,
    load_finding,
    load_healing,
    watch,
    watchers,
)
from services.remediate.work import Work
from shared.domain.incident import Origin
from shared.events.types import (
    BatchLoaded,
    BatchStaged,
    BatchValidated,
    BatchWithdraw,
    BatchWithdrawn,
    ClockTicked,
    ContractAmended,
    DeliveryRegistered,
    Event,
    IncidentClassified,
    IncidentClosed,
    RemedyApplied,
    RemedyDecided,
    RemedyProposed,
    RemedyUndone,
    RemedyVerified,
    RereadFailed,
    RetryRequested,
    SourceReread,
)
from shared.ports.ports import Ports
from shared.ports.state_store import Where
from shared.runtime.service import Service

_OF_ROWS = (Origin.VIOLATION, Origin.DATASET)


def on_incident_classified(event: IncidentClassified, ports: Ports) -> list[Event]:
    """A diagnosis, by a report or a person: of rows, then the batch takes its next step; else it is attended to."""
    work = Work(cause=event, ports=ports)
    finding = load_finding(ports.state, event.incident_id)
    fresh = finding is None
    finding = finding or Finding(
        incident_id=event.incident_id, first_attempt=event.attempt, rows_first=event.rows_failed
    )
    before, late = finding.cause, event.time < finding.judged_at
    _take_in(finding, event)
    if event.judged_by and not fresh and not late:
        corrections.corrected(work, finding, before, event.judged_by)
    if event.batch_id and event.origin in _OF_ROWS:
        finding.save(ports.state)
        batch = _batch(event.batch_id, event.pipeline, ports)
        if event.incident_id not in batch.incidents:
            batch.incidents.append(event.incident_id)
        attempt = batch.tell(event.attempt, event.reading)
        if event.incident_id not in attempt.classified:
            attempt.classified.append(event.incident_id)
        steps.advance(work, batch)
    elif fresh:
        lone.attend(work, finding)
    elif event.judged_by or late:
        lone.judged(work, finding)
    elif not finding.closed:
        lone.reported_again(work, finding)
    return work.events


def _take_in(finding: Finding, event: IncidentClassified) -> None:
    """Keep the newest report; a late one of an earlier attempt, or from before a person judged, changes nothing."""
    if event.attempt < finding.attempt or event.time < finding.judged_at:
        return
    if event.judged_by:
        finding.judged_at = event.time
    if event.attempt > finding.attempt:
        finding.severity_before = finding.severity()
    for name in (
        "fingerprint", "origin", "pipeline", "batch_id", "uri", "failure_class", "cause", "confidence", "explanation",
        "evidence_json", "check", "column", "rows", "rows_failed", "attempt", "service", "event_id", "event_topic",
    ):  # fmt: skip
        setattr(finding, name, getattr(event, name))


def _batch(batch_id: str, pipeline: str, ports: Ports) -> Healing:
    known = load_healing(ports.state, batch_id)
    if known is not None:
        return known
    delivery = ports.state.get("deliveries", batch_id) or {}
    return Healing(batch_id=batch_id, pipeline=pipeline, seq=str(delivery.get("seq", "")))


def on_batch_validated(event: BatchValidated, ports: Ports) -> list[Event]:
    """An attempt was judged. A clean first attempt needs no healing and gets no document."""
    work = Work(cause=event, ports=ports)
    batch = load_healing(ports.state, event.batch_id)
    if batch is None and event.incidents == 0 and event.rows_quarantined == 0:
        return []
    batch = batch or _batch(event.batch_id, event.pipeline, ports)
    batch.seq = event.seq
    attempt = batch.tell(event.attempt, event.reading)
    if attempt.state == "withdrawn" or attempt.verdict:
        return []
    attempt.reading, attempt.verdict, attempt.incidents = event.reading, event.state, event.incidents
    attempt.rows, attempt.rows_passed = event.rows, event.rows_passed
    attempt.rows_quarantined, attempt.snapshots = event.rows_quarantined, list(event.snapshots)
    if attempt.kind == "reading":
        batch.reading = max(batch.reading, event.reading)
    if event.attempt == 1:
        attempt.state = "done"
    steps.advance(work, batch)
    return work.events


def on_batch_loaded(event: BatchLoaded, ports: Ports) -> list[Event]:
    """Rows are in the warehouse: what waited for them, for this table or for this batch goes on."""
    work = Work(cause=event, ports=ports)
    waiting = watchers(ports.state, "load", event.batch_id)
    for incident in (waiting or {}).get("incidents", []):
        finding = load_finding(ports.state, incident)
        if finding is not None and finding.attempt in (0, event.attempt):
            lone.seen_to_succeed(work, finding, f"attempt {event.attempt} is loaded")
    for older in (waiting or {}).get("supersedes", []):
        _supersede(work, older, event.batch_id)
    batch = load_healing(ports.state, event.batch_id)
    attempt = batch.attempt(event.attempt) if batch is not None else None
    if batch is not None and attempt is not None and not attempt.loaded:
        attempt.loaded = True
        steps.advance(work, batch)
    timers.wake_children(work, event.table, event.batch_id)
    return work.events


def _supersede(work: Work, older: str, newer: str) -> None:
    batch = load_healing(work.ports.state, older)
    if batch is not None and older != newer:
        steps.supersede(work, batch, newer)


def on_batch_withdrawn(event: BatchWithdrawn, ports: Ports) -> list[Event]:
    """Rows are out of the warehouse: the next reading, or the end of an undo."""
    work = Work(cause=event, ports=ports)
    batch = load_healing(ports.state, event.batch_id)
    if batch is not None:
        steps.withdrawn(work, batch, event.remedy_id, event.attempt)
    return work.events


def on_reread_failed(event: RereadFailed, ports: Ports) -> list[Event]:
    """A refetch found nothing newer, or a reading could not be made."""
    work = Work(cause=event, ports=ports)
    batch = load_healing(ports.state, event.batch_id)
    if batch is None:
        return []
    if batch.flight is not None and event.remedy_id in batch.flight.remedies:
        steps.reread_failed(work, batch, event.remedy_id, event.reason)
    else:
        timers.refetch_failed(work, batch, event.remedy_id, event.reason)
    return work.events


def on_delivery_registered(event: DeliveryRegistered, ports: Ports) -> list[Event]:
    """Something arrived: did a retry or a refetch wait for it?"""
    waiting = watchers(ports.state, "uri", event.pipeline, event.uri)
    if waiting is None:
        return []
    work = Work(cause=event, ports=ports)
    for incident in waiting.get("incidents", []):
        finding = load_finding(ports.state, incident)
        if finding is not None:
            lone.seen_to_succeed(work, finding, "the delivery arrived")
    older = [each for each in waiting.get("batches", []) if each != event.batch_id]
    loads = [Where("kind", "==", "load"), Where("batch_id", "==", event.batch_id)]
    loaded = bool(older) and any(
        each.data.get("state") == "loaded" for each in ports.state.query("loads", loads, limit=10)
    )
    for batch in older:
        watch(ports.state, "load", event.batch_id, supersedes=batch)
        if loaded:
            _supersede(work, batch, event.batch_id)
    return work.events


def on_remedy_decided(event: RemedyDecided, ports: Ports) -> list[Event]:
    """A person decides; the policy's own decisions are made where they are needed."""
    if event.by == "policy":
        return []
    work = Work(cause=event, ports=ports)
    people.decided(work, event)
    return work.events


def on_clock_ticked(event: ClockTicked, ports: Ports) -> list[Event]:
    """Look at every timer that has rung."""
    work = Work(cause=event, ports=ports)
    timers.ring(work)
    return work.events


SERVICE = Service(
    name="remediate",
    handlers={
        IncidentClassified: on_incident_classified,
        BatchValidated: on_batch_validated,
        BatchLoaded: on_batch_loaded,
        BatchWithdrawn: on_batch_withdrawn,
        RereadFailed: on_reread_failed,
        DeliveryRegistered: on_delivery_registered,
        RemedyDecided: on_remedy_decided,
        ClockTicked: on_clock_ticked,
    },
    emits=(
        BatchStaged,
        BatchWithdraw,
        ContractAmended,
        IncidentClosed,
        RemedyApplied,
        RemedyProposed,
        RemedyUndone,
        RemedyVerified,
        RetryRequested,
        SourceReread,
    ),
    collections=COLLECTIONS,
    foreign_origin=Origin.INTERNAL,
    priority=10,
    timers=(HEALINGS, REMEDIES),
)
