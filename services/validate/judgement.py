"""Judges an attempt: one pass over clean rows; what keys, dependencies or a hold change is read and written again."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from services.validate.casting import cast_frame
from services.validate.column_checks import cell_rules, failing_cells, type_rule
from services.validate.column_schema import broken_rules
from services.validate.custom_checks import broken_rows, load_checks
from services.validate.dependencies import dependency_ledgers
from services.validate.evidence import Evidence
from services.validate.findings import Failure, Rule
from services.validate.keys import KeyLedger, key_rules
from services.validate.native_casting import texts_of
from services.validate.nested_cells import NestedCells
from services.validate.nested_keys import NestedKey, nested_keys
from services.validate.profile import BatchProfile
from services.validate.quality import QualityLedger
from services.validate.relationships import load_parents, orphans
from services.validate.release import failing_rows
from services.validate.scoring import WARNING_COUNTS, Tally, measured
from services.validate.service_levels import ServiceLedger
from services.validate.sketches import Sketches
from services.validate.terms import released_rows
from services.validate.two_readings import readings_in_question

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    import pyarrow as pa

    from services.validate.dependencies import DependencyVerdict
    from services.validate.findings import DatasetFinding, Dimension
    from services.validate.keys import KeyVerdict
    from services.validate.other_tables import OtherTables
    from services.validate.release import RowSink
    from services.validate.sql_rules import Answer
    from services.validate.staged_rows import Chunk, DeliveredRows
    from services.validate.terms import Terms
    from services.validate.two_readings import TwoReadings
    from shared.domain.contract import Column, QualityRule
    from shared.ports.ports import Ports

DETAILED_MAX = 200  # findings with evidence; beyond that failing rows are only counted
WELL_FORMED = Rule("well_formed", (), "the record does not fit the delivery's columns or encoding")


@dataclass(slots=True)
class Judged:
    """A chunk with its typed rows (row number first) and all that is wrong with them."""

    chunk: Chunk
    renamed: pl.DataFrame
    typed: pl.DataFrame
    failures: list[Failure]
    raw: pl.Series | None
    untyped: dict[str, pl.Series]  # by column the cells that have no type


class Judgement:
    """The judging of one attempt whose columns are as the contract says."""

    def __init__(
        self, terms: Terms, ports: Ports, rows: DeliveredRows, sink: RowSink, *, sketched: bool = True
    ) -> None:
        self.terms = terms
        self.tally = Tally()
        self.profile = BatchProfile()
        self._sketches = Sketches(terms.contract.columns, terms.event.pipeline) if sketched else None
        self.evidence: dict[tuple[str, str], Evidence] = {}
        self.uncounted: dict[tuple[str, str], int] = {}
        self._ports = ports
        self._contract = terms.contract
        self._rows = rows
        self._sink = sink
        self._cell_rules = cell_rules(self._contract.columns, terms.never_null)
        self._nested = NestedCells(self._contract.columns)
        self._delivered = {new: old for old, new in terms.renamed.items()}
        self.parents = load_parents(self._contract, terms.pipeline, ports, self._own_keys)
        self._keys: list[KeyLedger | NestedKey] = [
            KeyLedger(rule) for rule in key_rules(self._contract, terms.pipeline)
        ]
        self._keys += nested_keys(self._contract.columns)
        self._dependencies = dependency_ledgers(self._contract)
        self._key_verdicts: list[KeyVerdict] = []
        self._dependency_verdicts: list[DependencyVerdict] = []
        self._readings = {
            each.column: each for each in readings_in_question(self._contract.columns, terms.rules.decimal)
        }
        self._doubted: list[TwoReadings] = []
        self._quality = QualityLedger(self._contract)
        self._service = ServiceLedger(self._contract)
        self._others: OtherTables | None = None
        self._custom = load_checks(self._contract, terms.pipeline.contract)

    @property
    def measured(self) -> set[Dimension]:
        """The dimensions that some check of the contract measures."""
        rules = [*(item.rule for item in self._cell_rules), *(ledger.rule for ledger in self._keys)]
        rules += [*(parent.rule for parent in self.parents), *(each.rule for each in self._dependencies)]
        rules += [*(each.rule for each in self._custom), *self._nested.rules()]
        return measured(rules)

    def run(self) -> None:
        """Judge all rows and write their files as if nothing held them back."""
        done = 0
        # One chunk's files are written while the next chunk is judged.
        with ThreadPoolExecutor(1, "release") as background:
            settling: Future[None] | None = None
            for chunk in self._rows.chunks():
                judged = self._judge(chunk)
                self._profile(judged)
                for ledger in self._keys:
                    ledger.add(chunk.number, judged.typed)
                for dependency in self._dependencies:
                    dependency.add(judged.typed)
                for failure in judged.failures:
                    self._note(judged, failure)
                    self._note_reading(judged, failure)
                if settling is not None:
                    settling.result()
                settling = background.submit(self._settle, judged, None)
                done += chunk.rows.height
                self._ports.progress("validate", done, self.terms.event.rows)
            if settling is not None:
                settling.result()
        self._judge_sets()

    def profile_document(self) -> dict[str, Any]:
        """The batch's profile as it is kept."""
        return self._sketches.document(self.profile) if self._sketches else self.profile.document()

    def dimensions(self) -> dict[str, float]:
        """The score of each dimension, once ``thresholds`` were looked at."""
        return self.tally.dimensions(self.measured, [*self._quality.measures, *self._service.measures])

    def thresholds(self) -> list[DatasetFinding]:
        """What the quality rules with a threshold and the service levels say of the whole attempt."""
        broken = self._quality.findings(self.terms, self._typed_again, self._asked)
        if not self._service.levels:
            return broken
        return [*broken, *self._service.findings(self.terms, self.terms.arrived)]

    @property
    def snapshots(self) -> list[str]:
        """Files of what the verdict saw of other tables."""
        keys = [parent.snapshot for parent in self.parents if parent.snapshot]
        return [*keys, *(self._others.snapshots if self._others else ())]

    def _asked(self, rules: list[QualityRule]) -> list[Answer]:
        """What the queries of quality rules give."""
        from services.validate.other_tables import AskedOfRows, OtherTables
        from services.validate.sql_rules import observed, prepared

        self._others = self._others or OtherTables(self._ports)
        pipeline = self.terms.pipeline
        about = (rules, self._contract, pipeline.contract)
        queries = prepared(*about, pipeline.destination.dataset)
        asked = AskedOfRows(self._ports.sql, self._fitting, self._others, queries)
        return observed(*about, asked, pipeline.destination.dataset)

    def _fitting(self, columns: list[Column]) -> Iterator[pa.Table]:
        """All rows that fit the delivery, typed."""
        yield cast_frame(pl.DataFrame(), columns, self.terms.rules).frame.to_arrow()
        for chunk in self._rows.chunks():
            renamed = chunk.rows.rename(dict(self.terms.renamed)) if self.terms.renamed else chunk.rows
            yield cast_frame(renamed.filter(~chunk.raw), columns, self.terms.rules).frame.to_arrow()

    def hold(self, finding: DatasetFinding) -> None:
        """Write all rows to quarantine instead; those without a violation of their own get the finding."""
        for chunk in self._rows.chunks():
            judged = self._judge(chunk)
            judged.failures += self._set_failures(judged)
            self._sink.write(chunk, judged.typed, judged.failures, finding, self._delivered)

    def _judge(self, chunk: Chunk) -> Judged:
        """Everything that can be said of single rows."""
        renamed = chunk.rows.rename(dict(self.terms.renamed)) if self.terms.renamed else chunk.rows
        cast = cast_frame(renamed, self._contract.columns, self.terms.rules)
        raw = chunk.raw
        some_raw = bool(raw.any())
        failures = [Failure(WELL_FORMED, raw)] if some_raw else []
        for column in self._contract.columns:
            if column.name in cast.failed:
                failures.append(Failure(type_rule(column), cast.failed[column.name]))
        rules = self._cell_rules
        if not some_raw and not cast.failed:
            rules = [rules[place] for place in broken_rules(cast.frame, self._contract, self.terms.never_null)]
        failures += failing_cells(cast.frame, rules, cast.failed, raw if some_raw else None)
        failures += self._nested.failures(cast.frame)
        failures += orphans(cast.frame, self.parents)
        failures += broken_rows(cast.frame, self._custom, raw if some_raw else None)
        typed = pl.DataFrame([chunk.rows["_mend_row"], *cast.frame.get_columns()])
        return Judged(chunk, renamed, typed, failures, raw if some_raw else None, dict(cast.failed))

    def _profile(self, judged: Judged) -> None:
        delivered = set(judged.renamed.columns)
        present = [name for name in judged.typed.columns if name in delivered]
        rows = judged.typed.select(present)
        untyped = {name: int(mask.sum()) for name, mask in judged.untyped.items()}
        fitting = rows if judged.raw is None else rows.filter(~judged.raw)
        self.profile.add(fitting, untyped)
        if self._sketches:
            self._sketches.add(fitting)
        self._quality.add(judged.chunk.number, judged.renamed, judged.typed, judged.untyped, judged.raw)
        self._service.add(judged.typed, judged.raw)

    def _note(self, judged: Judged, failure: Failure) -> None:
        rule = failure.rule
        if rule.key not in self.evidence:
            if len(self.evidence) >= DETAILED_MAX:
                self.uncounted[rule.key] = self.uncounted.get(rule.key, 0) + int(failure.mask.sum())
                return
            column = self._contract.column(rule.columns[0]) if len(rule.columns) == 1 else None
            parent = next((item for item in self.parents if item.rule == rule), None)
            self.evidence[rule.key] = Evidence(rule, column, parent)
        self.evidence[rule.key].add(judged.chunk, _texts(judged.renamed, failure), judged.typed, failure)

    def _settle(self, judged: Judged, held: DatasetFinding | None) -> None:
        failing = failing_rows(judged.chunk.rows.height, judged.failures)
        by_dimension = {
            dimension: _rows_lost([failure for failure in judged.failures if failure.rule.dimension == dimension])
            for dimension in {failure.rule.dimension for failure in judged.failures}
        }
        failed = int(failing.sum()) if failing is not None else 0
        self.tally.note(judged.chunk.number, judged.chunk.rows.height, failed, by_dimension)
        self._sink.write(judged.chunk, judged.typed, judged.failures, held, self._delivered)

    def _judge_sets(self) -> None:
        """Keys and dependencies, which only all rows together show; the chunks they touch are settled again."""
        if self.terms.earlier and (self._keys or self._dependencies):
            for rows in released_rows(self.terms, self._ports):
                for ledger in self._keys:
                    ledger.add_earlier(rows)
                for dependency in self._dependencies:
                    dependency.add(rows)
        for ledger in self._keys:
            verdict = ledger.verdict(self._typed_again, lambda: released_rows(self.terms, self._ports))
            if verdict is not None:
                self._key_verdicts.append(verdict)
        for dependency in self._dependencies:
            disagreement = dependency.verdict()
            if disagreement is not None:
                self._dependency_verdicts.append(disagreement)
        self._judge_readings()
        touched = {number for verdict in self._key_verdicts for number in verdict.masks}
        only = None if self._dependency_verdicts or self._doubted else touched
        if only is None or only:
            for chunk in self._rows.chunks(only):
                self._settle_again(chunk)
        self._add_facts()

    def _note_reading(self, judged: Judged, failure: Failure) -> None:
        """Cells that could not be typed may prove that their column is read the wrong way."""
        column = failure.rule.column
        if failure.rule.check == "type" and column in self._readings and _is_text(judged, column):
            self._readings[column].note_failed(judged.renamed[column].filter(failure.mask))

    def _judge_readings(self) -> None:
        """Where some cells prove the other way, all are looked at again: clean columns cost nothing."""
        questioned = [each for each in self._readings.values() if each.other_only]
        for chunk in self._rows.chunks() if questioned else ():
            judged = self._judge(chunk)
            for each in questioned:
                each.note_passed(judged.renamed[each.column], judged.typed[each.column])
        self._doubted = [each for each in questioned if each.doubted]

    def _settle_again(self, chunk: Chunk) -> None:
        judged = self._judge(chunk)
        further = self._set_failures(judged)
        for failure in further:
            self._note(judged, failure)
        judged.failures += further
        self._settle(judged, None)

    def _set_failures(self, judged: Judged) -> list[Failure]:
        number = judged.chunk.number
        found = [Failure(item.rule, item.masks[number]) for item in self._key_verdicts if number in item.masks]
        for ledger in self._dependencies:
            for verdict in self._dependency_verdicts:
                if verdict.rule == ledger.rule and (failure := ledger.failure(judged.typed, verdict)) is not None:
                    found.append(failure)
        for each in self._doubted:
            doubt = each.failure(judged.renamed[each.column], judged.typed[each.column])
            if doubt is not None:
                found.append(doubt)
        return found

    def _add_facts(self) -> None:
        for item in self._key_verdicts:
            rows = max(1, item.rows_identical + item.rows_conflicting)
            self._fact(item.rule, groups=item.groups)
            if item.rule.check != "unique_inside":  # such values have no other cells, in which they could differ
                self._fact(item.rule, identical_share=item.rows_identical / rows)
                self._fact(item.rule, conflicting_share=item.rows_conflicting / rows)
            self._fact(item.rule, earlier_share=item.rows_earlier / rows)
        for verdict in self._dependency_verdicts:
            ledger = next(item for item in self._dependencies if item.rule == verdict.rule)
            share = verdict.rows_in_minority / max(1, verdict.rows)
            self._fact(verdict.rule, groups=verdict.groups, minority_share=share, dependents=list(ledger.dependents))

        for each in self._doubted:
            self._fact(each.rule, two_readings=each.facts())
        self._add_null_together()

    def _add_null_together(self) -> None:
        """Which required columns are null in all the same rows."""
        groups: dict[tuple[int, int], list[Evidence]] = {}
        for item in self.evidence.values():
            if item.rule.check == "required":
                groups.setdefault((item.rows_failed, item.rows_digest), []).append(item)
        for together in groups.values():
            names = [item.rule.column for item in together]
            for item in together if len(names) > 1 else ():
                item.facts["columns_null_together"] = [name for name in names if name != item.rule.column][:20]

    def _fact(self, rule: Rule, **facts: Any) -> None:
        if rule.key in self.evidence:
            self.evidence[rule.key].facts |= {
                name: round(value, 9) if isinstance(value, float) else value for name, value in facts.items()
            }

    def _typed_again(self, numbers: Collection[int]) -> Iterator[tuple[int, pl.DataFrame]]:
        for chunk in self._rows.chunks(set(numbers)):
            yield chunk.number, self._judge(chunk).typed

    def _own_keys(self, columns: tuple[str, ...]) -> pl.DataFrame:
        """Distinct keys of the attempt's own rows, for a table that refers to itself."""
        wanted = [column for name in columns if (column := self._contract.column(name)) is not None]
        found = [cast_frame(pl.DataFrame(), wanted, self.terms.rules).frame]
        for chunk in self._rows.chunks():
            renamed = chunk.rows.rename(dict(self.terms.renamed)) if self.terms.renamed else chunk.rows
            found.append(cast_frame(renamed, wanted, self.terms.rules).frame.drop_nulls().unique())
        return pl.concat(found).unique()


