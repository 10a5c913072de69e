"""Which formats dates are written in does not depend on how many formats are looked at beside each other."""

from __future__ import annotations

import polars as pl
import pytest

from services.validate import date_probes
from services.validate.date_probes import DateForms, formats_for
from shared.domain.contract import Column

AT_ONCE = date_probes._AT_ONCE
CELLS = pl.DataFrame(
    {
        "value": ["2024-01-02 10:00:00", "31/12/2023", "3 May 2024", "no date", "12.01.24 9:30 PM"],
        "count": [1, 2, 3, 4, 5],
    }
)


@pytest.mark.parametrize("logical_type", ["date", "timestamp", "time"])
def test_no_format_is_left_out_where_they_are_taken_in_parts(
    monkeypatch: pytest.MonkeyPatch, logical_type: str
) -> None:
    column = Column(name="x", logical_type=logical_type)  # type: ignore[arg-type]

    def found(at_once: int) -> dict[str, object]:
        monkeypatch.setattr(date_probes, "_AT_ONCE", at_once)
        forms = DateForms(column)
        forms.add(CELLS)
        return forms.evidence(None)

    whole = found(len(formats_for(logical_type)))
    assert found(AT_ONCE) == found(7) == whole
    assert bool(whole) == (logical_type != "time")


def test_few_formats_are_looked_at_beside_each_other() -> None:
    """All at once their parsers took 13 MB more, which the first batch of every process paid."""
    assert len(formats_for("date")) > 4 * AT_ONCE
