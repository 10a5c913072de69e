"""Goal: an attempt takes along the rows whose every violation is addressed, and no others."""

from __future__ import annotations

import polars as pl
import pytest

from services.remediate.attempt import CellChange, Discard, Repairs, repair
from services.remediate.quarantine import VIOLATIONS

NOTHING_TRIED = pl.DataFrame(schema={"_mend_row": pl.Int64, "column": pl.String, "remedy": pl.String})


def quarantined(*rows: tuple[str, list[tuple[str, str]]]) -> pl.DataFrame:
    """Rows with a city each and their violations (check, column)."""
    told = [
        [{"check": check, "column": column, "value": "", "explanation": ""} for check, column in each]
        for _, each in rows
    ]
    return pl.DataFrame({"_mend_row": range(1, len(rows) + 1), "city": [city for city, _ in rows], VIOLATIONS: told})


def spelled(old: str, new: str) -> CellChange:
    mapping = pl.DataFrame({"old": [old], "new": [new], "confidence": [1.0]})
    return CellChange(remedy="snap_to_allowed", column="city", staged="city", mapping=mapping)


ENUM, ORPHAN, DAY = ("enum", "city"), ("relationship", "customer"), ("type", "day")


@pytest.mark.parametrize(
    ("rejudge", "late", "ready"),
    [
        ([], [], [1]),  # only the row that the repair is enough for
        (["customer"], [], [1, 2, 3]),  # parents came: whoever lacks nothing but them goes on
        ([], ["customer"], [1, 3]),  # they came before: only beside a repair, or it would come back as it is
    ],
)
def test_what_waited_for_parents_goes_with_a_repair_or_on_their_arrival(
    rejudge: list[str], late: list[str], ready: list[int]
) -> None:
    frame = quarantined(
        ("Bostn", [ENUM]), ("Boston", [ORPHAN]), ("Bostn", [ENUM, ORPHAN]), ("Bostn", [ENUM, ORPHAN, DAY])
    )
    mended = repair(frame, Repairs([spelled("Bostn", "Boston")], [], rejudge, late), NOTHING_TRIED)
    assert sorted(mended.ready) == ready
    assert mended.frame["city"].to_list() == ["Boston"] * 4


def test_a_row_that_a_discard_is_about_takes_its_parents_arrival_along() -> None:
    twice = ("primary_key", "id")
    frame = quarantined(("Boston", [twice, ORPHAN]), ("Boston", [twice]), ("Boston", [ORPHAN]))
    dropped = pl.DataFrame({"_mend_row": [2], "kept": [1], "reason": ["a duplicate of row 1"]})
    discard = Discard(remedy="deduplicate", columns=("id",), rows=dropped)
    assert sorted(repair(frame, Repairs([], [discard], [], ["customer"]), NOTHING_TRIED).ready) == [1, 2]
