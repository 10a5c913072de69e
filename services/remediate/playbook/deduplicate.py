"""deduplicate: rows equal in every cell are one row; the first stays, the others are discarded with that reason."""

from __future__ import annotations

from services.remediate.attempt import Discard
from services.remediate.plans import Case, Fit, Plan, Played
from services.remediate.playbook.cells import allowed
from services.remediate.quarantine import MARKS, violations
from shared.domain.reading import ROW
from shared.domain.remedy import Tier


class _Deduplicate(Played):
    def plan(self, case: Case) -> Plan | None:
        """Keep one row of each group whose rows are equal in every cell; groups that differ are not touched."""
        import polars as pl

        columns = case.finding.columns
        if case.quarantine is None or case.contract is None or not columns:
            return None
        known = [case.contract.column(each) for each in columns]
        if any(each is not None and not allowed(each, self.name) for each in known):
            return None
        keys = [case.staged_name(each) for each in columns]
        label = ",".join(columns)
        parts = []
        for frame in case.quarantine.frames():
            if not set(keys) <= set(frame.columns):
                return None
            failing = violations(frame).filter((pl.col("check") == case.finding.check) & (pl.col("column") == label))
            rows = frame.filter(pl.col(ROW).is_in(failing.get_column(ROW).unique().implode()))
            cells = [name for name in rows.columns if name not in MARKS]
            # Two hashes with different seeds: 128 bits, so that no two different rows ever count as equal.
            content = [rows.select(cells).hash_rows(seed).alias(f"content_{seed}") for seed in (1, 2)]
            key = [rows.select(keys).hash_rows(seed).alias(f"key_{seed}") for seed in (1, 2)]
            parts.append(rows.select(ROW).with_columns(*content, *key))
        if not parts:
            return None
        groups = pl.concat(parts).with_columns(
            pl.struct("content_1", "content_2").n_unique().over("key_1", "key_2").alias("contents"),
            pl.len().over("key_1", "key_2").alias("size"),
            pl.col(ROW).min().over("key_1", "key_2").alias("kept"),
        )
        equal = groups.filter((pl.col("contents") == 1) & (pl.col("size") > 1))
        drop = equal.filter(pl.col(ROW) != pl.col("kept")).sort(ROW)
        if drop.height == 0:
            return None
        reason = pl.format("duplicate of row {}", pl.col("kept")).alias("reason")
        return Plan(
            action="discard",
            sentence=f"Keep the first of equal rows and discard {drop.height:,} repetitions",
            rows=equal.height,
            rows_changed=drop.height,
            columns=tuple(columns),
            p_cause=0.97,
            discards=(Discard(remedy=self.name, columns=tuple(columns), rows=drop.select(ROW, "kept", reason)),),
            details={"groups": equal.get_column("kept").n_unique()},
        )


DEDUPLICATE = _Deduplicate(
    name="deduplicate",
    tier=Tier.GUARDED,
    stage="rows",
    fits={
        "duplicate_rows": Fit(38, 2, "Rows equal in every cell say the same thing twice."),
        "conflicting_keys": Fit(9, 1, "The groups among them that are equal in every cell; the others stay."),
    },
)
