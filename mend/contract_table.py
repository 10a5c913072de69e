"""Judges a table of the warehouse by a contract: in the warehouse, by queries that give counts, or copied to a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mend.broken_rules import broken_rules, finding_told, held_for
from services.validate import pushdown, scoring, verdict
from services.validate.baseline import Baseline
from services.validate.column_matching import ColumnTrial, compare_columns
from services.validate.quality import QualityLedger
from services.validate.recent_rows import RecentRows
from services.validate.service_levels import ServiceLedger
from shared.domain.personal_values import hidden
from shared.ports.warehouse import BATCH_COLUMN, ROW_COLUMN, SEQ_COLUMN

if TYPE_CHECKING:
    import pyarrow as pa

    from services.validate.findings import DatasetFinding
    from services.validate.pushdown import Condition
    from services.validate.sql_rules import Answer, SqlQuery
    from services.validate.terms import Terms
    from shared.domain.contract import Column
    from shared.ports.warehouse import TableInfo, Warehouse

ROWS_PUSHED = 1_000_000  # a table of more is judged in the warehouse, if it can be
OURS = (BATCH_COLUMN, ROW_COLUMN, SEQ_COLUMN)


class Counted(NamedTuple):
    """What the warehouse counted: all rows, those that some error sets aside, and by rule those that break it."""

    rows: int
    failed: int
    broken: dict[Condition, int]  # all of them
    aside: dict[Condition, int]  # of these, rows that some error sets aside
    by_dimension: dict[Any, float]


class InTheWarehouse:
    """One judgement of one table, by queries that give counts."""

    def __init__(self, warehouse: Warehouse, table: TableInfo, terms: Terms) -> None:
        self._warehouse = warehouse
        self.terms = terms
        self.table = table
        self.measures: list[scoring.Measure] = []
        dataset = terms.pipeline.destination.dataset
        self.parents = {
            name: warehouse.describe(name) for name in {each.qualified(dataset) for each in terms.contract.references}
        }

    @property
    def unpushable(self) -> str:
        """Why it cannot be done; ""."""
        return pushdown.unpushable(self.terms, self.table, self.parents)

    def mismatch(self) -> DatasetFinding | None:
        """Columns that are missing, or that nobody expects and that hold something."""
        delivered = [each.name for each in self.table.columns if each.name not in OURS]
        found = compare_columns(delivered, self.terms.contract, frozenset())
        if found.unexpected and not found.missing:
            some = [f"COUNT({pushdown.name_sql(name)}) AS u{place}" for place, name in enumerate(found.unexpected)]
            counts = self._row(f"SELECT {', '.join(some)} FROM {self._from}")
            held = tuple(name for place, name in enumerate(found.unexpected) if counts[f"u{place}"])
            found = found._replace(unexpected=held)
        if not found.missing and not found.unexpected:
            return None
        baseline = Baseline((), ())
        trial = ColumnTrial(found, self.terms.rules, self.terms.contract, baseline, RecentRows((), ()), {})
        return verdict.mismatched_columns(self.terms, found, trial, len(delivered))

    def counted(self) -> Counted:
        """One scan; a second one only when a key is repeated or a dependency may be broken."""
        single = pushdown.cell_conditions(self.terms) + pushdown.reference_conditions(self.terms, self.parents)
        sets = pushdown.set_conditions(self.terms)
        if sets:
            counts = self._row(self._with(f"SELECT {_counts(sets)} FROM {self._flags(sets)}"))
            sets = [each for place, each in enumerate(sets) if counts[f"f{place}"]]
        return self._counted([*single, *sets])

    def _counted(self, conditions: list[Condition]) -> Counted:
        errors = [place for place, each in enumerate(conditions) if each.rule.severity == "error"]
        aside = " OR ".join(f"f{place}" for place in errors) or "FALSE"
        dimensions = sorted({each.rule.dimension for each in conditions})
        asked = [f"COUNT(*) AS n, COUNTIF({aside}) AS failed"]
        asked += [_counts(conditions)] if conditions else []
        asked += [f"COUNTIF(f{place} AND ({aside})) AS a{place}" for place in range(len(conditions))]
        for number, name in enumerate(dimensions):
            within = [place for place, each in enumerate(conditions) if each.rule.dimension == name]
            sure = " OR ".join(f"f{place}" for place in within if place in errors) or "FALSE"
            asked.append(f"COUNTIF({' OR '.join(f'f{place}' for place in within)}) AS d{number}")
            asked.append(f"COUNTIF({sure}) AS e{number}")
        found = self._row(self._with(f"SELECT {', '.join(asked)} FROM {self._flags(conditions)}"))
        return Counted(
            int(found["n"]),
            int(found["failed"]),
            {each: int(found[f"f{place}"]) for place, each in enumerate(conditions)},
            {each: int(found[f"a{place}"]) for place, each in enumerate(conditions)},
            {
                name: int(found[f"e{number}"])
                + scoring.WARNING_COUNTS * (int(found[f"d{number}"]) - int(found[f"e{number}"]))
                for number, name in enumerate(dimensions)
            },
        )

    def thresholds(self, rows: int, arrived: int) -> list[DatasetFinding]:
        """Quality rules with a threshold, and service levels for a table that is as it is at ``arrived``."""
        contract = self.terms.contract
        metrics = {place: sql for place, rule in enumerate(contract.quality) if (sql := self._metric(rule))}
        concerned: dict[int, int] = {}
        if metrics:
            asked = ", ".join(f"{sql} AS q{place}" for place, sql in metrics.items())
            found = self._row(self._with(f"SELECT COUNT(*) AS n, {asked} FROM cells"))
            concerned = {place: int(found[f"q{place}"]) for place in metrics}
        ledger = QualityLedger(contract)
        ledger.count(rows, concerned)
        broken = ledger.findings(self.terms, lambda _: iter(()), self._asked)
        self.measures += ledger.measures
        return [*broken, *self._late(arrived)]

    def _metric(self, rule: Any) -> str:
        if rule.metric == "duplicateValues":
            return pushdown.repeated_sql(self.terms.contract, rule.columns)
        return pushdown.metric_sql(rule, self.terms.contract)

    def _asked(self, rules: list[Any]) -> list[Answer]:
        from services.validate.sql_rules import observed

        pipeline = self.terms.pipeline
        return observed(rules, self.terms.contract, pipeline.contract, self, pipeline.destination.dataset)

    def _late(self, arrived: int) -> list[DatasetFinding]:
        import polars as pl

        ledger = ServiceLedger(self.terms.contract)
        names = sorted({level.column for level in ledger.levels})
        if not names:
            return []
        ends = [f"MIN({cell}) AS a{place}, MAX({cell}) AS z{place}" for place, cell in enumerate(self._cells(names))]
        found = self._row(self._with(f"SELECT COUNT(*) AS n, {', '.join(ends)} FROM cells"))
        ends_of = {name: [found[f"a{place}"], found[f"z{place}"]] for place, name in enumerate(names)}
        ledger.add(pl.DataFrame(ends_of, strict=False).head(int(found["n"])), None)
        found_late = ledger.findings(self.terms, arrived)
        self.measures += ledger.measures
        return found_late

    def value(self, query: SqlQuery, columns: Sequence[Column]) -> Any:
        """The one value of a query over ``batch``, the table's typed cells, and other tables as they are now."""
        import sqlglot

        from services.validate.other_tables import columns_read, selected
        from services.validate.sql_rules import check_names

        named = [
            f"c{place} AS {pushdown.name_sql(each.name)}" for place, each in enumerate(self.terms.contract.columns)
        ]
        tables = {"batch": self._with(f"SELECT {', '.join(named)} FROM cells")}
        known = [each.name for each in columns]
        for other in query.others:
            read = columns_read(other, self._warehouse.describe(other.table))
            tables[other.name] = selected(other, read)
            known += read
        check_names(query, known)
        tree: Any = sqlglot.parse_one(query.sql, read="bigquery")
        own = list(tree.args["with_"].expressions) if tree.args.get("with_") else []
        for name, sql in tables.items():
            tree = tree.with_(name, as_=sqlglot.parse_one(sql, read="bigquery"), dialect="bigquery")
        # What the query itself makes may read these, so they stand before it.
        made = tree.args["with_"].expressions
        tree.args["with_"].set("expressions", [*made[len(own) :], *own])
        return next(iter(self._row(tree.sql(dialect="bigquery")).values()))

    def finding_query(self, conditions: Iterable[Condition]) -> str:
        """GoogleSQL that a person may run to see the failing rows; "" when none fails."""
        broken = [each for each in conditions if each.rule.severity == "error"]
        if not broken:
            return ""
        reasons = [
            f"IF({each.sql}, {pushdown.literal(f'{each.rule.check} {each.rule.column}')}, NULL)" for each in broken
        ]
        columns = ", ".join(f"{pushdown.name_sql(each.name)}" for each in self.terms.contract.columns)
        why = f"ARRAY_TO_STRING([{', '.join(reasons)}], '; ')"
        rows = f"SELECT {columns}, {why} AS reasons FROM cells"
        return self._with(f"SELECT * FROM ({rows}) WHERE reasons != ''")

    @property
    def _from(self) -> str:
        return pushdown.table_sql(self.table.table)

    def _with(self, query: str) -> str:
        return f"WITH cells AS (SELECT *, {pushdown.cells(self.terms.contract, self.terms)} FROM {self._from}) {query}"

    def _cells(self, names: Sequence[str]) -> list[str]:
        return pushdown.cells_of(self.terms.contract, names)

    @staticmethod
    def _flags(conditions: Sequence[Condition]) -> str:
        flags = ", ".join(f"({each.sql}) AS f{place}" for place, each in enumerate(conditions)) or "TRUE AS f"
        return f"(SELECT {flags} FROM cells)"

    def _row(self, query: str) -> dict[str, Any]:
        found = self._warehouse.query(query, rows_max=1)
        row: dict[str, Any] = found.to_pylist()[0]
        return row


