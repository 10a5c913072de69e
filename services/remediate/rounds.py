"""One round of a batch: for each open incident the first candidate that helps, and what the policy says of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from services.remediate import deciding, precedents
from services.remediate.added_remedies import PlanFailed
from services.remediate.plans import Case, Plan, RemedyKind, Stage
from services.remediate.playbook.add_column import ADD_COLUMN
from services.remediate.records import Finding, Remedy, load_remedy
from services.remediate.registry import candidates, remedy_named, usable
from services.remediate.work import BatchCases, Work
from shared.domain.remedy import RemedyState

LAST = ("release", "hold_for_person")

_DELIVERY = frozenset({"wrong_dialect", "truncated_delivery", "empty_delivery", "unreadable_delivery"})
_COLUMNS = frozenset({"column_renamed", "column_added", "column_missing"})


class Choice(NamedTuple):
    """A remedy that may be carried out now for an incident."""

    finding: Finding
    remedy: RemedyKind
    plan: Plan
    record: Remedy | None  # of a person's approval; None when the policy allows it
    told: deciding.Assessment | None


@dataclass(slots=True, kw_only=True)
class Round:
    """What a round came to."""

    choices: list[Choice] = field(default_factory=list)
    waiting: list[Finding] = field(default_factory=list)  # for a person, a parent, a newer delivery
    covered: list[Finding] = field(default_factory=list)  # another incident's remedy takes care of them
    exhausted: list[Finding] = field(default_factory=list)
    late: list[Finding] = field(default_factory=list)  # parents came, but their rows had another problem then


def stage_of(finding: Finding) -> Stage:
    """At which level an incident stands: nothing below helps while the level above is open."""
    if finding.check == "delivery_complete" or finding.cause in _DELIVERY:
        return "delivery"
    if finding.check in ("missing_columns", "unexpected_columns") or finding.cause in _COLUMNS:
        return "columns"
    return "batch" if finding.check.partition(":")[0] in ("score", "row_count", "shift", "quality") else "rows"


def blocking_stage(findings: list[Finding], *, held: bool) -> Stage | None:
    """The level that must be settled before lower ones are worth a try; None = none is."""
    if not held:
        return None
    stages = {stage_of(each) for each in findings}
    return next((stage for stage in ("delivery", "columns") if stage in stages), None)


def choose_all(work: Work, cases: BatchCases, findings: list[Finding]) -> Round:
    """Choose for every open incident of the level whose turn it is; proposals are made on the way."""
    told = Round()
    blocked = blocking_stage(findings, held=cases.healing.held())
    claimed: dict[str, str] = {}
    asked = _asked(work, findings)
    for finding in sorted(findings, key=_turn):
        if blocked is not None and stage_of(finding) != blocked:
            continue
        if _covered(finding, claimed):
            told.covered.append(finding)
            continue
        case = cases.case(finding, claimed)
        chosen = choose(work, case, asked=asked)
        if isinstance(chosen, Choice):
            told.choices.append(chosen)
            claimed.update(chosen.plan.rename)
            told.choices += _rest_accepted(work, cases.case(finding, claimed), chosen)
        elif chosen == "waiting":
            told.waiting.append(finding)
            proposal = load_remedy(work.ports.state, finding.proposal) if finding.proposal else None
            claimed.update(proposal.plan.get("rename", {}) if proposal is not None else {})
        else:
            told.exhausted.append(finding)
    return told


def _rest_accepted(work: Work, case: Case, rename: Choice) -> list[Choice]:
    """The columns that a rename leaves over are new ones: accepted in the same attempt if the policy lets that."""
    finding = case.finding
    if not rename.plan.rename or finding.check != "missing_columns" or ADD_COLUMN.name in finding.refused:
        return []
    plan = ADD_COLUMN.plan(case)
    told = deciding.assess(work, case, ADD_COLUMN, plan) if plan is not None else None
    if plan is None or told is None or told.rejected or told.ruling.verdict != "apply":
        return []  # the next attempt finds them, and asks
    return [Choice(finding, ADD_COLUMN, plan, None, told)]


def _turn(finding: Finding) -> tuple[int, str]:
    """Renames come before new columns, since a renamed column is not new."""
    return (0 if finding.check == "missing_columns" else 1, finding.incident_id)


def _covered(finding: Finding, claimed: dict[str, str]) -> bool:
    """True when every unexpected column is taken by a rename of this round."""
    if finding.check != "unexpected_columns" or not claimed:
        return False
    names = [str(each.get("name")) for each in finding.evidence("unexpected") or [] if isinstance(each, dict)]
    return bool(names) and set(names) <= set(claimed)


def _asked(work: Work, findings: list[Finding]) -> dict[str, str]:
    """Proposals of the batch that wait for a person: remedy and columns → remedy id."""
    known = [load_remedy(work.ports.state, each.proposal) for each in findings if each.proposal]
    standing = [each for each in known if each is not None and each.state == RemedyState.PROPOSED]
    return {_question(each.remedy, each.columns): each.remedy_id for each in standing}


def _question(remedy: str, columns: Sequence[str]) -> str:
    return f"{remedy}|{','.join(columns)}"


def choose_beyond(work: Work, cases: BatchCases, told: Round, chosen: list[Choice]) -> list[Choice]:
    """The next candidate of each incident beside those chosen, whose rows are not ready; proposals on the way."""
    beside: dict[str, frozenset[str]] = {}
    for choice in chosen:
        known = beside.get(choice.finding.incident_id, frozenset())
        beside[choice.finding.incident_id] = known | {choice.remedy.name}
    waiting = [each.incident_id for each in told.waiting]
    # Where a person said yes, that is what is done, and nothing is asked beside it.
    approved = {each.finding.incident_id for each in chosen if each.record is not None}
    findings = {each.finding.incident_id: each.finding for each in chosen}
    asked = _asked(work, [*findings.values(), *told.waiting])
    more: list[Choice] = []
    for incident, finding in findings.items():
        if incident in waiting or incident in approved:
            continue
        next_one = choose(work, cases.case(finding, {}), asked=asked, beside=beside[incident])
        if isinstance(next_one, Choice):
            more.append(next_one)
        elif next_one == "waiting":
            told.waiting.append(finding)
    return more


def choose(
    work: Work,
    case: Case,
    *,
    last: bool = False,
    asked: dict[str, str] | None = None,
    beside: frozenset[str] = frozenset(),
) -> Choice | Literal["waiting", "exhausted"]:
    """The first candidate that has a plan. ``last`` looks at the remedies of last resort only.

    ``asked`` are questions that a person has been asked about the batch already: none is asked twice. ``beside``
    are remedies of the incident that were chosen in this round already.
    """
    asked = {} if asked is None else asked
    finding = case.finding
    standing = standing_proposal(work, case)
    if standing is not None:
        return standing
    finding.awaits_table = ""
    finding.note = "; ".join(str(error) for error in usable(case.policy)[1])[:500] or finding.note
    for remedy in candidates(finding.cause, case.policy):
        if (remedy.name in LAST) != last or remedy.name in finding.refused or remedy.name in beside:
            continue
        if finding.tried.get(remedy.name, 0) >= _times_max(case, remedy):
            continue
        try:
            plan = remedy.plan(case)
        except PlanFailed as error:
            finding.note = str(error)
            continue
        if plan is None:
            continue
        told = deciding.assess(work, case, remedy, plan)
        if told.rejected:
            finding.note = told.rejected
            continue
        if told.ruling.verdict == "apply":
            return Choice(finding, remedy, plan, None, told)
        if told.ruling.verdict == "propose":
            question = _question(remedy.name, plan.columns)
            if question in asked and not last:
                finding.proposal, finding.note = asked[question], "waits for the decision about the same column"
            elif told.waits_for:
                _join(work, case, remedy, plan, told.waits_for)
            else:
                asked[question] = deciding.propose(work, case, remedy, plan, told).remedy_id
            return "waiting"
        finding.note = f"{remedy.name}: {told.ruling.reason}"
        if told.ruling.verdict == "observe":
            return "exhausted"
    return "exhausted"


def _join(work: Work, case: Case, remedy: RemedyKind, plan: Plan, remedy_id: str) -> None:
    """The same is being asked already: one decision for all that wait for it."""
    finding = case.finding
    question = precedents.question_of_plan(work.ports.state, finding.pipeline, remedy.name, plan)
    finding.proposal = remedy_id
    finding.asks = question.answer(plan.signature).key if question is not None else ""
    finding.asks_seq = case.healing.seq if case.healing is not None else ""
    finding.note = f"waits for the decision on {remedy_id}: {plan.sentence}"[:1_000]


def standing_proposal(work: Work, case: Case) -> Choice | Literal["waiting"] | None:
    """What an earlier proposal has come to: it waits, was approved (plan anew), or is over (None)."""
    finding = case.finding
    record = load_remedy(work.ports.state, finding.proposal) if finding.proposal else None
    if record is None:
        finding.proposal = finding.asks = ""
        return None
    foreign = record.batch_id != finding.batch_id  # another batch's, that asks the same
    if record.state == RemedyState.PROPOSED or (record.awaits and not foreign):
        return "waiting"  # for a person, for a newer delivery, for a parent; else it was done, and this is left
    finding.proposal = finding.asks = ""
    if foreign:
        return None
    remedy = remedy_named(record.remedy, case.policy)
    if record.state != RemedyState.APPROVED or remedy is None:
        return None
    try:
        plan = remedy.plan(case)
    except PlanFailed as error:
        finding.note, plan = str(error), None
    if plan is None:
        why = "nothing was left to do when its turn came"
        deciding.verified(work, record, success=False, healed=0, left=0, why=why, counts=False)
        return None
    return Choice(finding, remedy, plan, record, None)


def _times_max(case: Case, remedy: RemedyKind) -> int:
    """Cell remedies come again for rows that they did not touch yet; others only as often as they say."""
    cells = remedy.stage == "rows" and remedy.times_max == 1
    return max(case.policy.caps.candidates_max, 1) if cells else remedy.times_max
