"""What may not run by itself: tiers, modes, thresholds, caps, budgets, freeze windows and resting remedies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tests.simulation.rules import Rules

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

_HOUR = 3_600_000_000
Remedy = Mapping[str, Any]


def beyond(simulation: Simulation, key: str, remedy: Remedy) -> Iterator[str]:
    """What the policy let run although it may not; looked at as the decision is committed.

    A precedent stands above thresholds, caps and budgets, not above freeze windows and rest.
    """
    if remedy["decided_by"] != "policy" or remedy["state"] not in ("approved", "applied"):
        return
    told, rules = f"{remedy['remedy']} {key}", simulation.world.rules
    plan = simulation.world.plans.get(remedy["pipeline"])
    mode = plan.healing if plan is not None else "guarded"
    safe = remedy["tier"] == "safe"
    if remedy["tier"] == "dangerous":
        yield f"policy: {told} is dangerous and ran by itself"
    if not safe and any(each.holds(remedy["pipeline"], int(remedy["decided_at"])) for each in rules.freezes):
        yield f"freeze: {told} ran by itself within a freeze window"
    if _rests(simulation, remedy, rules):
        yield f"breaker: {told} ran by itself, and had failed {rules.failures} times just before"
    if remedy["precedent"]:
        return
    if mode in ("observe", "propose"):
        yield f"policy: {told} ran by itself in mode {mode}"
    least = rules.safe_least if safe else {"guarded": 0.8, "autonomous": 0.6}.get(mode, 0.0)
    likely = float(remedy["p_cause"]) * float(remedy["p_success"])
    if likely < least - 1e-9:
        yield f"policy: {told} ran at {likely:.3f}, below {least}"
    if float(remedy["cost"]) > rules.cost_max:
        yield f"caps: {told} ran by itself for {remedy['cost']} dollars, of {rules.cost_max}"
    if not safe:
        yield from _too_much(simulation, told, remedy, mode)
        yield from _beyond_budget(simulation, key, told, remedy)


def _too_much(simulation: Simulation, told: str, remedy: Remedy, mode: str) -> Iterator[str]:
    """It changes more rows than one remedy may: as many as it said, and as many as its attempt shows."""
    rules, plan = simulation.world.rules, simulation.world.plans[remedy["pipeline"]]
    batch = simulation.store.documents("healings").get(remedy["batch_id"])
    if batch is None:
        return
    rows = max((each["rows"] for each in batch["attempts"] if each["reading"] == batch["reading"]), default=0)
    share = min(rules.share_max, plan.share) if mode == "guarded" else rules.share_max
    changed = max(int(remedy["rows_changed"]), _changed(simulation, remedy))
    if changed > rules.rows_max:
        yield f"caps: {told} changed {changed} rows by itself, of {rules.rows_max}"
    if changed > share * rows:
        yield f"caps: {told} changed {changed} of {rows} rows by itself, of {share:.0%}"


def _changed(simulation: Simulation, remedy: Remedy) -> int:
    """Rows whose cells its attempt's log says it changed; those that it dropped it counts itself."""
    path = f"repairs/{remedy['batch_id']}/a{int(remedy['attempt']):04d}/cells.parquet"
    if not remedy["cells_changed"] or simulation.objects.stat(path) is None:
        return int(remedy["rows_discarded"])
    mine = {
        row["_mend_row"]
        for row in simulation.rows(path)
        if row["remedy"] == remedy["remedy"] and row["column"] in remedy["columns"]
    }
    return len(mine)


def _beyond_budget(simulation: Simulation, key: str, told: str, remedy: Remedy) -> Iterator[str]:
    at, rules = int(remedy["decided_at"]), simulation.world.rules
    beside = [
        other["pipeline"]
        for name, other in simulation.store.documents("remedies").items()
        if name != key
        and other["decided_by"] == "policy"
        and other["tier"] != "safe"
        and not other["precedent"]
        and at - _HOUR < int(other["decided_at"]) <= at
    ]
    here = beside.count(remedy["pipeline"]) + 1
    if here > rules.budget:
        yield f"budget: {told} was the {here}. in an hour, of {rules.budget}"
    if len(beside) + 1 > rules.budget_all:
        yield f"budget: {told} was the {len(beside) + 1}. of all in an hour, of {rules.budget_all}"


def _rests(simulation: Simulation, remedy: Remedy, rules: Rules) -> bool:
    """Whether it had failed so often, without a success between, that it rests."""
    at = int(remedy["decided_at"])
    known = sorted(
        (int(each["at"]), bool(each["success"]))
        for each in simulation.store.documents("posteriors").values()
        if each["remedy"] == remedy["remedy"] and each["pipeline"] == remedy["pipeline"] and int(each["at"]) <= at
    )
    last = known[-rules.failures :]
    if len(last) < rules.failures or any(success for _, success in last):
        return False
    return last[-1][0] - last[0][0] <= rules.window and at < last[-1][0] + rules.pause
