"""Validate's verdict over lists: terms, findings, scores and decisions are the product's, the look at rows is not."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from services.validate import drift, scoring, verdict
from services.validate.baseline import NO_WEEKDAY, weekday_of
from services.validate.column_matching import compare_columns, learned_renames
from services.validate.findings import DatasetFinding, Dimension, Rule
from services.validate.judging import Verdict
from services.validate.keys import key_rules
from services.validate.profile import BatchProfile, ColumnProfile
from services.validate.relationships import parent_rule
from services.validate.terms import Terms
from shared.domain import paths
from shared.domain.batch import VerdictState
from shared.domain.checks import check
from shared.domain.contract import Column
from shared.domain.reading import MISFIT, RAW, ROW
from shared.ports.ports import Ports
from tests.simulation.planes import rows_file
from tests.simulation.planes.plain_cells import typed_column, value_rules
from tests.simulation.planes.plain_columns import (
    PlainColumnTrial,
    PlainRecentRows,
    aliases_of,
    note,
    recent_rows,
    with_values,
)
from tests.simulation.planes.plain_evidence import Finding, PlainParent
from tests.simulation.planes.plain_release import Broken, PlainFiles
from tests.simulation.planes.plain_sketches import sketch_document
from tests.simulation.planes.rows_file import Row, Rows

_OWN = (ROW, RAW, MISFIT)
_WELL_FORMED = Rule("well_formed", (), "the record does not fit the delivery's columns or encoding")
_TYPE_TEXT = {
    "integer": "a whole number of at most 64 bits",
    "number": "a finite decimal number",
    "boolean": "true or false",
    "date": "a date",
}


_Verdict = tuple[Verdict, PlainFiles]


def judged(terms: Terms, ports: Ports) -> _Verdict:
    """The verdict on an attempt, and its files, which are written."""
    staged = _staged(terms, ports)
    broken = verdict.incomplete_delivery(terms)
    if broken is not None:
        return _held_whole(terms, ports, staged, [broken])
    delivered = staged.columns[3:]
    renamed = {old: new for old, new in terms.renamed.items() if old in delivered and new not in delivered}
    absent: list[str] = []
    if delivered:
        renamed |= learned_renames(delivered, terms.contract, renamed, terms.learned)
        terms = replace(terms, renamed=renamed)
        names = [renamed.get(name, name) for name in delivered]
        mismatch = compare_columns(names, terms.contract, terms.optional)
        if mismatch.unexpected and not mismatch.missing:
            mismatch = mismatch._replace(unexpected=with_values(_named(staged, terms), mismatch, terms.rules))
        if mismatch.missing or mismatch.unexpected:
            held, files = _mismatched(terms, ports, staged, mismatch)
            return replace(held, renamed=renamed), files
        absent = sorted(terms.optional - set(names))
    terms = replace(terms, renamed=renamed)
    found, files = _judged_rows(terms, ports, staged)
    return replace(found, renamed=renamed, absent=absent), files


def _staged(terms: Terms, ports: Ports) -> Rows:
    check(len(terms.event.parts) <= 1, "a simulated attempt is one file")
    if not terms.event.parts:
        return Rows(list(_OWN), ["integer", "string", "string"], [])
    return rows_file.read(ports.objects, terms.event.parts[0])


def _named(staged: Rows, terms: Terms) -> Rows:
    """The rows under the contract's names."""
    return staged._replace(columns=[terms.renamed.get(name, name) for name in staged.columns])


def _mismatched(terms: Terms, ports: Ports, staged: Rows, mismatch: Any) -> _Verdict:
    wanted = mismatch.missing and mismatch.unexpected
    recent = recent_rows(terms.event, ports, terms.baseline) if wanted else PlainRecentRows((), ())
    trial = PlainColumnTrial(
        mismatch,
        terms.rules,
        terms.contract,
        terms.baseline,
        recent,
        aliases_of(terms.learned),
    )
    trial.take(_named(staged, terms), [row[2] is not None or row[1] is not None for row in staged.rows])
    finding = verdict.mismatched_columns(terms, mismatch, trial, len(staged.columns) - 3)
    return _held_whole(terms, ports, staged, [finding])


def _held_whole(terms: Terms, ports: Ports, staged: Rows, findings: list[DatasetFinding]) -> _Verdict:
    files = PlainFiles(terms, ports)
    raw = [place for place, row in enumerate(staged.rows) if row[2] is not None or row[1] is not None]
    failures = [Broken(_WELL_FORMED, raw)] if raw else []
    files.write(staged, [], failures, findings[0])
    told = Verdict(
        decision=verdict.Decision(state=VerdictState.HELD, reason=findings[0]),
        rows=len(staged.rows),
        score=0.0,
        dimensions={},
        dataset=findings,
        violations=[],
        profile={},
        weekday=NO_WEEKDAY,
        snapshots=[],
    )
    return told, files


