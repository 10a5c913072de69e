"""Validation against its peers, in one interleaved run: ``python -m benchmarks.validate [--json]``.

The same Parquet rows (ten columns) and the same sixteen checks for every side. Ours names every failing row with all of
its reasons; pandera names cells; the others count. The floor is one hand-written query of DuckDB's that counts.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import environments, measuring, shown

REPOSITORY = Path(__file__).resolve().parent.parent
ROWS, ROWS_LONG = 3_000_000, 30_000_000
FAILING_SHARE = 0.1
IN_MEMORY_MAX, STREAMED_MAX, PEAK_MB_MAX = 1.5, 2.5, 700
COUNTS_ONLY = ("great_expectations", "datacontract", "soda")
WHAT = {
    "ours in memory": "mend contract test --engine memory: every failing row with every reason",
    "ours streamed": "mend contract test --engine streamed: every failing row with every reason",
    "floor": "DuckDB, one hand-written query: counts",
    "pandera": "pandera alone over Polars: failing cells",
    "great_expectations": "Great Expectations over pandas: counts",
    "datacontract": "datacontract test over DuckDB: counts",
    "soda": "Soda Core over DuckDB: counts",
}


@dataclass(frozen=True, slots=True)
class Side:
    """One competitor: its environment, its script, what the script is given after the data."""

    name: str
    environment: str
    script: str
    given: tuple[str, ...] = ()


class Bench:
    """A folder with the rows, and every side's run on them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._environment = environments.clean_environment()
        folder.mkdir(parents=True, exist_ok=True)

    def data(self, rows: int, failing: float) -> Path:
        """A file of rows, made once, with the contract that names it beside it."""
        file = self.folder / f"orders-{rows}-{round(failing * 100)}.parquet"
        if not file.exists():
            shown.note(f"making {rows:,} rows, {failing:.0%} of them failing (not timed)")
            written = file.with_suffix(".part")
            script = str(environments.REQUIREMENTS / "validate_rows.py")
            subprocess.run(
                [sys.executable, script, str(rows), str(written), str(failing)], env=self._environment, check=True
            )
            written.rename(file)
        text = (environments.REQUIREMENTS / "orders.odcs.yaml").read_text(encoding="utf-8")
        file.with_suffix(".odcs.yaml").write_text(text.replace("{data}", str(file)), encoding="utf-8")
        return file

    def run(self, side: Side, data: Path) -> tuple[measuring.Run, dict[str, Any]]:
        """One run in a fresh folder: what the process cost, and what it says."""
        place = self.folder / "runs" / side.name.replace(" ", "_")
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        python = str(environments.binary(side.environment, "python"))
        script = str(environments.REQUIREMENTS / side.script)
        contract = str(data.with_suffix(".odcs.yaml"))
        given = [contract if each == "CONTRACT" else each for each in side.given]
        result = measuring.run([python, script, str(data), *given], place, self._environment)
        if result.exit_code:
            said = (place / "stdout").read_text()[-2_000:] + (place / "stderr").read_text()[-2_000:]
            raise SystemExit(f"{side.name} ended with {result.exit_code}:\n{said}")
        answer: dict[str, Any] = json.loads((place / "answer.json").read_text(encoding="utf-8"))
        shown.note(
            f"{data.stem:24} {side.name:20}{answer['seconds']:8.2f} s in the process,"
            f" {result.wall_seconds:7.2f} s in all, {result.peak_mb:6.0f} MB"
        )
        return result, answer


def sides() -> list[Side]:
    """In the order of each round."""
    ours = environments.OURS
    return [
        Side("ours in memory", ours, "validate_ours.py", ("CONTRACT", "memory")),
        Side("ours streamed", ours, "validate_ours.py", ("CONTRACT", "streamed")),
        Side("floor", ours, "validate_floor.py"),
        Side("pandera", ours, "validate_pandera.py"),
        Side("great_expectations", "great_expectations", "validate_great_expectations.py"),
        Side("datacontract", "datacontract", "validate_datacontract.py", ("CONTRACT",)),
        Side("soda", "soda", "validate_soda.py"),
    ]


def measure(bench: Bench, data: Path, competing: list[Side], rounds: int, *, warm: bool) -> dict[str, Any]:
    """Rounds in which every side runs once, after one that does not count; figures and answers by side."""
    runs: dict[str, list[measuring.Run]] = {side.name: [] for side in competing}
    answers: dict[str, list[dict[str, Any]]] = {side.name: [] for side in competing}
    for number in range(0 if warm else 1, rounds + 1):
        for side in competing:
            result, answer = bench.run(side, data)
            if number:
                runs[side.name].append(result)
                answers[side.name].append(answer)
    return {
        name: {
            "what": WHAT[name],
            "in_process_seconds": round(median(each["seconds"] for each in answers[name]), 3),
            "in_process": [round(each["seconds"], 3) for each in answers[name]],
            **measuring.medians(runs[name]),
            "found": {key: value for key, value in answers[name][-1].items() if key != "seconds"},
        }
        for name in runs
    }


