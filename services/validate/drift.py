"""Whether a batch's columns moved away from the pipeline's own earlier batches, by medians and median deviations.

Drift never sets rows aside: it opens an incident, and holds the batch when the numbers look converted to another unit
or when the contract itself states the limit that was passed.
"""

from __future__ import annotations

import math
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from services.validate.findings import DatasetFinding
from services.validate.profile import rounded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shared.domain.contract import Contract, DriftLimits

BASELINE_MIN = 5
BASELINE_MAX = 30
MEAN_SHIFT_MAX = 8.0  # robust standard deviations
MEAN_EFFECT_MIN = 0.25  # of the column's own spread: a tiny but steady column may move by less without a word
SPREAD_RATIO_MAX = 2.0
NULL_SHARE_CHANGE_MAX = 0.25
_TO_DEVIATION = 1.4826  # median deviation of a normal distribution
_FLOOR_SHARE = 0.005  # batches that were all but equal are no reason to alarm at a half percent
_UNIT_TOLERANCE = 0.02
_SCATTERS_APART = 5.0
_ERRORS_APART = 4.0
_UNIT_TOLERANCE_MAX = 0.08
_UNIT_SPREAD_TOLERANCE_MAX = 0.15

# Factors by which numbers grow when a column's unit changes from one to the other.
UNITS: tuple[tuple[float, str, str], ...] = (
    (1.609344, "mile", "kilometre"),
    (1.852, "nautical mile", "kilometre"),
    (2.54, "inch", "centimetre"),
    (25.4, "inch", "millimetre"),
    (0.3048, "foot", "metre"),
    (0.9144, "yard", "metre"),
    (0.45359237, "pound", "kilogram"),
    (28.349523125, "ounce", "gram"),
    (3.785411784, "gallon", "litre"),
    (1.150779448, "knot", "mile per hour"),
    (3.6, "metre per second", "kilometre per hour"),
    (33.8638866667, "inch of mercury", "hectopascal"),
    (60.0, "minute", "second"),
    (3600.0, "hour", "second"),
    (24.0, "day", "hour"),
    (100.0, "whole", "hundredth"),
    (1000.0, "thousand", "one"),
    (1_000_000.0, "million", "one"),
)


class Place(NamedTuple):
    """Where a batch's released rows are, and how many."""

    batch_id: str
    attempt: int
    rows: int
    seq: str


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


class Moved(NamedTuple):
    """How far one fact is from its baseline."""

    deviations: float  # robust standard deviations
    ratio: float  # to the median, 0 when that is 0
    scatter: float  # robust standard deviation over the median, of the baseline


def moved(value: float, earlier: Sequence[float]) -> Moved:
    """Compare a value with earlier ones by their median and median deviation."""
    middle = median(earlier)
    deviation = _TO_DEVIATION * median(abs(item - middle) for item in earlier)
    floor = max(_FLOOR_SHARE * abs(middle), 1e-12)
    scatter = deviation / abs(middle) if middle else 0.0
    return Moved((value - middle) / max(deviation, floor), value / middle if middle else 0.0, scatter)


def unit_ratio(facts: Mapping[str, Any], baseline: Baseline, column: str) -> list[dict[str, Any]]:
    """Unit changes that explain both the new mean and the new spread, best first; [] when none does.

    A factor must be told apart from none: it is farther from 1 than means scatter, between deliveries as far as a few
    of them show, and by sampling alone (a mean's standard error is spread / √values).
    """
    means, spreads = baseline.facts(column, "mean"), baseline.facts(column, "spread")
    if "mean" not in facts or min(len(means), len(spreads)) < BASELINE_MIN:
        return []
    mean, spread = moved(facts["mean"], means), moved(facts["spread"], spreads)
    if mean.ratio <= 0 or spread.ratio <= 0:
        return []
    sampling = float(facts["spread"]) / (abs(float(facts["mean"])) * math.sqrt(max(float(facts.get("values", 0)), 1.0)))
    noise = max(_SCATTERS_APART * mean.scatter, _ERRORS_APART * sampling)
    found = []
    for factor, small, large in UNITS:
        for wanted, before, after in ((factor, small, large), (1 / factor, large, small)):
            mean_error, spread_error = abs(mean.ratio / wanted - 1), abs(spread.ratio / wanted - 1)
            mean_allowed = min(max(_UNIT_TOLERANCE, 3 * mean.scatter), _UNIT_TOLERANCE_MAX)
            spread_allowed = min(max(2 * _UNIT_TOLERANCE, 3 * spread.scatter), _UNIT_SPREAD_TOLERANCE_MAX)
            if abs(math.log(wanted)) > noise and mean_error <= mean_allowed and spread_error <= spread_allowed:
                errors = {"mean_error": rounded(mean_error), "spread_error": rounded(spread_error)}
                found.append({"factor": rounded(wanted), "from": before, "to": after, **errors})
    return sorted(found, key=lambda item: float(item["mean_error"]) + float(item["spread_error"]))


