"""May a remedy run by itself? A pure table of modes, tiers, thresholds, caps, budget, freezes and the breaker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from services.remediate.posterior import Outcome
from shared.domain.pipeline import Healing
from shared.domain.policy import CircuitBreaker, Policy
from shared.domain.remedy import Mode, Tier

Verdict = Literal["apply", "propose", "forbid", "observe"]


class Ruling(NamedTuple):
    """What is to be done with a planned remedy, and why."""

    verdict: Verdict
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Everything that the decision depends on."""

    remedy: str
    tier: Tier
    pipeline: str
    p_cause: float
    p_success: float
    rows_changed: int = 0
    rows_batch: int = 0
    cost: float = 0.0
    person_only: bool = False  # the remedy is a question to a person by its nature
    precedent: str = ""  # the remedy with the same signature that was decided before
    precedent_by: str = ""  # by whom: a person, or the policy
    spent_pipeline: int = 0
    spent_all: int = 0
    frozen: str = ""  # name of the freeze window that is open
    outcomes: tuple[Outcome, ...] = ()  # of this remedy in this pipeline, oldest first
    now: int = 0


def decide(request: Request, policy: Policy, healing: Healing) -> Ruling:
    """Apply, propose to a person, forbid, or only observe."""
    mode = policy.mode(healing.mode)
    tier = policy.tier(request.remedy, request.tier, request.pipeline)
    action = policy.action(request.remedy, request.pipeline)
    if action == "forbid":
        return Ruling("forbid", f"the policy forbids {request.remedy} in {request.pipeline or 'this place'}")
    if mode == Mode.OBSERVE:
        return Ruling("observe", "mode observe: diagnoses only")
    person = request.precedent != "" and request.precedent_by not in ("", "policy")
    if person and tier != Tier.DANGEROUS:
        return _by_precedent(request, policy, tier)
    if request.person_only:
        return Ruling("propose", "only a person can do this")
    if mode == Mode.PROPOSE:
        return Ruling("propose", "mode propose: a person decides everything")
    if action == "propose":
        return Ruling("propose", f"the policy wants a person to decide about {request.remedy}")
    if tier == Tier.DANGEROUS:
        return Ruling("propose", "dangerous remedies never run by themselves")
    if request.precedent:
        return _by_precedent(request, policy, tier)
    reasons = [
        reason
        for reason in (
            _unlikely(request, policy, mode, tier),
            _too_much(request, policy, healing, mode, tier),
            _spent(request, policy) if tier != Tier.SAFE else "",
            f"freeze window {request.frozen}" if request.frozen and tier != Tier.SAFE else "",
            _broken(request, policy.circuit_breaker),
        )
        if reason
    ]
    return Ruling("propose", "; ".join(reasons)) if reasons else Ruling("apply", f"{tier} remedy in mode {mode}")


def _by_precedent(request: Request, policy: Policy, tier: Tier) -> Ruling:
    """The same was decided before: only a freeze window or a remedy that rests is in its way."""
    frozen = f"freeze window {request.frozen}" if request.frozen and tier != Tier.SAFE else ""
    reasons = [reason for reason in (frozen, _broken(request, policy.circuit_breaker)) if reason]
    if reasons:
        return Ruling("propose", "; ".join(reasons))
    return Ruling("apply", f"by precedent of {request.precedent_by}, {request.precedent}")


def _unlikely(request: Request, policy: Policy, mode: Mode, tier: Tier) -> str:
    limits = policy.thresholds
    guarded = limits.autonomous if mode == Mode.AUTONOMOUS else limits.guarded
    least = limits.safe if tier == Tier.SAFE else guarded
    likely = request.p_cause * request.p_success
    if likely >= least:
        return ""
    product = f"cause {request.p_cause:.2f} × remedy {request.p_success:.2f}"
    return f"it helps with probability {likely:.2f} ({product}); {least:.2f} is needed"


def _too_much(request: Request, policy: Policy, healing: Healing, mode: Mode, tier: Tier) -> str:
    if request.cost > min(healing.cost_max, policy.caps.cost_max):
        return f"it may cost {request.cost:.2f} dollars"
    if tier == Tier.SAFE:
        return ""
    rows_max, share_max = policy.caps.rows_max, policy.caps.rows_share_max
    if mode == Mode.GUARDED:
        rows_max, share_max = min(rows_max, healing.rows_max), min(share_max, healing.rows_share_max)
    if request.rows_changed > rows_max:
        return f"it changes {request.rows_changed:,} rows, more than {rows_max:,}"
    if request.rows_changed > share_max * request.rows_batch:
        share = request.rows_changed / request.rows_batch if request.rows_batch else 1.0
        return f"it changes {share:.0%} of the rows, more than {share_max:.0%}"
    return ""


def _spent(request: Request, policy: Policy) -> str:
    if request.spent_pipeline >= policy.budget.remedies_per_hour:
        return f"this hour's budget of {policy.budget.remedies_per_hour} remedies is used up"
    if request.spent_all >= policy.budget.remedies_per_hour_all:
        return f"this hour's budget of {policy.budget.remedies_per_hour_all} remedies for all pipelines is used up"
    return ""


def _broken(request: Request, breaker: CircuitBreaker) -> str:
    if breaker_open(request.outcomes, breaker, request.now):
        times = f"failed {breaker.failures} times here within {breaker.window}"
        return f"{request.remedy} {times}; it rests for {breaker.pause}"
    return ""


def breaker_open(outcomes: tuple[Outcome, ...], breaker: CircuitBreaker, now: int) -> bool:
    """True while a remedy rests: its last ``failures`` outcomes all failed, within the window, and the pause lasts."""
    last = outcomes[-breaker.failures :]
    if len(last) < breaker.failures or any(each.success for each in last):
        return False
    if last[-1].at - last[0].at > breaker.window_seconds * 1_000_000:
        return False
    return now < last[-1].at + breaker.pause_seconds * 1_000_000
