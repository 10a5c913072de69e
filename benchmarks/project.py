"""Our project folder, the one contract for every side, and a store with parents and earlier deliveries in it."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from benchmarks.inputs import TABLES
from mend.demo.project import DEFINITIONS

CONTRACT = "contracts/benchmark.odcs.yaml"
PIPELINE = "pipelines/flights.yaml"
_KEYS = {"airlines": "carrier", "airports": "faa", "planes": "tailnum"}


def write_project(folder: Path, inputs: Path) -> Path:
    """The demonstration's definitions, with the measured pipeline's contract and source made for one whole file."""
    shutil.rmtree(folder, ignore_errors=True)
    for kind in ("pipelines", "contracts"):
        (folder / kind).mkdir(parents=True)
    for table in TABLES:
        for name in (f"pipelines/{table}.yaml", f"contracts/{table}.odcs.yaml"):
            (folder / name).write_bytes((DEFINITIONS / name).read_bytes())
        (folder / "landing").mkdir(exist_ok=True)
        shutil.copyfile(inputs / f"{table}.csv", folder / "landing" / f"{table}.csv")
    _write_yaml(folder / CONTRACT, contract(inputs))
    pipeline = _read_yaml(DEFINITIONS / PIPELINE)
    pipeline["contract"] = CONTRACT
    pipeline["source"]["uri"] = str(inputs / "flights.csv")
    pipeline["destination"] = {"table": "travel.flights", "mode": "append"}
    pipeline["healing"] = {"mode": "observe"}
    _write_yaml(folder / PIPELINE, pipeline)
    return folder


def contract(inputs: Path) -> dict[str, Any]:
    """The demonstration's contract of flights for any year, with the parents' keys and the files' place beside it.

    The other tables carry nothing but the key that flights refer to: checking them is no part of the comparison.
    """
    found = copy.deepcopy(_read_yaml(DEFINITIONS / "contracts/flights.odcs.yaml"))
    found["id"] = "benchmark"
    flights = found["schema"][0]
    for column in flights["properties"]:
        if column["name"] == "year":
            column["logicalTypeOptions"] = {"minimum": 2000, "maximum": 2100}
    for table, key in _KEYS.items():
        columns = [{"name": key, "logicalType": "string"}]
        found["schema"].append({"name": table, "physicalType": "table", "properties": columns})
    place = str(inputs / "{model}.csv")
    found["servers"] = [{"server": "files", "type": "local", "path": place, "format": "csv"}]
    return found


def prepare_store(project: Path, inputs: Path, store: Path, environment: dict[str, str]) -> Path:
    """Load the parents and the baseline months: what a store has before the measured delivery."""
    shutil.rmtree(store, ignore_errors=True)
    baseline = str(inputs / "baseline" / "*.csv")
    runs = [(f"pipelines/{table}.yaml", "") for table in TABLES] + [(PIPELINE, baseline)]
    for pipeline, uri in runs:
        done = subprocess.run(
            run_command(project, store, pipeline, uri), env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode not in (0, 3) or json.loads(done.stdout)["totals"]["rows_in_flight"]:
            raise RuntimeError(f"{pipeline} could not be prepared: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return store


def run_command(project: Path, store: Path, pipeline: str, uri: str = "") -> list[str]:
    """The command line that is measured."""
    mend = Path(sys.executable).with_name("mend")
    asked = [str(mend), "run", str(project / pipeline), "--root", str(store), "--json"]
    return [*asked, "--uri", uri] if uri else asked


def _read_yaml(path: Path) -> dict[str, Any]:
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def _write_yaml(path: Path, value: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(value, sort_keys=False, allow_unicode=True), encoding="utf-8")
