"""The documents of incidents: one per occurrence, and one per fingerprint that says which occurrence is current.

```
incidents/{incident_id} = {kind: "incident", incident_id, fingerprint, family, occurrence, state, origin, system,
  service, event_id, event_topic, pipeline, batch_id, uri, check, column,
  attempt, first_attempt, reading, rows, rows_failed,           # of the last report; rows_failed_first of the first
  reports, first_seen, last_seen, traceparent,                  # the last is that of the first report
  exception_type, http_status, grpc_status, sqlstate, reason, exit_code, message,
  evidence_json,                                                # of the last report, as it came
  failure_class, cause, confidence, explanation, diagnosis: [{source, field, value, weight}],
  model,                                                        # version of the text model if words count in it
  shadow: {champion, challenger: {version, failure_class, cause, confidence}} | null,     # of the last report that came
  source, rivals: [{cause, because}],                           # other causes that circumstances.py speaks for
  diagnoses: [{at, attempt, failure_class, cause, confidence, explanation, model}],  # how the belief changed, last 10
  similar: [{incident_id, state, confidence, closed_at, batch_id, explanation}],
  feedback: [{at, by, verdict, failure_class, cause, note, believed_class, believed_cause}],  # the last holds
  closed_at, close_explanation, rows_healed, rows_left,
  undone_at,                                                    # when a remedy of it was last taken back
  corrected_at}                      # time of the diagnosis by which a person last named another cause
incidents/fingerprint:{derive(fingerprint)} = {kind: "fingerprint", fingerprint, occurrence, incident_id,
  handled: [event ids of reports, the last 20]}
```
"""

from __future__ import annotations

from typing import Any, Final

from services.classify import text_model
from services.classify.diagnosis import Diagnosis
from shared.domain.ids import derive, incident_id
from shared.domain.incident import IncidentState
from shared.events.types import IncidentOpened
from shared.ports.state import State
from shared.ports.state_store import Document, Where

INCIDENTS: Final = "incidents"
HANDLED_MAX: Final = 20  # receipts do the rest; the list is written anew with each report
DIAGNOSES_MAX: Final = 10
SIMILAR_MAX: Final = 5

_LAST_REPORT = (
    *("origin", "system", "service", "event_id", "event_topic", "pipeline", "batch_id", "uri", "check", "column"),
    *("attempt", "reading", "rows", "rows_failed", "exception_type", "http_status", "grpc_status", "sqlstate"),
    *("reason", "exit_code", "message", "evidence_json"),
)


def index_key(fingerprint: str) -> str:
    """Key of the document that knows a fingerprint's current occurrence."""
    return f"fingerprint:{derive(fingerprint)}"


def index_of(state: State, fingerprint: str) -> Document:
    """The fingerprint's index document, as new if there is none."""
    fresh = {"kind": "fingerprint", "fingerprint": fingerprint, "occurrence": 0, "incident_id": "", "handled": []}
    return state.get(INCIDENTS, index_key(fingerprint)) or fresh


def opened(report: IncidentOpened, occurrence: int) -> Document:
    """The document of a fingerprint's nth occurrence, before its first report is counted."""
    return {
        "kind": "incident",
        "incident_id": incident_id(report.fingerprint, occurrence),
        "fingerprint": report.fingerprint,
        "family": family_of(report),
        "occurrence": occurrence,
        "state": str(IncidentState.CLASSIFIED),
        "first_attempt": report.attempt,
        "attempt": report.attempt,
        "rows_failed_first": report.rows_failed,
        "reports": 0,
        "first_seen": report.time,
        "last_seen": report.time,
        "traceparent": report.traceparent,
        "diagnoses": [],
        "similar": [],
        "closed_at": 0,
        "close_explanation": "",
        "rows_healed": 0,
        "rows_left": 0,
    }


def family_of(report: IncidentOpened) -> str:
    """What incidents of one kind share: the fingerprint without the batch or the object."""
    about = report.check or f"{report.service}|{report.exception_type}|{report.reason or report.http_status}"
    return derive(report.pipeline or report.system, report.origin, about, report.column, length=16)


def count(incident: Document, report: IncidentOpened) -> None:
    """Take a report into its incident; what came late from an earlier attempt only counts."""
    incident["reports"] += 1
    incident["last_seen"] = max(incident["last_seen"], report.time)
    incident["first_seen"] = min(incident["first_seen"], report.time)
    if "origin" not in incident or report.attempt >= incident["attempt"]:
        incident.update({name: getattr(report, name) for name in _LAST_REPORT})
    incident["first_attempt"] = min(incident["first_attempt"], report.attempt)


def report_of(incident: Document) -> IncidentOpened:
    """The last report of an incident, as it was counted, so that it can be diagnosed again."""
    fields = {name: incident[name] for name in ("fingerprint", *_LAST_REPORT) if incident.get(name)}
    given = {"id": "again", "subject": "again", "correlation_id": "again", "fingerprint": "", "origin": "", **fields}
    return IncidentOpened(time=int(incident.get("last_seen") or 0), **given)


def believe(incident: Document, diagnosis: Diagnosis, at: int, attempt: int, similar: list[Document]) -> None:
    """Write the diagnosis into the incident, keeping what was believed before."""
    belief = {
        "failure_class": str(diagnosis.failure_class),
        "cause": diagnosis.cause,
        "confidence": diagnosis.confidence,
        "explanation": diagnosis.explanation,
        "model": text_model.chosen().version if any(each.source == "words" for each in diagnosis.evidence) else "",
    }
    known = incident["diagnoses"]
    if not known or {name: known[-1].get(name, "") for name in belief} != belief:
        known = [*known, {"at": at, "attempt": attempt, **belief}][-DIAGNOSES_MAX:]
    evidence = [each._asdict() for each in diagnosis.evidence]
    incident.update(belief, diagnoses=known, diagnosis=evidence, similar=similar)


def similar_to(state: State, incident: Document, diagnosis: Diagnosis) -> list[Document]:
    """Closed incidents of the same pipeline with the same cause, the latest first."""
    past = state.query(
        INCIDENTS,
        [
            Where("pipeline", "==", incident["pipeline"]),
            Where("cause", "==", diagnosis.cause),
            Where("closed_at", ">", 0),
        ],
        order_by="closed_at",
        descending=True,
        limit=SIMILAR_MAX + 1,
    )
    found = [_short(stored.data) for stored in past if stored.key != incident["incident_id"]]
    return found[:SIMILAR_MAX]


def _short(past: Document) -> dict[str, Any]:
    names = ("incident_id", "state", "confidence", "closed_at", "batch_id", "rows_healed", "rows_left")
    short = {name: past[name] for name in names}
    return {**short, "explanation": str(past["close_explanation"])[:300]}
