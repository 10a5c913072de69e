"""How often contracts inferred from half of a column alarm on its other half, and what they catch.

`python -m benchmarks.odd_columns --data ../shared/data/columns/st_bench_odd.csv --json`. The file is AutoTest's
ST-Bench: a row a column, with its distinct values and those that people called errors. Every half becomes a file of one
column, and goes the way of `mend contract infer` and `mend contract test`, in this process.
"""

from __future__ import annotations

import argparse
import ast
import csv
import json
import random
import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

from mend.contract_trial import trial
from mend.initialise import inferred_from
from shared.domain.errors import DefinitionError
from shared.runtime import settings, wiring

if TYPE_CHECKING:
    from mend.contract_trial import Tried
    from shared.ports.source import Source

TARGETS: dict[str, tuple[str, float]] = {
    "false_alarms_mean": ("at most", 0.02),
    "false_alarms_worst": ("at most", 0.02),
}
SEEDS = 3
STRANGERS = 5  # values of other columns that every contract is shown
ROWS_SHOWN_MAX = 1_000
Form = Literal["csv", "parquet"]


class LabelledColumn(NamedTuple):
    """One column's distinct values as text, and those that are wrong."""

    number: int  # in the file, `index`
    name: str
    values: list[str]
    errors: frozenset[str]

    @property
    def clean(self) -> bool:
        """Whether nobody found an error in it."""
        return not self.errors


class Judged(NamedTuple):
    """What a contract said of some values."""

    alarm: str  # the checks that failed; "" = all is well
    failing: frozenset[str]  # values that fail a check of their own
    claims: bool  # whether the contract says more of the column than that it is text


def read(path: Path) -> tuple[list[LabelledColumn], int]:
    """The columns of the file, and how many are left out because their values cannot be read."""
    csv.field_size_limit(sys.maxsize)
    columns: list[LabelledColumn] = []
    unreadable = 0
    with path.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            try:
                values = [str(value) for value in ast.literal_eval(row["dist_val"])]
            except (ValueError, SyntaxError):
                unreadable += 1
                continue
            # One label of the file is no list that Python reads, but what it quotes is clear.
            errors = frozenset(re.findall(r"'((?:[^'\\]|\\.)*)'", row["ground_truth"]))
            columns.append(LabelledColumn(int(row["index"]), row["header"], values, errors))
    return columns, unreadable


def halves(column: LabelledColumn, seed: int) -> tuple[list[str], list[str]]:
    """The column's values shuffled by seed and index, the first half with the middle one."""
    values = list(column.values)
    random.Random(f"{seed}:{column.number}").shuffle(values)
    middle = (len(values) + 1) // 2
    return values[:middle], values[middle:]


def judge(
    name: str, learnt: Sequence[str], judged: Sequence[Sequence[str]], form: Form, source: Source
) -> list[Judged]:
    """A contract inferred from the values ``learnt``, tried on each of ``judged``."""
    with TemporaryDirectory(prefix="odd-columns-") as made:
        folder = Path(made)
        _write(folder / f"learnt.{form}", name, learnt, form)
        inferred = inferred_from(str(folder / f"learnt.{form}"), "learnt", 1, source)
        contract = folder / "learnt.odcs.yaml"
        contract.write_text(inferred.text, encoding="utf-8")
        claims = any(
            column.logical_type != "string" or column.pattern or column.format or column.enum
            for column in inferred.contract.columns
        )
        found = []
        for number, values in enumerate(judged):
            file = folder / f"judged-{number}.{form}"
            _write(file, name, values, form)
            (told,) = trial(contract, inferred.contract, str(file), rows_shown=ROWS_SHOWN_MAX)
            found.append(Judged(_alarm(told), _failing(told, values), claims))
        return found


def _write(file: Path, name: str, values: Sequence[str], form: Form) -> None:
    if form == "parquet":
        import polars as pl

        pl.DataFrame({name or "column": values}, schema={name or "column": pl.String}).write_parquet(file)
        return
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([name])
        writer.writerows([value] for value in values)


def _alarm(told: Tried) -> str:
    """Any violation, any hold, any finding about the whole, even one that holds nothing."""
    if told.state == "passed" and not told.whole:
        return ""
    checks = sorted({str(check["check"]) for check in told.checks})
    return ", ".join([told.held_for or told.state, *checks])


def _failing(told: Tried, values: Sequence[str]) -> frozenset[str]:
    """The values whose row breaks a check; rows that are only held with the rest are not meant."""
    if told.held_for or len(values) != told.rows_read:
        return frozenset()
    return frozenset(values[row["row"] - 1] for row in told.rows)


