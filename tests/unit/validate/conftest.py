"""Fixtures of validate's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.conformance.turned_clock import TurnedClock
from tests.unit.validate.test_drift import DISTANCE
from tests.unit.validate.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Callable[..., World]]:
    """Makes a world from the contract's properties; closed after the test."""
    made: list[World] = []

    def make(properties: list[dict[str, Any]], **options: Any) -> World:
        made.append(World(tmp_path / f"world{len(made)}", properties, **options))
        return made[-1]

    yield make
    for item in made:
        item.close()


@pytest.fixture(scope="session")
def known_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A store with some parent tables, in which one delivery after the other is judged; two rows make a part."""
    made = World(tmp_path_factory.mktemp("known") / "w", [], rows_per_part=2)
    made.table("shop.countries", pl.DataFrame({"code": ["de", "pt", "no"]}), {"code": "string"})
    shelves = pl.DataFrame({"shop": ["s1", "s1", "s2"], "shelf": [1, 2, 1]})
    made.table("shop.shelves", shelves, {"shop": "string", "shelf": "integer"})
    made.table("shop.days", pl.DataFrame({"day": [date(2020, 1, 1)]}), {"day": "date"})
    made.table("shop.empty", pl.DataFrame({"code": []}, schema={"code": pl.String}), {"code": "string"})
    yield made
    made.close()


@pytest.fixture
def clock() -> TurnedClock:
    """Time that stands still."""
    return TurnedClock()


@pytest.fixture
def history(world: Callable[..., World], clock: TurnedClock) -> World:
    """A world of numbers and distances, for months of a history."""
    return world(DISTANCE, clock=clock)
