"""What was taken back: a batch's readings and attempts whose rows must never (again) be in the warehouse."""

from __future__ import annotations

from typing import NamedTuple

from shared.ports.state import State
from shared.ports.state_store import Stored, Where

LOADS = "loads"
_KIND = "withdrawn"


class Withdrawn(NamedTuple):
    """Readings up to ``reading`` and the single ``attempts`` of one batch."""

    reading: int = 0
    attempts: frozenset[int] = frozenset()

    def covers(self, reading: int, attempt: int) -> bool:
        """True when rows of this reading and attempt may not be loaded."""
        return reading <= self.reading or attempt in self.attempts


def of_batch(state: State, batch: str) -> Withdrawn:
    """What was withdrawn of a batch; protected against change until the handler's commit."""
    return _parse(state.get(LOADS, _key(batch)))


def remember(state: State, batch: str, withdrawn: Withdrawn) -> None:
    """Store what is withdrawn of a batch from now on."""
    attempts = sorted(withdrawn.attempts)
    document = {"kind": _KIND, "withdrawn_batch": batch, "reading": withdrawn.reading, "attempts": attempts}
    state.put(LOADS, _key(batch), document)


def everything(state: State) -> dict[str, Withdrawn]:
    """By batch, what was ever withdrawn."""
    found: dict[str, Withdrawn] = {}
    after = ""
    while True:
        filters = [Where("kind", "==", _KIND), Where("withdrawn_batch", ">", after)]
        page: list[Stored] = state.query(LOADS, filters, order_by="withdrawn_batch")
        found.update((stored.data["withdrawn_batch"], _parse(stored.data)) for stored in page)
        if len(page) < 1_000:
            return found
        after = page[-1].data["withdrawn_batch"]


def _parse(document: dict[str, object] | None) -> Withdrawn:
    if document is None:
        return Withdrawn()
    attempts = document["attempts"]
    return Withdrawn(int(str(document["reading"])), frozenset(attempts if isinstance(attempts, list) else ()))


def _key(batch: str) -> str:
    return f"{batch}:withdrawn"
