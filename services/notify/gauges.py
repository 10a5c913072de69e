"""How things stand now: what is open, what waits for a person and for how long, when each pipeline last delivered.

Only what is open is read, however much was closed; what happens is counted from the logs.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from shared.domain.incident import CLOSED, IncidentState
from shared.domain.masking import clean
from shared.domain.remedy import RemedyState
from shared.ports.gauges import Gauge
from shared.ports.state_store import StateStore, Where

READ_MAX: Final = 10_000  # open incidents of one state, and waiting remedies, are counted up to here
LATEST_MAX: Final = 500
PIPELINES_MAX: Final = 200  # series cost money: beyond this, pipelines are counted together
OTHERS: Final = "(others)"
_NAME_CHARACTERS_MAX: Final = 100
_OPEN: Final = sorted(set(IncidentState) - CLOSED)


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
    named = _named([*incidents, *proposed, *latest])
    found = [Gauge("incidents_open", 0.0, {"pipeline": "", "state": ""})] if not incidents else []
    counted = Counter((named[_pipeline(each)], str(each.get("state", ""))) for each in incidents)
    found += [
        Gauge("incidents_open", float(count), {"pipeline": pipeline, "state": how})
        for (pipeline, how), count in sorted(counted.items())
    ]
    waits = Counter(named[_pipeline(each)] for each in proposed)
    found += [Gauge("remedies_waiting", float(count), {"pipeline": name}) for name, count in sorted(waits.items())]
    oldest = min((int(each.get("proposed_at") or now) for each in proposed), default=now)
    found.append(Gauge("oldest_waiting_seconds", _seconds(now - oldest), {}))
    last: dict[str, int] = {}
    for each in latest:
        name = named[_pipeline(each)]
        last[name] = max(last.get(name, 0), int(each.get("registered_at") or 0))
    found += [
        Gauge("last_delivery_seconds", _seconds(now - at), {"pipeline": name}) for name, at in sorted(last.items())
    ]
    return found


def _named(documents: list[dict[str, Any]]) -> dict[str, str]:
    """The label of each pipeline."""
    names = sorted({_pipeline(each) for each in documents})
    return {name: name if place < PIPELINES_MAX else OTHERS for place, name in enumerate(names)}


def _pipeline(document: dict[str, Any]) -> str:
    return clean(str(document.get("pipeline") or ""), _NAME_CHARACTERS_MAX)


def _seconds(microseconds: int) -> float:
    return round(max(0, microseconds) / 1_000_000, 3)
