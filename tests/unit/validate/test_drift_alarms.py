"""Clean pipelines hardly ever alarm, and planted changes hardly ever go unseen, whatever chance makes the pipelines.

Random pipelines (``random_pipelines.py``) differ in the kinds of their columns, in how much their batches differ among
themselves, in what a weekend is like, and in how many batches there are (5 to 35).
"""

from __future__ import annotations

from functools import cache
from itertools import islice

import pytest

from services.validate.baseline import Baseline
from services.validate.drift import shifts
from tests.unit.validate.random_pipelines import Batch, Pipeline, earlier, planted

CLEAN_PIPELINES = 60
CLEAN_BATCHES = 3  # of each
PLANTED_PIPELINES = 60
ALARMS_MAX = 0.02
FOUND_MIN = 0.95

# What is planted, where it must be found, and by how much the batch is changed.
PLANTED = {
    "rows": "",  # a twentieth of the rows
    "nulls": "n0",  # nine of ten values are gone
    "location": "n0",  # all values moved by four spreads
    "spread": "n0",  # twenty times as far from the median
    "quantiles": "n0",  # two values, a spread below the median and above it, in place of any shape
    "categories": "kind",  # the rarest category takes 85 % of the values
    "new_categories": "kind",  # four of ten values are of a category that never was
    "vanished_categories": "kind",  # the commonest category, of at least 20 % of the values, is gone
    "order": "id",  # running numbers are shuffled
    "distinct": "text",  # twelve texts where each was another
}


@pytest.mark.slow
def test_clean_batches_hardly_ever_alarm() -> None:
    alarms = []
    for seed in range(CLEAN_PIPELINES):
        pipeline = Pipeline(seed)
        for tested, baseline in pipeline.clean(CLEAN_BATCHES):
            found = shifts(tested, baseline, pipeline.contract)
            alarms += [(seed, [(each.column, each.evidence["reasons"]) for each in found])] * bool(found)
    assert len(alarms) <= ALARMS_MAX * CLEAN_PIPELINES * CLEAN_BATCHES, alarms


@cache
def histories() -> list[tuple[Pipeline, Baseline, Batch]]:
    """Pipelines that have seen every day of the week, each with its next batch."""
    pipelines = (Pipeline(seed) for seed in range(1_000, 10_000))
    chosen = islice((each for each in pipelines if each.batches >= 7), PLANTED_PIPELINES)
    return [(each, earlier(each.history()), each.batch(each.batches)) for each in chosen]


@pytest.mark.slow
@pytest.mark.parametrize("change", PLANTED)
def test_planted_changes_are_found(change: str) -> None:
    missed, pipelines = [], 0
    for pipeline, baseline, batch in histories():
        if change == "vanished_categories" and pipeline.shares[0] < 0.2:
            continue
        pipelines += 1
        found = shifts(pipeline.tested(planted(pipeline, batch, change)), baseline, pipeline.contract)
        if PLANTED[change] not in {each.column for each in found}:
            missed.append((pipeline.seed, len(baseline.keys)))
    assert len(missed) <= (1 - FOUND_MIN) * pipelines, missed
