"""Whether a batch moved away from the pipeline's own earlier batches, and by how much more than these differ.

Every check gives an effect, and alarms only where that is large by itself, larger than sampling alone makes it, and
larger than the batches before it differ among themselves. Drift never sets rows aside: it opens an incident, and holds
the batch when the numbers look converted to another unit or when the contract itself states the limit that was passed.
"""

from __future__ import annotations

import math
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from services.validate.baseline import (
    BASELINE_MIN,
    NO_WEEKDAY,
    Baseline,
    beyond_the_range,
    deviation_of,
    moved,
    of_the_season,
)
from services.validate.drifted_shapes import Effect, patience, shape_effects
from services.validate.findings import DatasetFinding
from services.validate.profile import rounded
from services.validate.units import unit_ratio
from shared.domain.contract import DriftLimits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shared.domain.contract import Contract

MEAN_SHIFT_MAX = 8.0  # robust standard deviations
MEAN_EFFECT_MIN = 0.25  # of the column's own spread: a tiny but steady column may move by less without a word
SPREAD_RATIO_MAX = 2.0
NULL_SHARE_CHANGE_MAX = 0.25
ROW_COUNT_CHANGE_MAX = 0.5
DISTINCT_RATIO_MAX = 3.0
_ERRORS_APART = 5.0  # standard errors of sampling
_ROWS_DEVIATIONS = 4.5  # of the logarithm of the number of rows
_ROUNDING = 1e-9  # of the mean
_ROWS_STEADY = 0.02  # a number of rows that never changed may change by so much

_WORDS = {
    "mean": "mean",
    "spread": "spread",
    "nulls": "share of nulls",
    "quantiles": "distribution",
    "categories": "mix of categories",
    "new_categories": "set of categories (new ones)",
    "vanished_categories": "set of categories (vanished ones)",
    "order": "order",
    "distinct": "number of different values",
}


class BatchFacts(NamedTuple):
    """The batch that is compared: its profile, its rows, the weekday it is of."""

    columns: Mapping[str, Mapping[str, Any]]
    rows: int
    weekday: int = NO_WEEKDAY
    empty_before: bool = False  # an earlier batch had no row either


def shifts(tested: BatchFacts, earlier: Baseline, contract: Contract) -> list[DatasetFinding]:
    """A finding for every column that moved too far, and one for the number of rows. ``earlier`` has not the batch."""
    baseline = earlier.normal()
    if len(baseline.profiles) < BASELINE_MIN:
        return []
    found = []
    for column in contract.columns:
        limits = column.drift_limits or DriftLimits()
        if column.name in tested.columns and limits.enabled:
            finding = _shift(column.name, tested, baseline, limits, earlier)
            if finding is not None:
                found.append(finding)
    rows = _rows_moved(tested, baseline, contract.drift_limits or DriftLimits(), found)
    return found if rows is None else [*found, rows]


def _shift(
    column: str, tested: BatchFacts, baseline: Baseline, limits: DriftLimits, earlier: Baseline
) -> DatasetFinding | None:
    facts, day = tested.columns[column], tested.weekday
    means, spreads = (baseline.usual(column, key, day) for key in ("mean", "spread"))
    shares = baseline.usual(column, "null_share", day)
    running = _runs(baseline, column)
    effects: list[Effect] = []
    evidence: dict[str, Any] = {"column": column, "baseline_batches": len(baseline.profiles)}
    if "mean" in facts and _enough(baseline, column, "mean"):
        mean, spread = moved(facts["mean"], means), moved(facts["spread"], spreads)
        evidence |= {"mean_shift": rounded(mean.deviations), "mean_ratio": rounded(mean.ratio)}
        evidence["spread_ratio"] = rounded(spread.ratio)
        effects += _mean_moved(facts, means, spreads, limits)
        if limits.spread_ratio_max is not None or not running:
            effects += _spread_moved(facts, spreads, limits)
    if "null_share" in facts and _enough(baseline, column, "null_share"):
        effects += _nulls_moved(facts, shares, limits)
    effects += shape_effects(column, facts, baseline, limits, day) + _distinct_moved(column, tested, baseline)
    if not effects:
        return None
    reasons = [effect.reason for effect in effects]
    if "null_share" in facts and shares:
        evidence |= {"null_share": facts["null_share"], "baseline_null_share": rounded(median(shares))}
    # What unit the numbers are in, batches that had to be released by hand show as well.
    units = unit_ratio(facts, earlier, column) if not running and {"mean", "spread"} & set(reasons) else []
    if units:
        evidence["unit_ratio"] = units
    holds = bool(units) or any(effect.stated for effect in effects)
    moved_text = " and ".join(_WORDS[reason] for reason in reasons)
    message = f"{column}: its {moved_text} left the range of the {len(baseline.profiles)} batches before it"
    told = [effect.evidence() for effect in effects]
    evidence |= {"hold": holds, "reasons": reasons, "effects": told, "limits": _written(limits)}
    return DatasetFinding(check="shift", column=column, message=message, holds=holds, evidence=evidence)


