"""The values that a column may have: its enum, or the keys of the parent table as the verdict saw them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.remediate.plans import Case
from shared.domain import paths
from shared.domain.contract import Column

if TYPE_CHECKING:
    import polars as pl

ALLOWED_MAX = 200_000


def allowed_values(case: Case, column: Column) -> pl.Series | None:
    """Distinct allowed texts, sorted; None when they are not known or too many."""
    import polars as pl

    if case.finding.check == "relationship" or not column.enum:
        return _parent_keys(case, column)
    return pl.Series("allowed", sorted({str(value) for value in column.enum}), dtype=pl.String)


def _parent_keys(case: Case, column: Column) -> pl.Series | None:
    import polars as pl

    if case.contract is None or case.healing is None or case.quarantine is None or case.quarantine.base is None:
        return None
    dataset = case.definition.destination.dataset if case.definition else ""
    for reference in case.contract.references:
        if reference.columns != (column.name,):
            continue
        folder = f"snapshots/{paths.safe_name(reference.qualified(dataset))}/"
        for path in case.quarantine.base.snapshots:
            if not path.startswith(folder):
                continue
            with case.ports.objects.read(path) as stream:
                keys = pl.read_parquet(stream)
            if reference.parent_columns[0] not in keys.columns or keys.height > ALLOWED_MAX:
                continue
            return keys.get_column(reference.parent_columns[0]).cast(pl.String).drop_nulls().unique().sort()
    return None
