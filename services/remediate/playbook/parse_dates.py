"""parse_dates: dates and times in another format, written as ISO; the whole column decides which format it is."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, NamedTuple

from services.remediate.plans import Case, Fit, Plan, Played
from services.remediate.playbook.cells import failing_texts, mixed, plan_of_mapping, share_explained
from shared.domain.contract_formats import exchanged_order
from shared.domain.remedy import Tier

if TYPE_CHECKING:
    import polars as pl

FORMATS_PER_COLUMN_MAX = 3
SHARE_MIN = 0.02  # a format that fewer of the failing texts have is chance

SAMPLE_TEXTS = 200
YEAR_MIN, YEAR_MAX = 1800, 2200

_DAY_FIRST = [f"%d{mark}%m{mark}{year}" for mark, year in product("/.- ", ("%Y", "%y"))]
_MONTH_FIRST = [f"%m{mark}%d{mark}{year}" for mark, year in product("/- ", ("%Y", "%y"))]  # nobody writes 12.31.2013
_YEAR_FIRST = ["%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d"]
_NAMED = [
    "%d %b %Y", "%d-%b-%Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%B %d %Y", "%d-%b-%y", "%a, %d %b %Y",
]  # fmt: skip
_TIMES = ["%H:%M:%S%.f", "%H:%M:%S", "%H:%M", "%I:%M:%S %p", "%I:%M %p", "%I:%M%p", "%Hh%M", "%H.%M", "%H%M%S", "%H%M"]
_ZONES = ["", "Z", "%:z", "%z", " %z", " UTC", " GMT"]
_PAIRS = [(each, each.replace("%m", "%_").replace("%d", "%m").replace("%_", "%d")) for each in _MONTH_FIRST]
_TWINS = {one: other for pair in _PAIRS for one, other in (pair, pair[::-1])}


class Read(NamedTuple):
    """A format and what it makes of the distinct texts: ISO text or null."""

    format: str
    parsed: pl.Series
    rows: int


class _ParseDates(Played):
    def plan(self, case: Case) -> Plan | None:
        """One format, or up to three, that the failing texts of the column are written in."""
        import polars as pl

        found = failing_texts(case, self.name)
        if found is None or found[0].logical_type not in ("date", "timestamp", "time"):
            return None
        column, staged, values = found
        if column.strptime_format.startswith("%Y-") and exchanged_order(column.strptime_format).startswith("%Y-%m-%d"):
            return None  # ISO would be read as another day there
        chosen, confidence = choose(values, column.logical_type, _verdict(case))
        if not chosen:
            return None
        if mixed(case):  # both orders are proven: what fits both stays as it is
            chosen = [_decided(read, values.get_column("value"), column.logical_type) for read in chosen]
        new_texts = pl.select(pl.coalesce([read.parsed for read in chosen])).to_series()
        mapping = values.select(pl.col("value").alias("old")).with_columns(
            new_texts.alias("new"), pl.lit(confidence).alias("confidence")
        )
        names = ", ".join(read.format for read in chosen)
        doubt = "; day and month could be the other way round" if confidence < 0.6 else ""
        sentence = f"Read {{column}} as {_plain(names)} and write it as ISO in {{rows}} rows{doubt}"
        formats = [read.format for read in chosen]
        sure = 0.95 if share_explained(values, new_texts) >= 0.5 and not _out_of_range(case) else 0.0
        return plan_of_mapping(
            case, self.name, column, staged, mapping.drop_nulls("new"), sentence, {"formats": formats}, sure
        )


def _decided(read: Read, texts: pl.Series, logical_type: str) -> Read:
    """The reading without the texts that mean another day with day and month exchanged."""
    import polars as pl

    exchanged = exchanged_order(read.format)
    if not exchanged:
        return read
    other = _parse(texts, exchanged, logical_type)
    keep = other.is_null() | (other == read.parsed)
    return read._replace(parsed=pl.select(pl.when(keep).then(read.parsed)).to_series())


def _plain(text: str) -> str:
    return text.replace("{", "").replace("}", "")


def _out_of_range(case: Case) -> bool:
    """True when the dates, read in the likeliest way, lie elsewhere than those of the passing rows."""
    told = [each for each in case.finding.evidence("date_formats") or [] if isinstance(each, dict)]
    return bool(told) and all(float(each.get("in_range_share", 1.0)) < 0.5 for each in told)


def _verdict(case: Case) -> str:
    """What the whole column says about day and month: day_first, month_first, or "" when it cannot tell."""
    told = case.finding.evidence("day_month")
    verdict = str(told.get("verdict", "")) if isinstance(told, dict) else ""
    if verdict in ("day_first", "month_first"):
        return verdict
    shares: dict[str, float] = {}
    for entry in case.finding.evidence("date_formats") or []:
        if isinstance(entry, dict) and "in_range_share" in entry:
            order = _order(str(entry.get("format", "")))
            shares[order] = max(shares.get(order, 0.0), float(entry["in_range_share"]))
    day, month = shares.get("day_first"), shares.get("month_first")
    if day is not None and month is not None:
        if day >= 0.99 and month <= 0.7:
            return "day_first"
        if month >= 0.99 and day <= 0.7:
            return "month_first"
    return ""


def _order(text: str) -> str:
    day, month = text.find("%d"), text.find("%m")
    if day < 0 or month < 0 or text.startswith("%Y"):
        return ""
    return "day_first" if day < month else "month_first"


def choose(values: pl.DataFrame, logical_type: str, verdict: str) -> tuple[list[Read], float]:
    """The formats for a column's failing texts (``value``, ``rows``), most frequent first, and how sure that is."""
    import polars as pl

    texts, weights = values.get_column("value"), values.get_column("rows").cast(pl.Int64)
    total = int(weights.sum())
    left = pl.Series([True] * len(texts), dtype=pl.Boolean)
    chosen: list[Read] = []
    confidence = 1.0
    while len(chosen) < FORMATS_PER_COLUMN_MAX and left.any():
        reads = [_read(texts, weights, left, each, logical_type) for each in _likely(texts.filter(left), logical_type)]
        reads = [read for read in reads if read.rows >= max(1, SHARE_MIN * total)]
        if not reads:
            break
        best = max(reads, key=lambda read: read.rows)
        pick, sure = _settle(best, reads, verdict)
        chosen.append(pick)
        confidence = min(confidence, sure)
        left = left & pick.parsed.is_null()
    return chosen, confidence


