"""From a plan to a record: asks the policy, proposes to a person, notes who decided, counts the outcome."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from services.remediate import budget, posterior, precedents
from services.remediate.decision import Request, Ruling, decide
from services.remediate.freeze import frozen
from services.remediate.plans import Case, Plan, RemedyKind
from services.remediate.posterior import Kind, Outcome
from services.remediate.records import DECISIONS, Remedy
from services.remediate.registry import prior_of
from services.remediate.work import Work
from shared.domain import ids
from shared.domain.pipeline import Healing as HealingLimits
from shared.domain.remedy import Mode, RemedyState, Tier
from shared.events.types import ContractAmended, RemedyApplied, RemedyProposed, RemedyVerified

if TYPE_CHECKING:
    from shared.domain.policy import CircuitBreaker, Policy

PLAN_JSON_CHARACTERS_MAX = 30_000


class Assessment(NamedTuple):
    """What the policy says of a plan, with the two probabilities it looked at."""

    ruling: Ruling
    p_cause: float
    p_success: float
    precedent: str = ""  # the remedy whose precedent it follows
    rejected: str = ""  # who rejected the same before, and why
    waits_for: str = ""  # the remedy about which the same was asked already


def assess(work: Work, case: Case, remedy: RemedyKind, plan: Plan) -> Assessment:
    """Ask the policy about a planned remedy."""
    finding, policy, state = case.finding, case.policy, work.ports.state
    limits = case.definition.healing if case.definition is not None else HealingLimits()
    outcomes, recent = _outcomes(work, Kind(finding.cause, remedy.name, finding.pipeline), policy.circuit_breaker)
    likely = posterior.posterior(prior_of(remedy, finding.cause, policy), outcomes).mean * plan.confidence
    here, everywhere = budget.spent(state, finding.pipeline, work.now, policy.budget.remedies_per_hour_all)
    mine = (finding.pipeline, finding.incident_id, remedy.name)
    beside = [pipeline for pipeline, *_ in work.allowed - {mine}]  # allowed by this handler, not to be seen yet
    here, everywhere = here + beside.count(finding.pipeline), everywhere + len(beside)
    answer = precedents.answer_of_plan(state, case, remedy.name, plan)
    standing = answer.state == "standing" and (answer.by == "policy" or policy_people(policy, answer.by))
    alone = remedy.alone_when_autonomous and policy.mode(limits.mode) == Mode.AUTONOMOUS
    request = Request(
        remedy=remedy.name,
        tier=remedy.tier,
        pipeline=finding.pipeline,
        p_cause=max(finding.p_cause, plan.p_cause),
        p_success=likely,
        rows_changed=plan.rows_changed,
        rows_batch=case.healing.rows_total() if case.healing else 0,
        cost=cost_of(case, plan),
        person_only=remedy.person_only and not alone,
        precedent=answer.remedy_id if standing else "",
        precedent_by=answer.by if standing else "",
        spent_pipeline=here,
        spent_all=everywhere,
        frozen=frozen(policy, finding.pipeline, work.now),
        outcomes=recent,
        now=work.now,
    )
    ruling = decide(request, policy, limits)
    followed = answer.remedy_id if ruling.reason.startswith("by precedent of ") else ""
    tier = policy.tier(remedy.name, remedy.tier, finding.pipeline)
    if ruling.verdict == "apply" and tier != Tier.SAFE and not followed:
        work.allowed.add(mine)
    rejected = f"{answer.by} rejected the same ({answer.remedy_id}) {answer.reason}".strip()
    return Assessment(
        ruling,
        request.p_cause,
        likely,
        followed,
        rejected if answer.state == "rejected" else "",
        answer.remedy_id if answer.state == "asked" else "",
    )


def _outcomes(work: Work, kind: Kind, breaker: CircuitBreaker) -> tuple[list[Outcome], tuple[Outcome, ...]]:
    """What became of the remedy for the cause; and lately for any, oldest first.

    What this handler has just fed counts too: a remedy that failed once too often is not taken again in the same step.
    """
    state, since = work.ports.state, work.now - (breaker.window_seconds + breaker.pause_seconds) * 1_000_000
    known = posterior.outcomes_of(state, *kind)
    recent = posterior.recent_outcomes(state, kind.remedy, kind.pipeline, since, breaker.failures)
    known += [outcome for fed, outcome in work.outcomes if fed == kind]
    recent += [outcome for fed, outcome in work.outcomes if fed[1:] == kind[1:]]
    return known, tuple(recent)


def cost_of(case: Case, plan: Plan) -> float:
    """US dollars for what goes through the pipeline again: the whole delivery, or its share of rows.

    bytes × price of a tebibyte (``caps.dollars_per_tib``); what waits or asks costs nothing.
    """
    if case.healing is None or plan.action in ("await", "person", "retry"):
        return 0.0
    rows = case.healing.rows_total()
    share = min(plan.rows / rows, 1.0) if plan.action in ("cells", "discard") and rows else 1.0
    return case.bytes * share / 2**40 * case.policy.caps.dollars_per_tib


def new_record(work: Work, case: Case, remedy: RemedyKind, plan: Plan, told: Assessment) -> Remedy:
    """The record of the next try of a remedy on an incident, in state proposed; the incident knows it."""
    finding = case.finding
    ordinal = finding.next_ordinal(remedy.name)
    finding.tried[remedy.name] = finding.tried.get(remedy.name, 0) + 1
    record = Remedy(
        remedy_id=ids.remedy_id(finding.incident_id, remedy.name, ordinal),
        remedy=remedy.name,
        tier=case.policy.tier(remedy.name, remedy.tier, finding.pipeline),
        incident_id=finding.incident_id,
        cause=finding.cause,
        pipeline=finding.pipeline,
        batch_id=finding.batch_id,
        columns=list(plan.columns),
        plan_text=plan.sentence[:1_000],
        plan=plan.told(),
        reason=told.ruling.reason,
        rows=plan.rows,
        rows_changed=plan.rows_changed,
        p_cause=told.p_cause,
        p_success=min(told.p_success, 1.0),
        cost=round(cost_of(case, plan), 9),
        precedent=told.precedent,
        proposed_at=work.now,
    )
    finding.remedies.append(record.remedy_id)
    return record


def propose(work: Work, case: Case, remedy: RemedyKind, plan: Plan, told: Assessment) -> Remedy:
    """Ask a person; the proposal expires."""
    record = new_record(work, case, remedy, plan, told)
    record.expires = record.wake_at = work.now + case.policy.approvals.expire_after_seconds * 1_000_000
    record.diff = _write_diff(work, plan, record)
    case.finding.proposal = record.remedy_id
    case.finding.state = "waiting"
    case.finding.note = told.ruling.reason
    case.finding.asks = precedents.asked(work.ports.state, record, work.now)
    case.finding.asks_seq = case.healing.seq if case.healing is not None else ""
    note_decision(work, record.remedy_id, "propose", "policy", told.ruling.reason)
    record.save(work.ports.state)
    work.emit(
        RemedyProposed,
        f"proposed|{record.remedy_id}",
        subject=record.remedy_id,
        remedy_id=record.remedy_id,
        incident_id=record.incident_id,
        remedy=record.remedy,
        tier=record.tier,
        pipeline=record.pipeline,
        batch_id=record.batch_id,
        plan=record.plan_text,
        reason=told.ruling.reason,
        p_cause=record.p_cause,
        p_success=record.p_success,
        rows=record.rows,
        plan_json=plan_json(record),
        expires=record.expires,
    )
    return record


def plan_json(record: Remedy) -> str:
    """The plan as bounded JSON text."""
    text = json.dumps({**record.plan, "diff": record.diff} if record.diff else record.plan, ensure_ascii=False)
    return text if len(text) <= PLAN_JSON_CHARACTERS_MAX else json.dumps({"action": record.plan.get("action", "")})


def _write_diff(work: Work, plan: Plan, record: Remedy) -> str:
    """The proposed texts as a file beside the repairs, for whoever decides; "" when no cell would change."""
    import io

    import polars as pl

    if not plan.changes or not record.batch_id:
        return ""
    path = f"repairs/{record.batch_id}/proposed/{record.remedy_id}.parquet"
    frames = [
        each.mapping.select(pl.lit(each.column).alias("column"), "old", "new", "confidence") for each in plan.changes
    ]
    buffer = io.BytesIO()
    pl.concat(frames).write_parquet(buffer)
    with work.ports.objects.write(path) as stream:
        stream.write(buffer.getbuffer())
    return path


def approve(work: Work, record: Remedy, by: str, reason: str) -> None:
    """Somebody, or the policy, says yes."""
    record.move(RemedyState.APPROVED)
    record.decided_by = by
    record.decided_at = work.now
    record.wake_at = 0
    note_decision(work, record.remedy_id, "approve", by, reason)
    if by == "policy":
        if record.tier != Tier.SAFE and not record.precedent:
            budget.spend(work.ports.state, record.remedy_id, record.pipeline, work.now)
    else:
        precedents.decided(work.ports.state, record, "standing", by, reason, work.now)


def note_decision(work: Work, remedy_id: str, decision: str, by: str, reason: str) -> None:
    """Keep who decided what; earlier decisions stay in the history."""
    document = work.ports.state.get(DECISIONS, remedy_id) or {"remedy_id": remedy_id, "history": []}
    said = {"decision": decision, "by": by, "reason": reason[:500], "at": work.now}
    history = [*document["history"], said][-20:]
    work.ports.state.put(DECISIONS, remedy_id, {"remedy_id": remedy_id, **said, "history": history})


def applied(work: Work, record: Remedy, attempt: int = 0) -> None:
    """The remedy is carried out; what it did stands in the record."""
    record.move(RemedyState.APPLIED)
    record.applied_at = work.now
    record.attempt = attempt
    record.save(work.ports.state)
    work.emit(
        RemedyApplied,
        f"applied|{record.remedy_id}",
        subject=record.remedy_id,
        remedy_id=record.remedy_id,
        incident_id=record.incident_id,
        remedy=record.remedy,
        tier=record.tier,
        pipeline=record.pipeline,
        batch_id=record.batch_id,
        attempt=attempt,
        plan=record.plan_text,
        decided_by=record.decided_by or "policy",
        rows=record.rows,
        cells_changed=record.cells_changed,
        rows_discarded=record.rows_discarded,
        columns=record.columns,
    )


def verified(
    work: Work, record: Remedy, *, success: bool, healed: int, left: int, why: str, counts: bool = True
) -> None:
    """The outcome is known; it feeds the posterior once."""
    if record.state == RemedyState.APPROVED and not success:
        record.move(RemedyState.FAILED)
    else:
        record.move(RemedyState.VERIFIED if success else RemedyState.FAILED)
    record.verified_at = work.now
    record.rows_healed, record.rows_not_healed = healed, left
    record.explanation = why
    record.wake_at = 0
    record.save(work.ports.state)
    if success or counts:
        _settle_precedent(work, record, success=success)
    if counts:
        kind, outcome = Kind(record.cause, record.remedy, record.pipeline), Outcome(success, work.now)
        if posterior.feed(work.ports.state, record.remedy_id, kind, outcome):
            work.outcomes.append((kind, outcome))
    work.emit(
        RemedyVerified,
        f"verified|{record.remedy_id}",
        subject=record.remedy_id,
        remedy_id=record.remedy_id,
        incident_id=record.incident_id,
        remedy=record.remedy,
        cause=record.cause,
        pipeline=record.pipeline,
        batch_id=record.batch_id,
        attempt=record.attempt,
        state=record.state,
        rows_healed=healed,
        rows_not_healed=left,
        explanation=why,
    )


def _settle_precedent(work: Work, record: Remedy, *, success: bool) -> None:
    """What was verified holds from now on; a precedent that failed where it was made does not."""
    state = work.ports.state
    if not success:
        precedents.withdrawn(state, record, "it did not help where it was tried first", work.now)
        return
    precedents.proved(state, record, work.now)
    renamed = record.plan.get("rename", {})
    if renamed and not record.precedent and not _disputed(work, record):
        work.emit(
            ContractAmended,
            f"{record.remedy_id}|renames",
            subject=record.pipeline,
            pipeline=record.pipeline,
            remedy_id=record.remedy_id,
            accept_renames_json=json.dumps(renamed, ensure_ascii=False, sort_keys=True),
        )


def _disputed(work: Work, record: Remedy) -> bool:
    """True while a proposal waits that takes another delivered column for one of the same contract columns.

    Proposals that the values did not decide are looked at again, now that more is known.
    """
    mine = {wanted: delivered for delivered, wanted in record.plan.get("rename", {}).items()}
    disputed = False
    for question in precedents.open_questions(work.ports.state, record.pipeline, record.remedy):
        for answer in question.in_state("asked"):
            theirs = {wanted: delivered for delivered, wanted in answer.rename.items()}
            if not set(mine) & set(theirs):
                continue
            if answer.decided_by_values:
                disputed = disputed or any(theirs.get(wanted, name) != name for wanted, name in mine.items())
            elif answer.remedy_id != record.remedy_id:
                question.call(answer, work.now)
                question.save(work.ports.state)
    return disputed


def policy_people(policy: Policy, by: str) -> bool:
    """True when that person may decide."""
    return not policy.approvals.people or by in policy.approvals.people