def shifts(profile: Mapping[str, Any], baseline: Baseline, contract: Contract) -> list[DatasetFinding]:
    """A finding for every column that moved too far. The tested batch must not be in the baseline."""
    if len(baseline.profiles) < BASELINE_MIN:
        return []
    found = []
    for column in contract.columns:
        limits = column.drift_limits
        if column.name in profile and (limits is None or limits.enabled):
            finding = _shift(column.name, profile[column.name], baseline, limits)
            if finding is not None:
                found.append(finding)
    return found


def _shift(
    column: str, facts: Mapping[str, Any], baseline: Baseline, limits: DriftLimits | None
) -> DatasetFinding | None:
    means, spreads = baseline.facts(column, "mean"), baseline.facts(column, "spread")
    shares = baseline.facts(column, "null_share")
    reasons: list[str] = []
    evidence: dict[str, Any] = {"column": column, "baseline_batches": len(baseline.profiles)}
    if "mean" in facts and min(len(means), len(spreads)) >= BASELINE_MIN:
        mean, spread = moved(facts["mean"], means), moved(facts["spread"], spreads)
        evidence |= {"mean_shift": rounded(mean.deviations), "mean_ratio": rounded(mean.ratio)}
        evidence["spread_ratio"] = rounded(spread.ratio)
        if _mean_moved(facts["mean"], mean, means, spreads, limits):
            reasons.append("mean")
        if _spread_moved(spread, limits):
            reasons.append("spread")
    if "null_share" in facts and len(shares) >= BASELINE_MIN and _nulls_moved(facts["null_share"], shares, limits):
        reasons.append("nulls")
    if not reasons:
        return None
    if "null_share" in facts and shares:
        evidence |= {"null_share": facts["null_share"], "baseline_null_share": rounded(median(shares))}
    units = unit_ratio(facts, baseline, column) if "mean" in reasons or "spread" in reasons else []
    if units:
        evidence["unit_ratio"] = units
    holds = bool(units) or _stated(reasons, limits)
    what = {"mean": "mean", "spread": "spread", "nulls": "share of nulls"}
    moved_text = " and ".join(what[reason] for reason in reasons)
    message = f"{column}: its {moved_text} left the range of the {len(baseline.profiles)} batches before it"
    evidence |= {"hold": holds, "reasons": reasons, "limits": _written(limits)}
    return DatasetFinding(check="shift", column=column, message=message, holds=holds, evidence=evidence)


def _mean_moved(
    value: float, mean: Moved, means: Sequence[float], spreads: Sequence[float], limits: DriftLimits | None
) -> bool:
    if limits is not None and limits.mean_shift_max is not None:
        return abs(mean.deviations) > limits.mean_shift_max
    width = median(spreads)
    change = abs(value - median(means))
    effect = change / width if width > 0 else (math.inf if change > MEAN_EFFECT_MIN * abs(median(means)) else 0.0)
    return abs(mean.deviations) > MEAN_SHIFT_MAX and effect > MEAN_EFFECT_MIN


def _spread_moved(spread: Moved, limits: DriftLimits | None) -> bool:
    stated = limits.spread_ratio_max if limits is not None else None
    most = stated if stated is not None else SPREAD_RATIO_MAX
    if spread.ratio <= 0:
        return False
    far = spread.ratio > most or spread.ratio < 1 / most
    return far and (stated is not None or abs(spread.deviations) > MEAN_SHIFT_MAX)


def _nulls_moved(share: float, earlier: Sequence[float], limits: DriftLimits | None) -> bool:
    stated = limits.null_share_change_max if limits is not None else None
    change = abs(share - median(earlier))
    if stated is not None:
        return change > stated
    deviation = _TO_DEVIATION * median(abs(item - median(earlier)) for item in earlier)
    return change > NULL_SHARE_CHANGE_MAX and change > MEAN_SHIFT_MAX * deviation


def _stated(reasons: Sequence[str], limits: DriftLimits | None) -> bool:
    """True when the contract itself states a limit that was passed."""
    if limits is None:
        return False
    stated = {
        "mean": limits.mean_shift_max,
        "spread": limits.spread_ratio_max,
        "nulls": limits.null_share_change_max,
    }
    return any(stated[reason] is not None for reason in reasons)


def _written(limits: DriftLimits | None) -> dict[str, float]:
    """The limits that held."""
    defaults = {
        "mean_shift_max": MEAN_SHIFT_MAX,
        "spread_ratio_max": SPREAD_RATIO_MAX,
        "null_share_change_max": NULL_SHARE_CHANGE_MAX,
    }
    stated = {name: getattr(limits, name, None) for name in defaults}
    return {name: default if stated[name] is None else float(stated[name] or 0) for name, default in defaults.items()}
