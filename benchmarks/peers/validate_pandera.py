"""pandera alone, over a Polars frame, all failures collected; composite work of ours (casts, reasons) is absent."""

import json
import sys
import time
from collections import Counter
from pathlib import Path

import pandera.polars as pa
import polars as pl
from pandera.errors import SchemaErrors


def schema() -> pa.DataFrameSchema:
    """The sixteen checks; nullability and uniqueness are pandera's own."""
    check = pa.Check
    return pa.DataFrameSchema(
        {
            "id": pa.Column(pl.Int64, nullable=False, unique=True),
            "customer_id": pa.Column(pl.Int64, check.ge(1), nullable=False),
            "status": pa.Column(str, check.isin(["planned", "shipped", "returned", "cancelled"]), nullable=False),
            "country": pa.Column(str, check.str_matches(r"^[A-Z]{2}$"), nullable=True),
            "email": pa.Column(str, check.str_matches(r"^[^@\s]+@[^@\s]+\.[a-z]+$"), nullable=True),
            "amount": pa.Column(float, check.in_range(0, 100_000), nullable=False),
            "quantity": pa.Column(pl.Int64, check.in_range(1, 100), nullable=True),
            "discount": pa.Column(float, check.in_range(0, 1), nullable=True),
            "created_at": pa.Column(
                pl.Datetime("us", "UTC"), check.ge(pl.datetime(2020, 1, 1, time_zone="UTC")), nullable=False
            ),
            "note": pa.Column(str, check.str_length(max_value=80), nullable=True),
        },
        checks=check(lambda data: data.lazyframe.select(pl.len() > 0)),
    )


def main(data: str) -> None:
    """Write ``answer.json``."""
    started = time.perf_counter()
    frame = pl.read_parquet(data)
    failed: Counter[str] = Counter()
    try:
        schema().validate(frame, lazy=True)
    except SchemaErrors as errors:
        cases = errors.failure_cases.group_by("check", "column").len()
        failed.update({f"{each['check']} {each['column']}": each["len"] for each in cases.to_dicts()})
    seconds = time.perf_counter() - started
    told = {"seconds": seconds, "rows": frame.height, "failed": dict(failed)}
    Path("answer.json").write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
