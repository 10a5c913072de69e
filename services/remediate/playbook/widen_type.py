"""widen_type: a known column takes a wider type from now on, when that takes the values which the old one refused."""

from __future__ import annotations

from services.remediate.plans import Case, Fit, Plan, Played
from services.remediate.playbook.cells import allowed
from shared.domain.contract import LogicalType, is_wider
from shared.domain.remedy import Tier

TAKES_MIN = 0.95
CLOCKS = ("%H", "%I")


class _WidenType(Played):
    def plan(self, case: Case) -> Plan | None:
        """The narrowest type that takes the failing values; text takes everything, and only a person may want that."""
        column = case.contract_column()
        if case.finding.check != "type" or column is None or case.healing is None or not allowed(column, self.name):
            return None
        wider, takes = _wider(case, column.logical_type)
        if not is_wider(wider, column.logical_type):
            return None
        accept = f"{column.name}:{wider}"
        lost = ", without the rules that only the old type can have" if wider == "string" else ""
        return Plan(
            action="columns",
            sentence=f"Accept {wider} instead of {column.logical_type} in {column.name} from now on{lost}",
            rows=case.finding.rows_left or case.finding.rows_failed,
            columns=(column.name,),
            confidence=0.4 if wider == "string" else takes,
            accept=(accept,),
            signature=accept,
        )


def _wider(case: Case, old: LogicalType) -> tuple[LogicalType, float]:
    """The type, and the share of the failing values that it takes."""
    told = case.finding.evidence("hypotheses")
    guesses = told if isinstance(told, dict) else {}
    numbers = float(guesses.get("number_share") or 0.0)
    if old == "integer" and numbers >= TAKES_MIN:
        return "number", numbers
    formats = [each for each in guesses.get("date_formats") or [] if isinstance(each, dict)]
    best = str(formats[0].get("format", "")) if formats else ""
    if old == "date" and best.startswith("%Y-%m-%d") and any(clock in best for clock in CLOCKS):
        share = float(formats[0].get("share") or 0.0)
        if share >= TAKES_MIN:
            return "timestamp", share
    return ("string", 1.0) if case.finding.cause != "date_format_changed" else (old, 0.0)


WIDEN_TYPE = _WidenType(
    name="widen_type",
    tier=Tier.GUARDED,
    stage="rows",
    fits={
        "type_wider": Fit(19, 1, "A wider type takes all that the old one took, and can be taken back."),
        "type_changed": Fit(2, 2, "Another type is sometimes meant to stay."),
        "date_format_changed": Fit(2, 2, "Dates with a time of day may be moments now."),
    },
)
