"""The short form of the load benchmark ends and reports every figure; how fast anything was is not judged."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.environments import REPOSITORY

FIGURES = {"fdatasync", "sustained", "burst", "latency", "pipelines_200", "executions_20", "checks_50", "soak"}
TARGETS = {
    *("events_per_second", "latency_p99_ms", "burst_seconds", "burst_lost", "burst_incidents", "soak_growth_percent"),
}


@pytest.mark.slow
def test_it_ends_and_reports(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.load", "--short", "--json", "--folder", str(tmp_path / "load")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr[-3_000:]
    found = json.loads(done.stdout)
    assert found["short"] is True
    assert found["machine"]
    assert set(found["figures"]) == FIGURES
    assert all(figures for figures in found["figures"].values())
    assert set(found["targets"]) == TARGETS
    assert all({"want", "got", "met"} == set(target) for target in found["targets"].values())
    # What is no matter of speed: nothing is lost, and whatever was begun ended.
    assert found["figures"]["burst"]["lost"] == 0
    assert found["figures"]["pipelines_200"]["all_loaded"]
    assert found["figures"]["executions_20"]["ended_well"] == found["figures"]["executions_20"]["executions"]
    assert found["figures"]["checks_50"]["exit_code"] == 0
