"""Goal: the policies of simulated worlds mean to the product what they mean to the judge."""

from __future__ import annotations

import random

from services.remediate.freeze import frozen
from shared.domain.policy import Policy, parse_policy
from tests.conformance.turned_clock import START
from tests.simulation.rules import Rules, draw

_DAY = 86_400_000_000


def _read(rules: Rules) -> Policy:
    return parse_policy(rules.text(), "policy.yaml")


def test_what_is_drawn_is_what_is_read() -> None:
    kinds = set()
    for seed in range(300):
        rules = draw(seed, 200 if seed % 4 else 1, ["customers", "orders"])
        policy = _read(rules)
        assert policy.budget.remedies_per_hour == rules.budget
        assert policy.budget.remedies_per_hour_all == rules.budget_all
        assert policy.thresholds.safe == rules.safe_least
        assert min(policy.caps.rows_max, 1_000_000) == rules.rows_max
        assert policy.caps.rows_share_max == rules.share_max
        assert min(policy.caps.cost_max, 1.0) == rules.cost_max
        breaker = policy.circuit_breaker
        assert (breaker.failures, breaker.window_seconds, breaker.pause_seconds) == (
            rules.failures,
            rules.window // 1_000_000,
            rules.pause // 1_000_000,
        )
        kinds.update(name for name in rules.__slots__ if getattr(rules, name) != getattr(Rules(), name))
    assert kinds == set(Rules.__slots__)


def test_freeze_windows_are_open_when_the_judge_thinks_so() -> None:
    chance = random.Random(4)
    seen = set()
    for seed in range(300):
        rules = draw(seed, 200, ["customers", "orders"])
        moments = [START + chance.randrange(-_DAY, 3 * _DAY) for _ in range(8 if rules.freezes else 0)]
        moments += [each.start + shift for each in rules.freezes if not each.daily for shift in (-1, 0)]
        moments += [each.end + shift for each in rules.freezes if not each.daily for shift in (-1, 0)]
        for at in moments:
            for pipeline in ("customers", "orders"):
                held = any(each.holds(pipeline, at) for each in rules.freezes)
                assert bool(frozen(_read(rules), pipeline, at)) == held, (rules.text(), at)
                seen.add(held)
    assert seen == {True, False}