def _strangers(columns: Sequence[LabelledColumn], at: int, seed: int) -> list[str]:
    """Values of other columns, none of which this one has too."""
    chance = random.Random(f"{seed}:{columns[at].number}:strangers")
    own = set(columns[at].values)
    found: list[str] = []
    for other in chance.sample(range(len(columns)), min(len(columns), 10 * STRANGERS)):
        value = chance.choice(columns[other].values)
        if other != at and value not in own and len(found) < STRANGERS:
            found.append(value)
    return found


def measure(columns: Sequence[LabelledColumn], seed: int, form: Form) -> dict[str, Any]:
    """One split of every column: alarms on clean ones, errors found, and values of other columns noticed."""
    source = wiring.source_of(settings.load())
    alarms: list[dict[str, Any]] = []
    told = Counter[str]()
    for at, column in enumerate(columns):
        learnt, rest = halves(column, seed)
        try:
            other, strange = judge(column.name, learnt, [rest, _strangers(columns, at, seed)], form, source)
        except DefinitionError as error:
            alarms.append({"index": column.number, "alarm": f"not inferred: {error}"[:200]})
            continue
        told["claims"] += other.claims
        told["strangers"] += STRANGERS
        told["strangers_noticed"] += len(strange.failing)
        wrong = column.errors & set(rest)
        told["wrong"] += bool(wrong)
        told["wrong_noticed"] += bool(wrong & other.failing)
        if column.clean and other.alarm:
            alarms.append({"index": column.number, "alarm": other.alarm})
    clean = sum(column.clean for column in columns)
    return {
        "seed": seed,
        "false_alarms": round(len(alarms) / clean, 4),
        "alarms": alarms,
        "columns_with_claims": told["claims"],
        "errors_in_other_half": told["wrong"],
        "errors_noticed": told["wrong_noticed"],
        "strangers_noticed": round(told["strangers_noticed"] / max(1, told["strangers"]), 4),
    }


def detection(columns: Sequence[LabelledColumn], form: Form) -> dict[str, Any]:
    """Of the columns with errors, those in which a contract of all other values notices one; all values are judged."""
    source = wiring.source_of(settings.load())
    noticed, also_right = [], []
    wrong = [column for column in columns if not column.clean]
    for column in wrong:
        right = [value for value in column.values if value not in column.errors]
        (found,) = judge(column.name, right, [column.values], form, source)
        if found.failing & column.errors:
            noticed.append(column.number)
        if found.alarm and found.failing != found.failing & column.errors:
            also_right.append(column.number)
    return {"columns": len(wrong), "noticed": noticed, "alarms_on_right_values": also_right}


def figures(columns: Sequence[LabelledColumn], seeds: Sequence[int], form: Form) -> dict[str, Any]:
    """All figures: shares of clean columns with a false alarm, mean and worst over the seeds, and what is caught."""
    rounds = [measure(columns, seed, form) for seed in seeds]
    shares = [each["false_alarms"] for each in rounds]
    return {
        "form": form,
        "columns": len(columns),
        "clean": sum(column.clean for column in columns),
        "false_alarms_mean": round(sum(shares) / len(shares), 4),
        "false_alarms_worst": max(shares),
        "strangers_noticed_mean": round(sum(each["strangers_noticed"] for each in rounds) / len(rounds), 4),
        "whole_column": detection(columns, form),
        "rounds": rounds,
    }


def held(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Each target with its figure and whether it is met."""
    return {
        name: {"want": f"{sense} {bound}", "got": found[name], "met": found[name] <= bound}
        for name, (sense, bound) in TARGETS.items()
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.odd_columns", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="CSV: index, header, ground_truth, dist_val")
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"ways to split, some 40 s each (default {SEEDS})")
    parser.add_argument("--form", choices=["csv", "parquet"], default="csv", help="parquet: without guessing a dialect")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    given = parser.parse_args(arguments)
    columns, unreadable = read(given.data)
    found = figures(columns, range(given.seeds), cast("Form", given.form))
    found["unreadable"] = unreadable
    found["targets"] = held(found)
    if given.json:
        print(json.dumps(found, indent=1))
        return 0
    for name in ("form", "columns", "clean", "unreadable", "strangers_noticed_mean", "whole_column"):
        print(f"{name:24} {found[name]}")
    for each in found["rounds"]:
        print(f"  {each}")
    for name, each in found["targets"].items():
        print(f"  {'met   ' if each['met'] else 'MISSED'} {name}: {each['got']} ({each['want']})")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
