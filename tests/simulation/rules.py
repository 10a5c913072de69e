"""The policy of a simulated world: drawn under dice of its own, so that the rest of a seed's world stays as it is."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from tests.conformance.turned_clock import START

_MINUTE = 60_000_000
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
_STRICTER = 0.3  # of the worlds have more of a policy than a budget
_KINDS = ("freeze", "breaker", "caps", "cost", "all", "safe")
_OFTEN = (3, 5, 3, 1, 1, 1)  # few remedies fail, so that a breaker seldom has anything to do


class Freeze(NamedTuple):
    """A freeze window, in microseconds: from ``start`` to ``end``; of a daily one both are since midnight UTC."""

    start: int
    end: int
    daily: bool
    pipelines: tuple[str, ...]

    def holds(self, pipeline: str, at: int) -> bool:
        """Whether nothing guarded may run by itself in the pipeline then."""
        if self.pipelines and pipeline not in self.pipelines:
            return False
        if not self.daily:
            return self.start <= at < self.end
        since = at % _DAY
        return self.start <= since < self.end or self.start <= since + _DAY < self.end

    @property
    def text(self) -> str:
        """The window in a policy file."""
        of = f", pipelines: [{', '.join(self.pipelines)}]" if self.pipelines else ""
        if self.daily:
            minute = self.start // _MINUTE
            cron = f"{minute % 60} {minute // 60} * * *"
            return f'  - {{cron: "{cron}", lasts: {(self.end - self.start) // _MINUTE}m{of}}}\n'
        first, last = (datetime.fromtimestamp(each // 1_000_000, UTC).isoformat() for each in (self.start, self.end))
        return f'  - {{from: "{first}", to: "{last}"{of}}}\n'


@dataclass(slots=True)
class Rules:
    """What may run by itself; what is not drawn is as the product has it without a file."""

    budget: int = 200  # remedies that may run by themselves in an hour, in one pipeline
    budget_all: int = 1_000  # in all
    safe_least: float = 0.0  # probability at which a safe remedy runs by itself
    rows_max: int = 1_000_000  # that one remedy changes
    share_max: float = 1.0
    cost_max: float = 1.0
    failures: int = 3  # of a remedy in a pipeline within ``window``, after which it rests for ``pause``
    window: int = _HOUR
    pause: int = _HOUR
    freezes: list[Freeze] = field(default_factory=list)

    def text(self) -> str:
        """The policy file; "" when it would say nothing."""
        known = Rules()
        parts = {
            "budget": {"remedies_per_hour": "budget", "remedies_per_hour_all": "budget_all"},
            "thresholds": {"safe": "safe_least"},
            "caps": {"rows_max": "rows_max", "rows_share_max": "share_max", "cost_max": "cost_max"},
            "circuit_breaker": {"failures": "failures", "window": "window", "pause": "pause"},
        }
        lines = []
        for part, names in parts.items():
            told = [
                f"{name}: {_shown(mine, getattr(self, mine))}"
                for name, mine in names.items()
                if getattr(self, mine) != getattr(known, mine)
            ]
            lines += [f"{part}: {{{', '.join(told)}}}\n"] if told else []
        windows = [each.text for each in self.freezes]
        return "".join([*lines, *(["freeze:\n"] if windows else []), *windows])


def _shown(name: str, value: float) -> str:
    return f"{int(value) // _MINUTE}m" if name in ("window", "pause") else str(value)


def draw(seed: int, budget: int, pipelines: list[str]) -> Rules:
    """The rules of a world whose pipelines have that budget."""
    chance = random.Random(f"rules {seed}")
    rules = Rules(budget=budget)
    if chance.random() >= _STRICTER:
        return rules
    for kind in dict.fromkeys(chance.choices(_KINDS, _OFTEN, k=chance.choice([1, 1, 2]))):
        if kind == "freeze":
            rules.freezes = [_freeze(chance, pipelines) for _ in range(chance.choice([1, 1, 2]))]
        elif kind == "breaker":
            rules.failures, rules.window = chance.choice([1, 1, 1, 2]), chance.choice([_HOUR, 6 * _HOUR])
            rules.pause = chance.choice([10 * _MINUTE, 2 * _DAY, 2 * _DAY])
        elif kind == "caps":
            rules.rows_max, rules.share_max = chance.choice([(1_000_000, 0.1), (8, 1.0), (12, 0.5)])
        elif kind == "cost":
            rules.cost_max = 0.0
        elif kind == "all":
            rules.budget_all = chance.choice([1, 2])
        else:
            rules.safe_least = chance.choice([0.5, 0.9])
    return rules


def _freeze(chance: random.Random, pipelines: list[str]) -> Freeze:
    mine = chance.choice([(), (), (chance.choice(pipelines),)])
    start = START // _MINUTE * _MINUTE + chance.randrange(-60, 180) * _MINUTE
    length = chance.choice([30, 180, 720]) * _MINUTE
    if chance.random() < 0.5:
        return Freeze(start, start + length, daily=False, pipelines=mine)
    since = start % _DAY
    return Freeze(since, since + length, daily=True, pipelines=mine)
