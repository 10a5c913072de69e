"""Whether a column's numbers are those of earlier batches in another unit: mean and spread moved by one factor."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from services.validate.baseline import BASELINE_MIN, moved
from services.validate.profile import rounded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from services.validate.baseline import Baseline

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
