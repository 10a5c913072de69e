"""One process run to its end: seconds by the clock, seconds of processor, and the most memory it held."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True)
class Run:
    """What one process cost. The peak is that of the largest single process among it and its children."""

    wall_seconds: float
    cpu_seconds: float
    peak_mb: float
    exit_code: int


def run(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Run:
    """Start, wait, and ask the kernel what it took; the output goes to ``stdout`` and ``stderr`` in the folder."""
    os.sync()  # what others left to be written is not this process's cost
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=dict(environment), stdout=out, stderr=err)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    scale = 1024 if platform.system() == "Linux" else 1024 * 1024
    cpu = usage.ru_utime + usage.ru_stime
    return Run(wall, cpu, usage.ru_maxrss / scale, process.returncode)


def medians(runs: Sequence[Run]) -> dict[str, Any]:
    """The middle of several runs, and the single ones."""
    return {
        "wall_seconds": round(median(each.wall_seconds for each in runs), 3),
        "cpu_seconds": round(median(each.cpu_seconds for each in runs), 3),
        "peak_mb": round(max(each.peak_mb for each in runs)),
        "walls": [round(each.wall_seconds, 3) for each in runs],
        "cpus": [round(each.cpu_seconds, 3) for each in runs],
    }


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    model = ""
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        model = names[0] if names else ""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    except (ValueError, OSError):
        memory = 0
    return {
        "cores": os.cpu_count() or 0,
        "memory_mb": memory,
        "processor": model or platform.processor(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
        "date": time.strftime("%Y-%m-%d"),
    }
