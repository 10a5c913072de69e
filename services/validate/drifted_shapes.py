"""Whether a column's shape moved: its quantiles, its mix of categories, which of them there are, and its order."""

from __future__ import annotations

import json
import math
from statistics import median
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from services.validate.baseline import BASELINE_MIN, NO_WEEKDAY, NOISE_HALVED, SAME_WEEKDAY_MIN
from services.validate.distributions import cumulative, distance, grid_of, ks_critical, pooled, psi, psi_critical
from services.validate.profile import rounded

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Mapping, Sequence

    from services.validate.baseline import Baseline
    from shared.domain.contract import DriftLimits

KS_MIN: Final = 0.2
PSI_MIN: Final = 0.25
CATEGORY_SHARE_MIN: Final = 0.05  # a new or vanished category of fewer values is no reason to alarm
CENTROIDS_MIN: Final = 5  # fewer say little of a shape
_CHANCE: Final = 1e-6  # with which sampling alone may alarm, so that many columns and batches hardly ever do
_ORDINARY: Final = 0.1  # chance of what sampling is believed to explain of the noise between batches
_KS_NOISES: Final = 6.0  # times the noise beyond sampling
_PSI_NOISES: Final = 2.5  # a sum over categories scatters less
_WIDENED: Final = 2.0
_GRID_POINTS: Final = 48
_UNSEEN: Final = -math.log(_CHANCE)  # (1 - p)^n < chance where p n is more than this


class Effect(NamedTuple):
    """How far something moved, how far it moves normally, and the limit that it passed, all in one unit."""

    reason: str
    effect: float
    noise: float
    limit: float
    stated: bool = False  # the contract states the limit

    def evidence(self) -> dict[str, Any]:
        """As plain JSON."""
        numbers = {"effect": self.effect, "noise": self.noise, "limit": self.limit}
        return {"reason": self.reason, **{name: rounded(value) for name, value in numbers.items()}}


def patience(batches: int) -> float:
    """By how much the noise of so few batches is to be mistrusted: 1.8 times for five, 1.1 for thirty."""
    return 1 + 4 / batches


def shape_effects(
    column: str, facts: Mapping[str, Any], baseline: Baseline, limits: DriftLimits, weekday: int
) -> list[Effect]:
    """What moved of a column's shape."""
    effects: list[Effect] = []
    if len(json.loads(facts.get("centroids_json", "[]"))) >= CENTROIDS_MIN:
        effects += _quantiles_moved(column, facts, baseline, limits, weekday)
    if "categories_json" in facts:
        effects += _categories_moved(column, facts, baseline, limits, weekday)
    return effects + _order_lost(column, facts, baseline)


class Compared(NamedTuple):
    """A distance from the batches before, those of each of them from the others, and what sampling makes of either."""

    effect: float
    noises: list[float]
    sampling: float
    excesses: list[float]  # of the noises beyond what sampling explains
    noises_apart: float  # how many times these
    floor: float = 0.0  # a few batches may agree by chance

    def limit(self, least: float, most: float = math.inf) -> float:
        """What the effect must pass: large by itself, beyond sampling, and beyond the noise between batches.

        ``most`` is what no effect exceeds: halfway between small noise and that is far enough.
        """
        beyond_noise = self.noises_apart * patience(len(self.noises)) * median(self.excesses)
        # What two batches before differed by is no news; one alone may have been wrong itself.
        noise = sorted(self.noises)[-2]
        limit = max(least, self.floor, self.sampling + beyond_noise, _WIDENED * noise)
        return min(limit, (noise + most) / 2) if noise < most / 2 else limit


def _of_the_season(compared: Callable[[Sequence[int]], Compared], weekdays: Sequence[int], weekday: int) -> Compared:
    """Compared with the batches of the same weekday where these differ half as much among themselves; else with all."""
    of_all = compared(range(len(weekdays)))
    same = [place for place, day in enumerate(weekdays) if day == weekday != NO_WEEKDAY]
    if len(same) < SAME_WEEKDAY_MIN or len(same) == len(weekdays):
        return of_all
    of_day = compared(same)
    if max(of_day.noises) > NOISE_HALVED * max(of_all.noises):
        return of_all
    return of_day._replace(floor=_WIDENED * NOISE_HALVED * sorted(of_all.noises)[-2])


def _quantiles_moved(
    column: str, facts: Mapping[str, Any], baseline: Baseline, limits: DriftLimits, weekday: int
) -> list[Effect]:
    """The KS distance between the batch and those before it, taken together."""
    read = [
        (json.loads(item[column]["centroids_json"]), int(item[column]["sampled"]))
        for item in baseline.profiles
        if "centroids_json" in item.get(column, {})
    ]
    weekdays = baseline.weekdays(column, "centroids_json")
    usable = [place for place, (centroids, _) in enumerate(read) if len(centroids) >= CENTROIDS_MIN]
    if len(usable) < BASELINE_MIN:
        return []
    grid = grid_of([read[place][0] for place in usable], _GRID_POINTS)
    curves = [cumulative(read[place][0], grid) for place in usable]
    sizes = [read[place][1] for place in usable]
    tested, size = cumulative(json.loads(facts["centroids_json"]), grid), int(facts["sampled"])

    def compared(places: Sequence[int]) -> Compared:
        sums = [sum(curves[place][point] for place in places) for point in range(len(grid))]
        rows, count = sum(sizes[place] for place in places), len(places)
        effect = distance(tested, [each / count for each in sums])
        noises, excesses = [], []
        for place in places:
            others = [(total - own) / (count - 1) for total, own in zip(sums, curves[place], strict=True)]
            noises.append(distance(curves[place], others))
            explained = ks_critical(sizes[place], rows - sizes[place], _ORDINARY)
            excesses.append(max(0.0, noises[-1] - explained))
        return Compared(effect, noises, ks_critical(size, rows, _CHANCE), excesses, _KS_NOISES)

    found = _of_the_season(compared, [weekdays[place] for place in usable], weekday)
    return _beyond("quantiles", found, KS_MIN, limits.ks_max)