def _enough(baseline: Baseline, column: str, key: str) -> bool:
    return len(baseline.facts(column, key)) >= BASELINE_MIN


def _runs(baseline: Baseline, column: str) -> bool:
    """True for running numbers, whose spread says no more than the number of rows: fewer are no other unit."""
    orders = baseline.facts(column, "order")
    return bool(orders) and all(orders)


def _mean_moved(
    facts: Mapping[str, Any], means: Sequence[float], spreads: Sequence[float], limits: DriftLimits
) -> list[Effect]:
    """The mean in the column's own spread; a stated limit is in robust standard deviations of the means before."""
    if limits.mean_shift_max is not None:
        deviations = abs(moved(facts["mean"], means).deviations)
        return [Effect("mean", deviations, 1.0, limits.mean_shift_max, True)] * (deviations > limits.mean_shift_max)
    width, middle = median(spreads), median(means)
    change, deviation = abs(facts["mean"] - middle), max(deviation_of(means), 0.005 * abs(middle), 1e-12)
    error = float(facts["spread"]) / math.sqrt(max(float(facts.get("values", 0)), 1.0))
    least = MEAN_EFFECT_MIN * (width if width > 0 else abs(middle))
    limit = max(least, MEAN_SHIFT_MAX * patience(len(means)) * deviation, _ERRORS_APART * error)
    unit = width or abs(middle) or 1.0
    far = change > limit and beyond_the_range(facts["mean"], means, least)
    return [Effect("mean", change / unit, deviation / unit, limit / unit)] * far


def _spread_moved(facts: Mapping[str, Any], spreads: Sequence[float], limits: DriftLimits) -> list[Effect]:
    """The spread as a ratio to that of before, the larger over the smaller; what rounding makes is no spread."""
    spread, middle = float(facts["spread"]), median(spreads)
    if min(spread, middle) <= _ROUNDING * abs(facts["mean"]):
        return []
    ratio = max(spread / middle, middle / spread)
    if limits.spread_ratio_max is not None:
        return [Effect("spread", ratio, 1.0, limits.spread_ratio_max, True)] * (ratio > limits.spread_ratio_max)
    # Spreads of what has long tails scatter by factors, so that they are compared as logarithms.
    logarithms = [math.log(each) for each in spreads if each > 0]
    deviation = max(deviation_of(logarithms), 0.005)
    limit = max(SPREAD_RATIO_MAX, math.exp(min(MEAN_SHIFT_MAX * patience(len(spreads)) * deviation, 700.0)))
    far = ratio > limit and beyond_the_range(math.log(spread), logarithms, math.log(SPREAD_RATIO_MAX))
    return [Effect("spread", ratio, math.exp(deviation), limit)] * far


def _nulls_moved(facts: Mapping[str, Any], shares: Sequence[float], limits: DriftLimits) -> list[Effect]:
    """The share of nulls, as a difference."""
    middle, deviation = median(shares), deviation_of(shares)
    change = abs(facts["null_share"] - middle)
    if limits.null_share_change_max is not None:
        limit = limits.null_share_change_max
        return [Effect("nulls", change, deviation, limit, True)] * (change > limit)
    error = math.sqrt(max(middle * (1 - middle), 0.0) / max(float(facts["rows"]), 1.0))
    noise = MEAN_SHIFT_MAX * patience(len(shares)) * deviation
    limit = max(NULL_SHARE_CHANGE_MAX, noise, _ERRORS_APART * error)
    far = change > limit and beyond_the_range(facts["null_share"], shares, NULL_SHARE_CHANGE_MAX / 2)
    return [Effect("nulls", change, deviation, limit)] * far


