"""A warehouse that says no for a while, as a busy one or one beyond its quota does."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping

from shared.domain.errors import ForeignFailure, WarehouseBusy
from shared.ports.warehouse import OVER_QUOTA, LoadJob


class Refusals:
    """A warehouse that takes no load of a table for a while, or none with one batch in it, under dice of its own.

    ``busy`` and ``quota``: whatever comes for the table meanwhile waits. ``bad``: every job that brings the
    batch is refused for good, whoever else is in it.
    """

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._rate = chance.choice([0.0, 0.0, 0.1, 0.3])
        self._left: dict[str, tuple[str, int]] = {}  # by table or batch: how it is refused, and how often still
        self._spells = 4
        self.kinds: Counter[str] = Counter()

    def look(self, job: LoadJob) -> None:
        """Refuse the job, if it brings rows and a spell lies on its table or on a batch in it."""
        if not job.files or not self._rate:
            return
        batches = [file.split("/")[1] for file in job.files]
        if self._spells and self._chance.random() < self._rate:
            self._spells -= 1
            kind = self._chance.choice(["busy", "busy", "quota", "bad"])
            place = self._chance.choice(batches) if kind == "bad" else job.table
            self._left[place] = (kind, self._chance.randrange(2, 9))
        for place in (job.table, *batches):
            kind, left = self._left.get(place, ("", 0))
            if left:
                self._left[place] = (kind, left - 1)
                self.kinds[f"warehouse {kind}"] += 1
                refused = _REFUSED[kind]
                raise refused()


def _refused(reason: str) -> Callable[[], Exception]:
    return lambda: ForeignFailure("planted", system="planted", exception_type="BadRequest", reason=reason)


_REFUSED: Mapping[str, Callable[[], Exception]] = {
    "busy": lambda: WarehouseBusy("planted: not for a while"),
    "quota": _refused(OVER_QUOTA),
    "bad": _refused("resourcesExceeded"),
}
