"""Freeze windows: times in which nothing guarded runs by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from shared.domain.pipeline import duration_seconds
from shared.domain.policy import FreezeWindow, Policy

_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MINUTES_MAX = 60 * 24 * 31


def frozen(policy: Policy, pipeline: str, now: int) -> str:
    """The name of a freeze window that is open for the pipeline, "" when none is."""
    for window in policy.freeze:
        if (not window.pipelines or pipeline in window.pipelines) and _open(window, now):
            return window.name or window.cron or f"{window.start} to {window.end}"
    return ""


def _open(window: FreezeWindow, now: int) -> bool:
    moment = datetime.fromtimestamp(now / 1_000_000, UTC)
    if window.start:
        return datetime.fromisoformat(window.start) <= moment < datetime.fromisoformat(window.end)
    sets = [_members(text, index) for index, text in enumerate(window.cron.lower().split())]
    minutes = min(duration_seconds(window.lasts) // 60, _MINUTES_MAX)
    start = moment.replace(second=0, microsecond=0)
    days_any = window.cron.split()[2] == "*" or window.cron.split()[4] == "*"
    return any(_starts(start - timedelta(minutes=back), sets, days_any) for back in range(max(minutes, 1)))


def _starts(moment: datetime, sets: list[frozenset[int]], days_any: bool) -> bool:
    if moment.minute not in sets[0] or moment.hour not in sets[1] or moment.month not in sets[3]:
        return False
    day, weekday = moment.day in sets[2], moment.isoweekday() % 7 in sets[4]
    return (day and weekday) if days_any else (day or weekday)  # cron: both restricted means either


def _members(text: str, index: int) -> frozenset[int]:
    low, high = _RANGES[index]
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        if span == "*":
            first, last = low, high
        else:
            ends = [_number(end, index) for end in span.split("-")]
            first, last = ends[0], ends[-1] if len(ends) > 1 else (high if step else ends[0])
            last = last + 7 if index == 4 and last < first else last
        found.update(range(first, last + 1, int(step or 1)))
    return frozenset(each % 7 for each in found) if index == 4 else frozenset(found)


def _number(text: str, index: int) -> int:
    if index == 3 and text in _MONTHS:
        return _MONTHS.index(text) + 1
    return _WEEKDAYS.index(text) if index == 4 and text in _WEEKDAYS else int(text)
