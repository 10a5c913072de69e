"""Quality rules with a threshold: how many rows of a whole batch they concern, collected chunk by chunk.

They never set a row aside: the batch is held, or passes with an incident, by the rule's severity.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from services.validate.column_checks import enum_values, pattern_mask
from services.validate.findings import DIMENSION_NAMES, DatasetFinding, Dimension, Rule
from services.validate.keys import KeyLedger
from services.validate.native_casting import texts_of
from services.validate.scoring import Measure, kept

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import polars as pl

    from services.validate.keys import KeyVerdict
    from services.validate.sql_rules import Answer
    from services.validate.terms import Terms
    from shared.domain.contract import Column, Contract, QualityRule

    Asked = Callable[[list[QualityRule]], list[Answer]]
    Reread = Callable[[Sequence[int]], Iterable[tuple[int, pl.DataFrame]]]

CHECK = "quality"
ROWS_NAMED = 20  # of those that a rule concerns
RULES_TOLD = 20  # of one metric on one column
# Where a rule names no dimension; a query may be about anything.
_DIMENSION_OF_METRIC: dict[str, Dimension] = {
    "nullValues": "completeness",
    "missingValues": "completeness",
    "rowCount": "completeness",
    "invalidValues": "validity",
    "duplicateValues": "uniqueness",
}


@dataclass(slots=True)
class Concerned:
    """How many rows a rule concerns, and where the first and last of them stand (0: there is none)."""

    rows: int = 0
    first: int = 0
    last: int = 0
    named: list[int] = field(default_factory=list)  # the first of them

    def add(self, numbers: pl.Series) -> None:
        """Take in the row numbers of a chunk."""
        if not numbers.len():
            return
        low, high = int(numbers.min()), int(numbers.max())  # type: ignore[arg-type]
        self.rows += numbers.len()
        self.named += numbers.head(ROWS_NAMED - len(self.named)).to_list()
        self.first, self.last = (min(self.first, low) if self.first else low), max(self.last, high)


class _Broken(NamedTuple):
    rule: QualityRule
    concerned: Concerned
    observed: float | None  # None: a query's null, or a value that may be a cell's and is not told
    answer: Answer | None = None  # of a query


class QualityLedger:
    """Counts for every rule with a threshold; records that did not fit the delivery count as rows alone."""

    def __init__(self, contract: Contract) -> None:
        self._rules = contract.quality
        self._columns = {column.name: column for column in contract.columns}
        self._found = [Concerned() for _ in self._rules]
        keys = {rule.columns for rule in self._rules if rule.metric == "duplicateValues"}
        # Several rules on one key share its hashes.
        self._keys = {key: KeyLedger(Rule("unique", key, "")) for key in keys}
        self._numbers: dict[int, pl.Series] = {}
        self._rows = self._fitting = 0
        self.measures: list[Measure] = []  # of the rules that say of which dimension they are

    def add(
        self,
        number: int,
        texts: pl.DataFrame,
        typed: pl.DataFrame,
        untyped: Mapping[str, pl.Series],
        raw: pl.Series | None,
    ) -> None:
        """Take in a chunk: its cells as delivered and typed, and by column those that have no type."""
        if not self._rules:
            return
        import polars as pl

        self._rows += typed.height
        self._fitting += typed.height - (int(raw.sum()) if raw is not None else 0)
        fits = ~raw if raw is not None else pl.repeat(True, typed.height, dtype=pl.Boolean, eager=True)
        for rule, concerned in zip(self._rules, self._found, strict=True):
            if rule.metric in ("rowCount", "duplicateValues", "sql"):
                continue
            column = self._columns[rule.column]
            mask = _mask(rule, column, texts, typed[column.name], untyped.get(column.name))
            concerned.add(typed["_mend_row"].filter(mask & fits))
        for ledger in self._keys.values():
            ledger.add(number, typed)
        if self._keys:
            self._numbers[number] = typed["_mend_row"]

    def count(self, rows: int, concerned: Mapping[int, int]) -> None:
        """Take what was counted elsewhere: all rows, and by a rule's place those that it concerns."""
        self._rows = self._fitting = rows
        for place, many in concerned.items():
            self._found[place].rows = many

    def findings(self, terms: Terms, reread: Reread, asked: Asked) -> list[DatasetFinding]:
        """A finding for every metric and column of which a rule is broken; whole batches only."""
        if not self._rules or not terms.whole:
            return []
        self._count_duplicates(reread)
        # What a person accepted is no longer held against the batch, nor is anything asked for it.
        judged = [
            (rule, concerned)
            for rule, concerned in zip(self._rules, self._found, strict=True)
            if not terms.waives(f"{CHECK}:{rule.metric}", rule.column)
        ]
        queries = [rule for rule, _ in judged if rule.metric == "sql"]
        answers = iter(asked(queries) if queries else ())
        broken: dict[tuple[str, str], list[_Broken]] = {}
        for rule, concerned in judged:
            answer = next(answers) if rule.metric == "sql" else None
            observed = answer.observed if answer else self._observed(rule, concerned)
            # Null compares with nothing, so no rule is kept by it.
            holds = observed is not None and rule.keeps(observed)
            dimension = DIMENSION_NAMES.get(rule.dimension) or _DIMENSION_OF_METRIC.get(rule.metric)
            if dimension is not None:
                self.measures.append(Measure(dimension, kept(holds, rule.severity)))
            if not holds:
                told = observed if answer is None or answer.told else None
                broken.setdefault((rule.metric, rule.column), []).append(_Broken(rule, concerned, told, answer))
        return [_finding(each) for each in broken.values()]

    def _observed(self, rule: QualityRule, concerned: Concerned) -> float:
        if rule.metric == "rowCount":
            return float(self._rows)
        if not rule.percent:
            return float(concerned.rows)
        # Nine digits, so that 29 of 100 rows are 29 % and not a little less.
        return round(100 * concerned.rows / self._fitting, 9) if self._fitting else 0.0

    def _count_duplicates(self, reread: Reread) -> None:
        for key, ledger in self._keys.items():
            verdict: KeyVerdict | None = ledger.verdict(reread, lambda: iter(()))
            for rule, concerned in zip(self._rules, self._found, strict=True):
                if verdict is None or rule.metric != "duplicateValues" or rule.columns != key:
                    continue
                for number, mask in verdict.masks.items():
                    concerned.add(self._numbers[number].filter(mask))


