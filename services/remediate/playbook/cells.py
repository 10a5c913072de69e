"""What the remedies of cells share: which texts fail, and a plan from a mapping of old to new texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.remediate.attempt import CellChange, tried
from services.remediate.plans import Case, Plan
from shared.domain.contract import Column
from shared.domain.reading import ROW

if TYPE_CHECKING:
    import polars as pl

DISTINCT_MAX = 2_000_000


def failing_texts(case: Case, remedy: str) -> tuple[Column, str, pl.DataFrame] | None:
    """The column, its staged name and its distinct failing texts (``value``, ``rows``).

    None when the remedy is not allowed there, or the cells are not text.
    """
    import polars as pl

    column = case.contract_column()
    if column is None or case.quarantine is None or not allowed(column, remedy):
        return None
    staged = case.staged_name(column.name)
    if case.quarantine.columns().get(staged) != pl.String:
        return None
    values = case.quarantine.values(column.name, staged)
    return None if values.height == 0 or values.height > DISTINCT_MAX else (column, staged, values)


def mixed(case: Case) -> bool:
    """True when cells of the column prove both ways to read it, so that those which fit both may mean either."""
    told = case.finding.evidence("two_readings")
    return isinstance(told, dict) and bool(told.get("mixed"))


def allowed(column: Column, remedy: str) -> bool:
    """True unless the contract lists the column's repairs and leaves this one out."""
    return column.allowed_repairs is None or remedy in column.allowed_repairs


def plan_of_mapping(
    case: Case,
    remedy: str,
    column: Column,
    staged: str,
    mapping: pl.DataFrame,
    sentence: str,
    details: dict[str, object],
    p_cause: float,
) -> Plan | None:
    """A plan that replaces texts (``old``, ``new``, ``confidence``) in rows with a violation on the column.

    ``p_cause`` says how sure the cause is for those rows. Rows on which the remedy was tried before do not count; None
    when nothing is left to change.
    """
    import polars as pl

    mapping = mapping.filter(pl.col("old") != pl.col("new")).unique("old", maintain_order=True)
    if mapping.height == 0 or case.quarantine is None or case.healing is None:
        return None
    change = CellChange(remedy=remedy, column=column.name, staged=staged, mapping=mapping)
    rows = rows_changed(case, change)
    if rows == 0:
        return None
    told = details.get("formats")
    formats = [str(each) for each in told] if isinstance(told, list) else []
    least = float(mapping.get_column("confidence").min() or 0.0)  # type: ignore[arg-type]
    return Plan(
        action="cells",
        sentence=sentence.format(rows=f"{rows:,}", values=f"{mapping.height:,}", column=column.name),
        rows=rows,
        rows_changed=rows,
        columns=(column.name,),
        p_cause=p_cause,
        confidence=least,
        changes=(change,),
        details={**details, "distinct_texts": mapping.height},
        signature=f"{column.name}: {', '.join(formats)}" if formats else "",
    )


def share_explained(values: pl.DataFrame, new: pl.Series) -> float:
    """Share of the failing rows for which a new text was found."""
    import polars as pl

    weights = values.get_column("rows").cast(pl.Int64)
    total = int(weights.sum())
    return int(weights.filter(new.is_not_null()).sum()) / total if total else 0.0


def rows_changed(case: Case, change: CellChange) -> int:
    """Rows that a change would touch now."""
    from services.remediate.attempt import changed_cells

    if case.quarantine is None or case.healing is None:
        return 0
    before = tried(case.ports.objects, case.healing)
    touched = (changed_cells(frame, change, before) for frame in case.quarantine.frames())
    return sum(cells.get_column(ROW).n_unique() for cells in touched)
