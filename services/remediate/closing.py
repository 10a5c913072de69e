"""Closes incidents: healed when none of their rows is left, escalated when nothing more can be tried."""

from __future__ import annotations

from services.remediate import precedents
from services.remediate.quarantine import Quarantine
from services.remediate.records import Attempt, Finding, Healing, Remedy, load_finding, load_remedy
from services.remediate.work import Work
from shared.domain.incident import IncidentState, Origin
from shared.domain.remedy import RemedyState
from shared.events.types import IncidentClosed

_DATASET = frozenset(
    {"delivery_complete", "missing_columns", "unexpected_columns", "row_count", "shift", "score", "quality"}
)


def close(work: Work, finding: Finding, state: IncidentState, why: str, *, left: int = 0) -> None:
    """End an incident, or hand it to a person for good; whatever still waited for it is over."""
    _end_waiting(work, finding)
    finding.state, finding.rows_left, finding.wake_at, finding.note = state, left, 0, why
    finding.awaits_table = ""
    finding.closings += 1
    finding.save(work.ports.state)
    work.emit(
        IncidentClosed,
        f"{finding.incident_id}|{state}|{finding.closings}",
        subject=finding.incident_id,
        incident_id=finding.incident_id,
        pipeline=finding.pipeline,
        batch_id=finding.batch_id,
        state=state,
        explanation=why[:2_000],
        rows_healed=max(finding.rows_first - left, 0) if state == IncidentState.HEALED or left else 0,
        rows_left=left,
        judged_at=finding.judged_at,
    )


def _end_waiting(work: Work, finding: Finding) -> None:
    """No proposal, approval or wait outlives its incident."""
    for remedy_id in finding.remedies:
        record = load_remedy(work.ports.state, remedy_id)
        if record is None or record.incident_id != finding.incident_id or not _waits(record):
            continue
        precedents.withdrawn(work.ports.state, record, "its incident was closed", work.now)
        record.move(RemedyState.EXPIRED if record.state == RemedyState.PROPOSED else RemedyState.FAILED)
        record.wake_at = 0
        record.explanation = "its incident was closed before it could help"
        record.save(work.ports.state)
    finding.proposal = finding.asks = ""


def _waits(record: Remedy) -> bool:
    """True for what a person was asked about or approved and what waits for a parent or a newer delivery."""
    return record.state in (RemedyState.PROPOSED, RemedyState.APPROVED) or record.awaits


def open_findings(work: Work, healing: Healing) -> list[Finding]:
    """The batch's incidents that are not closed."""
    known = [load_finding(work.ports.state, each) for each in healing.incidents]
    return [each for each in known if each is not None and not each.closed]


def one_of_each(work: Work, findings: list[Finding]) -> list[Finding]:
    """Of one fingerprint the latest incident stays open: it tells of the rows that the others were opened again for.

    An undo opens an incident again, and what is reported next may become another before that is heard of. What a
    person refused in one is refused in the other.
    """
    latest = {each.fingerprint: each for each in findings}
    for finding in findings:
        stays = latest[finding.fingerprint]
        if finding is not stays:
            stays.refused += [each for each in finding.refused if each not in stays.refused]
            stays.save(work.ports.state)
            close(work, finding, IncidentState.DISMISSED, f"what came back is told of by {stays.incident_id}")
    return list(latest.values())


def close_settled(work: Work, healing: Healing, findings: list[Finding]) -> list[Finding]:
    """Close those that are over; what stays open is returned, with its rows left counted."""
    for finding in findings:
        pair = f"{finding.check}|{finding.column}"
        if finding.evidence("severity") == "warning" and pair not in healing.warnings:
            healing.warnings.append(pair)
    later = any(each.number > 1 and each.verdict for each in healing.attempts)
    counts = Quarantine(work.ports.objects, healing).counts() if later and findings else {}
    still: list[Finding] = []
    for finding in findings:
        if work.full:
            still.append(finding)
            continue
        if finding.evidence("severity") == "warning" and finding.origin in (Origin.VIOLATION, Origin.DATASET):
            close(work, finding, IncidentState.DISMISSED, "a warning: the rows were not held back")
        elif not later:
            finding.rows_left = finding.rows_failed
            still.append(finding)
        elif _over(healing, finding, counts):
            _close_over(work, healing, finding)
        else:
            finding.rows_left = left_of(finding, counts) or finding.rows_failed
            still.append(finding)
    return still


def left_of(finding: Finding, counts: dict[tuple[str, str], int]) -> int:
    """Rows of the current quarantine that the incident is about."""
    if finding.check != "more":
        return counts.get((finding.check, finding.column), 0)
    groups = [each for each in finding.evidence("groups") or [] if isinstance(each, dict)]
    return sum(counts.get((str(each.get("check")), str(each.get("column"))), 0) for each in groups)


def _over(healing: Healing, finding: Finding, counts: dict[tuple[str, str], int]) -> bool:
    if finding.check.partition(":")[0] not in _DATASET:
        return left_of(finding, counts) == 0
    whole = [each for each in healing.standing() if each.kind in ("reading", "whole") and each.judged]
    return bool(whole) and whole[-1].number > finding.attempt


def _close_over(work: Work, healing: Healing, finding: Finding) -> None:
    first: Attempt | None = healing.attempt(finding.first_attempt)
    known = [load_remedy(work.ports.state, each) for each in finding.remedies]
    helped = any(each is not None and each.state in (RemedyState.APPLIED, RemedyState.VERIFIED) for each in known)
    if first is not None and first.state == "withdrawn" and not helped:
        close(work, finding, IncidentState.DISMISSED, "it belonged to an attempt that was taken back")
    else:
        close(work, finding, IncidentState.HEALED, "none of its rows is left in quarantine")


def escalate(work: Work, healing: Healing, finding: Finding, why: str) -> None:
    """Nothing more can be tried by itself: a person has the rest, with the command to begin with."""
    left = finding.rows_left or finding.rows_failed
    said = finding.note or finding.explanation
    tried = f" Tried: {', '.join(sorted(finding.tried))}." if finding.tried else ""
    what = f"{why}. {said[:800]}".rstrip(". ") + "."
    rows = f"mend quarantine show {healing.batch_id}"
    command = rows if left else f"mend explain {finding.incident_id}"
    close(work, finding, IncidentState.ESCALATED, f"{what}{tried} Begin with: {command}", left=left)
