"""The rows that are validated: ``validate_rows.py ROWS FILE FAILING_SHARE`` writes Parquet, a million rows in a group.

Ten columns of an order book. Of the failing share each row breaks one of five rules, drawn at random.
"""

import sys

import numpy as np
import polars as pl
import pyarrow.parquet as pq

ROWS_OF_A_GROUP = 1_000_000
STATUS = ["planned", "shipped", "returned", "cancelled"]
COUNTRY = ["DE", "PT", "NO", "US", "FR", "IT", "ES", "PL"]


def group(start: int, rows: int, failing: float) -> pl.DataFrame:
    """Rows from ``start`` on; the same for the same arguments."""
    chance = np.random.default_rng([7, start])
    customer = chance.integers(1, 500_000, rows)
    made = pl.DataFrame(
        {
            "id": np.arange(start, start + rows),
            "customer_id": customer,
            "status": pl.Series(STATUS).gather(chance.integers(0, len(STATUS), rows)),
            "country": pl.Series(COUNTRY).gather(chance.integers(0, len(COUNTRY), rows)),
            "amount": np.round(chance.gamma(2, 150, rows), 2),
            "quantity": chance.integers(1, 100, rows),
            "discount": np.round(chance.random(rows), 3),
            "created_at": pl.Series(1_600_000_000_000_000 + chance.integers(0, 10**14, rows)).cast(
                pl.Datetime("us", "UTC")
            ),
        }
    )
    some, most = pl.Series(chance.random(rows)), pl.Series(chance.random(rows))
    wrong = pl.Series(np.where(chance.random(rows) < failing, chance.integers(0, 5, rows), -1))
    column = pl.col
    return made.with_columns(
        pl.when(some < 0.8).then("discount").alias("discount"),
        email=pl.format("user{}@example.com", "customer_id"),
        note=pl.when(most < 0.7).then(pl.format("order {} of customer {}", "id", "customer_id")),
    ).with_columns(
        pl.when(wrong == 0).then(pl.lit("lost")).otherwise(column("status")).alias("status"),
        pl.when(wrong == 1).then(-1.0).otherwise(column("amount")).alias("amount"),
        pl.when(wrong == 2).then(pl.lit("nobody")).otherwise(column("email")).alias("email"),
        pl.when(wrong != 3).then(column("customer_id")).alias("customer_id"),
        pl.when(wrong == 4).then(1_000).otherwise(column("quantity")).alias("quantity"),
    )


def main(rows: int, file: str, failing: float) -> None:
    """Write all groups."""
    writer = None
    for start in range(0, rows, ROWS_OF_A_GROUP):
        made = group(start, min(ROWS_OF_A_GROUP, rows - start), failing)
        table = made.to_arrow(compat_level=pl.CompatLevel.oldest())
        writer = writer or pq.ParquetWriter(file, table.schema)
        writer.write_table(table)
    if writer:
        writer.close()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
