"""Goal: a record that stands where the names should be is told to nobody; real names are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from tests.unit.validate.world import World

PROPERTIES = [
    {"name": "id", "logicalType": "integer"},
    {"name": "status", "logicalType": "string", "enum": [{"value": "paid"}, {"value": "new"}]},
    {"name": "note", "logicalType": "string", "synonyms": [{"synonym": "remark"}]},
]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    w = World(tmp_path, PROPERTIES)
    yield w
    w.close()


def told(world: World, names: list[str], cells: list[str]) -> str:
    """All that the events say of a delivery with these names and one row of these cells."""
    rows = pl.DataFrame([dict(zip(names, cells, strict=True))])
    judged = world.judge(rows)
    return "\n".join(event.model_dump_json() for event in judged.events)


@pytest.mark.parametrize(
    ("names", "cells"),
    [
        (["17", "shipped", "secret words"], ["18", "new", "other"]),  # a number
        (["x17", "2024-02-03", "secret words"], ["18", "new", "other"]),  # a date
        (["x17", "paid", "secret words"], ["x18", "new", "other"]),  # an allowed value
        (["x17", "shipped", "secret words"], ["x18", "shipped", "other"]),  # a column that holds its own name
        (["17;paid;secret words"], ["18;new;other"]),  # in another dialect
        ([r"x17\x09paid\x09secret words"], ["x18\tnew\tother"]),  # whose mark is shown as what it is
    ],
)
def test_a_record_in_the_header_is_told_to_nobody(world: World, names: list[str], cells: list[str]) -> None:
    text = told(world, names, cells)
    assert "secret" not in text
    assert "a record stands where the names" in text


@pytest.mark.parametrize(
    "names",
    [["number", "state", "words"], ["id", "2024", "words"], ["12", "13", "Remark"]],
)
def test_names_are_told(world: World, names: list[str]) -> None:
    assert names[1] in told(world, names, ["1", "new", "a"])
