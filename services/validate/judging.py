"""Judges an attempt as a whole: its columns, its rows, its sets, and what follows from them.

Where the rows come from and where they go is not decided here: a pipeline's are staged and released in files, those of
``mend contract test`` may be read where they lie and be counted.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from services.validate import drift, scoring, verdict
from services.validate.baseline import NO_WEEKDAY, weekday_of
from services.validate.column_matching import ColumnTrial, columns_with_values, compare_columns, learned_renames
from services.validate.findings import Failure
from services.validate.recent_rows import RecentRows, recent_rows
from services.validate.verdict import Decision, incomplete_delivery, mismatched_columns
from shared.domain.batch import VerdictState

if TYPE_CHECKING:
    from services.validate.column_matching import Mismatch
    from services.validate.findings import DatasetFinding
    from services.validate.judgement import Judgement
    from services.validate.release import RowSink
    from services.validate.staged_rows import DeliveredRows
    from services.validate.terms import Terms
    from shared.ports.ports import Ports


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
    weekday: int  # that the batch is of
    snapshots: list[str]
    renamed: dict[str, str] = field(default_factory=dict)  # delivered name: contract name, as the rows were judged
    absent: list[str] = field(default_factory=list)  # columns that the delivery lacks and may lack: null there


def judge(terms: Terms, ports: Ports, rows: DeliveredRows, sink: RowSink, *, sketched: bool = True) -> Verdict:
    """The verdict on an attempt; every one of its rows goes to ``sink``, with what is wrong with it.

    Without ``sketched`` its profile is no baseline for later batches: a trial has none.
    """
    broken = incomplete_delivery(terms)
    if broken is not None:
        return _held_whole(terms, rows, sink, [broken])
    delivered = rows.columns
    renamed = {old: new for old, new in terms.renamed.items() if old in delivered and new not in delivered}
    if delivered:
        renamed |= learned_renames(delivered, terms.contract, renamed, terms.learned)
        terms = replace(terms, renamed=renamed)
        names = [renamed.get(name, name) for name in delivered]
        mismatch = compare_columns(names, terms.contract, terms.optional)
        lacking = [column for column in mismatch.missing if not terms.may_be_absent(column)]
        if mismatch.unexpected and not lacking:
            # A column without any value has no type yet, and nothing is lost without it.
            mismatch = mismatch._replace(unexpected=columns_with_values(rows.chunks(), mismatch, terms.rules))
        # Beside a strange column one that may be absent counts as missing: it may be that one under another name.
        if lacking or mismatch.unexpected:
            return replace(_mismatched(terms, ports, rows, sink, mismatch, len(delivered)), renamed=renamed)
        absent = sorted((terms.optional - set(names)) | {column.name for column in mismatch.missing})
        judged = _judged_rows(terms, ports, rows, sink, sketched=sketched)
        return replace(judged, renamed=renamed, absent=absent)
    return _judged_rows(replace(terms, renamed=renamed), ports, rows, sink, sketched=sketched)


def _judged_rows(terms: Terms, ports: Ports, rows: DeliveredRows, sink: RowSink, *, sketched: bool) -> Verdict:
    """Cells, keys, references, drift and score of a delivery that has the contract's columns."""
    from services.validate.judgement import Judgement

    judgement = Judgement(terms, ports, rows, sink, sketched=sketched)
    judgement.run()
    tally, profile = judgement.tally, judgement.profile_document()
    broken = judgement.thresholds()
    dimensions = judgement.dimensions()
    score = scoring.overall(dimensions, terms.contract.score_weights)
    weekday = weekday_of(judgement.profile, terms.contract.columns, terms.arrived)
    tested = drift.BatchFacts(profile, tally.rows_total, weekday, terms.empty_before)
    moved = drift.shifts(tested, terms.baseline, terms.contract) if terms.whole else []
    found = [
        verdict.row_count(terms, tally.rows_total),
        *broken,
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
        weekday=weekday,
        snapshots=judgement.snapshots,
    )


def _violations(terms: Terms, judgement: Judgement) -> list[dict[str, Any]]:
    rows, alternatives = judgement.tally.rows_total, len(terms.alternatives)
    found = [
        item.evidence(rows, judgement.profile, terms.baseline, alternatives) for item in judgement.evidence.values()
    ]
    for (name, column), failed in judgement.uncounted.items():
        found.append({"check": name, "column": column, "rows_failed": failed, "rows": rows})
    return sorted(found, key=lambda item: (-item["rows_failed"], item["check"], item["column"]))


def _mismatched(
    terms: Terms, ports: Ports, rows: DeliveredRows, sink: RowSink, mismatch: Mismatch, delivered: int
) -> Verdict:
    """Nothing is judged when the columns are not the contract's; but what the strange ones hold is looked at."""
    aliases: dict[str, list[str]] = {}
    for each in terms.learned:
        aliases.setdefault(each["wanted"], []).append(each["delivered"])
    wanted = mismatch.missing and mismatch.unexpected
    recent = recent_rows(terms.event, ports, terms.baseline, terms.contract) if wanted else RecentRows((), ())
    trial = ColumnTrial(mismatch, terms.rules, terms.contract, terms.baseline, recent, aliases)
    for chunk in rows.chunks():
        trial.add(chunk._replace(rows=chunk.rows.rename(dict(terms.renamed))) if terms.renamed else chunk)
    return _held_whole(terms, rows, sink, [mismatched_columns(terms, mismatch, trial, delivered)])


def _held_whole(terms: Terms, rows: DeliveredRows, sink: RowSink, findings: list[DatasetFinding]) -> Verdict:
    """All rows to quarantine, unjudged; records that did not fit keep that reason."""
    from services.validate.judgement import WELL_FORMED

    count = 0
    for chunk in rows.chunks():
        failures = [Failure(WELL_FORMED, chunk.raw)] if chunk.raw.any() else []
        sink.write(chunk, chunk.rows.clear(), failures, findings[0], {})
        count += chunk.rows.height
    return Verdict(
        decision=Decision(state=VerdictState.HELD, reason=findings[0]),
        rows=count,
        score=0.0,
        dimensions={},
        dataset=findings,
        violations=[],
        profile={},
        weekday=NO_WEEKDAY,
        snapshots=[],
    )
