"""What a batch is compared with: the pipeline's own earlier batches, of the same weekday where that tells more."""

from __future__ import annotations

from datetime import UTC, date, datetime
from statistics import fmean, median
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from services.validate.profile import rounded

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from services.validate.profile import BatchProfile
    from shared.domain.contract import Column

BASELINE_MIN: Final = 5
BASELINE_MAX: Final = 30
SAME_WEEKDAY_MIN: Final = 4
NOISE_HALVED: Final = 0.5  # batches of the same weekday are taken where they scatter no more than this share of all
ROWS_PASSED_MIN: Final = 0.75  # a batch of which more was set aside is no example of a normal one
NO_WEEKDAY: Final = -1
_TO_DEVIATION: Final = 1.4826  # median deviation of a normal distribution
_FLOOR_SHARE: Final = 0.005  # batches that were all but equal are no reason to alarm at a half percent


class Place(NamedTuple):
    """Where a batch's released rows are, how many came, and whether it is an example of a normal batch."""

    batch_id: str
    attempt: int
    rows: int
    seq: str
    weekday: int = NO_WEEKDAY  # 0 is Monday
    normal: bool = True  # released when its rows were judged first, neither held nor repaired


class Baseline(NamedTuple):
    """Earlier batches' profiles of the pipeline, newest first, with the keys of their documents and their places."""

    keys: tuple[str, ...]
    profiles: tuple[Mapping[str, Any], ...]
    places: tuple[Place, ...] = ()

    def facts(self, column: str, key: str) -> list[float]:
        """One fact of a column in all the profiles that have it."""
        return [float(item[column][key]) for item in self.profiles if key in item.get(column, {})]

    def null_share(self, column: str) -> dict[str, Any]:
        """``{"batches", "null_share"}`` of a column, {} without earlier batches."""
        shares = self.facts(column, "null_share")
        return {"batches": len(shares), "null_share": rounded(median(shares))} if shares else {}

    def normal(self) -> Baseline:
        """Only the batches that were neither held nor repaired."""
        kept = [each for each in zip(self.keys, self.profiles, self.places, strict=False) if each[2].normal]
        if not self.places or len(kept) == len(self.keys):
            return self
        return Baseline(*(tuple(each[part] for each in kept) for part in range(3)))  # type: ignore[arg-type]

    def weekdays(self, column: str, key: str) -> list[int]:
        """The weekdays of the batches whose fact ``facts`` gives, in the same order."""
        days = [place.weekday for place in self.places] or [NO_WEEKDAY] * len(self.profiles)
        return [day for item, day in zip(self.profiles, days, strict=True) if key in item.get(column, {})]

    def usual(self, column: str, key: str, weekday: int) -> list[float]:
        """One fact of a column in the batches that the tested one is best compared with."""
        return of_the_season(self.facts(column, key), self.weekdays(column, key), weekday)


class Moved(NamedTuple):
    """How far one fact is from its baseline."""

    deviations: float  # robust standard deviations
    ratio: float  # to the median, 0 when that is 0
    scatter: float  # robust standard deviation over the median, of the baseline


def moved(value: float, earlier: Sequence[float]) -> Moved:
    """Compare a value with earlier ones by their median and median deviation."""
    middle = median(earlier)
    deviation = deviation_of(earlier)
    floor = max(_FLOOR_SHARE * abs(middle), 1e-12)
    scatter = deviation / abs(middle) if middle else 0.0
    return Moved((value - middle) / max(deviation, floor), value / middle if middle else 0.0, scatter)


def deviation_of(values: Sequence[float]) -> float:
    """The standard deviation by the median deviation, which single strange batches do not touch."""
    middle = median(values)
    return _TO_DEVIATION * median(abs(item - middle) for item in values)


def beyond_the_range(value: float, values: Sequence[float], room: float = 0.0) -> bool:
    """True outside of what two or more of the values reach, and ``room`` around it: one strange batch hides nothing."""
    ordered = sorted(values)
    return not ordered[1] - room <= value <= ordered[-2] + room


def of_the_season(values: Sequence[float], weekdays: Sequence[int], weekday: int) -> list[float]:
    """The values of the same weekday where they are at least four and scatter half as much as all; else all."""
    same = [value for value, day in zip(values, weekdays, strict=True) if day == weekday != NO_WEEKDAY]
    if len(same) < SAME_WEEKDAY_MIN or _scatter(same) > NOISE_HALVED * _scatter(values):
        return list(values)
    return same


def _scatter(values: Sequence[float]) -> float:
    """The mean distance from the median: unlike the median one it sees that one day in seven is another."""
    middle = median(values)
    return fmean(abs(each - middle) for each in values)


def weekday_of(profile: BatchProfile, columns: Sequence[Column], arrived: int) -> int:
    """The weekday that a batch is of: the one day that all rows of a column have, else the day on which it arrived.

    ``arrived`` is in microseconds since 1970 (0: unknown, which is ``NO_WEEKDAY``).
    """
    for column in columns:
        known = profile.columns.get(column.name)
        if column.logical_type in ("date", "timestamp") and known is not None and known.first is not None:
            first, last = str(known.first)[:10], str(known.last)[:10]
            if first == last:
                return date.fromisoformat(first).weekday()
    return datetime.fromtimestamp(arrived / 1_000_000, UTC).weekday() if arrived else NO_WEEKDAY


def baseline_of(documents: Iterable[tuple[str, Mapping[str, Any]]]) -> Baseline:
    """The baseline of profiles' documents by key, newest first."""
    found = list(documents)
    return Baseline(
        tuple(key for key, _ in found),
        tuple(data["columns"] for _, data in found),
        tuple(_place(data) for _, data in found),
    )


def _place(data: Mapping[str, Any]) -> Place:
    rows, attempt = int(data["rows"]), int(data["attempt"])
    passed = int(data.get("rows_passed", rows))
    normal = not data.get("judged_before", False) and passed >= ROWS_PASSED_MIN * rows
    return Place(data["batch_id"], attempt, rows, data["seq"], int(data.get("weekday", NO_WEEKDAY)), normal)
