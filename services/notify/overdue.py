"""Pipelines from which nothing has come for longer than they promise (``alerts: {freshness: 2h}``)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from shared.domain.errors import DefinitionError, DefinitionMissing
from shared.domain.pipeline import parse_pipeline
from shared.ports.definitions import Definitions
from shared.ports.gauges import Gauge
from shared.ports.metrics import Metrics
from shared.ports.state_store import StateStore, Where

NAME: Final = "overdue_seconds"
PIPELINES_MAX: Final = 200
_NEWEST: Final = 5  # by order; the last of them to arrive counts


def overdue(state: StateStore, definitions: Definitions, metrics: Metrics, now: int) -> list[Gauge]:
    """One gauge for every pipeline that promises something, 0 while it keeps it; who is late has a line in the log.

    The alert counts these lines: a policy over a gauge is refused until its first point has been written.
    """
    found = []
    for name, promised in _promises(definitions):
        last = _last_delivery(state, name)
        if last:
            late = max(0.0, round((now - last) / 1_000_000 - promised, 3))
            found.append(Gauge(NAME, late, {"pipeline": name}))
            if late:
                metrics.record(NAME, late, {"pipeline": name})
    return found


def _promises(definitions: Definitions) -> Iterator[tuple[str, int]]:
    """Pipelines and their seconds. What cannot be read is an incident already, of whoever needs it."""
    for path in definitions.list("pipelines")[:PIPELINES_MAX]:
        try:
            pipeline = parse_pipeline(definitions.read(path).text, path)
        except (DefinitionError, DefinitionMissing):
            continue
        if pipeline.alerts.freshness_seconds:
            yield pipeline.pipeline, pipeline.alerts.freshness_seconds


def _last_delivery(state: StateStore, pipeline: str) -> int:
    """When it last delivered; 0 when it never did, which is no lateness."""
    mine = [Where("pipeline", "==", pipeline)]
    newest = state.query("deliveries", mine, "seq", descending=True, limit=_NEWEST)
    return max((int(each.data.get("registered_at") or 0) for each in newest), default=0)