def _judged_rows(terms: Terms, ports: Ports, staged: Rows) -> _Verdict:
    judgement = _Judgement(terms, ports, staged)
    failures, rows = judgement.failures(), len(staged.rows)
    failing = {place for each in failures if each.rule.severity == "error" for place in each.places}
    by_dimension: dict[Dimension, float] = {}
    for name in {each.rule.dimension for each in failures}:
        within = [each for each in failures if each.rule.dimension == name]
        errors = {place for each in within if each.rule.severity == "error" for place in each.places}
        warnings = {place for each in within for place in each.places} - errors
        by_dimension[name] = len(errors) + scoring.WARNING_COUNTS * len(warnings)
    tally = scoring.Tally()
    tally.note(0, rows, len(failing), by_dimension)
    profile = sketch_document(judgement.profile, terms.contract.columns, judgement.values, terms.event.pipeline)
    dimensions = tally.dimensions(judgement.measured())
    score = scoring.overall(dimensions, terms.contract.score_weights)
    weekday = weekday_of(judgement.profile, terms.contract.columns, terms.arrived)
    tested = drift.BatchFacts(profile, rows, weekday, terms.empty_before)
    moved = drift.shifts(tested, terms.baseline, terms.contract) if terms.whole else []
    found = [
        verdict.row_count(terms, rows),
        *(finding for finding in moved if not terms.waives("shift", finding.column)),
        verdict.low_score(terms, score, dimensions),
    ]
    findings = [finding for finding in found if finding is not None]
    decision = verdict.decide(terms, findings, rows, len(failing))
    files = PlainFiles(terms, ports)
    files.write(staged, judgement.typed_rows(failing), failures, decision.reason)
    told = Verdict(
        decision=decision,
        rows=rows,
        score=score,
        dimensions=dimensions,
        dataset=findings,
        violations=judgement.violations(failures),
        profile=profile,
        weekday=weekday,
        snapshots=[parent.snapshot for parent in judgement.parents if parent.snapshot],
    )
    return told, files


