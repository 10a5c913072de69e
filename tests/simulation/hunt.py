"""Plants each bug of ``mutants`` and lives through worlds until one shows it: ``python -m tests.simulation.hunt``.

The world in which the table of docs/simulation.md says a bug was seen is tried first: most changes elsewhere leave it
as it was. ``--only NAME`` plants one; ``--write`` puts what caught what into the table of docs/simulation.md,
whose other rows stay. The exit code is 1 when a bug stayed unseen that the design does not bear.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from tests.simulation.mutants import MUTANTS, Mutant
from tests.simulation.planes import plane_named
from tests.simulation.run import Case, kind_of

SEEDS_MAX = 5_000
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "simulation.md"
_BEGIN, _END = "<!-- mutants -->", "<!-- /mutants -->"


class Caught(NamedTuple):
    """What became of a planted bug; ``seed`` -1: no world showed it."""

    name: str
    seed: int
    kind: str
    problem: str
    worlds: int
    seconds: float


def hunt(mutant: Mutant, seeds_max: int) -> Caught:
    """Live through worlds with the bug until one breaks a promise."""
    started, plane = time.monotonic(), mutant.plane
    with mutant.plant(), plane_named(plane).installed():
        for number, seed in enumerate([*_seen_before(mutant.name), *range(seeds_max)], 1):
            problems = Case(plane, seed).lived().problems
            if problems and not _fails_anyway(plane, seed):
                said = " ".join(problems[0].split())[:200]
                return Caught(mutant.name, seed, kind_of(problems), said, number, time.monotonic() - started)
    return Caught(mutant.name, -1, "", "", seeds_max, time.monotonic() - started)


def _seen_before(name: str) -> list[int]:
    """The seed in the document's table."""
    known = _known().get(name)
    return [known.seed] if known is not None else []


def _fails_anyway(plane: str, seed: int) -> bool:
    """True when the world breaks a promise without the bug, too: in a process that nothing was planted into."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return bool(pool.submit(Case(plane, seed).lived).result().problems)


def _hunt_named(name: str, seeds_max: int) -> Caught:
    mutant = next(each for each in MUTANTS if each.name == name)
    return hunt(mutant, seeds_max)


def _known() -> dict[str, Caught]:
    """What the document's table says of each."""
    rows = re.findall(r"^\| `(\w+)` \|.*\| (\d+) \| (\w+) \|$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    return {name: Caught(name, int(seed), kind, "", 0, 0.0) for name, seed, kind in rows}


def table(found: dict[str, Caught]) -> str:
    """The table for the document; what was not planted now stays as it is."""
    found = _known() | found
    lines = ["| planted bug | what it does | plane | seed | caught by |", "|---|---|---|---|---|"]
    borne = ["| planted bug | why the design bears it |", "|---|---|"]
    for mutant in MUTANTS:
        caught = found.get(mutant.name)
        if mutant.harmless:
            borne.append(f"| `{mutant.name}`: {mutant.what} | {mutant.harmless} |")
        elif caught is not None:
            seed = str(caught.seed) if caught.seed >= 0 else "not caught"
            lines.append(f"| `{mutant.name}` | {mutant.what} | {mutant.plane} | {seed} | {caught.kind} |")
    return "\n".join([*lines, "", "Planted, and borne by the design:", "", *borne])


def _write(found: dict[str, Caught]) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    DOCUMENT.write_text(f"{before}{_BEGIN}\n{table(found)}\n{_END}{after}", encoding="utf-8")


def main() -> int:
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(description="Plant bugs and see which the simulation catches.")
    parser.add_argument("--only", nargs="*", default=[], help="names of planted bugs")
    parser.add_argument("--seeds", type=int, default=SEEDS_MAX, help="worlds for each, at most")
    parser.add_argument("--workers", type=int, default=max(1, os.cpu_count() or 1))
    parser.add_argument("--harmless", action="store_true", help="also those that the design bears")
    parser.add_argument("--write", action="store_true", help="put the table into docs/simulation.md")
    given = parser.parse_args()
    chosen = [each for each in MUTANTS if each.name in given.only or (not given.only and not each.harmless)]
    chosen += [each for each in MUTANTS if given.harmless and each.harmless and each not in chosen]
    found: dict[str, Caught] = {}
    with ProcessPoolExecutor(given.workers) as pool:
        for done in as_completed([pool.submit(_hunt_named, each.name, given.seeds) for each in chosen]):
            caught = done.result()
            found[caught.name] = caught
            told = (
                f"seed {caught.seed:>5}, {caught.problem}"
                if caught.seed >= 0
                else f"NOT CAUGHT in {caught.worlds} worlds"
            )
            print(f"{caught.name:32} {caught.seconds:6.1f} s  {told}", flush=True)
    missed = [name for name, caught in found.items() if caught.seed < 0]
    print(f"{len(found)} planted, {len(found) - len(missed)} caught; not caught: {', '.join(sorted(missed)) or 'none'}")
    if given.write:
        _write(found)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
