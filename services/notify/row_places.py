"""Where the rows of the newest deliveries are, and how good they were, told from the services' documents alone.

The files would tell it row by row (``mend audit`` reads them); the documents tell as much as a chart needs. A delivery
that repeats an earlier one was never read: it counts nowhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from shared.domain.batch import LoadState
from shared.ports.state_store import StateStore, Where

PLACES: Final = ("read", "loaded", "quarantined", "discarded")
_OF_ONE_BATCH_MAX: Final = 20  # documents of a batch in one collection, on the average; what is beyond is not read
_OF_QUARANTINE: Final = ("rows", "superseded")  # attempts that take rows out of quarantine

Document = Mapping[str, Any]


class Batch(NamedTuple):
    """What the services know of one delivery that was read."""

    pipeline: str
    places: dict[str, int]
    score: float | None  # of what was delivered, before anything was healed; None while nobody judged it


def batches(state: StateStore, deliveries: Iterable[Document]) -> list[Batch]:
    """One each for those that were read, in their order."""
    read = {str(each["batch_id"]): each for each in deliveries if each.get("readings")}
    verdicts = _by_batch(state, "verdicts", read)
    loads = _by_batch(state, "loads", read, Where("kind", "==", "load"))
    healings = _by_batch(state, "healings", read, Where("kind", "==", "batch"))
    return [
        _batch(delivery, verdicts.get(key, []), loads.get(key, []), (healings.get(key) or [None])[0])
        for key, delivery in read.items()
    ]


def _by_batch(state: StateStore, collection: str, read: Mapping[str, Document], *where: Where) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    if not read:
        return found
    limit = _OF_ONE_BATCH_MAX * len(read)
    for stored in state.query(collection, [*where, Where("batch_id", "in", list(read))], limit=limit):
        found.setdefault(str(stored.data["batch_id"]), []).append(stored.data)
    return found


def _batch(delivery: Document, verdicts: list[Document], loads: list[Document], healing: Document | None) -> Batch:
    verdicts = sorted(verdicts, key=lambda each: int(each["attempt"]))
    kept = [each for each in loads if each["state"] == LoadState.LOADED]
    known = list((healing or {}).get("attempts", []))
    attempts = [each for each in known if each["state"] != "withdrawn"]
    withdrawn = {int(each["number"]) for each in known if each["state"] == "withdrawn"}
    # A repair that failed was judged last, but its rows are where the verdict before it put them.
    standing = [each for each in verdicts if int(each["attempt"]) not in withdrawn]
    places = Counter(
        # A reading that was withdrawn counts until the next is made: its rows were delivered, and are nowhere now.
        read=next((int(each["rows"]) for each in delivery["readings"] if each["number"] == delivery["reading"]), 0),
        loaded=sum(int(each["rows_loaded"]) for each in kept),
        discarded=sum(int(each["rows_discarded"]) for each in [*kept, *attempts]),
        quarantined=_quarantined(attempts)
        if len(attempts) > 1
        else sum(int(each["rows_quarantined"]) for each in standing[-1:]),
    )
    return Batch(str(delivery["pipeline"]), dict(places), float(verdicts[0]["score"]) if verdicts else None)


def _quarantined(attempts: Iterable[Document]) -> int:
    """What the last attempt of the whole set aside, less what later ones took out of it and did not put back."""
    waiting = 0
    for each in sorted(attempts, key=lambda each: int(each["number"])):
        aside, dropped = int(each["rows_quarantined"]), int(each["rows_discarded"])
        if each["kind"] in _OF_QUARANTINE:
            waiting += aside - int(each["rows"]) - dropped
        else:
            waiting = aside
    return max(waiting, 0)
