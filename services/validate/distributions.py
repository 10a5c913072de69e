"""How unlike two distributions are, and how unlike sampling alone makes them.

The distance of Kolmogorov and Smirnov (KS) is the greatest difference between two cumulative distributions, 0 … 1. The
population stability index (PSI) sums (p - q) ln(p / q) over categories; by custom 0.1 is a small shift, 0.25 a large
one (Siddiqi, *Credit Risk Scorecards*, 2006). It is the symmetric divergence of Kullback and Leibler.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from functools import lru_cache
from statistics import NormalDist
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_HALF = 0.5  # added to every count, so that a category that is missing once makes no infinite index


def ks_critical(one: float, other: float, chance: float) -> float:
    """The distance that samples of these sizes exceed with this chance: √(-ln(chance / 2) / 2) √((n + m) / nm).

    Smirnov, *Table for estimating the goodness of fit of empirical distributions*, Annals of Mathematical Statistics
    1948; Knuth, *The Art of Computer Programming* 2, 3.3.1.
    """
    return math.sqrt(-math.log(chance / 2) / 2) * math.sqrt((one + other) / (one * other))


def psi_critical(one: float, other: float, categories: int, chance: float) -> float:
    """The index that samples of these sizes exceed with this chance: (1 / n + 1 / m) χ² of categories - 1.

    Yurdakul and Naranjo, *Statistical properties of the population stability index*, Journal of Risk Model Validation
    2020.
    """
    return (1 / one + 1 / other) * _chi_squared(max(1, categories - 1), chance)


@lru_cache(maxsize=1024)
def _chi_squared(freedom: int, chance: float) -> float:
    """The value that χ² exceeds with this chance (Wilson and Hilferty, *The distribution of chi-square*, PNAS 1931)."""
    share = 2 / (9 * freedom)
    return freedom * float(1 - share + NormalDist().inv_cdf(1 - chance) * math.sqrt(share)) ** 3


def psi(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    """The population stability index of two tables of counts."""
    names = one.keys() | other.keys()
    rows, others = (sum(each.values()) + _HALF * len(names) for each in (one, other))
    shares = (((one.get(name, 0) + _HALF) / rows, (other.get(name, 0) + _HALF) / others) for name in sorted(names))
    return math.fsum((p - q) * math.log(p / q) for p, q in shares)


def pooled(tables: Sequence[Mapping[str, int]]) -> Counter[str]:
    """The counts of several tables together."""
    found: Counter[str] = Counter()
    for each in tables:
        found.update(each)
    return found


def grid_of(several: Sequence[Sequence[float]], points: int) -> list[float]:
    """Values between which several distributions lie, evenly by their ranks."""
    values = sorted({value for each in several for value in each})
    if len(values) <= points:
        return values
    return [values[(len(values) - 1) * number // (points - 1)] for number in range(points)]


def cumulative(centroids: Sequence[float], grid: Sequence[float]) -> list[float]:
    """The share of values up to each point of a grid, of a distribution given by means of equal slices.

    A slice has half its values below its mean; slices of one mean are that value alone, and belong to it whole.
    """
    return [_share_up_to(centroids, point) for point in grid]


def _share_up_to(centroids: Sequence[float], point: float) -> float:
    slices = len(centroids)
    low, high = bisect_left(centroids, point), bisect_right(centroids, point)
    if high - low >= 2 or high == 0:
        return high / slices
    if high - low == 1:
        return (low + _HALF) / slices
    if high == slices or _is_single_value(centroids, high - 1):
        return high / slices
    before, after = centroids[high - 1], centroids[high]
    return (high - _HALF + (point - before) / (after - before)) / slices


def _is_single_value(centroids: Sequence[float], place: int) -> bool:
    return place > 0 and centroids[place - 1] == centroids[place]


def distance(one: Sequence[float], other: Sequence[float]) -> float:
    """The greatest difference between two cumulative distributions on the same grid."""
    return max((abs(a - b) for a, b in zip(one, other, strict=True)), default=0.0)
