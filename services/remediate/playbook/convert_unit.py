"""convert_unit: a whole column came in another unit; its numbers are divided by the factor between the two."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from services.remediate.attempt import CellChange
from services.remediate.plans import Case, Fit, Plan, Played
from services.remediate.playbook.cells import allowed
from shared.domain.remedy import Tier

if TYPE_CHECKING:
    import polars as pl

ERROR_MAX = 0.15  # how far the means may lie from the factor


class _ConvertUnit(Played):
    def plan(self, case: Case) -> Plan | None:
        """Divide the column in all rows of a held batch; nothing when rows of it are loaded already."""
        import polars as pl

        column = case.contract_column()
        told = [each for each in case.finding.evidence("unit_ratio") or [] if isinstance(each, dict)]
        if column is None or not told or case.healing is None or case.quarantine is None or not case.healing.held():
            return None
        best = told[0]
        factor = float(best.get("factor", 0))
        staged = case.staged_name(column.name)
        if factor <= 0 or not allowed(column, self.name) or column.logical_type not in ("integer", "number"):
            return None
        if float(best.get("mean_error", 0)) > ERROR_MAX or case.quarantine.columns().get(staged) != pl.String:
            return None
        texts = [frame.select(pl.col(staged).alias("old")) for frame in case.quarantine.frames()]
        distinct = pl.concat(texts).drop_nulls().unique().sort("old")
        new = convert(
            distinct.get_column("old"), factor, whole=column.logical_type == "integer", comma=case.decimal_comma
        )
        mapping = distinct.with_columns(new.alias("new"), pl.lit(0.9).alias("confidence")).drop_nulls("new")
        if mapping.height == 0:
            return None
        change = CellChange(remedy=self.name, column=column.name, staged=staged, mapping=mapping, all_rows=True)
        rows = case.healing.rows_total()
        return Plan(
            action="cells",
            sentence=f"Convert {column.name} from {_unit(best, 'to')} to {_unit(best, 'from')}: divide by {factor:g}",
            rows=rows,
            rows_changed=rows,
            columns=(column.name,),
            confidence=0.9,
            changes=(change,),
            details={"factor": factor, "choices": len(told)},
            signature=f"{column.name} ÷ {factor:g}",
        )


def convert(texts: pl.Series, factor: float, *, whole: bool, comma: bool) -> pl.Series:
    """The numbers divided by the factor, as text; null for what is no number."""
    import polars as pl

    numbers = (texts.str.replace(",", ".", literal=True) if comma else texts).cast(pl.Float64, strict=False) / factor
    finite = pl.select(pl.when(numbers.is_finite()).then(numbers).otherwise(None)).to_series()
    if whole:
        return finite.round(0).cast(pl.Int64, strict=False).cast(pl.String)
    written = finite.round(9).cast(pl.String)
    return written.str.replace(".", ",", literal=True) if comma else written


def _unit(ratio: dict[str, Any], name: str) -> str:
    return str(ratio.get(name) or "another unit")


CONVERT_UNIT = _ConvertUnit(
    name="convert_unit",
    tier=Tier.GUARDED,
    stage="batch",
    person_only=True,
    alone_when_autonomous=True,
    fits={
        "unit_changed": Fit(8, 2, "The factor is that between two units, and mean and spread agree on it."),
        "distribution_shifted": Fit(2, 2, "A shift by a unit's factor may be chance."),
    },
)
