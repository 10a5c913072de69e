"""Timers are documents with a ``wake_at``: when the next one rings, and which rang without being cleared."""

from __future__ import annotations

from collections.abc import Sequence

from shared.ports.clock import Clock
from shared.ports.state_store import StateStore, Where
from shared.runtime.service import Service

_LOOKED_AT = 50  # of the earliest timers in each collection
_PAUSE_SECONDS_MAX = 64


class Timers:
    """The timers of some services.

    Whoever is told of a ring clears its timer or sets it anew. One that stays is told of again after 2, 4, … 64
    seconds, so that a service that forgets a timer keeps nobody busy, and no other timer waits for it.
    """

    def __init__(self, services: Sequence[Service], store: StateStore, clock: Clock) -> None:
        self._collections = [collection for service in services for collection in service.timers]
        self._store = store
        self._clock = clock
        self._rung: dict[int, tuple[int, int]] = {}  # by ring: how often it was told of, and when that comes again

    def next(self) -> int | None:
        """When (microseconds) the next ring is to be told of; None when there is no timer."""
        return min((self._time(ring) for ring in self._rings()), default=None)

    def take_due(self) -> int | None:
        """The earliest ring that is due, and all that are due count as told of; None when none is."""
        now = self._clock.now()
        due = [ring for ring in self._rings() if self._time(ring) <= now]
        for ring in due:
            times = self._rung.get(ring, (0, 0))[0] + 1
            self._rung[ring] = (times, now + min(2**times, _PAUSE_SECONDS_MAX) * 1_000_000)
        return min(due, default=None)

    def _time(self, ring: int) -> int:
        return self._rung[ring][1] if ring in self._rung else ring

    def _rings(self) -> set[int]:
        rings: set[int] = set()
        for collection in self._collections:
            found = self._store.query(collection, [Where("wake_at", ">", 0)], order_by="wake_at", limit=_LOOKED_AT)
            rings.update(int(stored.data["wake_at"]) for stored in found)
        self._rung = {ring: told for ring, told in self._rung.items() if ring in rings}
        return rings
