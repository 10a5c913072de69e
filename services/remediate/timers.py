"""Timers: pauses before retries and refetches, proposals that expire, parents that were loaded, patience that ends."""

from __future__ import annotations

from services.remediate import healing as steps
from services.remediate import lone, people, precedents
from services.remediate.deciding import verified
from services.remediate.playbook.deliveries import TRIES_MAX
from services.remediate.playbook.waiting import backoff_microseconds
from services.remediate.records import (
    HEALINGS,
    REMEDIES,
    Finding,
    Healing,
    load_finding,
    load_healing,
    load_remedy,
    watchers,
)
from services.remediate.work import Work
from shared.domain.incident import Origin
from shared.domain.remedy import RemedyState
from shared.events.types import SourceReread
from shared.ports.state_store import Where

FOLLOWERS_MAX = 20  # batches that one tick lets follow a decision; each emits a few events
RINGS_MAX = 10  # of one tick; the next tick comes at once while timers are due
ANSWER_MICROSECONDS = 120_000_000  # how long a refetch may stay without an answer


def ring(work: Work) -> None:
    """Serve the timers that are due, a few at a time."""
    due = [Where("wake_at", ">", 0), Where("wake_at", "<=", work.now)]
    for stored in work.ports.state.query(REMEDIES, due, order_by="wake_at", limit=RINGS_MAX):
        people.expire(work, stored.key)
    for stored in work.ports.state.query(HEALINGS, due, order_by="wake_at", limit=RINGS_MAX):
        if work.full:
            return
        batch = load_healing(work.ports.state, stored.key)
        finding = load_finding(work.ports.state, stored.key)
        if batch is not None and 0 < batch.wake_at <= work.now:
            _wake_batch(work, batch)
        elif finding is not None and 0 < finding.wake_at <= work.now:
            _wake_finding(work, finding)
        elif batch is None and finding is None:
            _wake_followers(work, stored.key)


def _wake_followers(work: Work, key: str) -> None:
    """A question was answered: what waits for the answer goes on, some at each tick, in the order of deliveries."""
    question = precedents.load_question(work.ports.state, key)
    if question is None or not question.wake:
        return
    wanted = question.wake[0]
    answer = question.answers.get(wanted) or precedents.Answer(wanted, "")
    done = answer.state == "asked" and not _void(work, answer)
    if not done:
        waiting = [Where("asks", "==", wanted)]
        found = work.ports.state.query(HEALINGS, waiting, order_by="asks_seq", limit=FOLLOWERS_MAX + 1)
        for stored in found[:FOLLOWERS_MAX]:
            if not work.full:
                _follow(work, stored.key, question.remedy, answer)
        done = len(found) <= FOLLOWERS_MAX and not work.full
    question = precedents.load_question(work.ports.state, key) or question  # an answer may have come meanwhile
    if done:
        question.wake = [each for each in question.wake if each != wanted]
    question.wake_at = work.now if question.wake else 0
    question.save(work.ports.state)


def _void(work: Work, answer: precedents.Answer) -> bool:
    """True when more is known now than when it was asked: it is asked anew, or answers itself."""
    record = load_remedy(work.ports.state, answer.remedy_id)
    finding = load_finding(work.ports.state, record.incident_id) if record is not None else None
    if record is None or finding is None or record.state != RemedyState.PROPOSED:
        return False
    known = precedents.learned_renames(work.ports.state, finding)
    asked = {wanted: delivered for delivered, wanted in answer.rename.items()}
    if not any(known.get(wanted, name) != name for wanted, name in asked.items()) and not set(asked) <= set(known):
        return False
    record.move(RemedyState.EXPIRED)
    record.wake_at = 0
    record.explanation = "more is known since; it is looked at again"
    record.save(work.ports.state)
    precedents.withdrawn(work.ports.state, record, record.explanation, work.now)
    return True