def in_words_of(backend: str, query: str) -> str:
    """The query as its warehouse takes it: GoogleSQL, or what that is for DuckDB."""
    if backend == "gcp" or not query:
        return query
    import sqlglot

    return sqlglot.parse_one(query, read="bigquery").sql(dialect="duckdb")


def _counts(conditions: Sequence[Condition]) -> str:
    return ", ".join(f"COUNTIF(f{place}) AS f{place}" for place in range(len(conditions)))


def told(place: InTheWarehouse, name: str, arrived: int) -> dict[str, Any]:
    """The verdict as the other engines tell it (the fields of ``Tried``), and ``query``, which finds the rows."""
    terms = place.terms
    mismatched = place.mismatch()
    if mismatched is not None:
        rows = place.table.rows
        reasons = [_reason(mismatched.check, mismatched.column, rows, mismatched.message)]
        return _document(name, "held", rows, rows, 0.0, {}, mismatched.check, [mismatched], reasons, "")
    counted = place.counted()
    tally = scoring.Tally()
    tally.note(0, counted.rows, counted.failed, counted.by_dimension)
    rules = [each.rule for each in (*counted.broken, *pushdown.set_conditions(terms))]
    broken = place.thresholds(counted.rows, arrived)
    dimensions = tally.dimensions(scoring.measured(rules), place.measures)
    score = scoring.overall(dimensions, terms.contract.score_weights)
    found = [
        verdict.row_count(terms, counted.rows),
        *broken,
        verdict.low_score(terms, score, dimensions),
    ]
    findings = [each for each in found if each is not None]
    decision = verdict.decide(terms, findings, counted.rows, counted.failed)
    held = decision.reason
    seen = counted.broken if held else counted.aside
    reasons = [_reason(each.rule.check, each.rule.column, many, each.rule.explanation) for each, many in seen.items()]
    aside = counted.rows if held else counted.failed
    if held:
        reasons.append(_reason(held.check, held.column, counted.rows - counted.failed, held.message))
    reasons = sorted(
        (each for each in reasons if each["rows"]), key=lambda each: (-each["rows"], each["check"], each["column"])
    )
    state = "held" if held else "failed" if aside else "passed"
    because = held_for(held.check, [finding_told(each) for each in findings]) if held else ""
    query = place.finding_query(each for each, many in counted.aside.items() if many)
    return _document(name, state, counted.rows, aside, score, dimensions, because, findings, reasons, query)


