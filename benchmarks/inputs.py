"""The rows that every side reads, cut out of the published flights.

Cells that read ``NA`` are written empty, which is a null to every side: DuckDB's reader, on which one peer and the
floor stand, would otherwise read every column that has one as text.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from mend.demo.dataset import Dataset, Table, obtain

TABLES: tuple[Table, ...] = ("airlines", "airports", "planes")
BASELINE_MONTHS = 6  # deliveries before the measured one; the shift check wants five
_YEAR = b"2013,"


def write_inputs(folder: Path, environment: dict[str, str], given: Path | None = None, times: int = 10) -> Path:
    """Write the parents, a year of flights, the same ``times`` over under other years, and baseline months, once."""
    done = folder / f".complete-{times}"
    if done.exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    dataset = obtain(environment, given=given)
    (folder / "baseline").mkdir(parents=True)
    for table in TABLES:
        (folder / f"{table}.csv").write_bytes(_nulls_empty(dataset.csv(table)))
    _write_flights(folder, dataset, times)
    done.touch()
    return folder


def _write_flights(folder: Path, dataset: Dataset, times: int) -> None:
    content = _nulls_empty(dataset.csv("flights"))
    (folder / "flights.csv").write_bytes(content)
    header, _, rows = content.partition(b"\n")
    lines = rows.splitlines(keepends=True)
    for month in range(1, BASELINE_MONTHS + 1):
        start = _YEAR + str(month).encode() + b","
        chosen = [b"2012," + line[len(_YEAR) :] for line in lines if line.startswith(start)]
        (folder / "baseline" / f"earlier_2012_{month:02}.csv").write_bytes(header + b"\n" + b"".join(chosen))
    (folder / f"flights_x{times}").mkdir()
    with (folder / f"flights_x{times}" / "flights.csv").open("wb") as file:
        file.write(header + b"\n")
        for copy in range(times):
            year = str(2013 + copy).encode() + b","
            file.write(b"".join([year + line[len(_YEAR) :] for line in lines]))


def _nulls_empty(content: bytes) -> bytes:
    """Every cell that is exactly ``NA`` becomes empty; neighbours share a comma, hence twice."""
    content = content.replace(b"\r\n", b"\n")
    for _ in range(2):
        content = content.replace(b",NA,", b",,")
    return content.replace(b",NA\n", b",\n")
