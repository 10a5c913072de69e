"""Fixtures of validate's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

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