def targets(clean: dict[str, Any], failing: dict[str, Any], long: dict[str, Any]) -> dict[str, Any]:
    """What was aimed at, what came of it. Ratios are those of median times within the process."""

    def ratio(figures: dict[str, Any], ours: str, other: str) -> float:
        return round(float(figures[ours]["in_process_seconds"]) / float(figures[other]["in_process_seconds"]), 3)

    def at_most(got: float, most: float) -> dict[str, Any]:
        return {"want": f"<= {most}", "got": got, "met": got <= most}

    found = {
        "in_memory_vs_floor": at_most(ratio(clean, "ours in memory", "floor"), IN_MEMORY_MAX),
        "streamed_vs_floor_30m": at_most(ratio(long, "ours streamed", "floor"), STREAMED_MAX),
        "streamed_peak_mb_30m": at_most(long["ours streamed"]["peak_mb"], PEAK_MB_MAX),
    }
    for peer in (each for each in COUNTS_ONLY if each in failing):
        found[f"failing_rows_named_vs_{peer}"] = at_most(ratio(failing, "ours in memory", peer), 1.0)
    return found


def inferred(file: Path) -> dict[str, Any]:
    """How often contracts inferred from half of real columns alarm on the other half; no figure without the file."""
    from benchmarks import odd_columns

    if not file.is_file():
        wanted = {name: f"{sense} {bound}" for name, (sense, bound) in odd_columns.TARGETS.items()}
        targets = {name: {"want": want, "got": None, "met": False} for name, want in wanted.items()}
        return {"file": "not there", "targets": targets}
    columns, unreadable = odd_columns.read(file)
    found = odd_columns.figures(columns, range(odd_columns.SEEDS), "csv")
    return {**found, "unreadable": unreadable, "targets": odd_columns.held(found)}


def as_text(result: dict[str, Any]) -> str:
    """The figures and the targets."""
    lines = []
    for title in ("clean", "failing", "long"):
        lines += ["", title, f"{'':22}{'in the process':>16}{'whole process':>16}{'of processor':>14}{'peak':>10}"]
        for name, each in result[title].items():
            lines.append(
                f"{name:22}{each['in_process_seconds']:14.2f} s{each['wall_seconds']:14.2f} s"
                f"{each['cpu_seconds']:12.2f} s{each['peak_mb']:7} MB"
            )
    lines += ["", *(f"{name:36} {each['want']:>8}  {each['got'] or 0:>8}  {'met' if each['met'] else 'MISSED'}"
                    for name, each in result["targets"].items())]  # fmt: skip
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.validate", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--rounds", type=int, default=3, help="counted runs of each side")
    parser.add_argument("--folder", type=Path, default=REPOSITORY / "build/benchmark/validate", help="where it is put")
    parser.add_argument("--rows", type=int, default=ROWS, help="rows of the clean and of the failing file")
    parser.add_argument("--rows-long", type=int, default=ROWS_LONG, help="rows of the long file")
    labelled = REPOSITORY.parent / "shared/data/columns/st_bench_odd.csv"
    parser.add_argument(
        "--columns", type=Path, default=labelled, help="labelled columns, as benchmarks.odd_columns reads"
    )
    asked = parser.parse_args()
    if environments.missing():
        raise SystemExit(f"no environment for {', '.join(environments.missing())}; run: make bench-env")
    bench, every = Bench(asked.folder.resolve()), sides()
    machine = measuring.machine()
    clean = measure(bench, bench.data(asked.rows, 0.0), every, asked.rounds, warm=True)
    failing = measure(bench, bench.data(asked.rows, FAILING_SHARE), every, asked.rounds, warm=False)
    long = measure(bench, bench.data(asked.rows_long, 0.0), every[1:3], asked.rounds, warm=False)
    columns = inferred(asked.columns)
    result = {
        "machine": machine,
        "versions": shown.versions(),
        "rounds": asked.rounds,
        "rows": {"clean": asked.rows, "failing": asked.rows, "long": asked.rows_long},
        "clean": clean,
        "failing": failing,
        "long": long,
        "columns": columns,
        "targets": {**targets(clean, failing, long), **columns["targets"]},
    }
    print(json.dumps(result, indent=1) if asked.json else as_text(result))


if __name__ == "__main__":
    main()