def _mask(
    rule: QualityRule, column: Column, texts: pl.DataFrame, typed: pl.Series, untyped: pl.Series | None
) -> pl.Series:
    """True in the rows that the metric counts; never null."""
    null = typed.is_null() if untyped is None else typed.is_null() & ~untyped
    if rule.metric == "nullValues":
        return null
    if rule.metric == "missingValues":
        return null | _is_listed(rule, _delivered(column, texts), typed)
    fails = untyped if untyped is not None else null & ~null
    if rule.valid_values:
        from dataclasses import replace

        kept = typed.is_in(_series(enum_values(replace(column, enum=_in_type(rule.valid_values, column))), typed))
        fails = fails | ~kept.fill_null(True)
    if rule.pattern:
        fails = fails | ~pattern_mask(_delivered(column, texts), rule.pattern).fill_null(True)
    return fails & ~null


def _is_listed(rule: QualityRule, texts: pl.Series, typed: pl.Series) -> pl.Series:
    """True where a cell is one of the values that mean missing: as it was written, or the same number."""
    import polars as pl

    words = pl.Series([str(each) for each in rule.missing_values], dtype=pl.String)
    listed = texts.is_in(words.implode()).fill_null(False)
    numbers = [each for each in rule.missing_values if isinstance(each, (int, float)) and not isinstance(each, bool)]
    if numbers and typed.dtype.is_numeric():
        listed = listed | typed.cast(pl.Float64).is_in(pl.Series(numbers, dtype=pl.Float64).implode()).fill_null(False)
    return listed


def _delivered(column: Column, texts: pl.DataFrame) -> pl.Series:
    """The column's cells as they came; all null where the delivery lacks it."""
    import polars as pl

    if column.name not in texts.columns:
        return pl.repeat(None, texts.height, dtype=pl.String, eager=True)
    return texts_of(texts[column.name])


def _in_type(values: tuple[Any, ...], column: Column) -> tuple[Any, ...]:
    """A column may have been widened to text since its contract was written."""
    return tuple(str(each) for each in values) if column.logical_type == "string" else values


def _series(values: list[Any], typed: pl.Series) -> Any:
    import polars as pl

    return pl.Series(values, strict=False).cast(typed.dtype).implode()


def _finding(broken: list[_Broken]) -> DatasetFinding:
    """All broken rules of one metric on one column are one finding, the ones that hold first."""
    broken.sort(key=lambda each: each[0].severity)
    rule, concerned, observed, answer = broken[0]
    told = [_told(each.rule, each.observed, each.answer) for each in broken[:RULES_TOLD]]
    more = f" (and {len(broken) - RULES_TOLD} more rules)" if len(broken) > RULES_TOLD else ""
    evidence: dict[str, Any] = {
        "metric": rule.metric,
        "observed": observed,
        "expected": rule.expected,
        "unit": "percent" if rule.percent else "rows",
        "severity": rule.severity,
        "dimension": rule.dimension,
        "rules": [_rule_told(each) for each in broken[:RULES_TOLD]],
    }
    if answer is not None and answer.tables:
        evidence |= {"tables": list(answer.tables), "unanswered": answer.why}
    if rule.metric != "sql":
        evidence |= {"rows_concerned": concerned.rows, "row_first": concerned.first, "row_last": concerned.last}
    return DatasetFinding(
        check=f"{CHECK}:{rule.metric}",
        column=rule.column,
        message="; ".join(told) + more,
        holds=rule.severity == "error",
        evidence=evidence,
    )


def _rule_told(broken: _Broken) -> dict[str, Any]:
    rule, concerned, observed, _ = broken
    told = {"name": rule.name, "observed": observed, "expected": rule.expected, "severity": rule.severity}
    if rule.metric in ("sql", "rowCount"):
        return told
    return told | {"rows_concerned": concerned.rows, "rows": sorted(concerned.named)}


def _told(rule: QualityRule, observed: float | None, answer: Answer | None) -> str:
    name = f" ({rule.name})" if rule.name else ""
    if answer is not None and answer.why:
        return f"the query{name} cannot be asked: {answer.why}"
    if rule.metric == "sql" or observed is None:
        seen = f"gives {observed:.6g} where" if observed is not None else "does not give what it should:"
        seen = "gives null where" if answer is not None and answer.observed is None else seen
        return f"the query{name} {seen} the contract wants {rule.expected}"
    what = {
        "rowCount": "rows",
        "nullValues": "null",
        "missingValues": "missing",
        "invalidValues": "invalid",
        "duplicateValues": "repeated",
    }[rule.metric]
    seen = f"{observed:.6g} %" if rule.percent else f"{observed:,.0f} rows"
    if rule.metric == "rowCount":
        return f"{seen} where the contract wants {rule.expected}{name}"
    return f"{rule.column}: {seen} are {what} where the contract wants {rule.expected}{name}"
