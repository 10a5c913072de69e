"""Pipelines as chance makes them: clean batches of many kinds of columns, and changes of a stated size to plant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from services.validate.baseline import BASELINE_MAX, Baseline, baseline_of, weekday_of
from services.validate.drift import BatchFacts
from services.validate.profile import BatchProfile
from services.validate.sketches import Sketches
from shared.domain.contract import Column, Contract

DAY = 86_400_000_000
NUMBERS = ("normal", "lognormal", "exponential", "uniform", "pareto", "poisson", "bimodal", "constant", "zeros", "walk")


class Batch(NamedTuple):
    """One day's rows."""

    day: int
    frame: pl.DataFrame


class Pipeline:
    """Columns with habits of their own: how values lie, how batches differ, what a Sunday is like."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.chance = np.random.default_rng(seed)
        chance = self.chance
        self.batches = int(chance.integers(5, BASELINE_MAX + 6))
        self.rows = float(np.exp(chance.uniform(np.log(120), np.log(2500))))
        self.rows_noise = float(chance.choice([0.0, 0.03, 0.1, 0.25]))
        self.weekend = float(chance.choice([1.0, 1.0, 0.3]))
        kinds = chance.choice(NUMBERS, size=3)
        self.numbers = [self._number(str(kind)) for kind in kinds]
        size = int(chance.integers(2, 45))
        shares = 1 / np.arange(1, size + 1) ** chance.uniform(0, 1.5)
        self.shares = shares / shares.sum()
        self.wandering = float(chance.choice([0.0, 0.0, 300.0, 60.0]))  # concentration of the mix; 0: it stays
        self.nulls = float(chance.choice([0.0, 0.03, 0.3]))
        self.level = [0.0] * len(kinds)
        columns = [Column(name=f"n{place}", logical_type="number") for place in range(len(kinds))]
        columns += [Column(name="kind"), Column(name="flag", logical_type="boolean"), Column(name="text")]
        columns += [Column(name="id", logical_type="integer"), Column(name="at", logical_type="timestamp")]
        self.contract = Contract(id="c", version="1", table="t", columns=tuple(columns))
        self._next = 0

    def _number(self, kind: str) -> dict[str, Any]:
        chance = self.chance
        noise = float(chance.choice([0.0, 0.0, 0.05, 0.3]))
        return {"kind": kind, "shape": float(chance.uniform(1.2, 3)), "noise": noise, "at": float(chance.normal(0, 50))}

    def batch(self, day: int) -> Batch:
        """The batch of a day; days come in order."""
        chance = self.chance
        factor = self.weekend if day % 7 >= 5 else 1.0
        rows = max(100, round(self.rows * factor * float(np.exp(chance.normal(0, self.rows_noise)))))
        made: dict[str, Any] = {}
        for place, number in enumerate(self.numbers):
            values = self._values(place, number, rows)
            made[f"n{place}"] = pl.Series(values).scatter(_some(chance, rows, self.nulls), None)
        shares = chance.dirichlet(self.shares * self.wandering + 1e-9) if self.wandering else self.shares
        made["kind"] = np.array([f"kind {place}" for place in range(len(shares))])[_chosen(chance, shares, rows)]
        made["flag"] = chance.random(rows) < 0.3
        made["text"] = [f"text {number}" for number in chance.integers(0, 10**6, rows)]
        made["id"] = np.arange(self._next, self._next + rows)
        made["at"] = pl.Series(np.sort(chance.integers(day * DAY, (day + 1) * DAY, rows))).cast(
            pl.Datetime("us", "UTC")
        )
        self._next += rows
        return Batch(day, pl.DataFrame(made))

    def _values(self, place: int, number: dict[str, Any], rows: int) -> Any:
        chance, kind = self.chance, number["kind"]
        level = float(chance.normal(0, number["noise"]))
        plain = {
            "normal": lambda: chance.normal(0, 1, rows),
            "lognormal": lambda: chance.lognormal(0, number["shape"] / 2, rows),
            "exponential": lambda: chance.exponential(1, rows),
            "uniform": lambda: chance.random(rows),
            "pareto": lambda: chance.pareto(number["shape"], rows),
            "poisson": lambda: chance.poisson(number["shape"] * np.exp(level), rows).astype(float),
            "bimodal": lambda: chance.normal(0, 1, rows) + 6 * (chance.random(rows) < 0.4),
            "constant": lambda: np.zeros(rows),
            "zeros": lambda: chance.exponential(1, rows) * (chance.random(rows) < 0.2),
            "walk": lambda: chance.normal(0, 1, rows),
        }[kind]()
        if kind == "walk":
            self.level[place] += float(chance.normal(0, 0.1))
        width = 0.0 if kind in ("poisson", "zeros") else float(np.quantile(plain, 0.75) - np.quantile(plain, 0.25))
        return number["at"] + plain + self.level[place] + level * width

    def document(self, batch: Batch) -> dict[str, Any]:
        """The document of a batch's profile."""
        sketches, profile = Sketches(self.contract.columns, "p"), BatchProfile()
        rows = batch.frame.with_columns(pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("_mend_row"))
        sketches.add(rows)
        profile.add(rows)
        about = {"batch_id": f"b{batch.day}", "attempt": 1, "seq": f"{batch.day:05}", "rows": batch.frame.height}
        weekday = weekday_of(profile, self.contract.columns, 0)
        return {**about, "weekday": weekday, "columns": sketches.document(profile)}

    def tested(self, batch: Batch) -> BatchFacts:
        """A batch as it is compared."""
        document = self.document(batch)
        return BatchFacts(document["columns"], document["rows"], document["weekday"])

    def history(self) -> list[dict[str, Any]]:
        """The documents of all batches before the tested ones, oldest first."""
        return [self.document(self.batch(day)) for day in range(self.batches)]

    def clean(self, many: int) -> Iterator[tuple[BatchFacts, Baseline]]:
        """Further clean batches, each with the batches before it."""
        known = self.history()
        for day in range(self.batches, self.batches + many):
            document = self.document(self.batch(day))
            tested = BatchFacts(document["columns"], document["rows"], document["weekday"])
            yield tested, earlier(known)
            known.append(document)


