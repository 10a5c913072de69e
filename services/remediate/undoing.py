"""Takes a remedy back: its attempts are withdrawn, and every row is where it was before."""

from __future__ import annotations

import json

from services.remediate.carrying_out import withdraw_reading
from services.remediate.closing import left_of
from services.remediate.quarantine import Quarantine
from services.remediate.records import Attempt, Finding, Flight, Healing, Remedy, load_finding, load_remedy
from services.remediate.verifying import revert_terms
from services.remediate.work import Work
from shared.domain.incident import IncidentState
from shared.domain.remedy import RemedyState
from shared.events.types import BatchWithdraw, RemedyUndone
from shared.ports.state_store import Where

VERDICTS_MAX = 1_000
ALIKE_MAX = 20
UNDOABLE = frozenset({RemedyState.APPLIED, RemedyState.VERIFIED, RemedyState.FAILED})


def attempts_of(healing: Healing, record: Remedy) -> list[Attempt]:
    """The attempts that go with a remedy: its own, and those that were built on it."""
    own = healing.attempt(record.attempt)
    if own is None or own.state == "withdrawn":
        return []
    if own.kind in ("rows", "superseded"):
        return [own]
    return [each for each in healing.standing() if each.number >= own.number]


def begin_undo(work: Work, healing: Healing, record: Remedy) -> None:
    """Have load take the rows out; what was never loaded is taken back at once."""
    if record.plan.get("action") == "reading":
        previous = str(record.plan.get("previous", ""))
        withdraw_reading(work, healing, record.remedy_id, healing.next_number(), previous)
        return
    gone = attempts_of(healing, record)
    loaded = [each for each in gone if each.rows_passed > 0]
    healing.flight = Flight(
        stage="undoing",
        attempt=record.attempt,
        remedies=[record.remedy_id],
        waiting_for=[each.number for each in loaded],
    )
    for attempt in loaded:
        work.emit(
            BatchWithdraw,
            f"{record.remedy_id}|{healing.batch_id}|attempt {attempt.number}",
            subject=healing.batch_id,
            batch_id=healing.batch_id,
            pipeline=healing.pipeline,
            remedy_id=record.remedy_id,
            attempt=attempt.number,
            reason="undo",
        )
    if not loaded:
        finish_undo(work, healing, record)


def finish_undo(work: Work, healing: Healing, record: Remedy) -> None:
    """The rows are out: the attempts no longer count, and incidents that have rows again are open again."""
    gone = attempts_of(healing, record)
    for attempt in gone:
        attempt.state, attempt.undone = "withdrawn", True
    names = [each for attempt in gone for each in attempt.remedies]
    others = [found for each in names if (found := load_remedy(work.ports.state, each)) is not None]
    healing.flight = None
    healing.superseded_by = "" if any(each.kind == "superseded" for each in gone) else healing.superseded_by
    healing.pending = [each for each in healing.pending if each not in names]
    mark_undone(work, record)
    revert_terms(work, healing, record)
    for other in others:
        if other.remedy_id != record.remedy_id and other.state in UNDOABLE:
            mark_undone(work, other)
            revert_terms(work, healing, other)
    _reopen(work, healing, record)


def mark_undone(work: Work, record: Remedy) -> None:
    """The record's last state."""
    if record.state == RemedyState.APPLIED:
        record.move(RemedyState.FAILED)
    if record.state in (RemedyState.VERIFIED, RemedyState.FAILED):
        record.move(RemedyState.UNDONE)
    record.wake_at = 0
    alike = _read_alike(work, record)
    if alike:
        told = "undone; these were read with the same names and stay as they were loaded"
        record.explanation = f"{told}: {', '.join(alike)}"[:1_000]
    record.save(work.ports.state)
    work.emit(
        RemedyUndone,
        f"undone|{record.remedy_id}",
        subject=record.remedy_id,
        remedy_id=record.remedy_id,
        incident_id=record.incident_id,
        remedy=record.remedy,
        pipeline=record.pipeline,
        batch_id=record.batch_id,
        by=record.undone_by or "policy",
        rows=record.rows_healed or record.rows,
        alike=alike,
    )


def _read_alike(work: Work, record: Remedy) -> list[str]:
    """Released batches that were read with the names that the remedy made general, and by no remedy of their own."""
    renames = record.plan.get("rename", {})
    if not renames or record.precedent:
        return []
    where = [Where("pipeline", "==", record.pipeline), Where("rename_json", ">", "")]
    found = [each.data for each in work.ports.state.query("verdicts", where, limit=VERDICTS_MAX)]
    batches = {
        str(each["batch_id"])
        for each in found
        if each["state"] == "released"
        and not each["remedy_id"]
        and each["batch_id"] != record.batch_id
        and any(json.loads(each["rename_json"]).get(name) == wanted for name, wanted in renames.items())
    }
    return sorted(batches)[:ALIKE_MAX]


def _reopen(work: Work, healing: Healing, record: Remedy) -> None:
    """Incidents whose rows came back are open again; the undone remedy is not tried on its own one any more.

    Of what was reported again and again under one fingerprint, one incident is open: the remedy's own, or the latest.
    """
    counts = Quarantine(work.ports.objects, healing).counts()
    alike: dict[str, list[Finding]] = {}
    for incident in healing.incidents:
        finding = load_finding(work.ports.state, incident)
        if finding is not None:
            alike.setdefault(finding.fingerprint, []).append(finding)
    for findings in alike.values():
        own = next((each for each in findings if each.incident_id == record.incident_id), None)
        opened = _to_open(findings, own, counts)
        if opened is not None:
            _set_open(opened)
        for finding in findings:
            if own is not None and record.remedy not in finding.refused:
                finding.refused.append(record.remedy)
            finding.save(work.ports.state)


def _to_open(findings: list[Finding], own: Finding | None, counts: dict[tuple[str, str], int]) -> Finding | None:
    """The one of a fingerprint's incidents to go on with; None where one is open already, or nothing came back."""
    still_open = [each for each in findings if not each.closed]
    if still_open:
        return own if own in still_open else None
    healed = [each for each in findings if each.state == IncidentState.HEALED]
    if own in healed:
        return own
    return healed[-1] if healed and left_of(healed[-1], counts) > 0 else None


def _set_open(finding: Finding) -> None:
    finding.state = IncidentState.CLASSIFIED
    finding.proposal, finding.awaits_table = "", ""
    finding.note = "opened again by an undo"


def refuse(work: Work, record: Remedy) -> None:
    """A person took the remedy back: it is not tried on its incident again."""
    finding = load_finding(work.ports.state, record.incident_id)
    if finding is None:
        return
    if record.undone_by and record.remedy not in finding.refused:
        finding.refused.append(record.remedy)
    if finding.state == IncidentState.HEALED or not finding.closed:
        _set_open(finding)
    finding.save(work.ports.state)


def refuse_reading(work: Work, record: Remedy) -> None:
    """No further reading for this incident: making one failed."""
    finding = load_finding(work.ports.state, record.incident_id)
    if finding is not None and record.remedy not in finding.refused:
        finding.refused.append(record.remedy)
        finding.save(work.ports.state)