def _distinct_moved(column: str, tested: BatchFacts, baseline: Baseline) -> list[Effect]:
    """The number of different values, where it moved both as such and as a share of the rows."""
    facts = tested.columns[column]
    if "distinct" not in facts or not _enough(baseline, column, "distinct"):
        return []
    counts, rows = baseline.facts(column, "distinct"), baseline.facts(column, "rows")
    if len(counts) != len(rows) or min(counts) <= 0 or facts["distinct"] <= 0:
        return []
    days = baseline.weekdays(column, "distinct")
    shares = [count / of for count, of in zip(counts, rows, strict=True)]
    both = []
    for value, before in ((facts["distinct"], counts), (facts["distinct"] / facts["rows"], shares)):
        logarithms = of_the_season([math.log(each) for each in before], days, tested.weekday)
        both.append((max(deviation_of(logarithms), 0.005), math.log(value) - median(logarithms), logarithms))
    # Few values stay as many however many rows there are, and values of which each is new are a share of them.
    (deviation, change, logarithms), (_, otherwise, _) = sorted(both, key=lambda each: each[0])
    least = math.log(DISTINCT_RATIO_MAX)
    limit = max(least, MEAN_SHIFT_MAX * patience(len(logarithms)) * deviation)
    far = abs(change) > limit and beyond_the_range(change + median(logarithms), logarithms, least / 2)
    far = far and change * otherwise > 0 and abs(otherwise) > least / 2
    return [Effect("distinct", math.exp(abs(change)), math.exp(deviation), math.exp(min(limit, 700.0)))] * far


def _rows_moved(
    tested: BatchFacts, baseline: Baseline, limits: DriftLimits, columns: Sequence[DatasetFinding]
) -> DatasetFinding | None:
    """The number of rows, as a share of the usual one."""
    counts, days = [float(place.rows) for place in baseline.places], [place.weekday for place in baseline.places]
    if len(counts) < BASELINE_MIN or not limits.enabled:
        return None
    usual = of_the_season(counts, days, tested.weekday)
    middle = median(usual)
    change = abs(tested.rows / middle - 1)
    logarithms = [math.log(each) for each in usual]
    deviation = max(deviation_of(logarithms), _ROWS_STEADY)
    stated = limits.row_count_change_max
    if stated is not None:
        effect = Effect("rows", change, deviation, stated, True)
        moved_far = change > stated
    else:
        error = _ERRORS_APART / math.sqrt(middle)  # as if rows came by themselves (Poisson)
        allowed = max(_ROWS_DEVIATIONS * patience(len(usual)) * deviation, error)
        far = abs(math.log(max(tested.rows, 0.5) / middle)) > allowed
        limit = max(ROW_COUNT_CHANGE_MAX, 1 - math.exp(-allowed) if tested.rows < middle else math.expm1(allowed))
        effect = Effect("rows", change, deviation, limit)
        unusual = beyond_the_range(math.log(max(tested.rows, 0.5)), logarithms, math.log1p(ROW_COUNT_CHANGE_MAX))
        # The first Saturday may be another one than the days before it.
        known_day = tested.weekday in (*days, NO_WEEKDAY) or not tested.rows
        far = far and unusual and known_day
        moved_far = far and change > ROW_COUNT_CHANGE_MAX and (tested.rows > 0 or not tested.empty_before)
    if not moved_far:
        return None
    vanished = [each.column for each in columns if "vanished_categories" in each.evidence["reasons"]]
    evidence: dict[str, Any] = {"column": "", "baseline_batches": len(baseline.profiles), "usual_rows": middle}
    evidence |= {"hold": effect.stated, "reasons": ["rows"], "effects": [effect.evidence()], "vanished": vanished[:20]}
    message = f"{tested.rows:,} rows where {middle:,.0f} are usual, by the {len(usual)} batches that compare"
    return DatasetFinding(check="shift", message=message, holds=effect.stated, evidence=evidence)


def _written(limits: DriftLimits) -> dict[str, float]:
    """The limits of mean, spread and nulls that held."""
    defaults = {
        "mean_shift_max": MEAN_SHIFT_MAX,
        "spread_ratio_max": SPREAD_RATIO_MAX,
        "null_share_change_max": NULL_SHARE_CHANGE_MAX,
    }
    stated = {name: getattr(limits, name) for name in defaults}
    return {name: default if stated[name] is None else float(stated[name]) for name, default in defaults.items()}
