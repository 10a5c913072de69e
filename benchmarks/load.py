"""What the local runtime bears: ``python -m benchmarks.load [--json] [--short]``; docs/benchmarks.md tells of it."""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks import arrivals, crowds, events
from benchmarks.environments import HERE
from benchmarks.measuring import machine
from benchmarks.shown import note

FOLDER = HERE.parent / "build" / "load"

# Name, what is wanted, whether less is better, where the figure is.
TARGETS: tuple[tuple[str, float, bool, Callable[[Mapping[str, Any]], float]], ...] = (
    ("events_per_second", 1_500, False, lambda figures: figures["sustained"]["events_per_second"]),
    ("latency_p99_ms", 700, True, lambda figures: figures["latency"]["p99_ms"]),
    ("burst_seconds", 60, True, lambda figures: figures["burst"]["seconds"]),
    ("burst_lost", 0, True, lambda figures: figures["burst"]["lost"]),
    ("burst_incidents", events.FAILURES, True, lambda figures: figures["burst"]["incidents"]),
    ("soak_growth_percent", 5, True, lambda figures: figures["soak"]["growth_percent"]),
)


def measured(folder: Path, *, short: bool, soak_seconds: float) -> dict[str, Any]:
    """Every figure, each measure on a store of its own."""
    measures: dict[str, Callable[[Path], dict[str, Any]]] = {
        "fdatasync": lambda place: events.syncs(place, 0.5 if short else 1.0),
        "sustained": lambda place: events.sustained(place, 1.0 if short else 30.0),
        "burst": lambda place: events.burst(place, 500 if short else 20_000),
        "latency": lambda place: arrivals.latency(place, 1.5 if short else 60.0),
        "pipelines_200": lambda place: crowds.many_pipelines(place, 8 if short else 200),
        "executions_20": lambda place: crowds.at_once(place, 2 if short else 20),
        "checks_50": lambda place: crowds.many_checks(place, 2_000 if short else 100_000),
        "soak": lambda place: arrivals.soak(place, soak_seconds),
    }
    figures = {}
    for name, measure in measures.items():
        place = folder / name
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        figures[name] = measure(place)
        note(f"{name}: {json.dumps(figures[name])}")
        shutil.rmtree(place, ignore_errors=True)
    return figures


def result(folder: Path, *, short: bool, soak_seconds: float) -> dict[str, Any]:
    """Figures, targets and the machine; a short run only reports, since it is too short to judge by."""
    found = {"machine": machine(), "short": short}
    figures = measured(folder, short=short, soak_seconds=soak_seconds)
    targets = {
        name: {"want": want, "got": got(figures), "met": got(figures) <= want if less else got(figures) >= want}
        for name, want, less, got in TARGETS
    }
    return {**found, "figures": figures, "targets": targets}


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--short", action="store_true", help="some twenty seconds, to see that it works")
    parser.add_argument("--soak", type=float, default=1_800.0, metavar="SECONDS", help="how long memory is watched")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    given = parser.parse_args()
    found = result(given.folder, short=given.short, soak_seconds=2.0 if given.short else given.soak)
    if given.json:
        print(json.dumps(found, indent=1))
        return
    print(f"{'target':24}{'want':>10}{'got':>12}")
    for name, target in found["targets"].items():
        print(f"{name:24}{target['want']:>10,}{target['got']:>12,}  {'met' if target['met'] else 'MISSED'}")


if __name__ == "__main__":
    main()
