"""A check and a remedy of one's own: card numbers by their check digit, and years that were cut to two digits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from services.remediate.plans import Case, Fit, Plan, Played
from services.remediate.playbook.cells import failing_texts, plan_of_mapping
from shared.domain.remedy import Tier


def luhn(rows: pl.DataFrame, column: str, arguments: Mapping[str, Any]) -> pl.Series:
    """True where the number's check digit is wrong (ISO/IEC 7812-1, annex B). ``digits``: how long it must be."""
    digits = int(arguments.get("digits", 16))
    text = rows[column].cast(pl.String)
    places = [text.str.slice(place, 1).cast(pl.Int64, strict=False) for place in range(digits)]
    total = pl.Series([0] * rows.height, dtype=pl.Int64)
    for place, digit in enumerate(places):
        doubled = digit * 2 if (digits - place) % 2 == 0 else digit
        total = total + doubled - (doubled > 9).cast(pl.Int64) * 9
    return text.is_not_null() & ((text.str.len_chars() != digits) | (total % 10 != 0).fill_null(True))


class _ExpandYears(Played):
    def plan(self, case: Case) -> Plan | None:
        """Write 24 as 2024 where the contract wants a year of four digits."""
        found = failing_texts(case, self.name)
        if found is None:
            return None
        column, staged, values = found
        short = values.filter(pl.col("value").str.contains(r"^[0-4][0-9]$"))
        mapping = short.select(
            pl.col("value").alias("old"), ("20" + pl.col("value")).alias("new"), pl.lit(0.9).alias("confidence")
        )
        sentence = "Write the years of {values} short texts in {column} in full, {rows} rows"
        return plan_of_mapping(case, self.name, column, staged, mapping, sentence, {}, 0.95)


EXPAND_YEARS = _ExpandYears(
    name="expand_years",
    tier=Tier.GUARDED,
    stage="rows",
    fits={
        cause: Fit(19, 1, "A year of two digits means this century.") for cause in ("out_of_range", "rule_broken", "")
    },
)
