"""Many worlds: ``python -m tests.simulation.run --seeds 200 [--from 0]``; one: ``--seed 17``.

A seed that fails is made smaller (fewer deliveries, fewer faults) and printed with the command that replays it step by
step. The exit code is 1 when any failed.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.simulation.planes import plane_named
from tests.simulation.simulation import Lived, run_seed

CHUNK = {"real": 5, "plain": 50}
SHOWN_MAX = 10
SHRINKS_MAX = 3
SHRINK_RUNS_MAX = 150
TERMINAL_SECONDS, FILE_SECONDS = 5.0, 30.0  # between two words on how far it is, to a terminal or to a file


class Case(NamedTuple):
    """A world to live through: a seed, without some deliveries, with some of its faults only."""

    plane: str
    seed: int
    without: tuple[str, ...] = ()
    strikes: tuple[int, ...] | None = None

    def lived(self, *, loud: bool = False) -> Lived:
        """Live through it; an exception is a problem."""
        script = None if self.strikes is None else frozenset(self.strikes)
        try:
            plane = plane_named(self.plane)
            return run_seed(self.seed, plane, loud=loud, script=script, without=frozenset(self.without))
        except Exception:  # noqa: BLE001 - of the services or of the simulation: the seed says which
            return Lived(self.seed, ["exception: " + traceback.format_exc()[-1_500:]])

    @property
    def command(self) -> str:
        """What replays it, step by step."""
        parts = [f"python -m tests.simulation.run --plane {self.plane} --seed {self.seed}"]
        if self.without:
            parts.append(f"--without {','.join(self.without)}")
        if self.strikes is not None:
            parts.append(f"--strikes {','.join(map(str, self.strikes)) or 'none'}")
        return " ".join(parts)


@dataclass(slots=True)
class Summary:
    """What many worlds came to."""

    worlds: int = 0
    steps: int = 0
    batches: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    failed: dict[int, list[str]] = field(default_factory=dict)

    def add(self, lived: Lived) -> None:
        """Count one."""
        self.worlds += 1
        self.steps += lived.steps
        self.batches += lived.batches
        self.faults += lived.faults
        self.events += lived.events
        if lived.problems:
            self.failed[lived.seed] = lived.problems


def live(plane: str, seeds: Iterable[int], workers: int, progress: Callable[[Summary], None] | None = None) -> Summary:
    """Run the seeds in so many processes."""
    summary = Summary()
    chunks = list(_chunks(list(seeds), CHUNK.get(plane, 5)))
    if workers == 1:
        for chunk in chunks:
            _count(summary, _lived(plane, chunk), progress)
        return summary
    with ProcessPoolExecutor(workers) as pool:
        for done in as_completed([pool.submit(_lived, plane, chunk) for chunk in chunks]):
            _count(summary, done.result(), progress)
    return summary


def _count(summary: Summary, some: list[Lived], progress: Callable[[Summary], None] | None) -> None:
    for lived in some:
        summary.add(lived)
    if progress is not None:
        progress(summary)


def _lived(plane: str, seeds: list[int]) -> list[Lived]:
    with plane_named(plane).installed():
        return [Case(plane, seed).lived() for seed in seeds]


def _chunks(seeds: list[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(seeds), size):
        yield seeds[start : start + size]


def kind_of(problems: list[str]) -> str:
    """Which invariant was broken first: what stands before the colon."""
    return problems[0].partition(":")[0] if problems else ""


def shrink(case: Case, kind: str) -> Case:
    """The same broken invariant with fewer deliveries and fewer faults, as far as dropping one at a time leads."""
    from tests.simulation.project import make_world

    runs = 0

    def fails(tried: Case) -> bool:
        nonlocal runs
        runs += 1
        return runs <= SHRINK_RUNS_MAX and kind_of(tried.lived().problems) == kind

    struck = case.lived().strikes
    smaller = case._replace(strikes=())
    if struck == 0 or fails(smaller):
        case = smaller
    else:
        case = case._replace(strikes=tuple(range(1, struck + 1)))
    for name in sorted({each.name for each in make_world(case.seed, case.plane).deliveries}):
        tried = case._replace(without=(*case.without, name))
        case = tried if fails(tried) else case
    for strike in case.strikes or ():
        tried = case._replace(strikes=tuple(each for each in case.strikes or () if each != strike))
        case = tried if fails(tried) else case
    return case


def _told(summary: Summary, seconds: float) -> str:
    rate = summary.worlds / seconds if seconds else 0.0
    return (
        f"{summary.worlds:,} worlds, {summary.batches:,} batches, {summary.steps:,} steps, "
        f"{sum(summary.faults.values()):,} faults, {len(summary.failed)} failed; {seconds:.0f} s, {rate:.1f} worlds/s"
    )


def _counted(summary: Summary) -> str:
    """How often what happened: strikes of ports by port, then whatever else, by whom it befell."""
    lines = ["ports:", *(f"  {count:8,} {kind}" for kind, count in summary.faults.most_common())]
    by_whom: dict[str, Counter[str]] = {}
    for name, count in summary.events.items():
        whom, _, kind = name.partition(": ")
        by_whom.setdefault(whom, Counter())[kind] += count
    for whom, kinds in sorted(by_whom.items()):
        lines += [f"{whom}:", *(f"  {count:8,} {kind}" for kind, count in kinds.most_common())]
    return "\n".join(lines)


def _many(given: argparse.Namespace) -> int:
    started = time.monotonic()
    last = started
    told: set[int] = set()
    terminal = sys.stderr.isatty()

    def progress(summary: Summary) -> None:
        nonlocal last
        now = time.monotonic()
        for seed in sorted(set(summary.failed) - told):
            told.add(seed)
            print(f"seed {seed} broke: {kind_of(summary.failed[seed])}", flush=True)
        if now - last > (TERMINAL_SECONDS if terminal else FILE_SECONDS):
            text = _told(summary, now - started)
            sys.stderr.write(f"\r{text}   " if terminal else f"{text}\n")
            sys.stderr.flush()
            last = now

    summary = live(given.plane, range(given.first, given.first + given.seeds), given.workers, progress)
    print(_told(summary, time.monotonic() - started))
    print(_counted(summary))
    for number, (seed, problems) in enumerate(sorted(summary.failed.items())[:SHOWN_MAX]):
        case = Case(given.plane, seed)
        print(f"seed {seed}: {' '.join(problems[0].split())[-400:]}")
        print(f"  replay: {case.command}")
        if number < SHRINKS_MAX:
            print(f"  smaller: {shrink(case, kind_of(problems)).command}")
    return 1 if summary.failed else 0


def _one(given: argparse.Namespace) -> int:
    strikes = None if given.strikes is None else tuple(int(each) for each in given.strikes.split(",") if each != "none")
    case = Case(given.plane, given.seed, tuple(filter(None, given.without.split(","))), strikes)
    lived = case.lived(loud=True)
    print(f"seed {given.seed}: {lived.steps} steps, {lived.batches} batches, {dict(lived.faults + lived.events)}")
    for problem in lived.problems:
        print(f"  {problem}")
    return 1 if lived.problems else 0


def main(arguments: list[str] | None = None) -> int:
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(description="Live through simulated worlds and say which break a promise.")
    parser.add_argument("--plane", choices=["plain", "real"], default="plain", help="what rows are made of")
    parser.add_argument("--seeds", type=int, default=200, help="how many worlds")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first seed")
    parser.add_argument("--workers", type=int, default=max(1, os.cpu_count() or 1), help="processes")
    parser.add_argument("--seed", type=int, help="one world, told step by step")
    parser.add_argument("--without", default="", help="deliveries to leave out, by name")
    parser.add_argument("--strikes", help="the only faults that happen, by number; none")
    given = parser.parse_args(arguments)
    return _one(given) if given.seed is not None else _many(given)


if __name__ == "__main__":
    sys.exit(main())
