"""What classify does with each event: one incident per fingerprint, diagnosed, counted and closed."""

from __future__ import annotations

import json

from services.classify import challenger, circumstances, judged, knowledge, noted, people, records
from services.classify.decision import diagnose, evidence_of
from services.classify.diagnosis import Diagnosis
from shared.domain.incident import CLOSED, IncidentState, Origin
from shared.events.types import (
    Event,
    IncidentClassified,
    IncidentClosed,
    IncidentJudged,
    IncidentOpened,
    KnowledgeNoted,
    RemedyUndone,
)
from shared.ports.ports import Ports
from shared.ports.state_store import Document
from shared.runtime.service import Service

_EVIDENCE_CHARACTERS_MAX = 59_000
_OVER = (IncidentState.HEALED, IncidentState.DISMISSED)
_CARRIED = (
    *("fingerprint", "origin", "pipeline", "batch_id", "attempt", "reading", "uri", "check", "column"),
    *("rows", "rows_failed", "service", "event_id", "event_topic"),
)


def on_incident_opened(event: IncidentOpened, ports: Ports) -> list[Event]:
    """Count the report into its incident (a new one if the last was closed), and say what is believed of it.

    Every report is answered exactly once; ``repeated`` marks an incident that was open already.
    """
    index = records.index_of(ports.state, event.fingerprint)
    if event.id in index["handled"]:
        return []
    index["handled"] = [*index["handled"], event.id][-records.HANDLED_MAX :]
    incident = ports.state.get(records.INCIDENTS, index["incident_id"]) if index["incident_id"] else None
    repeated = incident is not None and incident["state"] not in CLOSED
    if incident is None or not repeated:
        index["occurrence"] += 1
        incident = records.opened(event, index["occurrence"])
        index["incident_id"] = incident["incident_id"]
    records.count(incident, event)
    incident["source"] = circumstances.source_of(event)
    circumstances.count_run(ports.state, event)
    by_itself = diagnose(event)
    incident["shadow"] = challenger.shadow(event, by_itself, ports.note)
    diagnosis = _heard(by_itself, event, incident, ports)
    diagnosis = _believe(incident, diagnosis, event, event, ports)
    ports.state.put(records.INCIDENTS, records.index_key(event.fingerprint), index)
    return [_classified(event, event, incident, diagnosis, ports.clock.now(), repeated=repeated)]


def _heard(by_itself: Diagnosis, report: IncidentOpened, incident: Document, ports: Ports) -> Diagnosis:
    """The diagnosis with what people said of it or of one like it; if nothing, with what they wrote down."""
    diagnosis = judged.weighed(by_itself, report.origin, judged.precedents(ports.state, report, incident))
    return noted.weighed(diagnosis, report, ports.state, ports.definitions) if diagnosis is by_itself else diagnosis


def _believe(incident: Document, diagnosis: Diagnosis, report: IncidentOpened, told: Event, ports: Ports) -> Diagnosis:
    """Write down what is believed, with the circumstances as further evidence."""
    near = circumstances.around(ports.state, report, incident, diagnosis)
    diagnosis = diagnosis._replace(evidence=(*diagnosis.evidence, *near.evidence))
    similar = records.similar_to(ports.state, incident, diagnosis)
    records.believe(incident, diagnosis, told.time, report.attempt, similar)
    incident["rivals"] = [each._asdict() for each in near.rivals]
    ports.state.put(records.INCIDENTS, incident["incident_id"], incident)
    return diagnosis


def _classified(
    cause: Event, report: IncidentOpened, incident: Document, diagnosis: Diagnosis, now: int, **said: bool | str
) -> IncidentClassified:
    """What is believed of the incident's last report; ``said`` tells whether it was open before, and who said so."""
    return IncidentClassified.caused_by(
        cause,
        incident["incident_id"],
        now,
        incident_id=incident["incident_id"],
        failure_class=str(diagnosis.failure_class),
        cause=diagnosis.cause,
        confidence=diagnosis.confidence,
        explanation=diagnosis.explanation,
        evidence_json=_evidence(report, incident, diagnosis),
        **said,
        **{name: getattr(report, name) for name in _CARRIED},
    )


