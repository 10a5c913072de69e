"""Make the twelve monthly deliveries of flights with their faults: the same bytes and times at every run."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mend.demo import faults
from mend.demo.dataset import Dataset
from mend.demo.plan import FLIGHTS_BY_MONTH, TRUNCATED_SHARE, YEAR, Arrival, Delivery, Plan, plan
from shared.domain.checks import check

if TYPE_CHECKING:
    import polars as pl

TOUCHED = "truth/touched.parquet"
GZIP_LEVEL = 1

# The four airports that airports.csv lacks, in its columns and units (feet, hours from UTC).
TERRITORIES = """\
faa,name,lat,lon,alt,tz,dst,tzone
BQN,Rafael Hernández Airport,18.494861,-67.129444,237,-4,N,America/Puerto_Rico
PSE,Mercedita Airport,18.008303,-66.563028,29,-4,N,America/Puerto_Rico
SJU,Luis Muñoz Marín International Airport,18.4394167,-66.0018333,9,-4,N,America/Puerto_Rico
STT,Cyril E. King Airport,18.337306,-64.973361,24,-4,N,America/St_Thomas
"""

# What an on_failure_callback of Airflow sends: somebody else's task, which no delivery of ours can heal.
AIRFLOW_FAILURE = {
    "dag_id": "crew_rosters",
    "task_id": "load_rosters",
    "run_id": "scheduled__2013-12-02T04:00:00+00:00",
    "logical_date": "2013-12-02T04:00:00+00:00",
    "try_number": 3,
    "max_tries": 2,
    "operator": "BigQueryInsertJobOperator",
    "state": "failed",
    "start_date": "2013-12-02T04:00:07+00:00",
    "end_date": "2013-12-02T04:00:11+00:00",
    "hostname": "airflow-worker-1",
    "log_url": "https://airflow.example.com/dags/crew_rosters/runs/scheduled__2013-12-02/tasks/load_rosters",
    "exception_type": "google.api_core.exceptions.Forbidden",
    "exception": "403 Access Denied: Table travel-ops:crew.rosters: User does not have permission to query table "
    "travel-ops:crew.rosters, or perhaps it does not exist.",
}

CHANGES: dict[int, Callable[[pl.DataFrame], pl.DataFrame]] = {
    2: faults.carrier_typos,
    3: faults.renamed_columns,
    4: faults.day_first_times,
    5: faults.european_numbers,
    8: faults.kilometres,
    10: faults.new_column,
}


@dataclass(slots=True)
class _Made:
    """One delivery's bytes, and which cells differ from the published ones."""

    content: bytes
    touched: list[pl.DataFrame] = field(default_factory=list)


def make_deliveries(dataset: Dataset, out: Path) -> Plan:
    """Write landing/, served/, later/, signals/, truth/ and plan.json below ``out``; the plan says what they hold."""
    import polars as pl

    planned = plan()
    for reference in planned.references:
        table = Path(reference).stem
        check(table in ("airlines", "airports", "planes"), "a reference is a table of the release")
        _write(out / reference, dataset.csv(table), _first_of(1))  # type: ignore[arg-type] # checked above
    flights = pl.read_csv(dataset.csv("flights"), infer_schema=False)
    check(flights.height == sum(FLIGHTS_BY_MONTH), "the release holds the flights that the plan counts")
    touched = [frame for delivery in planned.deliveries for frame in _deliver(delivery, flights, out)]
    _write(out / "later/airports_territories.csv", TERRITORIES.encode(), _first_of(13))
    signal = json.dumps(AIRFLOW_FAILURE, indent=2, ensure_ascii=False) + "\n"
    _write(out / planned.signals[0], signal.encode(), _first_of(13))
    (out / TOUCHED).parent.mkdir(parents=True, exist_ok=True)
    pl.concat(touched).write_parquet(out / TOUCHED)
    (out / "plan.json").write_text(planned.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return planned


def published_month(flights: pl.DataFrame, month: int) -> pl.DataFrame:
    """The rows of one month in the published order."""
    import polars as pl

    rows = flights.filter(pl.col("month") == str(month))
    check(rows.height == FLIGHTS_BY_MONTH[month - 1], "a month holds the flights that the plan counts")
    return rows


def _deliver(delivery: Delivery, flights: pl.DataFrame, out: Path) -> list[pl.DataFrame]:
    made = _content(delivery.month, published_month(flights, delivery.month))
    arrived = _first_of(delivery.month + 1)
    content = made.content
    if delivery.month == 6:
        content = gzip.compress(content, GZIP_LEVEL, mtime=0)
        _write(out / "later" / delivery.name, content, _first_of(delivery.month + 1, day=2))
        content = content[: int(len(content) * TRUNCATED_SHARE)]
    check((delivery.arrival == Arrival.SERVED) == delivery.path.startswith("served/"), "a served file is not landed")
    _write(out / delivery.path, content, arrived)
    return [frame.select(_text(delivery.name).alias("file"), *frame.columns) for frame in made.touched]


def _content(month: int, rows: pl.DataFrame) -> _Made:
    change = CHANGES.get(month)
    delivered = change(rows) if change is not None else rows
    made = _Made(_csv(delivered, separator=";" if month == 5 else ","))
    if month == 5:
        made.content = made.content.decode().encode("latin-1")
    if month == 11:
        made.content, broken = faults.broken_lines(made.content)
        made.touched.append(_touched_lines(broken))
    for name in delivered.columns:
        if name in rows.columns and change is not None:
            made.touched.append(_touched_cells(rows[name], delivered[name]))
    return made


def _csv(rows: pl.DataFrame, separator: str) -> bytes:
    """The cells' text exactly: nothing in the flights needs quoting."""
    return rows.write_csv(separator=separator, quote_style="never").encode()


def _touched_cells(before: pl.Series, after: pl.Series) -> pl.DataFrame:
    """The changed cells of a column by record number (from 1), as published and as delivered."""
    import polars as pl

    cells = pl.DataFrame({"published": before, "delivered": after})
    numbered = cells.with_row_index("row", offset=1).filter(pl.col("published") != pl.col("delivered"))
    return numbered.select(pl.col("row").cast(pl.Int64), _text(before.name).alias("column"), "published", "delivered")


def _touched_lines(broken: dict[int, tuple[str, str]]) -> pl.DataFrame:
    """Whole lines that were broken: the column is ""."""
    import polars as pl

    rows = [(number, "", before, after) for number, (before, after) in sorted(broken.items())]
    schema = {"row": pl.Int64, "column": pl.String, "published": pl.String, "delivered": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _text(value: str) -> pl.Expr:
    import polars as pl

    return pl.lit(value, dtype=pl.String)


def _first_of(month: int, day: int = 1) -> datetime:
    """When a delivery arrives: at six on the first day after its month (the thirteenth is next January)."""
    return datetime(YEAR + (month - 1) // 12, (month - 1) % 12 + 1, day, 6, tzinfo=UTC)


def _write(path: Path, content: bytes, arrived: datetime) -> None:
    """Put the file there whole, with its time of arrival: batch ids are derived from that."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(content)
    nanoseconds = int(arrived.timestamp()) * 1_000_000_000
    os.utime(partial, ns=(nanoseconds, nanoseconds))
    partial.replace(path)
