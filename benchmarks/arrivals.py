"""Files that arrive all the time at a `mend up`: how long until their rows are loaded, and what memory it keeps."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.environments import OURS, binary, clean_environment

ROWS = 1_000
FILES_PER_SECOND = 20
WARM_FILES = 30
WAIT_SECONDS_MAX = 120.0
HEADER = "visit,page,at,seconds\n"
PAGES = ("home", "basket")

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: {name}
name: {name}
version: 1.0.0
status: active
schema:
  - name: {name}
    properties:
      - {{name: visit, logicalType: integer, required: true, unique: true}}
      - {{name: page, logicalType: string, required: true, enum: [{{value: home}}, {{value: basket}}]}}
      - {{name: at, logicalType: timestamp, required: true}}
      - {{name: seconds, logicalType: number, logicalTypeOptions: {{minimum: 0}}}}
"""
PIPELINE = """\
pipeline: {name}
source:
  kind: files
  uri: landing/{name}/*.csv
  order: name
  format: {{format: csv, encoding: utf-8, delimiter: ",", header: true, decimal: "."}}
contract: contracts/{name}.odcs.yaml
destination: {{table: shop.{name}, mode: append}}
on_violation: {{rows: quarantine, score_below: 40}}
alerts: {{channels: [jsonl]}}
"""


def make_pipeline(folder: Path, name: str) -> None:
    """A pipeline of visits, with nothing delivered."""
    for kind, suffix, text in (("pipelines", "yaml", PIPELINE), ("contracts", "odcs.yaml", CONTRACT)):
        (folder / kind).mkdir(exist_ok=True)
        (folder / kind / f"{name}.{suffix}").write_text(text.format(name=name))
    (folder / "landing" / name).mkdir(parents=True)


def deliver(folder: Path, name: str, number: int, rows: int = ROWS) -> float:
    """Write the numbered file as its writer would, whole under its name; when it was there (monotonic seconds)."""
    lines = (
        f"{visit},{PAGES[visit % 2]},2024-03-{visit % 28 + 1:02d}T08:{visit % 60:02d}:00Z,{visit % 90}.5\n"
        for visit in range(number * rows, (number + 1) * rows)
    )
    path = folder / "landing" / name / f"f{number:07d}.csv"
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text(HEADER + "".join(lines))
    unfinished.rename(path)
    return time.monotonic()


def mend() -> Path:
    """The installed command: of the environment that is measured if it was built, else of this interpreter."""
    ours = binary(OURS, "mend")
    return ours if ours.exists() else Path(sys.executable).with_name("mend")


class Up:
    """A `mend up` under way; notes when each batch was loaded."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.loaded: dict[str, float] = {}
        self._process = subprocess.Popen(
            [mend(), "up", "--project", str(folder), "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=clean_environment(),
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for text in self._process.stdout or ():
            now = time.monotonic()
            line = json.loads(text)
            if line["service"] == "load" and line["event"] == "batch.validated.v1" and line["outcome"] == "handled":
                self.loaded.setdefault(line["about"], now)

    def wait_for(self, count: int, seconds_max: float = WAIT_SECONDS_MAX) -> bool:
        """Whether so many batches are loaded in time."""
        deadline = time.monotonic() + seconds_max
        while len(self.loaded) < count and time.monotonic() < deadline and self._process.poll() is None:
            time.sleep(0.02)
        return len(self.loaded) >= count

    def resident_mb(self) -> float:
        """The memory it holds now."""
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        return pages * 4096 / 2**20

    def stop(self) -> dict[str, float]:
        """End it; when each file (by its number) was loaded."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(timeout=WAIT_SECONDS_MAX)
        self._reader.join(timeout=10)
        with closing(sqlite3.connect(self.folder / "mend-store" / ".mend" / "store.db")) as connection:
            sql = "SELECT key, json_extract(data, '$.uri') FROM documents WHERE collection = 'deliveries'"
            names = {str(key): str(uri) for key, uri in connection.execute(sql)}
        return {names[batch]: moment for batch, moment in self.loaded.items() if batch in names}


def latency(folder: Path, seconds: float) -> dict[str, Any]:
    """From the moment a file of 1,000 rows is there to the moment its rows are, at twenty files a second."""
    make_pipeline(folder, "visits")
    up = Up(folder)
    for number in range(WARM_FILES):
        deliver(folder, "visits", number)
    up.wait_for(WARM_FILES)
    landed: dict[str, float] = {}
    began = time.monotonic()
    number = WARM_FILES
    while time.monotonic() - began < seconds:
        landed[f"landing/visits/f{number:07d}.csv"] = deliver(folder, "visits", number)
        number += 1
        time.sleep(max(0.0, began + (number - WARM_FILES) / FILES_PER_SECOND - time.monotonic()))
    offered = len(landed) / (time.monotonic() - began)
    whole = up.wait_for(number)
    loaded = up.stop()
    waits = sorted((loaded[uri] - moment) * 1_000 for uri, moment in landed.items() if uri in loaded)
    return {
        "files": len(landed),
        "files_per_second": round(offered, 1),
        "all_loaded": whole,
        **{f"p{share}_ms": round(waits[min(len(waits) - 1, len(waits) * share // 100)]) for share in (50, 90, 95, 99)},
        "max_ms": round(waits[-1]),
    }


def soak(folder: Path, seconds: float) -> dict[str, Any]:
    """Memory of a `mend up` that is given five files a second: its last fifth against its second."""
    make_pipeline(folder, "visits")
    up = Up(folder)
    for number in range(WARM_FILES):
        deliver(folder, "visits", number)
    up.wait_for(WARM_FILES)
    began, number, held = time.monotonic(), WARM_FILES, []
    while (now := time.monotonic() - began) < seconds:
        deliver(folder, "visits", number)
        (folder / "landing" / "visits" / f"f{number - WARM_FILES:07d}.csv").unlink()  # a landing folder is kept short
        number += 1
        held.append(up.resident_mb())
        time.sleep(max(0.0, (number - WARM_FILES) / 5 - now))
    up.wait_for(number)
    up.stop()
    fifth = max(1, len(held) // 5)
    early, late = median(held[fifth : 2 * fifth] or held), median(held[-fifth:])
    return {
        "seconds": round(seconds),
        "files": number - WARM_FILES,
        "early_mb": round(early, 1),
        "late_mb": round(late, 1),
        "peak_mb": round(max(held), 1),
        "growth_percent": round((late / early - 1) * 100, 1),
    }