def _evidence(event: IncidentOpened, incident: Document, diagnosis: Diagnosis) -> str:
    """The report's evidence as it came, plus what the diagnosis rests on under ``diagnosis``; bounded."""
    because = [each._asdict() for each in diagnosis.evidence]
    rests_on = {"because": because, "alike": incident["similar"], "rivals": incident["rivals"]}
    came = evidence_of(event)
    for told in ({**came, "diagnosis": rests_on}, came, {"diagnosis": rests_on}):
        text = json.dumps(told, ensure_ascii=False)
        if len(text) <= _EVIDENCE_CHARACTERS_MAX:
            return text
    return ""


def on_incident_closed(event: IncidentClosed, ports: Ports) -> list[Event]:
    """Record the incident's end; the last word by time counts."""
    incident = ports.state.get(records.INCIDENTS, event.incident_id)
    if incident is None or event.state not in CLOSED or incident["closed_at"] > event.time:
        return []
    if event.state == IncidentState.HEALED and int(incident.get("undone_at") or 0) >= event.time:
        return []  # told late: what had healed it was taken back meanwhile
    if event.state == IncidentState.ESCALATED and event.judged_at < int(incident.get("corrected_at") or 0):
        return []  # decided before that was heard: a person has named another cause, for which it is taken up again
    incident.update(
        state=event.state,
        closed_at=max(event.time, 1),
        close_explanation=event.explanation,
        rows_healed=event.rows_healed,
        rows_left=event.rows_left,
    )
    ports.state.put(records.INCIDENTS, event.incident_id, incident)
    return []


def on_incident_judged(event: IncidentJudged, ports: Ports) -> list[Event]:
    """Keep what a person says of a diagnosis: it counts for this incident, and for later reports that are like it.

    An incident that is healed or dismissed keeps the diagnosis it ended with; one that was handed to a person is taken
    up again when that person names another cause. The same said again, or earlier than what holds, changes nothing,
    nor does the word of somebody who may not decide; the event stays in history. Where the same came back meanwhile,
    the later incident goes on, and the judgement counts for its next report as for others.
    """
    if not people.may_judge(ports.definitions, event.by):
        return []
    incident = ports.state.get(records.INCIDENTS, event.incident_id)
    if incident is None or incident.get("kind") != "incident":
        return []
    report, now = records.report_of(incident), ports.clock.now()
    by_itself = diagnose(report)
    if not judged.judge(ports.state, incident, event, by_itself) or incident["state"] in _OVER:
        return []
    if incident["state"] in CLOSED and _came_back(ports, incident):
        return []
    diagnosis = _heard(by_itself, report, incident, ports)
    if diagnosis.cause != incident["cause"]:
        incident.update(state=str(IncidentState.CLASSIFIED), closed_at=0, corrected_at=max(now, 1))
    diagnosis = _believe(incident, diagnosis, report, event, ports)
    return [_classified(event, report, incident, diagnosis, now, repeated=True, judged_by=event.by)]


def on_knowledge_noted(event: KnowledgeNoted, ports: Ports) -> list[Event]:
    """Keep an entry of the knowledge base, and what it said before."""
    knowledge.note(ports.state, event)
    return []


def on_remedy_undone(event: RemedyUndone, ports: Ports) -> list[Event]:
    """What the remedy had healed is open again, so that further reports belong to the same incident.

    Unless it came back meanwhile: then the later incident, which is open, stands for both.
    """
    incident = ports.state.get(records.INCIDENTS, event.incident_id)
    if incident is None:
        return []
    incident["undone_at"] = max(int(incident.get("undone_at") or 0), event.time)
    over = incident["state"] == IncidentState.HEALED and incident["closed_at"] <= event.time
    if over and not _came_back(ports, incident):
        incident.update(state=str(IncidentState.CLASSIFIED), closed_at=0)
    ports.state.put(records.INCIDENTS, event.incident_id, incident)
    return []


def _came_back(ports: Ports, incident: Document) -> bool:
    """Whether a later incident of the fingerprint is open."""
    current = str(records.index_of(ports.state, incident["fingerprint"])["incident_id"])
    later = ports.state.get(records.INCIDENTS, current) if current not in ("", incident["incident_id"]) else None
    return later is not None and later["state"] not in CLOSED


SERVICE = Service(
    name="classify",
    handlers={
        IncidentOpened: on_incident_opened,
        IncidentClosed: on_incident_closed,
        IncidentJudged: on_incident_judged,
        KnowledgeNoted: on_knowledge_noted,
        RemedyUndone: on_remedy_undone,
    },
    emits=(IncidentClassified,),
    collections=("incidents", "knowledge", "models"),
    foreign_origin=Origin.INTERNAL,
    priority=20,
)
