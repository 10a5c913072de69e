"""Remedies of installed packages, which the policy names: their plans are looked at before anybody follows them.

A package announces an instance under ``mendline.remedies`` that is built like ours (``services.remediate.plans``).
It may repair cells, and nothing else: the machine applies, verifies and undoes what it plans as it does with ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from services.remediate.plans import Case, Fit, Plan, RemedyKind, Stage
from shared.domain.errors import DefinitionError
from shared.domain.masking import clean
from shared.domain.remedy import Tier
from shared.runtime import plugins

_MAPPING = ("old", "new", "confidence")


class PlanFailed(Exception):
    """A package's remedy raised something, or planned what it may not; says which, without any value."""


class AddedRemedy:
    """A package's remedy with a guard around its plan."""

    person_only = False
    alone_when_autonomous = False
    times_max = 1
    stage: Stage = "rows"

    def __init__(self, name: str, inner: Any) -> None:
        self.name = name
        self.tier: Tier = inner.tier
        self.fits: Mapping[str, Fit] = inner.fits
        self._inner = inner

    def plan(self, case: Case) -> Plan | None:
        """The package's plan; ``PlanFailed`` when it fails or goes beyond cells of its own column."""
        try:
            plan = plugins.call(self._inner.plan, case)
        except plugins.PluginFailed as error:
            raise PlanFailed(f"the remedy {self.name} failed with {error}") from error
        if plan is None:
            return None
        wrong = _beyond(plan, self.name, case)
        if wrong:
            raise PlanFailed(f"the remedy {self.name} {wrong}")
        found: Plan = plan
        return found


def _beyond(plan: Any, name: str, case: Case) -> str:
    """What a plan does that a package's may not; "" when nothing."""
    if not isinstance(plan, Plan) or plan.action != "cells" or not plan.changes:
        return "planned something else than repairs of cells"
    extras = (plan.discards, plan.rename, plan.accept, plan.waive, plan.reading_options_json, plan.table)
    if any(extras):
        return "planned more than repairs of cells"
    columns = case.contract.column_names if case.contract is not None else ()
    for change in plan.changes:
        if change.remedy != name or change.all_rows or change.column not in columns:
            return "would change cells that its incident is not about"
        if tuple(change.mapping.columns) != _MAPPING or change.mapping["old"].is_duplicated().any():
            return "did not say of each text once what becomes of it (old, new, confidence)"
    return ""


@lru_cache(maxsize=64)
def added_remedy(name: str, taken: frozenset[str]) -> RemedyKind:
    """The remedy of a package; ``DefinitionError`` says what is missing about it."""
    if name in taken:
        raise DefinitionError("policy.yaml", 0, 0, f"{name} is one of our own remedies", "call the added one otherwise")
    inner = plugins.load(plugins.REMEDIES, name, place=("policy.yaml", 0))
    fits = getattr(inner, "fits", None)
    whole = isinstance(fits, Mapping) and all(isinstance(each, Fit) for each in fits.values())
    if not isinstance(getattr(inner, "tier", None), Tier) or not whole or not callable(getattr(inner, "plan", None)):
        what = f"the remedy {clean(name, 60)} has no tier, no fits or no plan"
        raise DefinitionError("policy.yaml", 0, 0, what, "build it like those of services.remediate.plans")
    return AddedRemedy(name, inner)
