"""What validate does with each event it takes: judge an attempt, and keep which new columns a pipeline accepts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from services.validate import contract_texts, waiting
from services.validate.terms import (
    CONTRACTS,
    PROFILES,
    VERDICTS,
    gather_terms,
    learned_of,
    with_accepted,
    without_accepted,
)
from shared.domain.batch import VerdictState
from shared.domain.checks import check
from shared.domain.incident import Origin, batch_fingerprint
from shared.domain.masking import clean
from shared.events.types import (
    BatchDue,
    BatchHeld,
    BatchStaged,
    BatchValidated,
    ClockTicked,
    ContractAmended,
    Event,
    IncidentOpened,
)
from shared.runtime.service import Service

if TYPE_CHECKING:
    from services.validate.findings import DatasetFinding
    from services.validate.judging import Verdict
    from services.validate.release import RowFiles
    from services.validate.terms import Terms
    from shared.ports.ports import Ports

INCIDENTS_MAX = 40
TAKEN_BACK_MAX = 200
EVIDENCE_CHARACTERS_MAX = 50_000
# What is left out first when evidence would grow too long for an event.
_DISPENSABLE = ("alternatives", "candidates", "unexpected", "groups", "missing", "required")


def on_batch_staged(event: BatchStaged, ports: Ports) -> list[Event]:
    """Judge the attempt, write its files, then tell; or let it wait for the deliveries before it."""
    return _attempted(event, ports, waited=False)


def _attempted(event: BatchStaged, ports: Ports, *, waited: bool) -> list[Event]:
    key = f"{event.batch_id}:{event.attempt}"
    if ports.state.get(VERDICTS, key) is not None:
        return []  # the same attempt announced by another cause
    terms = waiting.waited_for(gather_terms(event, ports), ports)
    if terms is None:
        return []
    verdict, files = _judged(terms, ports)
    passed, quarantined = files.finish()
    contract_texts.keep(terms, ports)
    rows_passed, rows_quarantined = files.rows_passed, files.rows_quarantined
    check(rows_passed + rows_quarantined == verdict.rows, "every staged row passed or is in quarantine")
    check(verdict.rows == event.rows, "as many rows were judged as were staged")
    incidents = _incidents(terms, verdict, ports)
    validated = BatchValidated.caused_by(
        event,
        key,
        ports.clock.now(),
        subject=event.batch_id,
        batch_id=event.batch_id,
        pipeline=event.pipeline,
        attempt=event.attempt,
        reading=event.reading,
        seq=event.seq,
        state=str(verdict.decision.state),
        rows=verdict.rows,
        rows_passed=rows_passed,
        rows_quarantined=rows_quarantined,
        score=verdict.score,
        dimensions_json=json.dumps(verdict.dimensions),
        contract=terms.contract_version,
        passed_parts=passed,
        quarantine_parts=quarantined,
        incidents=len(incidents),
        remedy_id=event.remedy_id,
        snapshots=verdict.snapshots,
        partial=verdict.decision.partial,
    )
    _keep(terms, verdict, validated, ports)
    called = waiting.called_by_verdict(terms, ports, waited=waited)
    return [validated, *_held(event, verdict, ports), *incidents, *called]


def on_batch_due(event: BatchDue, ports: Ports) -> list[Event]:
    """An attempt that waited is looked at again, as if it came only now."""
    staged = waiting.put_by(event, ports)
    return _attempted(staged, ports, waited=True) if staged is not None else []


def on_clock_ticked(event: ClockTicked, ports: Ports) -> list[Event]:
    """Attempts that have waited long enough for others are called."""
    return waiting.called_by_clock(event, ports)


def _judged(terms: Terms, ports: Ports) -> tuple[Verdict, RowFiles]:
    from services.validate.judging import judge
    from services.validate.release import RowFiles
    from services.validate.staged_rows import StagedRows

    rows = StagedRows(ports.objects, terms.event.parts, ports.limits.rows_per_part)
    files = RowFiles(ports.objects, terms.event)
    return judge(terms, ports, rows, files), files


def _held(event: BatchStaged, verdict: Verdict, ports: Ports) -> list[Event]:
    if verdict.decision.state != VerdictState.HELD or verdict.decision.reason is None:
        return []
    held = BatchHeld.caused_by(
        event,
        f"{event.batch_id}:{event.attempt}",
        ports.clock.now(),
        subject=event.batch_id,
        batch_id=event.batch_id,
        pipeline=event.pipeline,
        attempt=event.attempt,
        reason=clean(verdict.decision.reason.message),
        rows=verdict.rows,
    )
    return [held]


def _incidents(terms: Terms, verdict: Verdict, ports: Ports) -> list[Event]:
    """Dataset findings, then violations by failing rows; what is beyond the limit in one more."""
    opened = [_dataset_incident(terms, verdict, finding, ports) for finding in verdict.dataset[:INCIDENTS_MAX]]
    room = INCIDENTS_MAX - len(opened)
    for evidence in verdict.violations[:room]:
        opened.append(_violation_incident(terms, evidence, ports))
    rest = verdict.violations[room:]
    left = verdict.dataset[INCIDENTS_MAX:]
    if rest or left:
        groups = [
            {"check": item["check"], "column": item["column"], "rows_failed": item["rows_failed"]} for item in rest
        ]
        groups += [{"check": item.check, "column": item.column, "rows_failed": 0} for item in left]
        most = max((item["rows_failed"] for item in groups), default=0)
        evidence = {"check": "more", "rows": verdict.rows, "findings": len(groups), "groups": groups[:200]}
        message = f"{len(groups)} further findings"
        opened.append(_incident(terms, Origin.VIOLATION, "more", "", message, verdict.rows, most, evidence, ports))
    return opened


def _dataset_incident(terms: Terms, verdict: Verdict, finding: DatasetFinding, ports: Ports) -> Event:
    evidence = {"check": finding.check, "rows": verdict.rows, **finding.evidence}
    failed = verdict.rows if finding.holds else 0
    return _incident(
        terms, Origin.DATASET, finding.check, finding.column, finding.message, verdict.rows, failed, evidence, ports
    )


def _violation_incident(terms: Terms, evidence: dict[str, Any], ports: Ports) -> Event:
    name, column, failed, rows = evidence["check"], evidence["column"], evidence["rows_failed"], evidence["rows"]
    where = f" in {column}" if column else ""
    message = f"{name}: {failed} of {rows} rows fail{where}"
    return _incident(terms, Origin.VIOLATION, name, column, message, rows, failed, evidence, ports)


def _incident(
    terms: Terms,
    origin: Origin,
    name: str,
    column: str,
    message: str,
    rows: int,
    rows_failed: int,
    evidence: dict[str, Any],
    ports: Ports,
) -> Event:
    event = terms.event
    return IncidentOpened.caused_by(
        event,
        f"{event.batch_id}:{event.attempt}|{name}|{column}",
        ports.clock.now(),
        subject=event.batch_id,
        fingerprint=batch_fingerprint(event.pipeline, event.batch_id, name, column[:1_000]),
        origin=str(origin),
        pipeline=event.pipeline,
        batch_id=event.batch_id,
        attempt=event.attempt,
        reading=event.reading,
        message=clean(message),
        check=name,
        column=column[:1_000],
        rows=rows,
        rows_failed=rows_failed,
        evidence_json=_bounded(evidence),
    )


def _bounded(evidence: dict[str, Any]) -> str:
    """Evidence as JSON that fits into an event."""
    text = json.dumps(evidence, ensure_ascii=False)
    for name in _DISPENSABLE:
        if len(text) <= EVIDENCE_CHARACTERS_MAX:
            break
        evidence = {key: value for key, value in evidence.items() if key != name}
        text = json.dumps(evidence, ensure_ascii=False)
    return text


def _keep(terms: Terms, verdict: Verdict, validated: BatchValidated, ports: Ports) -> None:
    """The verdict with all it depended on, and the profile of a batch that was released whole."""
    event = terms.event
    findings: list[dict[str, Any]] = [
        {"check": item.check, "column": item.column, "rows_failed": 0, "message": item.message, "holds": item.holds}
        for item in verdict.dataset
    ]
    findings += [{key: item[key] for key in ("check", "column", "rows_failed")} for item in verdict.violations]
    document = {
        "batch_id": event.batch_id,
        "pipeline": event.pipeline,
        "attempt": event.attempt,
        "reading": event.reading,
        "seq": event.seq,
        "event_id": event.id,
        "state": validated.state,
        "reason": verdict.decision.reason.check if verdict.decision.reason else "",
        "rows": validated.rows,
        "rows_passed": validated.rows_passed,
        "rows_quarantined": validated.rows_quarantined,
        "score": validated.score,
        "dimensions": verdict.dimensions,
        "contract": validated.contract,
        "contract_version": terms.contract.version,  # as its author numbers it
        "pipeline_file": terms.pipeline_version,
        "accepted_columns": list(terms.accepted),
        "snapshots": verdict.snapshots,
        "baseline": list(terms.baseline.keys),
        "reading_options_json": event.reading_options_json,
        "rename_json": json.dumps(verdict.renamed, ensure_ascii=False) if verdict.renamed else "",
        "absent_columns": verdict.absent,
        "waive": list(event.waive),
        "parts": list(event.parts),
        "passed_parts": list(validated.passed_parts),
        "quarantine_parts": list(validated.quarantine_parts),
        "partial": validated.partial,
        "remedy_id": event.remedy_id,
        "incidents": validated.incidents,
        "findings": findings[:200],
    }
    ports.state.put(VERDICTS, f"{event.batch_id}:{event.attempt}", document)
    if validated.state == VerdictState.RELEASED and terms.whole and verdict.rows:
        names = ("pipeline", "batch_id", "attempt", "seq", "rows", "rows_passed")
        profile = {name: document[name] for name in names}
        profile["weekday"] = verdict.weekday
        # Rows that were judged, held and are back were accepted or repaired; a delivery that could not be judged at all
        # (columns were missing, or it was cut off) is as good as any once it is.
        profile["judged_before"] = any(each["dimensions"] for each in terms.earlier)
        ports.state.put(PROFILES, f"{event.pipeline}:{event.batch_id}", {**profile, "columns": verdict.profile})


def on_contract_amended(event: ContractAmended, ports: Ports) -> list[Event]:
    """Keep which new columns, wider types and other names of columns the pipeline accepts from now on.

    What a remedy takes back is final, so an acceptance of the same remedy that comes after it is late, and void.
    """
    known = learned_of(ports, event.pipeline)
    removes = bool(event.remove_columns or event.remove_renames)
    if event.remedy_id in known["taken_back"] and not removes:
        return []
    about = {"seq": "", "batch_id": "", "remedy_id": event.remedy_id}
    columns = without_accepted(with_accepted(known["columns"], list(event.accept_columns), about), event.remove_columns)
    renames = {item["delivered"]: item for item in known["renames"] if item["delivered"] not in event.remove_renames}
    for delivered, wanted in (json.loads(event.accept_renames_json) if event.accept_renames_json else {}).items():
        renames[delivered] = {"delivered": delivered, "wanted": wanted, "remedy_id": event.remedy_id}
    gone = [*known["taken_back"], event.remedy_id] if removes else known["taken_back"]
    taken_back = list(dict.fromkeys(gone))[-TAKEN_BACK_MAX:]
    learned = {**known, "columns": columns, "renames": list(renames.values()), "taken_back": taken_back}
    if learned != known:
        ports.state.put(CONTRACTS, event.pipeline, learned)
    return []


SERVICE = Service(
    name="validate",
    handlers={
        BatchStaged: on_batch_staged,
        BatchDue: on_batch_due,
        ContractAmended: on_contract_amended,
        ClockTicked: on_clock_ticked,
    },
    emits=(BatchDue, BatchHeld, BatchValidated, IncidentOpened),
    collections=(VERDICTS, PROFILES, CONTRACTS, waiting.WAITING),
    priority=40,
    timers=(waiting.WAITING,),
)
