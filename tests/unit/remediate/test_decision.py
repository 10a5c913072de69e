"""Goal: the policy's table, case by case; nothing runs by itself that should not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.remediate.decision import Request, breaker_open, decide
from services.remediate.freeze import frozen
from services.remediate.posterior import Beta, Outcome, posterior
from shared.domain.pipeline import Healing
from shared.domain.policy import Budget, CircuitBreaker, FreezeWindow, Policy, RemedyRule
from shared.domain.remedy import Mode, Tier

SECOND = 1_000_000
REQUEST = Request(
    remedy="parse_dates",
    tier=Tier.GUARDED,
    pipeline="flights",
    p_cause=0.95,
    p_success=0.95,
    rows_changed=10,
    rows_batch=100,
)
FAILED = tuple(Outcome(False, at * SECOND) for at in (1, 2, 3))


@pytest.mark.parametrize(
    ("changes", "mode", "verdict"),
    [
        ({}, Mode.GUARDED, "apply"),
        ({}, Mode.OBSERVE, "observe"),
        ({}, Mode.PROPOSE, "propose"),
        ({"tier": Tier.SAFE}, Mode.PROPOSE, "propose"),
        ({"tier": Tier.SAFE, "p_cause": 0.1}, Mode.GUARDED, "apply"),
        ({"tier": Tier.SAFE, "rows_changed": 100}, Mode.GUARDED, "apply"),
        ({"tier": Tier.DANGEROUS}, Mode.GUARDED, "propose"),
        ({"tier": Tier.DANGEROUS, "p_cause": 1.0, "p_success": 1.0}, Mode.AUTONOMOUS, "propose"),
        ({"p_cause": 0.8}, Mode.GUARDED, "propose"),
        ({"p_cause": 0.8}, Mode.AUTONOMOUS, "apply"),
        ({"p_cause": 0.6}, Mode.AUTONOMOUS, "propose"),
        ({"rows_changed": 25}, Mode.GUARDED, "apply"),
        ({"rows_changed": 26}, Mode.GUARDED, "propose"),
        ({"rows_changed": 100}, Mode.AUTONOMOUS, "apply"),
        ({"rows_changed": 2_000_000, "rows_batch": 100_000_000}, Mode.GUARDED, "propose"),
        ({"cost": 1.5}, Mode.GUARDED, "propose"),
        ({"cost": 1.5, "tier": Tier.SAFE}, Mode.GUARDED, "propose"),
        ({"person_only": True}, Mode.AUTONOMOUS, "propose"),
        ({"person_only": True}, Mode.OBSERVE, "observe"),
        ({"spent_pipeline": 199}, Mode.GUARDED, "apply"),
        ({"spent_pipeline": 200}, Mode.GUARDED, "propose"),
        ({"spent_all": 1_000}, Mode.GUARDED, "propose"),
        ({"spent_all": 1_000, "tier": Tier.SAFE}, Mode.GUARDED, "apply"),
        ({"precedent": "r1", "precedent_by": "ada", "person_only": True, "spent_pipeline": 200}, Mode.PROPOSE, "apply"),
        ({"precedent": "r1", "precedent_by": "policy", "p_cause": 0.1}, Mode.GUARDED, "apply"),
        ({"precedent": "r1", "precedent_by": "policy"}, Mode.PROPOSE, "propose"),
        ({"precedent": "r1", "precedent_by": "ada"}, Mode.OBSERVE, "observe"),
        ({"precedent": "r1", "precedent_by": "ada", "tier": Tier.DANGEROUS}, Mode.AUTONOMOUS, "propose"),
        ({"precedent": "r1", "precedent_by": "ada", "frozen": "christmas"}, Mode.GUARDED, "propose"),
        ({"precedent": "r1", "precedent_by": "ada", "outcomes": FAILED, "now": 4 * SECOND}, Mode.GUARDED, "propose"),
        ({"frozen": "christmas"}, Mode.AUTONOMOUS, "propose"),
        ({"frozen": "christmas", "tier": Tier.SAFE}, Mode.GUARDED, "apply"),
        ({"outcomes": FAILED, "now": 4 * SECOND}, Mode.GUARDED, "propose"),
        ({"outcomes": FAILED, "now": 4 * SECOND}, Mode.AUTONOMOUS, "propose"),
        ({"outcomes": FAILED, "now": 3_700 * SECOND}, Mode.GUARDED, "apply"),
    ],
)
def test_the_table(changes: dict[str, Any], mode: Mode, verdict: str) -> None:
    ruling = decide(replace(REQUEST, **changes), Policy(), Healing(mode=mode))
    assert ruling.verdict == verdict
    assert ruling.reason


def test_the_policy_bounds_the_pipeline() -> None:
    assert decide(REQUEST, Policy(mode_max=Mode.PROPOSE), Healing(mode=Mode.AUTONOMOUS)).verdict == "propose"
    forbidden = Policy(rules=(RemedyRule(remedy="parse_dates", action="forbid"),))
    assert decide(REQUEST, forbidden, Healing()).verdict == "forbid"
    stricter = Policy(rules=(RemedyRule(remedy="parse_dates", tier=Tier.DANGEROUS),))
    assert decide(REQUEST, stricter, Healing(mode=Mode.AUTONOMOUS)).verdict == "propose"
    assert decide(REQUEST, Policy(budget=Budget(remedies_per_hour=0)), Healing()).verdict == "propose"


@given(
    st.builds(
        Request,
        remedy=st.just("x"),
        tier=st.sampled_from(Tier),
        pipeline=st.just("p"),
        p_cause=st.floats(0, 1),
        p_success=st.floats(0, 1),
        rows_changed=st.integers(0, 100),
        rows_batch=st.integers(0, 100),
    ),
    st.sampled_from(Mode),
)
def test_dangerous_never_runs_alone_and_careful_modes_never_apply(request: Request, mode: Mode) -> None:
    ruling = decide(request, Policy(), Healing(mode=mode))
    if request.tier == Tier.DANGEROUS or mode in (Mode.OBSERVE, Mode.PROPOSE):
        assert ruling.verdict != "apply"
    if ruling.verdict == "apply" and request.tier == Tier.GUARDED and mode == Mode.GUARDED:
        assert request.p_cause * request.p_success >= 0.8
        assert request.rows_changed <= 0.25 * request.rows_batch


def test_the_breaker_closes_again_after_its_pause_and_after_a_success() -> None:
    breaker = CircuitBreaker()
    assert breaker_open(FAILED, breaker, 5 * SECOND)
    assert not breaker_open(FAILED[:2], breaker, 5 * SECOND)
    assert not breaker_open((*FAILED[:2], Outcome(True, 3 * SECOND)), breaker, 5 * SECOND)
    assert not breaker_open(FAILED, breaker, 3_604 * SECOND)
    spread = tuple(Outcome(False, at * 3_000 * SECOND) for at in (1, 2, 3))
    assert not breaker_open(spread, breaker, 9_001 * SECOND)


def test_outcomes_grow_the_prior() -> None:
    grown = posterior(Beta(3, 1), [Outcome(True, 1), Outcome(False, 2), Outcome(True, 3)])
    assert grown == Beta(5, 2)
    assert grown.mean == pytest.approx(5 / 7)


@pytest.mark.parametrize(
    ("window", "moment", "is_open"),
    [
        ({"from": "2026-12-24T00:00:00Z", "to": "2026-12-27T00:00:00Z"}, (2026, 12, 25, 12, 0), True),
        ({"from": "2026-12-24T00:00:00Z", "to": "2026-12-27T00:00:00Z"}, (2026, 12, 27, 0, 0), False),
        ({"cron": "0 22 * * *", "lasts": "8h"}, (2026, 3, 4, 5, 59), True),
        ({"cron": "0 22 * * *", "lasts": "8h"}, (2026, 3, 4, 6, 0), False),
        ({"cron": "0 0 * * sat", "lasts": "2d"}, (2026, 3, 8, 23, 0), True),
        ({"cron": "0 0 * * sat", "lasts": "2d"}, (2026, 3, 9, 0, 0), False),
        ({"cron": "*/15 9-17 * jan,mar mon-fri", "lasts": "1m"}, (2026, 3, 4, 9, 30), True),
        ({"cron": "*/15 9-17 * jan,mar mon-fri", "lasts": "1m"}, (2026, 3, 4, 9, 31), False),
        ({"cron": "0 0 1 * mon", "lasts": "1h"}, (2026, 3, 1, 0, 30), True),
    ],
)
def test_freeze_windows(window: dict[str, str], moment: tuple[int, ...], is_open: bool) -> None:
    policy = Policy(freeze=(FreezeWindow.model_validate(window),))
    now = int(datetime(*moment, tzinfo=UTC).timestamp() * SECOND)  # type: ignore[arg-type,misc]
    assert bool(frozen(policy, "flights", now)) is is_open
