"""A person said what an incident is: what was proposed for another cause is void, what is under way goes on.

A remedy that is applied is verified as if nothing had been said, and one that a person approved keeps its turn; the
next choice is made for the new cause. An incident that was handed to a person is taken up again, now that one spoke.
"""

from __future__ import annotations

from services.remediate import closing, deciding, precedents
from services.remediate.records import Finding, load_healing, load_remedy
from services.remediate.work import Work
from shared.domain.incident import IncidentState
from shared.domain.masking import one_line
from shared.domain.remedy import RemedyState


def corrected(work: Work, finding: Finding, before: str, by: str) -> None:
    """Make the incident ready for another choice, when its cause is not the one ``before`` any more.

    A proposal of its own expires; one of another incident that it only joined stays that incident's.
    """
    if finding.cause == before or finding.state in (IncidentState.HEALED, IncidentState.DISMISSED):
        return
    said = f"{one_line(by, 60)} said that it is {finding.cause}, not {before}"
    if finding.proposal and not _let_go(work, finding, by, said):
        return
    batch = load_healing(work.ports.state, finding.batch_id)
    if finding.closed and batch is not None and batch.superseded_by:
        closing.close(work, finding, IncidentState.HEALED, f"superseded by {batch.superseded_by}, which is loaded")
        return
    finding.state, finding.note = IncidentState.CLASSIFIED, said


def _let_go(work: Work, finding: Finding, by: str, said: str) -> bool:
    """End what is only proposed; False when the remedy was decided upon, and goes on."""
    record = load_remedy(work.ports.state, finding.proposal)
    if record is not None and record.incident_id == finding.incident_id:
        if record.state in (RemedyState.APPROVED, RemedyState.APPLIED):
            finding.note = f"{said}; {record.remedy} was decided before and is verified first"
            return False
        if record.state == RemedyState.PROPOSED:
            record.move(RemedyState.EXPIRED)
            record.wake_at, record.explanation = 0, said
            record.save(work.ports.state)
            deciding.note_decision(work, record.remedy_id, "expire", by, said)
            precedents.withdrawn(work.ports.state, record, said, work.now)
            finding.void(record.remedy)
    finding.proposal = finding.asks = ""
    return True
