"""What validate does with each event it takes: judge an attempt, and keep which new columns a pipeline accepts."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from services.validate.findings import DatasetFinding
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
from shared.events.types import BatchHeld, BatchStaged, BatchValidated, ContractAmended, Event, IncidentOpened
from shared.runtime.service import Service

if TYPE_CHECKING:
    from services.validate.judgement import Judgement
    from services.validate.release import RowFiles
    from services.validate.terms import Terms
    from services.validate.verdict import Decision
    from shared.ports.ports import Ports

INCIDENTS_MAX = 40
TAKEN_BACK_MAX = 200
EVIDENCE_CHARACTERS_MAX = 50_000
# What is left out first when evidence would grow too long for an event.
_DISPENSABLE = ("alternatives", "candidates", "unexpected", "groups", "missing", "required")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """All that is said of an attempt."""

    decision: Decision
    rows: int
    score: float
    dimensions: dict[str, float]
    dataset: list[DatasetFinding]
    violations: list[dict[str, Any]]  # evidence of each violation group, most failing rows first
    profile: dict[str, Any]
    snapshots: list[str]
    files: RowFiles
    renamed: dict[str, str] = field(default_factory=dict)  # delivered name: contract name, as the rows were judged
    absent: list[str] = field(default_factory=list)  # accepted new columns that the delivery lacks: null there


def on_batch_staged(event: BatchStaged, ports: Ports) -> list[Event]:
    """Judge the attempt, write its files, then tell."""
    key = f"{event.batch_id}:{event.attempt}"
    if ports.state.get(VERDICTS, key) is not None:
        return []  # the same attempt announced by another cause
    terms = gather_terms(event, ports)
    verdict = _judged(terms, ports)
    passed, quarantined = verdict.files.finish()
    rows_passed, rows_quarantined = verdict.files.rows_passed, verdict.files.rows_quarantined
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
    return [validated, *_held(event, verdict, ports), *incidents]


def _judged(terms: Terms, ports: Ports) -> Verdict:
    from services.validate.staged_rows import staged_columns
    from services.validate.verdict import incomplete_delivery

    broken = incomplete_delivery(terms)
    if broken is not None:
        return _held_whole(terms, ports, [broken])
    delivered = staged_columns(ports.objects, terms.event.parts)
    renamed = {old: new for old, new in terms.renamed.items() if old in delivered and new not in delivered}
    if delivered:
        from services.validate.column_matching import columns_with_values, compare_columns, learned_renames

        renamed |= learned_renames(delivered, terms.contract, renamed, terms.learned)
        terms = replace(terms, renamed=renamed)
        names = [renamed.get(name, name) for name in delivered]
        mismatch = compare_columns(names, terms.contract, terms.optional)
        if mismatch.unexpected and not mismatch.missing:
            # A column without any value has no type yet, and nothing is lost without it.
            mismatch = mismatch._replace(
                unexpected=columns_with_values(ports.objects, terms.event.parts, mismatch, terms.rules)
            )
        if mismatch.missing or mismatch.unexpected:
            return replace(_mismatched(terms, ports, mismatch, len(delivered)), renamed=renamed)
        absent = sorted(terms.optional - set(names))
        return replace(_judged_rows(terms, ports), renamed=renamed, absent=absent)
    return _judged_rows(replace(terms, renamed=renamed), ports)


def _judged_rows(terms: Terms, ports: Ports) -> Verdict:
    """Cells, keys, references, drift and score of a delivery that has the contract's columns."""
    from services.validate import drift, scoring, verdict
    from services.validate.judgement import Judgement

    judgement = Judgement(terms, ports)
    judgement.run()
    tally, profile = judgement.tally, judgement.profile.document()
    dimensions = tally.dimensions(judgement.measured)
    score = scoring.overall(dimensions)
    moved = drift.shifts(profile, terms.baseline, terms.contract) if terms.whole else []
    found = [
        verdict.row_count(terms, tally.rows_total),
        *judgement.thresholds(),
        *(finding for finding in moved if not terms.waives("shift", finding.column)),
        verdict.low_score(terms, score, dimensions),
    ]
    findings = [finding for finding in found if finding is not None]
    decision = verdict.decide(terms, findings, tally.rows_total, tally.rows_failed)
    if decision.reason is not None:
        judgement.hold(decision.reason)
    return Verdict(
        decision=decision,
        rows=tally.rows_total,
        score=score,
        dimensions=dimensions,
        dataset=findings,
        violations=_violations(terms, judgement),
        profile=profile,
        snapshots=[parent.snapshot for parent in judgement.parents if parent.snapshot],
        files=judgement.files,
    )