def _reason(check: str, column: str, rows: int, explanation: str) -> dict[str, Any]:
    return {"check": check, "column": hidden(column), "rows": rows, "explanation": hidden(explanation)}


def _document(
    name: str, state: str, rows: int, failed: int, score: float, dimensions: dict[str, float], because: str,
    whole: list[DatasetFinding], checks: list[dict[str, Any]], query: str,
) -> dict[str, Any]:  # fmt: skip
    broken = broken_rules((each.check, each.column, each.evidence) for each in whole)
    return {
        "input": name, "state": state, "rows_read": rows, "rows_failed": failed, "score": score,
        "dimensions": dimensions, "held_for": because, "whole": [each.message for each in whole],
        "broken": sorted(broken, key=lambda each: (each["check"], each["column"])), "checks": checks, "query": query,
    }  # fmt: skip


def spooled(warehouse: Warehouse, table: TableInfo, file: Path) -> None:
    """The table's rows as a Parquet file, without the columns that tell where rows came from."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def rows() -> Iterator[pa.RecordBatch]:
        for batch in warehouse.dump(table.table):
            yield batch.select([name for name in batch.schema.names if name not in OURS])

    batches = rows()
    first = next(batches, None)
    if first is None:
        names = [each.name for each in table.columns if each.name not in OURS]
        pq.write_table(pa.table({name: pa.nulls(0) for name in names}), file)
        return
    with pq.ParquetWriter(file, first.schema) as writer:
        writer.write_batch(first)
        for batch in batches:
            writer.write_batch(batch)
