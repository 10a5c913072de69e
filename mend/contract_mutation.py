"""How much of what can go wrong a contract notices: the sample is corrupted one thing at a time, and judged.

Mutation testing (DeMillo, Lipton, Sayward 1978: "Hints on test data selection") with contracts in the place of tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mend.contract_corruptions import Corrupted, Rule, corruptions
from mend.contract_trial import SAME_CONTENT, Tried, trial
from mend.inference import as_text
from shared.domain.contract import Contract, write_contract
from shared.domain.errors import DefinitionError, DefinitionMissing

if TYPE_CHECKING:
    import polars as pl

    from mend.project import Progress
    from shared.ports.source import Source

ROWS: Final = 1_000
ROWS_MIN: Final = 20  # fewer speak for no rule
COLUMNS_MAX: Final = 300
DELIVERIES_MAX: Final = 50
_OWN_COLUMNS: Final = 3
_SAMPLE: Final = "00000.csv"


class Outcome(NamedTuple):
    """One corruption: noticed by these checks, or by none; ``rule`` is what would notice it, proven."""

    column: str
    corruption: str
    what: str
    noticed_by: tuple[str, ...]
    rule: str


class Score(NamedTuple):
    """What a contract notices, and what it would notice with the rules that are suggested."""

    rows: int
    outcomes: list[Outcome]
    noticed: int
    noticed_with_rules: int
    improved: Contract

    @property
    def percent(self) -> float:
        """The share of the corruptions that are noticed, 0 to 100."""
        return round(100 * self.noticed / len(self.outcomes), 1) if self.outcomes else 100.0

    @property
    def percent_with_rules(self) -> float:
        """The same, once the suggested rules are in the contract."""
        return round(100 * self.noticed_with_rules / len(self.outcomes), 1) if self.outcomes else 100.0


def mutate(
    contract: Contract, data: str, source: Source, *, rows: int = ROWS, progress: Progress | None = None
) -> Score:
    """Corrupt the first ``rows`` rows of ``data`` and see what the contract notices.

    ``DefinitionMissing`` when there is no data, ``DefinitionError`` when the contract holds the sample as it is.
    """
    frame, decimal = _sampled(data, source, rows, contract)
    made = [each for each in corruptions(frame, contract, decimal) if not each.frame.equals(frame)]
    with TemporaryDirectory(prefix="mend-mutate-") as folder:
        deliveries = Path(folder) / "deliveries"
        deliveries.mkdir()
        frame.write_csv(deliveries / _SAMPLE)
        for number, each in enumerate(made, start=1):
            each.frame.write_csv(deliveries / f"{number:05d}.csv")
        reading = _READING.format(decimal=decimal)
        before = _judged(contract, Path(folder), deliveries, reading, progress)
        if before[0].state == "held":
            what = f"the contract holds the sample itself, for {before[0].held_for}"
            raise DefinitionError(data, 0, 0, what, "mend contract test shows why; mutate data that passes")
        found = _all_noticed(before)
        rules = _rules(made, found)
        improved, after = contract, before
        while rules:
            improved = _with(contract, rules)
            after = _judged(improved, Path(folder), deliveries, reading, progress)
            broken = _broken(before[0], after[0])
            if not broken:
                break
            # A rule that the sample itself breaks is no rule; where it cannot be told which one it is, none is.
            kept = {key: rule for key, rule in rules.items() if key[0] not in broken}
            rules = kept if len(kept) < len(rules) else {}
            improved, after = contract, before
        proven = _all_noticed(after)
    outcomes = [
        Outcome(each.column, each.corruption, each.what, checks, _suggested(each, checks, again))
        for each, checks, again in zip(made, found, proven, strict=True)
    ]
    return Score(frame.height, outcomes, sum(map(bool, found)), sum(map(bool, proven)), improved)


_READING: Final = '{{format: csv, encoding: utf-8, delimiter: ",", header: true, decimal: "{decimal}"}}'


def _sampled(data: str, source: Source, rows: int, contract: Contract) -> tuple[pl.DataFrame, str]:
    """The first rows as text, null where the contract says so, and the sign before decimals."""
    import polars as pl

    from mend.initialise import source_uri
    from mend.sampling import sample

    found = list(source.discover(source_uri(data, Path(), source)))
    if not found:
        raise DefinitionMissing(f"{data}: there is no file; name a file, a folder or a pattern in quotes")
    taken = sample(source, found[:DELIVERIES_MAX], None)
    frames = [frame.drop(frame.columns[:_OWN_COLUMNS]) for frame in taken.frames]
    frame = pl.concat([each for each in frames if each.columns == frames[0].columns]).head(rows)
    frame = frame.select(as_text(column) for column in frame)
    if frame.height < ROWS_MIN:
        what = f"{frame.height} rows are too few to speak for a rule"
        raise DefinitionError(data, 0, 0, what, f"name data with {ROWS_MIN} rows or more; several files will do")
    if not set(frame.columns) & set(contract.column_names):
        hint = f"its columns are {', '.join(frame.columns[:10])}"
        raise DefinitionError(data, 0, 0, "no column of the contract is in the data", hint)
    if frame.width > COLUMNS_MAX:
        what = f"it has {frame.width:,} columns; {COLUMNS_MAX} are corrupted at most"
        raise DefinitionError(data, 0, 0, what, "name data with fewer")
    nulls = {column.name: column.null_values or ("",) for column in contract.columns}
    known = [
        pl.when(pl.col(name).is_in(list(nulls.get(name, ("",))))).then(None).otherwise(pl.col(name)).alias(name)
        for name in frame.columns
    ]
    return frame.with_columns(known), taken.dialect.decimal


def _judged(contract: Contract, folder: Path, deliveries: Path, reading: str, progress: Progress | None) -> list[Tried]:
    """The verdicts in the order of the files."""
    file = folder / "contract.odcs.yaml"
    file.write_text(write_contract(contract), encoding="utf-8")
    return sorted(
        trial(file, contract, f"{deliveries}/*.csv", rows_shown=0, reading=reading, progress=progress),
        key=lambda each: each.input,
    )


def _all_noticed(tried: list[Tried]) -> list[tuple[str, ...]]:
    """What notices each of the corruptions; of two that make the same data, the second is told apart by nothing."""
    by_name = {each.input: each for each in tried}
    originals = [by_name.get(each.held_for.removeprefix(SAME_CONTENT), each) for each in tried]
    return [_noticed(tried[0], each) for each in originals[1:]]


def _noticed(sample: Tried, corrupted: Tried) -> tuple[str, ...]:
    """What says more of the corrupted sample than of the sample: checks, and what holds it as a whole."""
    more = [f"{each['check']} {each['column']}".strip() for each in _more(sample, corrupted)]
    if corrupted.state in ("held", "unreadable"):
        more.append(corrupted.held_for or corrupted.state)
    return tuple(dict.fromkeys(more))


def _more(one: Tried, other: Tried) -> list[dict[str, Any]]:
    """The checks that fail in more rows of the other than of the one."""
    usual = {(each["check"], each["column"]): each["rows"] for each in one.checks}
    return [each for each in other.checks if each["rows"] > usual.get((each["check"], each["column"]), 0)]


_Rules = dict[tuple[str, str], Rule]


def _rules(made: Sequence[Corrupted], found: Sequence[tuple[str, ...]]) -> _Rules:
    """The rule of every corruption that was not noticed, by its column and text."""
    missed = (each for each, checks in zip(made, found, strict=True) if not checks)
    return {(each.column, each.rule.text): each.rule for each in missed if each.rule is not None}


def _with(contract: Contract, rules: _Rules) -> Contract:
    for rule in rules.values():
        contract = rule.amend(contract)
    return contract


def _broken(before: Tried, after: Tried) -> frozenset[str]:
    """The columns ("" for the table) in which the sample fails more than it did."""
    worse = {str(each["column"]) for each in _more(before, after)}
    return frozenset(worse | ({""} if after.state == "held" else set()))


def _suggested(each: Corrupted, checks: tuple[str, ...], again: tuple[str, ...]) -> str:
    return each.rule.text if each.rule is not None and not checks and again else ""
