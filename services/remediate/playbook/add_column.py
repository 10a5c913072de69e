"""add_column: a column that the contract does not know is accepted from now on, with the type its values have."""

from __future__ import annotations

import re

from services.remediate.plans import Case, Fit, Plan, Played
from shared.domain.contract import LOGICAL_TYPES
from shared.domain.remedy import Tier

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,299}\Z")


class _AddColumn(Played):
    def plan(self, case: Case) -> Plan | None:
        """Accept every unexpected column that no rename of this round takes, once nothing is missing any more."""
        check = case.finding.check
        if check not in ("unexpected_columns", "missing_columns") or case.healing is None:
            return None
        missing = case.finding.evidence("missing") or []
        if check == "missing_columns" and not set(missing) <= set(case.claimed.values()):
            return None
        told = [each for each in case.finding.evidence("unexpected") or [] if isinstance(each, dict)]
        if int(case.finding.evidence("unexpected_count") or len(told)) > len(told):
            return None
        # A column without any value has no type yet; validate lets it pass, as null, until one comes.
        new = [
            each for each in told if each.get("name") not in case.claimed and float(each.get("null_share") or 0.0) < 1.0
        ]
        if not new:
            return None
        accept = [f"{each['name']}:{_type(str(each.get('logical_type', '')))}" for each in new]
        odd = [str(each["name"]) for each in new if not _NAME.match(str(each["name"])) or "__" in str(each["name"])]
        names = ", ".join(str(each["name"]) for each in new[:10])
        return Plan(
            action="columns",
            sentence=f"Accept new columns from now on: {names}" + ("; some have odd names" if odd else ""),
            rows=case.healing.rows_total(),
            columns=tuple(str(each["name"]) for each in new),
            p_cause=0.95,
            confidence=0.5 if odd else 0.98,
            accept=tuple(accept),
            signature=", ".join(sorted(accept)),
        )


def _type(told: str) -> str:
    return told if told in LOGICAL_TYPES else "string"


ADD_COLUMN = _AddColumn(
    name="add_column",
    tier=Tier.GUARDED,
    stage="columns",
    fits={
        "column_added": Fit(19, 1, "A new column takes nothing from the old ones, and can be taken back."),
        "column_renamed": Fit(19, 1, "What is not a renamed column is a new one."),
        "unknown": Fit(3, 2, "Worth a look when a delivery has more columns than known."),
    },
)
