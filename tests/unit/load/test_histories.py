"""Goal: after any history of loads and withdrawals the table is what a plain-Python model says.

Method: random histories of three batches (deliveries come in any order; rows are healed in later attempts, read anew,
taken back by attempt and by reading; old news comes late and twice), beside rows that were never ours.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.load.world import LoadWorld, Model, Row

numbers = itertools.count(1)
FOREIGN: list[Row] = [{"k": 1, "v": "theirs 1"}, {"k": 6, "v": "theirs 6"}]


class History:
    """One batch as ingest, validate and remediate drive it."""

    def __init__(self, batch: str, seq: str) -> None:
        self.batch, self.seq = batch, seq
        self.reading, self.attempt, self.row = 1, 0, 0
        self.past: list[Any] = []

    def next_attempt(self, chance: random.Random) -> tuple[int, list[Row]]:
        self.attempt += 1
        rows = []
        for key in chance.sample(range(1, 6), chance.randint(1, 4)):
            self.row += 1
            rows.append({"_mend_row": self.row, "k": key, "v": f"{self.batch} {self.attempt} {self.row}"})
        return self.attempt, rows


@pytest.fixture(params=["append", "upsert", "overwrite"])
def world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[LoadWorld]:
    made = LoadWorld(tmp_path, request.param)
    yield made
    made.process.close()


@pytest.mark.parametrize("foreign", [False, True])
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(chance=st.randoms(use_true_random=False), length=st.integers(2, 9))
def test_any_history(world: LoadWorld, foreign: bool, chance: random.Random, length: int) -> None:
    model = Model(world.mode, FOREIGN if foreign else [])
    world.anew(next(numbers))
    if foreign:
        world.foreign(FOREIGN)
    seqs = chance.sample(["s1", "s2", "s3"], 3)
    histories = [History(f"b{number}", seq) for number, seq in enumerate(seqs)]
    told: list[str] = []
    for _ in range(length):
        history = chance.choice(histories)
        told.append(step(world, model, history, chance))
        assert world.table("k", "v") == model.rows(), f"{world.mode}, foreign {foreign}: {told}"


@pytest.mark.parametrize("world", ["overwrite"], indirect=True)
def test_rows_that_were_never_ours_come_back_once(world: LoadWorld) -> None:
    """Found by a random history: two batches, each loaded and withdrawn, brought the foreign rows back twice."""
    model = Model(world.mode, FOREIGN)
    world.anew(next(numbers))
    world.foreign(FOREIGN)
    for batch in ("b0", "b1", "b2"):
        world.handle(world.validated(batch, [{"_mend_row": 1, "k": 2, "v": batch}], attempt=1, reading=1, seq=batch))
        world.take_out(batch, attempt=1, remedy=str(next(numbers)))
        assert world.table("k", "v") == model.rows(), batch


def step(world: LoadWorld, model: Model, history: History, chance: random.Random) -> str:
    """Something happens to a batch; what it was."""
    batch = history.batch
    what = chance.choice(["load", "load", "load", "again", "withdraw attempt", "read anew"])
    if what == "again" and history.past:
        world.handle(chance.choice(history.past))
    elif what == "withdraw attempt" and history.attempt:
        attempt = chance.randint(1, history.attempt)
        world.take_out(batch, attempt=attempt, remedy=str(next(numbers)))
        model.withdraw(batch, attempt, 0)
        return f"{batch}: attempt {attempt} out"
    elif what == "read anew" and history.attempt:
        late = chance.random() < 0.5
        attempt, rows = history.next_attempt(chance)
        event = world.validated(batch, rows, attempt=attempt, reading=history.reading, seq=history.seq)
        world.take_out(batch, reading=history.reading, remedy=str(next(numbers)))
        model.withdraw(batch, 0, history.reading)
        history.reading, history.row = history.reading + 1, 0
        if late:
            world.handle(event)
            assert world.state(batch, attempt) == "ignored"
        return f"{batch}: reading {history.reading - 1} out"
    else:
        attempt, rows = history.next_attempt(chance)
        event = world.validated(batch, rows, attempt=attempt, reading=history.reading, seq=history.seq)
        world.handle(event)
        model.load(batch, attempt, history.reading, history.seq, rows)
        history.past.append(event)
        return f"{batch}: attempt {attempt} in"
    return f"{batch}: {what}"
