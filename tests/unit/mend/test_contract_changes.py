"""Goal: what is said of two contracts is what deliveries show that are judged by both."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mend.contract_changes import changes
from mend.contract_trial import Tried, trial
from shared.domain.contract import parse_contract

CELLS: dict[str, list[Any]] = {
    "integer": [1, -7, None],
    "number": [1.5, 2.0, None],
    "boolean": [True, False, None],
    "date": [date(2024, 1, 1), None],
    "timestamp": [datetime(2024, 1, 1, 12, tzinfo=UTC), None],
    "time": [time(12, 30), None],
    "string": ["x", "z", None],
}
OTHERS = [["1", "NA"], ["NA", "a", "b"], ["y"], ["q"]]
HEAD = "apiVersion: v3.1.0\nkind: DataContract\nid: t\nversion: 1.0.0\nstatus: active\nschema:\n  - name: t\n"
NA = "customProperties: [{property: nullValues, value: [NA]}]"
NO_WORDS = "customProperties: [{property: nullValues, value: []}]"
WARNS = "customProperties: [{property: severity, value: warning}]"
Y = "name: a, logicalType: string, enum: [{value: y}]"
A, Z = "name: a, logicalType: string", "name: z, logicalType: string"
TYPED = ["name: a, logicalType: " + kind for kind in CELLS]
SHOWN = [((old,), (new,)) for old in TYPED for new in TYPED if old != new] + [
    ((A,), (A, Z)),
    ((A, Z), (A,)),
    ((A,), (A, f"{Z}, required: true")),
    ((A,), (f"{Z}, synonyms: [{{synonym: a}}]",)),
    ((Y,), (f"{Y}, {WARNS}",)),
    ((f"{Y}, {WARNS}",), (Y,)),
    ((TYPED[0],), (f"{A}, required: true",)),
    ((f"{A}, {NO_WORDS}",), (f"{A}, required: true, {NO_WORDS}",)),
    ((A,), (f"{A}, classification: public",)),
]
# What is told may be more than these data show, never less.
TOLD = [
    ((f"{A}, {NO_WORDS}",), (f"{A}, required: true, {NA}",)),
    ((f"{TYPED[0]}, {NA}",), (f"{TYPED[0]}, {NO_WORDS}",)),
]
Judge = Callable[[tuple[str, ...]], list[str]]


def contract(columns: tuple[str, ...]) -> str:
    return HEAD + "    properties:\n" + "".join(f"      - {{{each}}}\n" for each in columns)


def tried(folder: Path, columns: tuple[str, ...], data: str) -> list[Tried]:
    file = folder / "t.odcs.yaml"
    file.write_text(contract(columns))
    return trial(file, parse_contract(file.read_text(), str(file)), data)


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Judge:
    """The states of deliveries of every type, in every format, under a contract of these columns."""
    place = tmp_path_factory.mktemp("deliveries")
    frames = [pl.DataFrame({"a": cells}) for cells in [*CELLS.values(), *OTHERS]]
    frames += [pl.DataFrame({"a": ["x", "y"], "z": ["1", "2"]}), pl.DataFrame({"z": ["x", "y"]})]
    for number, frame in enumerate(frames):
        rows = [{name: cell for name, cell in row.items() if cell is not None} for row in frame.to_dicts()]
        (place / f"{number}.jsonl").write_text("".join(json.dumps(row, default=str) + "\n" for row in rows))
        frame.write_csv(place / f"{number}.csv")
        frame.write_parquet(place / f"{number}.parquet")

    @cache
    def judged(columns: tuple[str, ...]) -> list[str]:
        states = []
        for ending in ("csv", "jsonl", "parquet"):
            states += [each.state for each in tried(place, columns, f"{place}/*.{ending}")]
        return states

    return judged


def broken(one: list[str], other: list[str]) -> set[str]:
    """Which ways the verdicts show to be broken."""
    pairs = list(zip(one, other, strict=True))
    backward = any(was == "passed" != now for was, now in pairs)
    forward = any(now == "passed" != was for was, now in pairs)
    return {way for way, seen in (("backward", backward), ("forward", forward)) if seen}


@pytest.mark.parametrize(("old", "new"), [*SHOWN, *TOLD])
def test_what_breaks_a_compatibility_is_what_deliveries_show(
    judge: Judge, old: tuple[str, ...], new: tuple[str, ...]
) -> None:
    found = changes(parse_contract(contract(old), "a"), parse_contract(contract(new), "b"))
    told = {way for each in found for way in each.breaks}
    seen = broken(judge(old), judge(new))
    assert seen <= told, found
    assert seen == told or (old, new) in TOLD, found


def test_json_may_lack_what_is_optional(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"a": "x"}\n')
    (tmp_path / "b.jsonl").write_text('{"a": "x", "y": 1}\n')
    (tmp_path / "c.csv").write_text("a\nx\n")

    def states(column: str) -> list[str]:
        return [each.state for each in tried(tmp_path, (A, column), f"{tmp_path}/?.[cj]*")]

    # Beside a strange column it counts as missing: it may be that one.
    assert states(Z) == ["passed", "held", "held"]
    assert states(f"{Z}, required: true") == ["held", "held", "held"]


def test_a_column_under_its_synonym_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a\nx\n")
    (held,) = tried(tmp_path, (f"{Z}, synonyms: [{{synonym: a}}]",), f"{tmp_path}/a.csv")
    assert "by synonyms of the contract: a for z" in held.whole[0]