def _follow(work: Work, incident: str, remedy: str, answer: precedents.Answer) -> None:
    finding = load_finding(work.ports.state, incident)
    if finding is None or finding.asks != answer.key:
        return
    finding.asks = ""
    record = load_remedy(work.ports.state, finding.proposal) if finding.proposal else None
    if record is not None and record.batch_id != finding.batch_id:
        finding.proposal = ""  # another batch's, which may wait on while this one has its answer
    if answer.state == "expired" and remedy not in finding.refused:
        finding.refused.append(remedy)
        finding.note = f"{answer.remedy_id}: {answer.reason}"
    finding.save(work.ports.state)
    batch = load_healing(work.ports.state, finding.batch_id)
    if batch is not None and not finding.closed:
        steps.advance(work, batch)


def _wake_batch(work: Work, batch: Healing) -> None:
    standing = batch.standing()
    newest = standing[-1] if standing else None
    if newest is not None and newest.verdict and not newest.judged:
        newest.incidents = len(newest.classified)  # those that did not come will not come
    steps.advance(work, batch)


def _wake_finding(work: Work, finding: Finding) -> None:
    if finding.batch_id and finding.origin in (Origin.VIOLATION, Origin.DATASET):
        _refetch(work, finding)
    else:
        lone.wake(work, finding)


def _refetch(work: Work, finding: Finding) -> None:
    """Ask for the object again; after the last try the incident goes on to the next candidate."""
    finding.wake_at = 0
    record = load_remedy(work.ports.state, finding.proposal) if finding.proposal else None
    standing = record is not None and record.remedy == "refetch" and record.state == RemedyState.APPLIED
    if finding.closed or record is None or not standing:
        finding.save(work.ports.state)
        return
    if finding.retries >= TRIES_MAX:
        _give_up(work, finding)
        return
    finding.retries += 1
    finding.wake_at = work.now + ANSWER_MICROSECONDS
    finding.save(work.ports.state)
    work.emit(
        SourceReread,
        f"{record.remedy_id}|{finding.retries}",
        subject=finding.batch_id,
        pipeline=finding.pipeline,
        remedy_id=record.remedy_id,
        batch_id=finding.batch_id,
        uri=finding.uri,
        refetch=True,
    )


def refetch_failed(work: Work, batch: Healing, remedy_id: str, reason: str) -> None:
    """Nothing newer yet: pause and ask again, or give up."""
    record = load_remedy(work.ports.state, remedy_id)
    finding = load_finding(work.ports.state, record.incident_id) if record is not None else None
    if record is None or finding is None or finding.closed or finding.proposal != remedy_id:
        return
    finding.note = reason
    if finding.retries < TRIES_MAX:
        finding.wake_at = work.now + backoff_microseconds(finding.retries)
        finding.save(work.ports.state)
        return
    _give_up(work, finding)


def _give_up(work: Work, finding: Finding) -> None:
    record = load_remedy(work.ports.state, finding.proposal)
    if record is not None and record.state == RemedyState.APPLIED:
        why = f"the source had nothing newer in {finding.retries} tries; a later delivery still takes its place"
        verified(work, record, success=False, healed=0, left=record.rows, why=why)
    finding.proposal, finding.wake_at, finding.state = "", 0, "classified"
    finding.save(work.ports.state)
    batch = load_healing(work.ports.state, finding.batch_id)
    if batch is not None:
        steps.advance(work, batch)


def wake_children(work: Work, table: str, loaded_batch: str) -> None:
    """A table was loaded: batches whose rows wait for parents in it look again, by the next tick."""
    waiting = watchers(work.ports.state, "table", table)
    for batch_id in (waiting or {}).get("batches", []):
        batch = load_healing(work.ports.state, batch_id)
        if batch is None or batch.superseded_by or table in batch.awake or batch_id == loaded_batch:
            continue
        findings = [load_finding(work.ports.state, each) for each in batch.incidents]
        if not any(each is not None and each.awaits_table == table and not each.closed for each in findings):
            continue
        batch.awake.append(table)
        batch.wake_at = work.now
        batch.save(work.ports.state)
