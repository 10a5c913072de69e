"""The policy has defaults for everything, reads what is written, and only ever gets stricter by rules."""

from __future__ import annotations

import pytest

from shared.domain.errors import DefinitionError
from shared.domain.policy import Policy, parse_policy
from shared.domain.remedy import Mode, Tier


def test_no_file_is_the_default_policy() -> None:
    policy = parse_policy("", "policy.yaml")
    assert policy == Policy()
    assert (policy.thresholds.guarded, policy.thresholds.autonomous) == (0.8, 0.6)
    assert policy.approvals.expire_after_seconds == 7 * 86_400
    assert policy.circuit_breaker.window_seconds == 3600
    assert policy.prior("retry", "x") is None


def test_what_is_written_is_read() -> None:
    policy = parse_policy(
        """
mode_max: guarded
freeze:
  - {from: 2026-12-24T00:00:00Z, to: 2026-12-27T00:00:00Z}
  - {cron: "0 22 * * fri", lasts: 8h, pipelines: flights}
rules:
  - {remedy: deduplicate, tier: dangerous, pipelines: [flights]}
  - {remedy: deduplicate, action: propose}
  - {remedy: retry, tier: safe}
priors:
  - {remedy: retry, successes: 9, failures: 1}
  - {remedy: retry, cause: dns, successes: 1, failures: 9}
""",
        "policy.yaml",
    )
    assert policy.mode(Mode.AUTONOMOUS) is Mode.GUARDED
    assert policy.mode(Mode.PROPOSE) is Mode.PROPOSE
    assert policy.tier("deduplicate", Tier.GUARDED, "flights") is Tier.DANGEROUS
    assert policy.tier("deduplicate", Tier.GUARDED, "other") is Tier.GUARDED
    assert policy.tier("retry", Tier.GUARDED, "other") is Tier.GUARDED
    assert policy.action("deduplicate", "other") == "propose"
    assert policy.action("retry", "other") == "allow"
    assert policy.prior("retry", "dns") == (1, 9)
    assert policy.prior("retry", "reset") == (9, 1)


@pytest.mark.parametrize(
    ("text", "line", "column", "message", "hint"),
    [
        ("treshold: 1", 1, 1, 'unknown key "treshold"', '"thresholds"'),
        ("thresholds: {guarded: 2}", 1, 14, "less than or equal to 1", ""),
        ("freeze:\n  - {from: 2026-12-24T00:00:00Z}", 2, 5, "either from and to", "pairs"),
        ("freeze:\n  - {from: 2026-12-24, to: 2026-12-25}", 2, 5, "time zone", "such as"),
        ("freeze:\n  - {frm: 2026-12-24T00:00:00Z}", 2, 6, 'unknown key "frm"', '"from"'),
        ("circuit_breaker:\n  failures: 3\n  window: 1x", 3, 3, "no duration", "such as"),
        ("rules: [{remedy: a, tier: safee}]", 1, 21, '"tier" cannot be "safee"', '"safe"'),
        ("priors: [{remedy: a, successes: 0, failures: 1}]", 1, 22, "greater than 0", ""),
    ],
)
def test_a_slip_is_named(text: str, line: int, column: int, message: str, hint: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        parse_policy(text, "policy.yaml")
    error = caught.value
    assert (error.line, error.column) == (line, column)
    assert message in error.message
    assert hint in error.hint
