"""snap_to_allowed: a misspelled value becomes the one nearest allowed value; where that is a guess, it refuses."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from services.remediate.plans import Case, Fit, Plan, Played
from services.remediate.playbook.allowed_values import allowed_values
from services.remediate.playbook.cells import failing_texts, plan_of_mapping
from services.remediate.playbook.normalise_text import clean, fold_to
from shared.domain.remedy import Tier

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl

TEXTS_MAX = 5_000
DENSITY_MAX = 0.2
_SAMPLE = 300


class _SnapToAllowed(Played):
    def plan(self, case: Case) -> Plan | None:
        """The unique nearest allowed values; None where none is unique, or where allowed values are all alike."""
        import polars as pl

        found = failing_texts(case, self.name)
        if found is None:
            return None
        column, staged, values = found
        known = allowed_values(case, column)
        if known is None or len(known) == 0 or values.height > TEXTS_MAX:
            return None
        new, confidence = snap(values.get_column("value"), known)
        mapping = values.select(pl.col("value").alias("old")).with_columns(
            new.alias("new"), confidence.alias("confidence")
        )
        mapping = mapping.drop_nulls("new")
        sentence = "Write the nearest allowed value for {values} misspelled texts in {column}, {rows} rows"
        return plan_of_mapping(case, self.name, column, staged, mapping, sentence, {"allowed": len(known)}, 0.92)


def edits_max(text: str) -> int:
    """How many edits a text of this length may be away: a short code has no letter to spare."""
    return 2 if len(text) >= 6 else 1


def snap(texts: pl.Series, known: pl.Series) -> tuple[pl.Series, pl.Series]:
    """For each text the allowed value it must mean (null when unsure), and how sure that is."""
    import polars as pl

    folded = fold_to(texts, known)
    choices = known.to_list()
    lowered = clean(known).str.to_lowercase().to_list()
    asked = clean(texts).str.to_lowercase().to_list()
    dense = cache(lambda edits: density(lowered, edits))  # asked only where a text is near: it compares many words
    # Distinct failing texts only, at most TEXTS_MAX of them.
    nearest = [_nearest(text, lowered, dense) if hit is None else None for text, hit in zip(asked, folded, strict=True)]
    found = pl.Series([choices[index] if index is not None else None for index in nearest], dtype=pl.String)
    new = pl.select(pl.coalesce([folded, found])).to_series()
    sure = pl.select(pl.when(folded.is_not_null()).then(0.97).otherwise(0.95)).to_series()
    return new, sure


def _nearest(text: str, choices: list[str], dense: Callable[[int], float]) -> int | None:
    """Index of the one allowed value within reach, if every other is strictly farther."""
    from rapidfuzz import process
    from rapidfuzz.distance import OSA

    reach = edits_max(text)
    found = process.extract(text, choices, scorer=OSA.distance, score_cutoff=reach + 1, limit=2)
    if not found or found[0][1] > reach or (len(found) > 1 and found[1][1] <= found[0][1]):
        return None
    choice, edits, index = found[0]
    if _digits(text) != _digits(choice):
        return None  # another number is another thing: 22 where 2 is known, 132 where 123 is
    if len(choice) < 3 or dense(max(int(edits), 1)) > DENSITY_MAX:
        # Among short or crowded codes, one letter replaced is another code; a letter typed twice still is a slip.
        return int(index) if _typed_twice(text, choice) else None
    return int(index)


def _typed_twice(text: str, choice: str) -> bool:
    """True when the text is the choice with one letter doubled."""
    return any(choice[: place + 1] + choice[place:] == text for place in range(len(choice)))


def _digits(text: str) -> str:
    return "".join(character for character in text if character.isdigit())


def density(choices: list[str], edits: int) -> float:
    """Share of allowed values that have another one within that many edits: there, the nearest may be the wrong one."""
    from rapidfuzz import process
    from rapidfuzz.distance import OSA

    sample = choices[:: max(1, len(choices) // _SAMPLE)][:_SAMPLE]
    if len(choices) < 2:
        return 0.0
    near = sum(
        1
        for each in sample
        if len(process.extract(each, choices, scorer=OSA.distance, score_cutoff=edits, limit=2)) > 1
    )
    return near / len(sample)


SNAP_TO_ALLOWED = _SnapToAllowed(
    name="snap_to_allowed",
    tier=Tier.GUARDED,
    stage="rows",
    fits={
        "value_misspelled": Fit(19, 1, "The unique nearest allowed value, with every other strictly farther."),
        "value_not_normalised": Fit(24, 1, "What cleaning leaves may be a slip of one letter."),
        "value_unknown": Fit(24, 1, "It touches only values that have one nearest, and leaves the unknown ones."),
        "orphan_rows": Fit(24, 1, "It touches only keys that have one nearest, and leaves the orphans."),
    },
)