def _beyond(reason: str, found: Compared, least: float, stated: float | None) -> list[Effect]:
    limit = found.limit(least, 1.0) if stated is None else stated
    return [Effect(reason, found.effect, median(found.noises), limit, stated is not None)] * (found.effect > limit)


def _categories_moved(
    column: str, facts: Mapping[str, Any], baseline: Baseline, limits: DriftLimits, weekday: int
) -> list[Effect]:
    """The PSI between the batch and those before it, and the categories that came and went."""
    tables: list[Mapping[str, int]] = [
        json.loads(item[column]["categories_json"])
        for item in baseline.profiles
        if "categories_json" in item.get(column, {})
    ]
    if len(tables) < BASELINE_MIN:
        return []
    tested: Mapping[str, int] = json.loads(facts["categories_json"])
    found = _of_the_season(_mixes(tables, tested), baseline.weekdays(column, "categories_json"), weekday)
    effect, noise = found.effect**2, median(found.noises) ** 2
    limit = limits.psi_max if limits.psi_max is not None else found.limit(math.sqrt(PSI_MIN)) ** 2
    effects = [Effect("categories", effect, noise, limit, limits.psi_max is not None)] * (effect > limit)
    return effects + _new_categories(tables, tested, limits) + _vanished_categories(tables, tested, limits)


def _mixes(tables: Sequence[Mapping[str, int]], tested: Mapping[str, int]) -> Callable[[Sequence[int]], Compared]:
    """Compares by the root of the PSI, which like a distance grows with the change and not with its square."""

    def compared(places: Sequence[int]) -> Compared:
        together = pooled([tables[place] for place in places])
        rows, size = sum(together.values()), sum(tested.values())
        kinds = len(together.keys() | tested.keys())
        noises, excesses = [], []
        for place in places:
            others: Counter[str] = together.copy()
            others.subtract(tables[place])
            own = sum(tables[place].values())
            noises.append(math.sqrt(max(0.0, psi(tables[place], others))))
            explained = psi_critical(own, max(1, rows - own), len(together), _ORDINARY)
            excesses.append(max(0.0, noises[-1] - math.sqrt(explained)))
        sampling = math.sqrt(psi_critical(size, rows, kinds, _CHANCE))
        return Compared(math.sqrt(max(0.0, psi(tested, together))), noises, sampling, excesses, _PSI_NOISES)

    return compared


def _new_categories(
    tables: Sequence[Mapping[str, int]], tested: Mapping[str, int], limits: DriftLimits
) -> list[Effect]:
    """The share of values in categories that no batch before had."""
    together = pooled(tables)
    rows, size = sum(together.values()), sum(tested.values())
    share = sum(count for name, count in tested.items() if name not in together) / size
    if limits.new_categories is not None:
        share = 0.0 if limits.new_categories else share
        return [Effect("new_categories", share, 0.0, 0.0, True)] * (share > 0)
    # A category that one batch alone has was new when it came.
    holders = pooled([dict.fromkeys(table, 1) for table in tables])
    noises = [
        sum(count for name, count in table.items() if holders[name] == 1) / sum(table.values()) for table in tables
    ]
    limit = max(CATEGORY_SHARE_MIN, _UNSEEN / rows, 2 * max(noises))
    return [Effect("new_categories", share, max(noises), limit)] * (share > limit)


def _vanished_categories(
    tables: Sequence[Mapping[str, int]], tested: Mapping[str, int], limits: DriftLimits
) -> list[Effect]:
    """The usual share of values in categories that every batch before had, and this one has not."""
    if limits.vanished_categories:
        return []
    names = [name for name in tables[0] if name not in tested and all(name in table for table in tables)]
    sizes, size = [sum(table.values()) for table in tables], sum(tested.values())
    if limits.vanished_categories is False:
        gone = names
    else:
        least = {name: min(table[name] / of for table, of in zip(tables, sizes, strict=True)) for name in names}
        gone = [name for name in names if least[name] >= CATEGORY_SHARE_MIN and least[name] * size > _UNSEEN]
    if not gone:
        return []
    shares = [sum(table[name] for name in gone) / of for table, of in zip(tables, sizes, strict=True)]
    stated = limits.vanished_categories is False
    limit = 0.0 if stated else max(CATEGORY_SHARE_MIN, _UNSEEN / size)
    return [Effect("vanished_categories", median(shares), 0.0, limit, stated)]


def _order_lost(column: str, facts: Mapping[str, Any], baseline: Baseline) -> list[Effect]:
    """A column whose values only rose, or only fell, in every batch before, and do not in this one."""
    orders = set(baseline.facts(column, "order"))
    if "order" not in facts or len(baseline.facts(column, "order")) < BASELINE_MIN or orders not in ({1.0}, {-1.0}):
        return []
    rising = orders == {1.0}
    if facts["order"] == (1 if rising else -1):
        return []
    against = facts["steps_back"] if rising else 1 - facts["steps_back"]
    return [Effect("order", against, 0.0, 0.0)]