class _Judgement:
    """The rows of one attempt whose columns are as the contract says."""

    def __init__(self, terms: Terms, ports: Ports, staged: Rows) -> None:
        self.terms = terms
        self.staged = staged
        self.parents = [_parent(reference, terms, ports) for reference in terms.contract.references]
        self.profile = BatchProfile()
        self._ports = ports
        self._raw = [place for place, row in enumerate(staged.rows) if row[2] is not None or row[1] is not None]
        self._names = [terms.renamed.get(name, name) for name in staged.columns]
        self.values: dict[str, list[Any]] = {}
        self._untyped: dict[str, set[int]] = {}
        self._facts: dict[tuple[str, str], dict[str, Any]] = {}
        for column in terms.contract.columns:
            self._type(column)

    def _type(self, column: Column) -> None:
        if column.name not in self._names:
            self.values[column.name], self._untyped[column.name] = [None] * len(self.staged.rows), set()
            return
        place = self._names.index(column.name)
        cells = [row[place] for row in self.staged.rows]
        values, untyped = typed_column(cells, column, self.terms.rules)
        self.values[column.name], self._untyped[column.name] = values, untyped
        rows = len(values) - len(self._raw)
        if rows:
            known = self.profile.columns.setdefault(column.name, ColumnProfile())
            kept = [value for value in values if value is not None]
            plain = kept if column.logical_type != "string" else []
            note(known, plain, rows, rows - len(kept) - len(untyped))

    def measured(self) -> set[Dimension]:
        """The dimensions that some check of the contract measures."""
        found: set[Dimension] = {"validity"}
        if any(each.rule.check == "required" for each in value_rules(self.terms.contract, self.terms.never_null)):
            found.add("completeness")
        if key_rules(self.terms.contract, self.terms.pipeline):
            found.add("uniqueness")
        if self.parents:
            found.add("consistency")
        return found

    def typed_rows(self, failing: set[int]) -> list[Row]:
        """The rows that pass: number, then values in the contract's order."""
        columns = [self.values[column.name] for column in self.terms.contract.columns]
        return [
            [row[0], *[values[place] for values in columns]]
            for place, row in enumerate(self.staged.rows)
            if place not in failing
        ]

    def failures(self) -> list[Broken]:
        """Everything that rows break, in the product's order."""
        found = [Broken(_WELL_FORMED, self._raw)] if self._raw else []
        for column in self.terms.contract.columns:
            if self._untyped[column.name]:
                found.append(Broken(_type_rule(column), sorted(self._untyped[column.name])))
        raw = set(self._raw)
        for each in value_rules(self.terms.contract, self.terms.never_null):
            name = each.rule.columns[0]
            spared = raw | self._untyped[name]
            places = [
                place for place, value in enumerate(self.values[name]) if each.breaks(value) and place not in spared
            ]
            if places:
                found.append(Broken(each.rule, places))
        for parent in self.parents:
            (name,) = parent.rule.columns
            known = parent.keys or frozenset()
            places = [p for p, value in enumerate(self.values[name]) if value is not None and value not in known]
            if places:
                found.append(Broken(parent.rule, places))
        for rule in key_rules(self.terms.contract, self.terms.pipeline):
            places = self._repeated(rule)
            if places:
                found.append(Broken(rule, places))
        return found

    def _repeated(self, rule: Rule) -> list[int]:
        """Rows whose key is not theirs alone, and what kind of repetition that is."""
        names = self.terms.contract.column_names
        groups: dict[tuple[Any, ...], list[tuple[int, tuple[Any, ...]]]] = defaultdict(list)
        for place in range(len(self.staged.rows)):
            key = tuple([self.values[name][place] for name in rule.columns])
            if None not in key:
                groups[key].append((place, ()))
        for row in self._earlier():
            key = tuple([row.get(name) for name in rule.columns])
            if key in groups:
                groups[key].append((-1, tuple([row.get(name) for name in names])))
        repeated = {key: members for key, members in groups.items() if len(members) > 1}
        identical = conflicting = earlier = 0
        found: list[int] = []
        for members in repeated.values():
            contents = {row or tuple([self.values[name][place] for name in names]) for place, row in members}
            own = [place for place, _ in members if place >= 0]
            found += own
            identical += len(own) if len(contents) == 1 else 0
            conflicting += 0 if len(contents) == 1 else len(own)
            earlier += len(own) if len(own) < len(members) else 0
        rows = max(1, identical + conflicting)
        self._facts[rule.key] = {
            "groups": len(repeated),
            "identical_share": round(identical / rows, 9),
            "conflicting_share": round(conflicting / rows, 9),
            "earlier_share": round(earlier / rows, 9),
        }
        return sorted(found)

    def _earlier(self) -> Iterator[dict[str, Any]]:
        """Rows whose place is still an earlier attempt of this reading."""
        later = {row[0] for row in self.staged.rows}
        objects = self._ports.objects
        for document in reversed(self.terms.earlier):
            for path in document["passed_parts"]:
                part = rows_file.read(objects, path)
                yield from (dict(zip(part.columns, row, strict=True)) for row in part.rows if row[0] not in later)
            for path in document["parts"]:
                later |= {row[0] for row in rows_file.read(objects, path).rows}

    def violations(self, failures: list[Broken]) -> list[dict[str, Any]]:
        """Evidence of each finding, most failing rows first."""
        rows, alternatives = len(self.staged.rows), len(self.terms.alternatives) if failures else 0
        findings = [self._finding(each) for each in failures]
        together: dict[tuple[int, ...], list[str]] = defaultdict(list)
        for each in findings:
            if each.rule.check == "required":
                together[tuple(each.places)].append(each.rule.column)
        for each in findings:
            others = together[tuple(each.places)] if each.rule.check == "required" else []
            if len(others) > 1:
                each.facts["columns_null_together"] = [name for name in others if name != each.rule.column][:20]
        found = [each.evidence(rows, self.profile, self.terms.baseline, alternatives) for each in findings]
        return sorted(found, key=lambda item: (-item["rows_failed"], item["check"], item["column"]))

    def _finding(self, broken: Broken) -> Finding:
        rule, rows = broken.rule, self.staged.rows
        column = self.terms.contract.column(rule.columns[0]) if len(rule.columns) == 1 else None
        texts: list[str] = []
        if rule.check not in ("required", "well_formed") and len(rule.columns) == 1 and rule.columns[0] in self._names:
            place = self._names.index(rule.columns[0])
            texts = [rows[each][place] for each in broken.places if rows[each][place] is not None]
        return Finding(
            rule,
            column,
            next((parent for parent in self.parents if parent.rule == rule), None),
            broken.places,
            [rows[each][0] for each in broken.places],
            texts,
            [self.values[rule.columns[0]][each] for each in broken.places] if column is not None else [],
            [rows[each][2] or "unknown" for each in broken.places] if rule.check == "well_formed" else [],
            dict(self._facts.get(rule.key, {})),
        )


def _type_rule(column: Column) -> Rule:
    return Rule("type", (column.name,), f"{column.name} must be {_TYPE_TEXT[column.logical_type]}")


def _parent(reference: Any, terms: Terms, ports: Ports) -> PlainParent:
    check(len(reference.columns) == 1, "simulated references have one column")
    table = reference.qualified(terms.pipeline.destination.dataset)
    found = ports.warehouse.keys(table, reference.parent_columns)
    rule = parent_rule(reference, known=found is not None)
    if found is None:
        return PlainParent(rule, table, reference.parent_columns, None, "")
    check(isinstance(found, Rows), "the plain plane's warehouse")
    digest = hashlib.sha256(repr(found).encode()).hexdigest()[:32]
    path = paths.snapshot(table, digest)
    if ports.objects.stat(path) is None:
        rows_file.write(ports.objects, path, found)
    keys = frozenset(row[0] for row in found.rows)
    return PlainParent(rule, table, reference.parent_columns, keys, path)
