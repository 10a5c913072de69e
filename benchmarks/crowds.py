"""Many at once: pipelines in one process, processes on one store, checks on one delivery."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

from benchmarks.arrivals import CONTRACT, Up, deliver, make_pipeline, mend
from benchmarks.environments import clean_environment

CHECKS = 50
_BASE_CHECKS = 6  # of the contract that the others are added to


def many_pipelines(folder: Path, count: int) -> dict[str, Any]:
    """A file for each of many pipelines, all there before one `mend up` starts."""
    for number in range(count):
        make_pipeline(folder, f"p{number:03d}")
        deliver(folder, f"p{number:03d}", number, rows=100)
    started = time.monotonic()
    up = Up(folder)
    whole = up.wait_for(count, 600)
    took = time.monotonic() - started
    up.stop()
    return {"pipelines": count, "all_loaded": whole, "seconds": round(took, 2)}


def at_once(folder: Path, count: int) -> dict[str, Any]:
    """That many `mend run` at the same moment, each its own pipeline, on one store."""
    for number in range(count):
        make_pipeline(folder, f"p{number:03d}")
        deliver(folder, f"p{number:03d}", number)
    started = time.monotonic()
    running = [_run(folder, f"p{number:03d}") for number in range(count)]
    codes = [each.wait() for each in running]
    return {"executions": count, "ended_well": codes.count(0), "seconds": round(time.monotonic() - started, 2)}


def many_checks(folder: Path, rows: int) -> dict[str, Any]:
    """One delivery under a contract with fifty checks."""
    make_pipeline(folder, "visits")
    columns = "".join(
        f"      - {{name: c{number}, logicalType: integer, required: true, logicalTypeOptions: {{minimum: 0}}}}\n"
        for number in range((CHECKS - _BASE_CHECKS) // 2)
    )
    (folder / "contracts" / "visits.odcs.yaml").write_text(CONTRACT.format(name="visits") + columns)
    names = [f"c{number}" for number in range((CHECKS - _BASE_CHECKS) // 2)]
    with (folder / "landing" / "visits" / "a.csv").open("w") as file:
        file.write(",".join(["visit", "page", "at", "seconds", *names]) + "\n")
        for row in range(rows):
            file.write(f"{row},home,2024-03-01T08:00:00Z,{row % 90}.5" + f",{row % 7}" * len(names) + "\n")
    started = time.monotonic()
    code = _run(folder, "visits").wait()
    return {"checks": CHECKS, "rows": rows, "exit_code": code, "seconds": round(time.monotonic() - started, 2)}


def _run(folder: Path, name: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [mend(), "run", f"pipelines/{name}.yaml", "--root", "store", "--json"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=clean_environment(),
    )
