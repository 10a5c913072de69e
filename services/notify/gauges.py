"""How things stand: what is open, what waits and for how long, where the rows of late are, how repairs went.

What is read is bounded: what is open, the newest deliveries, the newest ends of incidents; never what lies back.
What happens is counted from the logs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from services.notify import repairs, row_places
from shared.domain.incident import CLOSED, IncidentState
from shared.domain.masking import clean
from shared.domain.remedy import RemedyState
from shared.ports.gauges import Gauge
from shared.ports.state_store import StateStore, Where

READ_MAX: Final = 10_000  # open incidents of one state, and waiting remedies, are counted up to here
LATEST_MAX: Final = 500  # deliveries
PIPELINES_MAX: Final = 200  # series cost money: beyond this, pipelines are counted together
ROWS_SECONDS: Final = 86_400  # rows are counted of deliveries that are younger
REPAIRS_SECONDS: Final = 7 * 86_400  # and repairs that are
OTHERS: Final = "(others)"
_NAME_CHARACTERS_MAX: Final = 100
_OPEN: Final = sorted(set(IncidentState) - CLOSED)

Document = Mapping[str, Any]
Label = Callable[[Document], str]


def gauges(state: StateStore, now: int) -> list[Gauge]:
    """One gauge a series; ``now`` in microseconds since 1970."""
    incidents = [
        stored.data
        for each in _OPEN
        for stored in state.query("incidents", [Where("state", "==", str(each))], limit=READ_MAX)
    ]
    proposed = [
        stored.data
        for stored in state.query("remedies", [Where("state", "==", str(RemedyState.PROPOSED))], limit=READ_MAX)
    ]
    latest = [
        stored.data for stored in state.query("deliveries", (), "registered_at", descending=True, limit=LATEST_MAX)
    ]
    ended = repairs.repairs(state, now - REPAIRS_SECONDS * 1_000_000)
    label = _labels([*incidents, *proposed, *latest, *ended.ended, *ended.wrong])
    return [
        *_by_state("incidents_open", incidents, label),
        *_of_decisions(proposed, label, now),
        *_of_deliveries(latest, label, now),
        *_of_rows(state, latest, label, now),
        *_of_repairs(ended, label),
    ]


def _of_decisions(proposed: Sequence[Document], label: Label, now: int) -> list[Gauge]:
    oldest = min((int(each.get("proposed_at") or now) for each in proposed), default=now)
    return [*_counted("remedies_waiting", proposed, label), Gauge("oldest_waiting_seconds", _seconds(now - oldest), {})]


def _of_deliveries(latest: Sequence[Document], label: Label, now: int) -> list[Gauge]:
    last: dict[str, int] = {}
    for each in latest:
        name = label(each)
        last[name] = max(last.get(name, 0), int(each.get("registered_at") or 0))
    return [Gauge("last_delivery_seconds", _seconds(now - at), {"pipeline": name}) for name, at in sorted(last.items())]


def _of_rows(state: StateStore, latest: Sequence[Document], label: Label, now: int) -> list[Gauge]:
    """Rows of the last day by where they are, and the newest score of each pipeline."""
    since = now - ROWS_SECONDS * 1_000_000
    young = [each for each in latest if int(each.get("registered_at") or 0) >= since]
    rows: Counter[tuple[str, str]] = Counter()
    scores: dict[str, float] = {}
    for batch in row_places.batches(state, young):  # the newest first
        name = label({"pipeline": batch.pipeline})
        for place in row_places.PLACES:
            rows[name, place] += batch.places[place]
        if batch.score is not None:
            scores.setdefault(name, batch.score)
    found = [
        Gauge("recent_rows", float(count), {"pipeline": name, "place": place})
        for (name, place), count in sorted(rows.items())
    ]
    return [*found, *(Gauge("quality_score", score, {"pipeline": name}) for name, score in sorted(scores.items()))]


def _of_repairs(ended: repairs.Repairs, label: Label) -> list[Gauge]:
    found = _by_state("incidents_ended", ended.ended, label)
    found += _counted("wrongly_healed", ended.wrong, label) or [Gauge("wrongly_healed", 0.0, {"pipeline": ""})]
    took = repairs.seconds_to_repair(ended.ended)
    if took:
        found.append(Gauge("repair_seconds", repairs.quantile(took, 0.5), {"quantile": "median"}))
        found.append(Gauge("repair_seconds", repairs.quantile(took, 0.9), {"quantile": "p90"}))
    return found


def _by_state(name: str, incidents: Sequence[Document], label: Label) -> list[Gauge]:
    if not incidents:
        return [Gauge(name, 0.0, {"pipeline": "", "state": ""})]
    counted = Counter((label(each), str(each.get("state", ""))) for each in incidents)
    return [
        Gauge(name, float(count), {"pipeline": pipeline, "state": how})
        for (pipeline, how), count in sorted(counted.items())
    ]


def _counted(name: str, documents: Sequence[Document], label: Label) -> list[Gauge]:
    counted = Counter(label(each) for each in documents)
    return [Gauge(name, float(count), {"pipeline": pipeline}) for pipeline, count in sorted(counted.items())]


def _labels(documents: Sequence[Document]) -> Label:
    """The label of each pipeline."""
    names = sorted({_pipeline(each) for each in documents})
    labels = {name: name if place < PIPELINES_MAX else OTHERS for place, name in enumerate(names)}
    return lambda document: labels[_pipeline(document)]


def _pipeline(document: Document) -> str:
    return clean(str(document.get("pipeline") or ""), _NAME_CHARACTERS_MAX)


def _seconds(microseconds: int) -> float:
    return round(max(0, microseconds) / 1_000_000, 3)
