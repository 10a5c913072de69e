"""Whether the parents that quarantined rows wait for are in their table by now."""

from __future__ import annotations

from services.remediate.records import Finding
from services.remediate.work import BatchCases, Work


def comparable(cases: BatchCases, finding: Finding) -> bool:
    """True when the keys themselves can be compared here: one text or integer column, delivered as it is."""
    columns, parents = finding.columns, finding.evidence("parent_columns")
    column = cases.contract.column(columns[0]) if len(columns) == 1 else None
    plain = column is not None and column.logical_type in ("string", "integer")
    return plain and isinstance(parents, list) and len(parents) == 1


def are_there(work: Work, cases: BatchCases, finding: Finding) -> bool:
    """True when at least one key that the rows lack stands in the parent table now, or when only validate can tell.

    Only keys of one text or integer column are compared here, where what was delivered is the key itself; everything
    else is for validate to type. Without this look a wait that nothing ended would cost an attempt, and the other
    remedies of the same rows their one try.
    """
    import polars as pl

    columns, parents = finding.columns, finding.evidence("parent_columns")
    column = cases.contract.column(columns[0]) if comparable(cases, finding) else None
    if column is None:
        return True
    keys = work.ports.warehouse.keys(finding.awaits_table, [str(parents[0])])
    if keys is None:
        return False
    delivered = {wanted: given for given, wanted in cases.healing.rename.items()}.get(columns[0], columns[0])
    lacked = cases.quarantine.values(finding.column, delivered)["value"]
    wanted = pl.String() if column.logical_type == "string" else pl.Int64()
    known = pl.Series(pl.from_arrow(keys.column(0))).cast(wanted, strict=False)
    typed = lacked.cast(pl.String).cast(wanted, strict=False)
    return bool(typed.is_null().any()) or bool(typed.is_in(known.implode()).any())
