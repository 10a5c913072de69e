"""Pipelines from which nothing has come for longer than they promise (``alerts: {freshness: 2h}``)."""

from __future__ import annotations

from typing import Final

from shared.domain.errors import DefinitionError, DefinitionMissing
from shared.domain.pipeline import parse_pipeline
from shared.ports.definitions import Definitions
from shared.ports.gauges import Gauge
from shared.ports.metrics import Metrics
from shared.ports.state_store import StateStore, Where

NAME: Final = "overdue_seconds"
PROMISES_MAX: Final = 200  # series cost money; beyond this nobody watches, those last by name


def overdue(state: StateStore, definitions: Definitions, metrics: Metrics, now: int) -> list[Gauge]:
    """One gauge for every pipeline that promises something, 0 while it keeps it; who is late has a line in the log.

    The alert counts these lines: a policy over a gauge is refused until its first point has been written.
    """
    found = []
    for name, promised in _promises(definitions).items():
        last = _last_delivery(state, name)
        if last:
            late = max(0.0, round((now - last) / 1_000_000 - promised, 3))
            found.append(Gauge(NAME, late, {"pipeline": name}))
            if late:
                metrics.record(NAME, late, {"pipeline": name})
    return found


def _promises(definitions: Definitions) -> dict[str, int]:
    """Pipelines and their seconds. What cannot be read is an incident already, of whoever needs it.

    A file that is not called as its pipeline is read by no service: of a copy that was put aside, points would be
    written twice, which Cloud Monitoring refuses.
    """
    found: dict[str, int] = {}
    for path in definitions.list("pipelines"):
        if len(found) >= PROMISES_MAX:
            break
        try:
            pipeline = parse_pipeline(definitions.read(path).text, path)
        except (DefinitionError, DefinitionMissing):
            continue
        if pipeline.alerts.freshness_seconds and path == f"pipelines/{pipeline.pipeline}.yaml":
            found[pipeline.pipeline] = pipeline.alerts.freshness_seconds
    return found


def _last_delivery(state: StateStore, pipeline: str) -> int:
    """When it last delivered, whatever the order of its deliveries; 0 when it never did, which is no lateness."""
    mine = [Where("pipeline", "==", pipeline)]
    newest = state.query("deliveries", mine, "registered_at", descending=True, limit=1)
    return max((int(each.data.get("registered_at") or 0) for each in newest), default=0)
