"""A seed says all: two processes that hash strings in different ways live through it alike, to the last byte."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from mend.services import every_service
from tests.simulation.planes import plane_named
from tests.simulation.simulation import Simulation

# Each with strikes, several workers or a shuffling bus, and on the real plane with files of few rows.
SEEDS = {"plain": 27, "real": 27}
COLLECTIONS = ("receipts", *(name for service in every_service() for name in service.collections))


def traces(plane_name: str, seed: int) -> list[str]:
    """Everything that a world says and leaves behind: log lines, messages, documents, files, one short line each."""
    plane = plane_named(plane_name)
    found: list[str] = []
    with tempfile.TemporaryDirectory() as folder, plane.installed():
        world = Simulation(seed, plane, Path(folder))
        world.log.listen(lambda line: found.append(_line(f"log: {line.service} {line.event} {line.outcome}", line)))
        problems = world.run()
        assert problems == [], problems
        found += [_line(f"message: {each.topic}", each) for each in world.bus.published]
        for collection in COLLECTIONS:
            documents = world.store.documents(collection)
            found += [_line(f"document: {collection}/{key}", documents[key]) for key in sorted(documents)]
        for info in sorted(world.objects.list(""), key=lambda info: info.path):
            with world.objects.read(info.path) as stream:
                found.append(_line(f"file: {info.path}", stream.read()))
        world.warehouse.close()
    return found


def _line(what: str, whole: object) -> str:
    return f"{what} {hashlib.sha256(repr(whole).encode()).hexdigest()[:16]}"


def lived_elsewhere(plane: str, seed: int, hash_seed: int) -> list[str]:
    """The traces of a seed in a process of its own."""
    code = f"from tests.simulation.test_repeats import traces; print(*traces({plane!r}, {seed}), sep='\\n')"
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    return done.stdout.splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("plane", SEEDS)
def test_a_seed_repeats_itself(plane: str) -> None:
    one, other = (lived_elsewhere(plane, SEEDS[plane], hash_seed) for hash_seed in (1, 2))
    assert len(one) > 500
    differing = next((pair for pair in zip(one, other, strict=False) if pair[0] != pair[1]), None)
    assert differing is None
    assert len(one) == len(other)
