"""What was deployed in the day before a failure began: evidence, and a cause to look at; it decides nothing.

Read are the newest ``READ_MAX`` of ``deployments/…``, which ingest keeps (``services/ingest/deployments.py``).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from services.classify.diagnosis import Evidence
from shared.domain.incident import Origin
from shared.domain.masking import one_line
from shared.events.types import IncidentOpened
from shared.ports.state import State
from shared.ports.state_store import Document, Where

CAUSE: Final = "deployment_faulty"
WITHIN_MICROSECONDS: Final = 24 * 3_600 * 1_000_000
READ_MAX: Final = 50
_NAMED_MAX: Final = 3
_OURS: Final = "mendline"
_NAME_CHARACTERS_MAX: Final = 80
_MINUTE: Final = 60_000_000


class Deployed(NamedTuple):
    """The deployments that may have to do with a failure, the newest first, as they are shown."""

    told: tuple[str, ...]

    @property
    def because(self) -> str:
        """Why to look at the newest; empty when there was none."""
        return f"{self.told[0]} it began" if self.told else ""

    def evidence(self, source: str) -> list[Evidence]:
        """The newest few, as evidence that weighs nothing."""
        return [Evidence(source, "deployed", told[:200], 0.0) for told in self.told[:_NAMED_MAX]]


def before(state: State, report: IncidentOpened, job: str, began: int) -> Deployed:
    """What was deployed of the system, its ``job``, the pipeline or ourselves, no more than a day before ``began``."""
    where = [Where("at", ">=", began - WITHIN_MICROSECONDS), Where("at", "<=", began)]
    found = state.query("deployments", where, order_by="at", descending=True, limit=READ_MAX)
    told = [_told(each.data, began) for each in found if _concerns(each.data, report, job)]
    return Deployed(tuple(dict.fromkeys(told)))


def _concerns(deployed: Document, report: IncidentOpened, job: str) -> bool:
    if report.pipeline and report.pipeline in deployed["pipelines"]:
        return True
    if deployed["system"] == _OURS:  # a new Mendline may break what Mendline does, not what others report
        return report.origin != Origin.SIGNAL
    if not deployed["system"] or deployed["system"] != report.system.casefold():
        return False
    part = deployed["resource"]
    return not part or not job or job == part or job.startswith(f"{part}.")


def _told(deployed: Document, began: int) -> str:
    names = [deployed["system"] or ", ".join(deployed["pipelines"][:3]), deployed["resource"], deployed["version"]]
    what = one_line(" ".join(name for name in names if name), _NAME_CHARACTERS_MAX)
    by = f" by {one_line(deployed['by'], _NAME_CHARACTERS_MAX)}" if deployed["by"] else ""
    return f"{what} was deployed{by} {_span(began - deployed['at'])} before"


def _span(microseconds: int) -> str:
    minutes = microseconds // _MINUTE
    if minutes < 1:
        return "less than a minute"
    return f"{minutes} minute{'s' * (minutes != 1)}" if minutes < 120 else f"{minutes // 60} hours"