def _rows_lost(failures: list[Failure]) -> float:
    """How many rows fail, those that break only warnings as the share that these count."""
    errors = [failure.mask for failure in failures if failure.rule.severity == "error"]
    of_all, of_errors = _any_of([failure.mask for failure in failures]), _any_of(errors)
    return of_errors + WARNING_COUNTS * (of_all - of_errors)


def _any_of(masks: list[pl.Series]) -> int:
    together = masks[0] if masks else None
    for mask in masks[1:]:
        together = mask if together is None else together | mask
    return int(together.sum()) if together is not None else 0


def _is_text(judged: Judged, column: str) -> bool:
    return column in judged.renamed.columns and judged.renamed[column].dtype == pl.String


def _texts(renamed: pl.DataFrame, failure: Failure) -> pl.Series | None:
    """The failing texts of a rule: one column's cells, or several joined; None for a rule that has none."""
    rule, mask = failure
    if rule.check in ("required", "well_formed"):
        return None
    delivered = set(renamed.columns)
    cells = [renamed[name].filter(mask) for name in rule.columns if name in delivered]
    texts = [texts_of(item) for item in cells if not item.dtype.is_nested()]
    if len(texts) < 2:
        return texts[0] if texts else None
    return pl.DataFrame(texts).select(pl.concat_str(pl.all(), separator="\x1f", ignore_nulls=True)).to_series()