def earlier(known: list[dict[str, Any]]) -> Baseline:
    """The newest documents as a baseline."""
    return baseline_of((each["batch_id"], each) for each in reversed(known[-BASELINE_MAX:]))


def _some(chance: np.random.Generator, rows: int, share: float) -> Any:
    return np.flatnonzero(chance.random(rows) < share)


def _chosen(chance: np.random.Generator, shares: Any, rows: int) -> Any:
    return chance.choice(len(shares), size=rows, p=shares / shares.sum())


def planted(pipeline: Pipeline, batch: Batch, change: str) -> Batch:
    """The batch with one change in it, of the size that ``PLANTED`` states."""
    chance, frame = pipeline.chance, batch.frame
    rows = frame.height
    if change == "rows":
        return Batch(batch.day, frame.head(rows // 20))
    if change == "nulls":
        return Batch(batch.day, frame.with_columns(frame["n0"].scatter(_some(chance, rows, 0.9), None)))
    number, known = frame["n0"], frame["n0"].drop_nulls()
    width = max(float(known.std() or 0), 1.0)
    middle = float(known.median() or 0)  # type: ignore[arg-type]
    changed = {
        "location": lambda: (number + 4 * width).alias("n0"),
        "spread": lambda: (middle + (number - middle) * 20 + pl.Series(chance.normal(0, 20, rows))).alias("n0"),
        "quantiles": lambda: pl.Series("n0", chance.choice([middle - width, middle + width], rows)),
        "categories": lambda: _replaced(chance, frame["kind"], 0.85, f"kind {len(pipeline.shares) - 1}"),
        "new_categories": lambda: _replaced(chance, frame["kind"], 0.4, "another kind"),
        "vanished_categories": lambda: frame["kind"].replace("kind 0", "kind 1"),
        "order": lambda: frame["id"].shuffle(seed=1),
        "distinct": lambda: pl.Series("text", [f"text {place}" for place in chance.integers(0, 12, rows)]),
    }[change]()
    return Batch(batch.day, frame.with_columns(changed))


def _replaced(chance: np.random.Generator, values: pl.Series, share: float, by: str) -> pl.Series:
    return values.scatter(_some(chance, values.len(), share), by)
