"""How a project stands, in words that are the same on every machine: without ids, addresses and times."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mend import report
from mend.audit import audit
from mend.deploy import scheduled_jobs
from shared.runtime.wiring import Process


def account(process: Process) -> dict[str, Any]:
    """What a green audit counted."""
    found = audit(process)
    assert found.problems == []
    counted = found.as_json()
    return {name: counted[name] for name in (*report.COUNTS, "ok", "batches", "discarded_because")}


def ends(process: Process, pipelines: Sequence[str]) -> list[tuple[Any, ...]]:
    """How every incident ended; "" among the pipelines stands for those of other systems."""
    store = report.Store(process.store, process.objects)
    found = [each for each in report.incidents(store) if (each["pipeline"] or "") in pipelines]
    return sorted((each["pipeline"] or "", each["class"], each["cause"], each["state"]) for each in found)


def deliveries(process: Process) -> list[tuple[Any, ...]]:
    """Every delivery by its file's name, its state and where its rows are."""
    counted = []
    for each in report.batches(report.Store(process.store, process.objects)):
        name = each["input"].rpartition("/")[2]
        counted.append((name, each["state"], *(each[count] for count in report.COUNTS)))
    return sorted(counted)


def audited(staged: Path, environment: dict[str, str]) -> dict[str, Any]:
    """What the scheduled job says of the cloud's store, run as its folder's Procfile says."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    commands = dict(line.split(": ", 1) for line in (staged / "Procfile").read_text().splitlines())
    words = [sys.executable, *commands[scheduled_jobs.AUDIT.process].split()[1:]]
    ended = subprocess.run(
        words, env={**inherited, **environment}, capture_output=True, text=True, timeout=300, cwd=staged
    )
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    return found
