"""How many simulated worlds a second: ``python -m benchmarks.simulation [--json] [--short]``; on both data planes.

A world is some ten batches with faults; worlds differ, so the figures also say how many batches and steps they had.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from typing import Any

from benchmarks.measuring import machine
from benchmarks.shown import note
from tests.simulation.run import live

# Plane, worlds a second that are wanted, worlds that are lived through, first seed.
PLANES = (("plain", 50.0, 500, 100_000), ("real", 5.0, 60, 100_000))
ROUNDS = 3
_SHORT = 10  # the share of the worlds that a short run takes


def measured(plane: str, worlds: int, first: int) -> dict[str, Any]:
    """The best of some rounds, since whatever else the machine does only ever slows a round down; all are given."""
    workers = os.cpu_count() or 1
    live(plane, range(first, first + workers), workers)  # loads what is loaded once
    rates: list[float] = []
    found: dict[str, Any] = {}
    for number in range(ROUNDS):
        start = first + number * worlds
        started = time.perf_counter()
        summary = live(plane, range(start, start + worlds), workers)
        rates.append(round(summary.worlds / (time.perf_counter() - started), 1))
        found = {
            "worlds": summary.worlds,
            "batches_per_world": round(summary.batches / summary.worlds, 1),
            "steps_per_world": round(summary.steps / summary.worlds, 1),
            "faults_per_world": round(sum(summary.faults.values()) / summary.worlds, 1),
            "failed": len(summary.failed) + found.get("failed", 0),
        }
        note(f"{plane}: {rates[-1]} worlds/s")
    return {**found, "workers": workers, "worlds_per_second": max(rates), "all_rounds": rates}


def result(*, short: bool) -> dict[str, Any]:
    """Figures, targets and the machine."""
    figures = {plane: measured(plane, worlds // (_SHORT if short else 1), first) for plane, _, worlds, first in PLANES}
    targets = {
        f"{plane}_worlds_per_second": {
            "want": want,
            "got": figures[plane]["worlds_per_second"],
            "met": figures[plane]["worlds_per_second"] >= want,
        }
        for plane, want, _, _ in PLANES
    }
    return {"machine": machine(), "short": short, "figures": figures, "targets": targets}


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulation", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--short", action="store_true", help="some seconds, to see that it works")
    given = parser.parse_args()
    found = result(short=given.short)
    if given.json:
        print(json.dumps(found, indent=1))
        return
    for name, target in found["targets"].items():
        print(f"{name:28}{target['want']:>8}{target['got']:>8}  {'met' if target['met'] else 'MISSED'}")


if __name__ == "__main__":
    main()
