"""The faults of the demonstration, each a pure function from a month as published to the month as delivered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mend.demo.plan import (
    CARRIER_TYPOS,
    HARD_SPACE_ROWS,
    KILOMETRES_PER_MILE,
    LONG_LINES,
    OPEN_QUOTE_LINE,
    SHORT_LINES,
    TIME_FORMAT_EVERY,
    UNKNOWN_CARRIER,
)

if TYPE_CHECKING:
    import polars as pl

LONG_FLIGHT_MILES = 1000
SHORT_LINE_FIELDS = 14
TAILNUM_FIELD = 11
DISTANCE_FIELD = 15


def carrier_typos(month: pl.DataFrame) -> pl.DataFrame:
    """Write some carriers wrongly, spread evenly over the month; the last of them is no carrier at all."""
    import polars as pl

    changed = pl.col("carrier")
    nth = pl.int_range(pl.len()).over("carrier")
    for place, (right, wrong, count) in enumerate((*CARRIER_TYPOS, UNKNOWN_CARRIER)):
        chosen = [100 + 13 * place + 150 * step for step in range(count)]
        changed = pl.when((pl.col("carrier") == right) & nth.is_in(chosen)).then(pl.lit(wrong)).otherwise(changed)
    return month.with_columns(carrier=changed)


def renamed_columns(month: pl.DataFrame) -> pl.DataFrame:
    """Call two columns by other names."""
    return month.rename({"tailnum": "tail_number", "carrier": "carrier_code"})


def day_first_times(month: pl.DataFrame) -> pl.DataFrame:
    """Write every fifth timestamp as ``13/04/2013 14:00``: the same moment in UTC, day first and no zone named."""
    import polars as pl

    moment = pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ")
    other = moment.dt.strftime("%d/%m/%Y %H:%M")
    every = pl.int_range(pl.len()) % TIME_FORMAT_EVERY == 0
    return month.with_columns(time_hour=pl.when(every).then(other).otherwise(pl.col("time_hour")))


def european_numbers(month: pl.DataFrame) -> pl.DataFrame:
    """Write measures with a decimal comma, and leave the no-break space of a spreadsheet after some registrations.

    Nothing in the flights needs more than ASCII; the space, one byte (0xA0) in Latin-1 and no valid UTF-8, is what such
    exports really carry, and taking it off again cannot change what a registration says.
    """
    import polars as pl

    measures = [
        pl.when(pl.col(name) == "NA").then(pl.col(name)).otherwise(pl.col(name) + ",0").alias(name)
        for name in ("air_time", "distance")
    ]
    known = pl.col("tailnum") != "NA"
    nth = pl.int_range(pl.len()).over(known)
    spaced = known & (nth % 700 == 350) & (nth < 700 * HARD_SPACE_ROWS)
    tailnum = pl.when(spaced).then(pl.col("tailnum") + "\u00a0").otherwise(pl.col("tailnum"))
    return month.with_columns(*measures, tailnum=tailnum)


def kilometres(month: pl.DataFrame) -> pl.DataFrame:
    """Give distances in whole kilometres."""
    import polars as pl

    converted = (pl.col("distance").cast(pl.Float64) * KILOMETRES_PER_MILE).round(0).cast(pl.Int64).cast(pl.String)
    return month.with_columns(distance=converted)


def new_column(month: pl.DataFrame) -> pl.DataFrame:
    """Say how many attend the passengers: two, and one more above each of four distances."""
    import polars as pl

    miles = pl.col("distance").cast(pl.Int64)
    crew = pl.sum_horizontal(pl.lit(2), *(miles >= limit for limit in (500, 1000, 2000, 4000)))
    return month.with_columns(cabin_crew=crew.cast(pl.String))


def broken_lines(text: bytes) -> tuple[bytes, dict[int, tuple[str, str]]]:
    """Break a few lines of a file; also the record numbers touched, each with its line before and after."""
    lines = text.decode().split("\n")
    touched: dict[int, tuple[str, str]] = {}

    def replace(number: int, fields: list[str]) -> None:
        touched[number] = (lines[number], ",".join(fields))
        lines[number] = touched[number][1]

    for number in SHORT_LINES:
        replace(number, lines[number].split(",")[:SHORT_LINE_FIELDS])
    for start in LONG_LINES:
        number = next(n for n in range(start, len(lines)) if _miles(lines[n]) >= LONG_FLIGHT_MILES)
        fields = lines[number].split(",")
        # A thousands separator that nobody quoted: 1,089.
        fields[DISTANCE_FIELD] = f"{_miles(lines[number]):,}"
        replace(number, fields)
    fields = lines[OPEN_QUOTE_LINE].split(",")
    fields[TAILNUM_FIELD] = '"' + fields[TAILNUM_FIELD]
    replace(OPEN_QUOTE_LINE, fields)
    return "\n".join(lines).encode(), touched


def _miles(line: str) -> int:
    return int(line.split(",")[DISTANCE_FIELD])
