"""What was taken back: a batch's readings and attempts whose rows must never (again) be in the warehouse."""

from __future__ import annotations

import re
from typing import NamedTuple

from shared.domain import paths
from shared.ports.object_store import ObjectStore
from shared.ports.state import State

LOADS = "loads"
_KIND = "withdrawn"
_MARK = re.compile(r"(?P<batch>[^/]+)\.r(?P<reading>\d+)\.a(?P<attempt>\d+)")


class Withdrawn(NamedTuple):
    """Readings up to ``reading`` and the single ``attempts`` of one batch."""

    reading: int = 0
    attempts: frozenset[int] = frozenset()

    def covers(self, reading: int, attempt: int) -> bool:
        """True when rows of this reading and attempt may not be loaded."""
        return reading <= self.reading or attempt in self.attempts

    def joined(self, reading: int, attempt: int) -> Withdrawn:
        """This, and a reading or an attempt (0 = none) more."""
        return Withdrawn(max(self.reading, reading), self.attempts | ({attempt} if attempt else frozenset()))


NOTHING = Withdrawn()


def of_batch(state: State, batch: str) -> Withdrawn:
    """What was withdrawn of a batch; protected against change until the handler's commit."""
    document = state.get(LOADS, _key(batch))
    if document is None:
        return NOTHING
    return Withdrawn(int(document["reading"]), frozenset(document["attempts"]))


def remember(state: State, batch: str, withdrawn: Withdrawn) -> None:
    """Store what is withdrawn of a batch from now on."""
    attempts = sorted(withdrawn.attempts)
    document = {"kind": _KIND, "withdrawn_batch": batch, "reading": withdrawn.reading, "attempts": attempts}
    state.put(LOADS, _key(batch), document)


def announce(table: str, batch: str, reading: int, attempt: int, objects: ObjectStore) -> None:
    """Say it where every other withdrawal from the table sees it at once, also before this handler's commit."""
    with objects.write(paths.withdrawal(table, batch, reading, attempt)):
        pass


def of_table(table: str, objects: ObjectStore) -> dict[str, Withdrawn]:
    """By batch, what was ever announced to leave a table."""
    found: dict[str, Withdrawn] = {}
    for info in objects.list(paths.withdrawals(table)):
        mark = _MARK.fullmatch(info.path.rsplit("/", 1)[-1])
        if mark is not None:
            known = found.get(mark["batch"], NOTHING)
            found[mark["batch"]] = known.joined(int(mark["reading"]), int(mark["attempt"]))
    return found


def _key(batch: str) -> str:
    return f"{batch}:withdrawn"
