"""Casts of text to dates, times and timestamps: ISO 8601 strictly, and the format that a column declares.

The engine's own parsing is lenient (``2013-1- 2`` passes, second 60 moves to the next minute), so the shape is demanded
by a pattern first.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

    from shared.domain.contract import Column

# The engine knows no changes of clocks after this year, and would be an hour wrong in silence.
ZONE_YEAR_MAX = 2099
_DATE = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_CLOCK = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_SECOND = ":[0-5][0-9]"
_OFFSET = "[+-](?:[01][0-9]|2[0-3]):[0-5][0-9]"
# Beyond microseconds only zeros, since more would be lost.
_FRACTION = r"\.[0-9]{1,6}"
_ZONE = "(Z|[+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9])?)$"
_ZONE_MARKS = ("%:z", "%#z", "%z")
_DAY_NANOSECONDS = 86_400_000_000_000
_TOO_FINE = r"\.[0-9]{6}[0-9]*[1-9]"


def date_cast(text: pl.Expr, column: Column, *, thorough: bool = False) -> pl.Expr:
    """``YYYY-MM-DD``, or the declared format."""
    import polars as pl

    declared = column.strptime_format
    iso = pl.when(text.str.contains(f"^{_DATE}$")).then(text.str.to_date("%Y-%m-%d", strict=False))
    if not declared:
        return iso
    return iso if thorough and _iso_too(declared) else text.str.to_date(declared, strict=False)


def time_cast(text: pl.Expr, column: Column, *, thorough: bool = False) -> pl.Expr:
    """``HH:MM[:SS[.ffffff]]``, or the declared format."""
    import polars as pl

    declared = column.strptime_format
    if declared.endswith(_ZONE_MARKS) or column.has_timezone:
        return _zoned_time(text, declared)
    if declared and not thorough:
        return text.str.to_time(declared, strict=False)
    if not thorough:
        return pl.when(text.str.contains(f"^{_CLOCK}{_SECOND}$")).then(text.str.to_time("%H:%M:%S", strict=False))
    return _iso_time(text)


def _iso_time(text: pl.Expr) -> pl.Expr:
    groups = text.str.extract_groups(f"^(?<clock>{_CLOCK})(?:(?<second>{_SECOND})(?:(?<fraction>{_FRACTION})0*)?)?$")
    return _joined(groups, with_date=False).str.to_time("%H:%M:%S%.f", strict=False)


def _zoned_time(text: pl.Expr, declared: str) -> pl.Expr:
    """A time of day that brings its distance from UTC, as the clock shows it in UTC; one that brings none as it is."""
    import polars as pl

    mark = next((mark for mark in _ZONE_MARKS if declared.endswith(mark)), "")
    layout = declared.removesuffix(mark)
    zone, clock = text.str.extract(_ZONE), text.str.replace(_ZONE, "")
    at = clock.str.to_time(layout, strict=False) if layout else _iso_time(clock)
    digits = zone.str.replace("Z", "+0000", literal=True).str.replace(":", "", literal=True)
    minutes = digits.str.slice(1, 2).cast(pl.Int64, strict=False) * 60
    minutes += digits.str.slice(3, 2).cast(pl.Int64, strict=False).fill_null(0)
    east = pl.when(digits.str.starts_with("-")).then(-minutes).otherwise(minutes).fill_null(0) * 60_000_000_000
    utc = ((at.cast(pl.Int64) - east + _DAY_NANOSECONDS) % _DAY_NANOSECONDS).cast(pl.Time)
    return pl.when(zone.is_not_null()).then(utc) if mark else utc


def timestamp_cast(text: pl.Expr, column: Column, sample: str = "", *, thorough: bool = False) -> pl.Expr:
    """``YYYY-MM-DD[T ]HH:MM[:SS[.ffffff]][Z|±hh:mm]``, or the declared format; the result is in UTC.

    Without ``thorough`` only cells of the shape of ``sample`` are parsed, which is several times faster.
    """
    import polars as pl

    declared = column.strptime_format
    if "X" in column.format and declared.endswith(_ZONE_MARKS):
        # What the letter X writes for UTC is Z, and the engine does not read it there.
        text = text.str.replace("Z$", "+0000" if declared.endswith("%z") and "%:z" not in declared else "+00:00")
    if declared and not thorough:
        return parse_timestamp(text, declared, column.timezone)
    if declared and not _iso_too(declared):
        return parse_timestamp(text, declared, column.timezone)
    if not thorough:
        pattern, layout = _shape(sample)
        return pl.when(text.str.contains(pattern)).then(parse_timestamp(text, layout, column.timezone))
    groups = text.str.extract_groups(
        f"^(?<day>{_DATE})[T ](?<clock>{_CLOCK})(?:(?<second>{_SECOND})(?:(?<fraction>{_FRACTION})0*)?)?"
        f"(?<zone>Z|{_OFFSET})?$"
    )
    zone = groups.struct.field("zone")
    moment = _joined(groups, with_date=True)
    local = parse_timestamp(moment, "%Y-%m-%dT%H:%M:%S%.f", column.timezone)
    zoned = parse_timestamp(moment + zone.replace("Z", "+00:00"), "%Y-%m-%dT%H:%M:%S%.f%:z", "")
    return pl.when(zone.is_null()).then(local).otherwise(zoned)


def parse_timestamp(text: pl.Expr, layout: str, timezone: str) -> pl.Expr:
    """Parse with a strptime pattern; a time without zone is in ``timezone`` (UTC when ""), null if ambiguous."""
    import polars as pl

    if "f" in layout:
        text = pl.when(~text.str.contains(_TOO_FINE)).then(text)
    if any(mark in layout for mark in ("%z", "%:z", "%#z")):
        return text.str.to_datetime(layout, strict=False, time_unit="us", time_zone="UTC")
    naive = text.str.to_datetime(layout, strict=False, time_unit="us", time_zone=None)
    return local_to_utc(naive, "" if layout.endswith("Z") else timezone)


def local_to_utc(naive: pl.Expr, timezone: str) -> pl.Expr:
    """A time without zone as UTC; null where a change of clocks makes it ambiguous, or where no change is known."""
    import polars as pl

    if timezone in ("", "UTC", "Etc/UTC"):
        return naive.dt.replace_time_zone("UTC")
    naive = pl.when(naive.dt.year() <= ZONE_YEAR_MAX).then(naive)
    return naive.dt.replace_time_zone(timezone, ambiguous="null", non_existent="null").dt.convert_time_zone("UTC")


def _joined(groups: pl.Expr, *, with_date: bool) -> pl.Expr:
    """The matched parts in one spelling, null where nothing matched."""
    import polars as pl

    part = groups.struct.field
    second = part("second").fill_null(":00") + part("fraction").fill_null(".0")
    moment = part("clock") + second
    return part("day") + pl.lit("T") + moment if with_date else moment


def _iso_too(declared: str) -> bool:
    """Whether ISO spelling cannot be mistaken for the declared format, as 2013-02-01 could for year-day-month."""
    return not declared.startswith(("%Y-", "%F"))


@lru_cache(maxsize=64)
def _shape(sample: str) -> tuple[str, str]:
    """Pattern and layout of an ISO timestamp like ``sample``; of the commonest one when it is none."""
    import re

    found = re.match(f"{_DATE}([T ]){_CLOCK}({_SECOND})?({_FRACTION})?(Z|{_OFFSET})?$", sample)
    mark, second, fraction, zone = found.groups("") if found else ("T", ":00", "", "Z")
    pattern, layout = f"^{_DATE}{mark}{_CLOCK}", f"%Y-%m-%d{mark}%H:%M"
    if second:
        pattern, layout = pattern + _SECOND, f"{layout}:%S"
    if fraction:
        pattern, layout = pattern + _FRACTION, f"{layout}%.f"
    if zone == "Z":
        pattern, layout = pattern + "Z", f"{layout}Z"
    elif zone:
        pattern, layout = pattern + _OFFSET, f"{layout}%:z"
    return f"{pattern}$", layout
