"""The measurement as text."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Any

from benchmarks.environments import REQUIREMENTS

WHAT = {
    "ours": "mend run: staged, checked, quarantined, loaded",
    "datacontract": "datacontract test: read into DuckDB, checked",
    "great_expectations": "Great Expectations over pandas: read, checked",
    "floor": "DuckDB: read into a table, unchecked",
}


def note(text: str) -> None:
    """Say what is going on, beside the answer."""
    print(text, file=sys.stderr, flush=True)


def versions() -> dict[str, str]:
    """What was measured against what."""
    found = {name: version(name) for name in ("mendline", "duckdb", "polars", "pyarrow", "pandera")}
    for peer, package in (("datacontract", "datacontract-cli"), ("great_expectations", "great-expectations")):
        for line in (REQUIREMENTS / f"{peer}.txt").read_text(encoding="utf-8").splitlines():
            if line.startswith(f"{package}=="):
                found[package] = line.partition("==")[2]
    return found


def as_text(result: dict[str, Any]) -> str:
    """Figures, checks and targets as three tables."""
    machine, figures = result["machine"], result["figures"]
    taken = f"{result['rows']:,} rows, medians of {result['rounds']} interleaved runs, {machine['cores']} cores"
    lines = [
        f"{taken} ({machine['processor']}), {machine['memory_mb']:,} MB, load before {machine['load_before']}",
        "",
        f"{'':52}{'wall s':>8}{'fastest':>9}{'cpu s':>8}{'peak MB':>9}",
    ]
    for side, what in WHAT.items():
        its = figures.get(side)
        if its is None:
            continue
        lines.append(
            f"{what:52}{its['wall_seconds']:8.2f}{min(its['walls']):9.2f}{its['cpu_seconds']:8.2f}{its['peak_mb']:9,}"
        )
    long = result["ten_times"]
    what = f"ours on {long['rows']:,} rows, once"
    lines.append(f"{what:52}{long['wall_seconds']:8.2f}{'':9}{long['cpu_seconds']:8.2f}{long['peak_mb']:9,}")
    lines += ["", f"{'ours over':28}{'wall':>10}{'fastest':>10}{'cpu':>10}"]
    for side, its in result["ratios"].items():
        lines.append(f"{side:28}{its['wall']:10.2f}{its['fastest_wall']:10.2f}{its['cpu']:10.2f}")
    lines += ["", "checks that ran (rules), and rows found failing"]
    for side, kinds in result["checks"].items():
        if kinds:
            lines.append(f"  {side}: " + "; ".join(_kind(name, kinds[name]) for name in kinds))
    lines += ["", f"{'target':28}{'want':>10}{'got':>10}"]
    for name, target in result["targets"].items():
        lines.append(f"{name:28}{target['want']:>10}{target['got']:>10}  {'met' if target['met'] else 'MISSED'}")
    return "\n".join(lines)


def _kind(name: str, kind: dict[str, Any]) -> str:
    failed = ", ".join(f"{column} {rows:,}" for column, rows in kind["failed"].items())
    return f"{name} x{kind['rules']}" + (f" ({failed})" if failed else "")