def _settle(best: Read, reads: list[Read], verdict: str) -> tuple[Read, float]:
    """The reading with day and month the right way round, and how sure that is."""
    twin = next((read for read in reads if _is_twin(best.format, read.format)), None)
    if twin is None:
        return best, 0.98
    only_best = bool((best.parsed.is_not_null() & twin.parsed.is_null()).any())
    only_twin = bool((twin.parsed.is_not_null() & best.parsed.is_null()).any())
    if only_best and only_twin:
        return best, 0.5  # the column itself is of two minds
    if only_best or only_twin:  # some texts fit one order only, and a column has one order
        return (best if only_best else twin), 0.98
    if bool((best.parsed == twin.parsed).all()):
        return best, 0.95
    if verdict:
        return (best if _order(best.format) == verdict else twin), 0.95
    return best, 0.5


def _is_twin(one: str, other: str) -> bool:
    date, mark, rest = _split(one)
    return _TWINS.get(date, "") + mark + rest == other and date in _TWINS


def _split(text: str) -> tuple[str, str, str]:
    for mark in ("T", ", ", " "):
        for date in _TWINS:
            if text.startswith(date + mark + "%"):
                return date, mark, text[len(date) + len(mark) :]
    return text, "", ""


def _candidates(logical_type: str) -> list[str]:
    dates = [*_YEAR_FIRST, *_DAY_FIRST, *_MONTH_FIRST, *_NAMED]
    if logical_type == "date":
        return [*dates, *(f"{date} 00:00:00" for date in dates)]
    if logical_type == "time":
        return _TIMES
    joined = [f"{date}{mark}{time}" for date in dates for mark in (" ", "T", ", ") for time in _TIMES]
    zoned = [f"{each}{zone}" for each in joined for zone in _ZONES if zone]
    return [*joined, *dates, *_few_zoned(zoned)]


def _few_zoned(zoned: list[str]) -> list[str]:
    return [each for each in zoned if each.startswith(("%Y", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%a"))]


def _read(texts: pl.Series, weights: pl.Series, left: pl.Series, fmt: str, logical_type: str) -> Read:
    import polars as pl

    parsed = _parse(texts, fmt, logical_type)
    parsed = pl.select(pl.when(left).then(parsed).otherwise(None)).to_series()
    return Read(fmt, parsed, int(weights.filter(parsed.is_not_null()).sum()))


def _likely(texts: pl.Series, logical_type: str) -> list[str]:
    """Candidates that at least one text of an even sample has; the rest is not worth a pass over all texts."""
    sample = texts.gather_every(max(1, len(texts) // SAMPLE_TEXTS)).head(SAMPLE_TEXTS)
    return [each for each in _candidates(logical_type) if _parse(sample, each, logical_type).null_count() < len(sample)]


def _parse(texts: pl.Series, fmt: str, logical_type: str) -> pl.Series:
    """ISO texts of what fits the format exactly, null for the rest."""
    import polars as pl

    stripped = texts.str.strip_chars()
    if logical_type == "time":
        return stripped.str.to_time(fmt, strict=False).dt.strftime("%H:%M:%S%.f")
    midnight = logical_type == "date" and fmt.endswith(" 00:00:00")
    if midnight:
        stripped, fmt = stripped.str.strip_suffix(" 00:00:00"), fmt.removesuffix(" 00:00:00")
    if "%H" not in fmt and "%I" not in fmt:
        days = _credible(stripped.str.to_date(fmt, strict=False))
        return days.dt.strftime("%Y-%m-%d" if logical_type == "date" else "%Y-%m-%d 00:00:00")
    zoned = "%z" in fmt or "%:z" in fmt or fmt.endswith(("Z", " UTC", " GMT"))
    try:
        moments = stripped.str.to_datetime(fmt, strict=False, time_unit="us")
    except pl.exceptions.ComputeError:  # the engine has no such combination
        return pl.Series([None] * len(texts), dtype=pl.String)
    return _credible(moments).dt.strftime("%Y-%m-%d %H:%M:%S%.f" + ("Z" if zoned else ""))


def _credible(moments: pl.Series) -> pl.Series:
    """Null where the year is none that data are about: `%Y` reads 13 as the year 13."""
    import polars as pl

    credible = moments.dt.year().is_between(YEAR_MIN, YEAR_MAX)
    return pl.select(pl.when(credible).then(moments).otherwise(None)).to_series()


PARSE_DATES = _ParseDates(
    name="parse_dates",
    tier=Tier.GUARDED,
    stage="rows",
    fits={
        "date_format_changed": Fit(38, 2, "When a whole column fits one format exactly, it rarely means another."),
        "type_changed": Fit(3, 1, "A type that changed may be a date written differently."),
        "unknown": Fit(2, 2, "Worth a look when texts fail to become dates."),
    },
)
