"""A delivery judged by a few lines of contract, for the tests of known answers."""

from __future__ import annotations

import itertools
from typing import Any

import polars as pl

from tests.unit.validate.world import World

Rows = dict[str, set[int]]
numbers = itertools.count(1)


def judged(world: World, properties: list[dict[str, Any]], columns: dict[str, list[Any]], **table: Any) -> Any:
    world.contract["schema"] = [{"name": "things", "properties": properties, **table}]
    texts = {name: pl.Series(cells, dtype=pl.String if _texts(cells) else None) for name, cells in columns.items()}
    return world.judge(pl.DataFrame(texts), batch=f"b{next(numbers)}")


def _texts(cells: list[Any]) -> bool:
    return all(cell is None or isinstance(cell, str) for cell in cells)
