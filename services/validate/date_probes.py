"""Which formats failing dates and timestamps are written in, decided over the whole column and not cell by cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from services.validate.profile import rounded

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from services.validate.profile import ColumnProfile
    from shared.domain.contract import Column

SAMPLE = 400
FORMATS_SHOWN = 12
_AT_ONCE = 32  # formats: all of them beside each other take 13 MB, which is a cold start's
DAYS: tuple[str, ...] = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%Y-%d-%m",
    "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%d.%m.%Y", "%d/%m/%y", "%m/%d/%y", "%d.%m.%y",
    "%d %b %Y", "%d-%b-%Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%a, %d %b %Y",
)  # fmt: skip
CLOCKS: tuple[str, ...] = (
    " %H:%M:%S", " %H:%M", "T%H:%M:%S", "T%H:%M", "T%H:%M:%SZ", " %H:%M:%SZ", " %I:%M:%S %p", " %I:%M %p", " %H.%M",
    "T%H:%M:%S%.f", " %H:%M:%S%.f", "T%H:%M:%S%z", " %H:%M:%S %z",
)  # fmt: skip
TIMES: tuple[str, ...] = ("%H:%M:%S", "%H:%M", "%I:%M %p", "%I:%M:%S %p", "%H.%M", "%H%M", "%Hh%M")
_EPOCH = {"seconds": r"^[0-9]{9,10}$", "milliseconds": r"^[0-9]{12,13}$"}


def formats_for(logical_type: str) -> tuple[str, ...]:
    """Formats worth trying; a date may come with a clock, and a timestamp without one."""
    if logical_type == "time":
        return TIMES
    return (*DAYS, *(day + clock for day in DAYS for clock in CLOCKS))


def parsed_days(text: pl.Expr, layout: str, logical_type: str) -> pl.Expr:
    """The day (or clock time) that a text stands for in a format, null when it is not in it."""
    import polars as pl

    trimmed = text.str.strip_chars()
    if logical_type == "time":
        return trimmed.str.to_time(layout, strict=False)
    if layout.startswith("%Y%m%d"):
        trimmed = pl.when(trimmed.str.contains("^[0-9]{8}")).then(trimmed)
    if "%H" not in layout and "%I" not in layout:
        day = trimmed.str.to_date(layout, strict=False)
    else:
        zone = "UTC" if "%z" in layout else None
        day = trimmed.str.to_datetime(layout, strict=False, time_unit="us", time_zone=zone).dt.date()
    # A two-digit year taken for a four-digit one would be in the first century.
    return pl.when(day.dt.year().is_between(1800, 2200)).then(day)


class DateForms:
    """Counts, over the failing cells of one column, what each format would make of them."""

    def __init__(self, column: Column) -> None:
        self._type = column.logical_type
        self._total = 0
        self._days: dict[str, pl.DataFrame] = {}
        self._both = self._day_only = self._month_only = 0
        self._epoch = dict.fromkeys(_EPOCH, 0)

    def add(self, cells: pl.DataFrame) -> None:
        """Take in distinct texts (``value``) with their ``count``."""
        import polars as pl

        if not cells.height:
            return
        self._total += int(cells["count"].sum())
        step = max(1, cells.height // SAMPLE)
        sample = cells.gather_every(step)
        text = pl.col("value")
        tried = formats_for(self._type)
        parts = (tried[at : at + _AT_ONCE] for at in range(0, len(tried), _AT_ONCE))
        likely = [layout for part in parts for layout in self._fitting(sample, part)]
        parsed = cells.select("count", *(parsed_days(text, layout, self._type).alias(layout) for layout in likely))
        for layout in likely:
            days = parsed.select(pl.col(layout).alias("day"), "count").drop_nulls()
            held = self._days.get(layout)
            together = days if held is None else pl.concat([held, days])
            self._days[layout] = together.group_by("day").agg(pl.col("count").sum())
        self._add_order(parsed, likely)
        for name, pattern in _EPOCH.items():
            self._epoch[name] += int(cells.filter(text.str.contains(pattern))["count"].sum())

    def _fitting(self, sample: pl.DataFrame, tried: Sequence[str]) -> list[str]:
        """The formats that some text is written in."""
        import polars as pl

        text = pl.col("value")
        some = sample.select(parsed_days(text, each, self._type).is_not_null().any().alias(each) for each in tried)
        return [layout for layout, hit in some.row(0, named=True).items() if hit]

    def _add_order(self, parsed: pl.DataFrame, likely: list[str]) -> None:
        import polars as pl

        day_first = [layout for layout in likely if is_day_first(layout)]
        month_first = [layout for layout in likely if is_month_first(layout)]
        one = pl.any_horizontal([pl.col(name).is_not_null() for name in day_first]) if day_first else pl.lit(False)
        two = pl.any_horizontal([pl.col(name).is_not_null() for name in month_first]) if month_first else pl.lit(False)
        counts = parsed.select(
            (pl.col("count") * (one & two)).sum().alias("both"),
            (pl.col("count") * (one & ~two)).sum().alias("day"),
            (pl.col("count") * (~one & two)).sum().alias("month"),
        ).row(0)
        self._both, self._day_only, self._month_only = (
            old + int(new) for old, new in zip((self._both, self._day_only, self._month_only), counts, strict=True)
        )

    def evidence(self, passing: ColumnProfile | None) -> dict[str, Any]:
        """The hypotheses, formats with the best share first."""
        if not self._total:
            return {}
        found = [self._format(layout, passing) for layout in self._days]
        found.sort(key=lambda item: (-item["share"], -item.get("in_range_share", 0.0), item["format"]))
        evidence: dict[str, Any] = {}
        if found:
            evidence["date_formats"] = found[:FORMATS_SHOWN]
        if self._both or self._day_only or self._month_only:
            evidence["day_month"] = {
                "both_share": rounded(self._both / self._total),
                "day_first_only_share": rounded(self._day_only / self._total),
                "month_first_only_share": rounded(self._month_only / self._total),
                "verdict": self._verdict(found),
            }
        epoch = {name: rounded(count / self._total) for name, count in self._epoch.items() if count}
        if epoch:
            evidence["epoch_share"] = epoch
        return evidence

    def _format(self, layout: str, passing: ColumnProfile | None) -> dict[str, Any]:
        import polars as pl

        days = self._days[layout]
        item: dict[str, Any] = {"format": layout, "share": rounded(int(days["count"].sum()) / self._total)}
        if passing is not None and passing.first is not None and self._type != "time":
            first, last = _as_day(passing.first), _as_day(passing.last)
            near = days.filter(
                pl.col("day").is_between(pl.lit(first).dt.offset_by("-1d"), pl.lit(last).dt.offset_by("1d"))
            )
            item["in_range_share"] = rounded(int(near["count"].sum()) / self._total)
        return item

    def _verdict(self, found: list[dict[str, Any]]) -> str:
        """One order for the whole column: what only one order can read decides, else the days of the passing rows."""
        if self._day_only and not self._month_only:
            return "day_first"
        if self._month_only and not self._day_only:
            return "month_first"
        if self._day_only and self._month_only:
            return ""
        day = max((item.get("in_range_share", 0.0) for item in found if is_day_first(item["format"])), default=0.0)
        month = max((item.get("in_range_share", 0.0) for item in found if is_month_first(item["format"])), default=0.0)
        if day >= 0.95 and month < 0.5 * day:
            return "day_first"
        if month >= 0.95 and day < 0.5 * month:
            return "month_first"
        return "ambiguous"


def is_day_first(layout: str) -> bool:
    """Day before month, both as numbers."""
    return "%m" in layout and "%d" in layout and layout.index("%d") < layout.index("%m")


def is_month_first(layout: str) -> bool:
    """Month before day, both as numbers, where the other order exists too."""
    return layout.startswith(("%m", "%Y-%m-%d"))


def _as_day(moment: Any) -> Any:
    from datetime import datetime

    return moment.date() if isinstance(moment, datetime) else moment
