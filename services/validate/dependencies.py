"""Functional dependencies over a whole attempt: rows that agree in some columns must agree in others."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from services.validate.findings import Failure, Rule
from services.validate.keys import one_zero

if TYPE_CHECKING:
    import polars as pl

    from shared.domain.contract import Contract, FunctionalDependency

_SIDES = ("known", "known2", "other", "other2")


class DependencyVerdict(NamedTuple):
    """Which groups disagree, by the two hashes of what they agree in."""

    rule: Rule
    disagreeing: pl.DataFrame
    groups: int
    rows: int
    rows_in_minority: int


class DependencyLedger:
    """Collects, by hashes, which determinants came with which dependents; rows with a null in either are not judged."""

    def __init__(self, dependency: FunctionalDependency) -> None:
        self.rule = dependency_rule(dependency)
        self.dependents = dependency.dependents
        self._pairs: list[pl.DataFrame] = []

    def _hashed(self, typed: pl.DataFrame) -> pl.DataFrame:
        import polars as pl

        known, other = pl.struct(self.rule.columns), pl.struct(self.dependents)
        whole = pl.all_horizontal([pl.col(name).is_not_null() for name in (*self.rule.columns, *self.dependents)])
        return one_zero(typed, (*self.rule.columns, *self.dependents)).select(
            pl.when(whole).then(known.hash(11)).alias("known"),
            pl.when(whole).then(known.hash(23)).alias("known2"),
            other.hash(11).alias("other"),
            other.hash(23).alias("other2"),
        )

    def add(self, typed: pl.DataFrame) -> None:
        """Take in the rows of a chunk, or of an earlier attempt."""
        import polars as pl

        self._pairs.append(self._hashed(typed).drop_nulls("known").group_by(_SIDES).agg(pl.len().alias("rows")))

    def verdict(self) -> DependencyVerdict | None:
        """None when no group disagrees."""
        import polars as pl

        if not self._pairs:
            return None
        pairs = pl.concat(self._pairs).group_by(_SIDES).agg(pl.col("rows").sum())
        groups = pairs.group_by("known", "known2").agg(
            pl.len().alias("kinds"), pl.col("rows").sum(), pl.col("rows").max().alias("majority")
        )
        wrong = groups.filter(pl.col("kinds") > 1)
        if not wrong.height:
            return None
        rows = int(wrong["rows"].sum())
        return DependencyVerdict(
            self.rule, wrong.select("known", "known2"), wrong.height, rows, rows - int(wrong["majority"].sum())
        )

    def failure(self, typed: pl.DataFrame, verdict: DependencyVerdict) -> Failure | None:
        """The rows of a chunk that belong to a disagreeing group."""
        import polars as pl

        hashed = self._hashed(typed).select("known", "known2").with_row_index("place")
        places = hashed.join(verdict.disagreeing, on=["known", "known2"], how="semi")["place"]
        if not places.len():
            return None
        mask = pl.repeat(False, typed.height, dtype=pl.Boolean, eager=True).scatter(places, True)
        return Failure(self.rule, mask)


def dependency_rule(dependency: FunctionalDependency) -> Rule:
    """The rule that rows which agree in some columns agree in others."""
    known, other = ", ".join(dependency.determinants), ", ".join(dependency.dependents)
    said = f"rows with the same {known} must have the same {other}"
    return Rule("functional_dependency", dependency.determinants, said)


def dependency_ledgers(contract: Contract) -> list[DependencyLedger]:
    """One ledger per dependency of the contract."""
    return [DependencyLedger(dependency) for dependency in contract.functional_dependencies]