def _violations(terms: Terms, judgement: Judgement) -> list[dict[str, Any]]:
    rows, alternatives = judgement.tally.rows_total, len(terms.alternatives)
    found = [
        item.evidence(rows, judgement.profile, terms.baseline, alternatives) for item in judgement.evidence.values()
    ]
    for (name, column), failed in judgement.uncounted.items():
        found.append({"check": name, "column": column, "rows_failed": failed, "rows": rows})
    return sorted(found, key=lambda item: (-item["rows_failed"], item["check"], item["column"]))


def _mismatched(terms: Terms, ports: Ports, mismatch: Any, delivered: int) -> Verdict:
    """Nothing is judged when the columns are not the contract's; but what the strange ones hold is looked at."""
    from services.validate.column_matching import ColumnTrial
    from services.validate.recent_rows import RecentRows, recent_rows
    from services.validate.staged_rows import StagedRows
    from services.validate.verdict import mismatched_columns

    aliases: dict[str, list[str]] = {}
    for each in terms.learned:
        aliases.setdefault(each["wanted"], []).append(each["delivered"])
    wanted = mismatch.missing and mismatch.unexpected
    recent = recent_rows(terms.event, ports, terms.baseline, terms.contract) if wanted else RecentRows((), ())
    trial = ColumnTrial(mismatch, terms.rules, terms.contract, terms.baseline, recent, aliases)
    for chunk in StagedRows(ports.objects, terms.event.parts, ports.limits.rows_per_part).chunks():
        trial.add(chunk._replace(rows=chunk.rows.rename(dict(terms.renamed))) if terms.renamed else chunk)
    return _held_whole(terms, ports, [mismatched_columns(terms, mismatch, trial, delivered)])


def _held_whole(terms: Terms, ports: Ports, findings: list[DatasetFinding]) -> Verdict:
    """All rows to quarantine, unjudged; records that did not fit keep that reason."""
    from services.validate.findings import Failure
    from services.validate.judgement import WELL_FORMED
    from services.validate.release import RowFiles
    from services.validate.staged_rows import StagedRows
    from services.validate.verdict import Decision

    event = terms.event
    files = RowFiles(ports.objects, event, {})
    rows = 0
    for chunk in StagedRows(ports.objects, event.parts, ports.limits.rows_per_part).chunks():
        failures = [Failure(WELL_FORMED, chunk.raw)] if chunk.raw.any() else []
        files.write(chunk, chunk.rows.clear(), failures, findings[0])
        rows += chunk.rows.height
    return Verdict(
        decision=Decision(state=VerdictState.HELD, reason=findings[0]),
        rows=rows,
        score=0.0,
        dimensions={},
        dataset=findings,
        violations=[],
        profile={},
        snapshots=[],
        files=files,
    )


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
        profile = {name: document[name] for name in ("pipeline", "batch_id", "attempt", "seq", "rows")}
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
    handlers={BatchStaged: on_batch_staged, ContractAmended: on_contract_amended},
    emits=(BatchHeld, BatchValidated, IncidentOpened),
    collections=(VERDICTS, PROFILES, CONTRACTS),
    priority=40,
)
