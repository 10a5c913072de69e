"""Incidents without rows of their own: a source, the destination, a signal from outside, ourselves.

Retrying is the one remedy there; it is verified when what was retried is seen to succeed, or when no further report
comes. The rest goes to a person, who says when it is dealt with.
"""

from __future__ import annotations

from services.remediate import closing, deciding
from services.remediate.playbook.waiting import HOLD_FOR_PERSON, RETRIES_MAX, RETRY_WITH_BACKOFF, backoff_microseconds
from services.remediate.records import Finding, Remedy, load_remedy, watch
from services.remediate.rounds import LAST, Choice, choose
from services.remediate.work import Work, lone_case
from shared.domain.incident import IncidentState
from shared.domain.remedy import RemedyState
from shared.events.types import RetryRequested

QUIET_MICROSECONDS = 5_000_000  # no further report for so long after a retry: it succeeded
WATCHED_QUIET_MICROSECONDS = 60_000_000  # longer where the success itself can be seen


def attend(work: Work, finding: Finding) -> None:
    """Begin with the first remedy that fits."""
    told = choose(work, lone_case(work, finding))
    if told == "exhausted":
        told = choose(work, lone_case(work, finding), last=True)
    if isinstance(told, Choice):
        _carry_out(work, finding, told)
    elif told == "exhausted":
        closing.close(work, finding, IncidentState.ESCALATED, _why(finding))
        return
    finding.save(work.ports.state)


def _why(finding: Finding) -> str:
    said = finding.note or finding.explanation
    return f"Nothing more can be done by itself. {said[:800]} See: mend explain {finding.incident_id}"


def _carry_out(work: Work, finding: Finding, choice: Choice) -> None:
    record = choice.record
    if record is None and choice.told is not None:
        record = deciding.new_record(work, lone_case(work, finding), choice.remedy, choice.plan, choice.told)
        deciding.approve(work, record, "policy", choice.told.ruling.reason)
    if record is None:
        return
    deciding.applied(work, record)
    finding.proposal = record.remedy_id
    if choice.remedy.name == RETRY_WITH_BACKOFF.name:
        _watch(work, finding)
        finding.state, finding.retries, finding.phase = IncidentState.HEALING, 0, "pause"
        finding.wake_at = work.now + backoff_microseconds(0)
    elif finding.retriable:
        _watch(work, finding)
        finding.state = IncidentState.HEALING
        _send(work, finding, record)
    else:
        why = f"{record.decided_by} says that it is dealt with"
        _succeeded(work, finding, record, why)


def _watch(work: Work, finding: Finding) -> None:
    if finding.uri:
        watch(work.ports.state, "uri", finding.pipeline, finding.uri, incident=finding.incident_id)
    if finding.batch_id and finding.service == "load":
        watch(work.ports.state, "load", finding.batch_id, incident=finding.incident_id)


def _send(work: Work, finding: Finding, record: Remedy) -> None:
    finding.retries += 1
    finding.phase = "sent"
    watched = bool(finding.uri) or (finding.batch_id != "" and finding.service == "load")
    finding.wake_at = work.now + (WATCHED_QUIET_MICROSECONDS if watched else QUIET_MICROSECONDS)
    work.emit(
        RetryRequested,
        f"{record.remedy_id}|{finding.retries}",
        subject=finding.incident_id,
        remedy_id=record.remedy_id,
        service=finding.service,
        event_id=finding.event_id,
        event_topic=finding.event_topic,
    )


def reported_again(work: Work, finding: Finding) -> None:
    """A further report: the retry failed, or somebody else met the same."""
    record = load_remedy(work.ports.state, finding.proposal) if finding.proposal else None
    if record is None or record.state != RemedyState.APPLIED or finding.phase != "sent":
        finding.save(work.ports.state)
        return
    patient = record.remedy == RETRY_WITH_BACKOFF.name
    if patient and finding.retries < RETRIES_MAX:
        finding.phase = "pause"
        finding.wake_at = work.now + backoff_microseconds(finding.retries)
        finding.save(work.ports.state)
        return
    why = f"it failed again after {finding.retries} retries" if patient else "it failed again"
    deciding.verified(work, record, success=False, healed=0, left=0, why=why)
    finding.proposal, finding.phase, finding.wake_at = "", "", 0
    attend(work, finding)


def judged(work: Work, finding: Finding) -> None:
    """A person said what it is: no further report. Where nothing is under way any more, what fits now has its turn."""
    if finding.proposal or finding.closed:
        finding.save(work.ports.state)
    else:
        attend(work, finding)


def wake(work: Work, finding: Finding) -> None:
    """Its timer rang: the pause before a retry is over, or a retry has stayed without a further report."""
    finding.wake_at = 0
    record = load_remedy(work.ports.state, finding.proposal) if finding.proposal else None
    if finding.closed or record is None or record.state != RemedyState.APPLIED:
        finding.save(work.ports.state)
    elif finding.phase == "pause":
        _send(work, finding, record)
        finding.save(work.ports.state)
    else:
        _succeeded(work, finding, record, "the event was handled again, and no further failure was reported")


def seen_to_succeed(work: Work, finding: Finding, why: str) -> None:
    """What the incident was about has happened after all."""
    record = load_remedy(work.ports.state, finding.proposal) if finding.proposal else None
    if finding.closed:
        return
    if record is not None and record.state == RemedyState.APPLIED:
        _succeeded(work, finding, record, why)
    else:
        closing.close(work, finding, IncidentState.HEALED, why)


def _succeeded(work: Work, finding: Finding, record: Remedy, why: str) -> None:
    person = record.remedy == HOLD_FOR_PERSON.name
    deciding.verified(work, record, success=True, healed=0, left=0, why=why, counts=not person)
    finding.phase = ""
    closing.close(work, finding, IncidentState.HEALED, why)


def decided(work: Work, finding: Finding, record: Remedy) -> None:
    """A person, or time, decided about the proposal of an incident without rows."""
    if record.state == RemedyState.APPROVED:
        attend(work, finding)
        return
    finding.proposal = ""
    if record.remedy in LAST:
        rejected = record.state == RemedyState.REJECTED
        state = IncidentState.DISMISSED if rejected else IncidentState.ESCALATED
        why = f"{record.decided_by} says that nothing is to be done" if rejected else "nobody decided in time"
        closing.close(work, finding, state, why)
        return
    attend(work, finding)
