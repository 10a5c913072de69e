"""What people decide: approve, reject, undo, release, dismiss; and what happens when nobody does."""

from __future__ import annotations

from services.remediate import closing, deciding, lone, precedents, undoing
from services.remediate import healing as steps
from services.remediate.plans import Case
from services.remediate.playbook.waiting import RELEASE
from services.remediate.records import Finding, Healing, Remedy, load_finding, load_healing, load_remedy
from services.remediate.work import BatchCases, Work, read_policy
from shared.domain.incident import IncidentState, Origin
from shared.domain.remedy import RemedyState
from shared.events.types import RemedyDecided


def decided(work: Work, event: RemedyDecided) -> None:
    """Carry out a person's decision; a late, repeated or unauthorised one changes nothing."""
    if not deciding.policy_people(read_policy(work.ports), event.by):
        deciding.note_decision(work, event.remedy_id, f"ignored {event.decision}", event.by, "may not decide")
        return
    kind, _, about = event.remedy_id.partition(":")
    if kind == "release" and about and event.decision == "approve":
        _release(work, about, event)
    elif kind == "dismiss" and about and event.decision == "approve":
        _dismiss(work, about, event)
    else:
        _decide(work, event)


def _decide(work: Work, event: RemedyDecided) -> None:
    record = load_remedy(work.ports.state, event.remedy_id)
    if record is None:
        return
    if event.decision == "undo":
        _undo(work, record, event)
    elif record.state != RemedyState.PROPOSED or event.decision not in ("approve", "reject"):
        said = f"ignored {event.decision}"
        deciding.note_decision(work, record.remedy_id, said, event.by, f"it was {record.state} already")
    elif event.decision == "approve":
        deciding.approve(work, record, event.by, event.reason)
        record.save(work.ports.state)
        _go_on(work, record)
    else:
        record.move(RemedyState.REJECTED)
        record.decided_by, record.decided_at, record.wake_at = event.by, work.now, 0
        record.save(work.ports.state)
        deciding.note_decision(work, record.remedy_id, "reject", event.by, event.reason)
        precedents.decided(work.ports.state, record, "rejected", event.by, event.reason, work.now)
        _refuse(work, record)
        _go_on(work, record)


def expire(work: Work, remedy_id: str) -> None:
    """Nobody decided in time: the next candidate has its turn."""
    record = load_remedy(work.ports.state, remedy_id)
    if record is None or not 0 < record.wake_at <= work.now:
        return
    record.wake_at = 0
    if record.state == RemedyState.PROPOSED:
        record.move(RemedyState.EXPIRED)
        record.explanation = "nobody decided in time"
        deciding.note_decision(work, remedy_id, "expire", "policy", record.explanation)
        precedents.decided(work.ports.state, record, "expired", "policy", record.explanation, work.now)
        record.save(work.ports.state)
        _refuse(work, record)
        _go_on(work, record)
        return
    record.save(work.ports.state)


def _refuse(work: Work, record: Remedy) -> None:
    """Not to be proposed again for the incidents that waited for it."""
    batch = load_healing(work.ports.state, record.batch_id)
    for incident in {record.incident_id, *(batch.incidents if batch is not None else [])}:
        finding = load_finding(work.ports.state, incident)
        if finding is None or (incident != record.incident_id and finding.proposal != record.remedy_id):
            continue
        general = record.state == RemedyState.REJECTED and record.plan.get("signature")  # refused for the pipeline
        if record.remedy not in finding.refused and not general:
            finding.refused.append(record.remedy)
        if finding.proposal == record.remedy_id and _of_rows(finding):
            finding.proposal = finding.asks = ""
            finding.state = finding.state if finding.closed else IncidentState.CLASSIFIED
        finding.save(work.ports.state)


def _of_rows(finding: Finding) -> bool:
    return finding.batch_id != "" and finding.origin in (Origin.VIOLATION, Origin.DATASET)


def _go_on(work: Work, record: Remedy) -> None:
    finding = load_finding(work.ports.state, record.incident_id)
    if finding is None or finding.closed:
        return
    if not _of_rows(finding):
        lone.decided(work, finding, record)
        return
    batch = load_healing(work.ports.state, record.batch_id)
    if batch is not None:
        steps.advance(work, batch)


def _undo(work: Work, record: Remedy, event: RemedyDecided) -> None:
    batch = load_healing(work.ports.state, record.batch_id)
    undoable = record.state in undoing.UNDOABLE and batch is not None
    if batch is None or not undoable or record.remedy_id in batch.undo or not _has_effect(batch, record):
        deciding.note_decision(work, record.remedy_id, "ignored undo", event.by, f"nothing to undo: {record.state}")
        return
    record.undone_by = event.by
    record.save(work.ports.state)
    deciding.note_decision(work, record.remedy_id, "undo", event.by, event.reason)
    if precedents.withdrawn(work.ports.state, record, f"{event.by} took it back", work.now):
        deciding.note_decision(work, record.remedy_id, "withdraw precedent", event.by, "later ones are asked again")
    batch.undo.append(record.remedy_id)
    steps.advance(work, batch)


def _has_effect(batch: Healing, record: Remedy) -> bool:
    flight = batch.flight
    return (
        record.attempt > 0
        and bool(undoing.attempts_of(batch, record))
        and not (flight is not None and record.remedy_id in flight.remedies)
    )


def _release(work: Work, batch_id: str, event: RemedyDecided) -> None:
    """Accept what holds the batch, whether or not it was proposed."""
    batch = load_healing(work.ports.state, batch_id)
    if batch is None or not batch.held() or batch.superseded_by:
        return
    cases = BatchCases.of(work, batch)
    found = [load_finding(work.ports.state, each) for each in batch.incidents]
    alive = [each for each in found if each is not None and each.state not in ("healed", "dismissed")]
    own = [each for each in alive if steps.waivable(each)]
    for finding in own or alive[:1]:
        _release_one(work, cases.case(finding, {}), event)
    steps.advance(work, batch)


def _release_one(work: Work, case: Case, event: RemedyDecided) -> None:
    finding, plan = case.finding, RELEASE.plan(case)
    if plan is None:
        return
    standing = load_remedy(work.ports.state, finding.proposal) if finding.proposal else None
    if standing is not None and standing.remedy == RELEASE.name and standing.state == RemedyState.APPROVED:
        return  # said twice: it has its turn when what is in flight has landed
    if standing is not None and standing.remedy == RELEASE.name and standing.state == RemedyState.PROPOSED:
        record = standing
    else:
        told = deciding.assess(work, case, RELEASE, plan)
        record = deciding.new_record(work, case, RELEASE, plan, told)
    deciding.approve(work, record, event.by, event.reason)
    record.save(work.ports.state)
    finding.proposal = record.remedy_id
    finding.state = IncidentState.CLASSIFIED
    finding.save(work.ports.state)


def _dismiss(work: Work, incident_id: str, event: RemedyDecided) -> None:
    finding = load_finding(work.ports.state, incident_id)
    if finding is None or finding.state in (IncidentState.HEALED, IncidentState.DISMISSED):
        return
    deciding.note_decision(work, event.remedy_id, "approve", event.by, event.reason)
    why = f"{event.by} says that nothing is to be done. {event.reason}".strip()
    closing.close(work, finding, IncidentState.DISMISSED, why, left=finding.rows_left)
