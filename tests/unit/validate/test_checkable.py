"""What of a contract cannot be checked here is said, and the rest of it is used."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from services.validate.checkable import checkable
from services.validate.pushdown import _alike
from shared.domain.contract import Contract, parse_contract
from tests.unit.validate.world import World

Make = Callable[..., World]
HEAD = "apiVersion: v3.2.0\nkind: DataContract\nid: x\nversion: '1'\nschema:\n  - name: t\n    properties:\n"


def read(*columns: str) -> Contract:
    return checkable(parse_contract(HEAD + "".join(f"      - {each}\n" for each in columns), "c.yaml"), "c.yaml")


PATTERNS = [
    (r"^\p{L}+$", ["é", "1"], {2}),
    (r"^(?<y>[0-9]{4})$", ["2020", "20"], {2}),
    (r"^[a-c&&[^b]]$", ["a", "b"], {2}),
    (r"^(?!x)", ["y", "x"], {2}),
    (r"^(a)\1$", ["aa", "ab"], {2}),
    (r"^[[a](?=b)", ["[b", "b"], {2}),
    ("^[a-c", ["a", "d"], set()),
]


@pytest.mark.parametrize(("pattern", "cells", "failing"), PATTERNS)
def test_patterns_are_those_of_the_engine_that_runs_them(
    world: Make, pattern: str, cells: list[str], failing: set[int]
) -> None:
    w = world([{"name": "x", "logicalType": "string", "logicalTypeOptions": {"pattern": pattern}}])
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)
        assert w.judge(pl.DataFrame({"x": cells})).reasons.get(("pattern", "x"), set()) == failing


def test_a_pattern_that_no_engine_reads_is_said(world: Make) -> None:
    pattern = "logicalTypeOptions: {pattern: '^[a-c'}"
    contract = read(
        f"{{name: a, logicalType: string, {pattern}}}",
        f"{{name: o, logicalType: object, properties: [{{name: b, logicalType: string, {pattern}}}]}}",
        f"{{name: l, logicalType: array, items: {{logicalType: string, {pattern}}}}}",
        "{name: q, logicalType: string, quality: [{metric: invalidValues, arguments: {pattern: '('}, mustBe: 3}]}",
        "{name: fine, logicalType: string, logicalTypeOptions: {pattern: '^(?=a)'}}",
    )
    told: list[tuple[str, Any]] = [
        (each.column, each.what.partition(" is no regular")[0]) for each in contract.unsupported
    ]
    assert told == [
        ("a", "the pattern is not checked: ^[a-c"),
        ("o.b", "the pattern is not checked: ^[a-c"),
        ("l[]", "the pattern is not checked: ^[a-c"),
        ("q", "quality rule (invalidValues) is not checked: ("),
    ]
    assert [column.pattern for column in contract.columns] == ["", "", "", "", "^(?=a)"]
    assert contract.quality == ()
    inside = contract.columns[1].inside
    assert inside is not None
    assert inside.properties[0].pattern == ""


def test_sets_within_brackets_are_not_pushed_down() -> None:
    assert [_alike(each) for each in ("^[a-c&&[^b]]$", "^[a-z--b]$", "^[a-c]$")] == [False, False, True]
