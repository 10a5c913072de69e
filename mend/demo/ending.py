"""What the demonstration shows at its end, and whether it ended as designed."""

from __future__ import annotations

import shutil
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from mend.demo.plan import End
from mend.demo.run import Result
from mend.output import console, print_table
from shared.domain.incident import IncidentState

_HEALED = {IncidentState.HEALED.value}
_OVER = {IncidentState.HEALED.value, IncidentState.DISMISSED.value}


def as_json(result: Result) -> dict[str, Any]:
    """The ending for programs."""
    return {
        "as_designed": not shortfalls(result),
        "shortfalls": shortfalls(result),
        "healed": _healed(result),
        "waiting": _waiting(result),
        "quarantined": _quarantined(result),
        "audit": result.audit,
        "rows_published": result.comparison.rows_published,
        "rows_loaded": result.comparison.rows_loaded,
        "cells_healed_wrongly": _wrong(result),
        "killed": result.killed,
        "seconds": round(result.seconds, 1),
        "root": str(result.root),
    }


def show(result: Result) -> None:
    """The ending for people."""
    root = result.root
    out = console()
    out.print()
    healed = _healed(result)
    columns = ("what happened", "where", "remedy", "rows")
    print_table(
        f"healed by itself ({sum(row['incidents'] for row in healed)} incidents)",
        columns,
        [[row["cause"], row["where"], row["remedy"], row["rows"]] for row in healed],
    )
    out.print()
    waiting = _waiting(result)
    print_table(
        f"waits for a person ({len(waiting)})",
        ("what happened", "where", "rows", "what to type"),
        [[row["cause"], row["where"], row["rows"], row["command"]] for row in waiting],
    )
    out.print()
    print_table(
        "quarantined, and why",
        ("delivery", "rows", "why"),
        [[row["where"], row["rows"], row["why"]] for row in _quarantined(result)],
    )
    out.print()
    sums = result.audit
    out.print(
        f"audit: {'ok' if sums['ok'] else 'NOT OK'} · {sums['rows_read']:,} rows delivered"
        f" = {sums['rows_loaded']:,} loaded + {sums['rows_quarantined']:,} quarantined"
        f" + {sums['rows_discarded']:,} discarded + {sums['rows_in_flight']:,} in flight"
    )
    for problem in sums["problems"][:10]:
        out.print(f"  {problem}")
    wrong = _wrong(result)
    out.print(
        f"truth: {result.comparison.rows_loaded:,} of {result.comparison.rows_published:,} published flights are in the"
        f" table; cells that differ from what was published: {wrong:,}"
    )
    for shortfall in shortfalls(result):
        out.print(f"not as designed: {shortfall}")
    out.print(f"took {result.seconds:.0f} s; look into it:")
    if shutil.which("mend") is None:
        out.print(f"  source {Path(sys.executable).with_name('activate')}   # once, so that this shell finds mend")
    for command in ("incidents --all", "status", "quarantine list", "audit"):
        out.print(f"  mend {command} --root {root}")


def shortfalls(result: Result) -> list[str]:
    """What did not end as designed; [] when everything did."""
    found = [] if result.audit["ok"] else ["the audit found problems"]
    if not result.killed:
        found.append("the process was not killed in its middle")
    if _wrong(result) or result.comparison.unknown:
        found.append(f"{_wrong(result):,} cells in the table differ from what was published")
    if (missing_rows := result.comparison.missing) != (planned := _planned_missing(result)):
        months = sorted(
            month for month in {*missing_rows, *planned} if missing_rows.get(month, 0) != planned.get(month, 0)
        )
        found.append(
            "rows are missing, or there, that should not be: " + ", ".join(f"month {month}" for month in months)
        )
    expected = {"convert_unit"}
    proposed = {
        remedy["remedy"] for entry in result.incidents for remedy in entry["remedies"] if remedy["state"] == "proposed"
    }
    if missing := expected - proposed:
        found.append(f"{', '.join(sorted(missing))} was not proposed")
    used = {
        remedy["remedy"] for entry in result.incidents for remedy in entry["remedies"] if remedy["state"] == "verified"
    }
    wanted = {"rename_columns", "other_reading", "normalise_text", "snap_to_allowed", "parse_dates", "add_column"}
    wanted |= {"retry_with_backoff", "refetch"}
    if missing := wanted - used:
        found.append(f"{', '.join(sorted(missing))} did not heal anything")
    if result.audit["rows_in_flight"]:
        found.append("rows are in flight although nothing is under way")
    return found


def _planned_missing(result: Result) -> dict[int, int]:
    """By month, the rows that must not be in the table yet: quarantined for good, or waiting for a person."""
    planned: dict[int, int] = defaultdict(int)
    for delivery, fault in result.plan.faults():
        if fault.end in (End.QUARANTINED, End.WAITS):
            planned[delivery.month] += fault.rows
    return dict(planned)


def _wrong(result: Result) -> int:
    return sum(result.comparison.wrong.values())


def _names(result: Result) -> dict[str, str]:
    return {entry["batch_id"]: entry["input"].rpartition("/")[2] for entry in result.batches}


def _where(result: Result, entry: dict[str, Any]) -> str:
    named = _names(result).get(entry["batch_id"], "") or str(entry["uri"]).rpartition("/")[2] or entry["pipeline"]
    column = f" {entry['column']}" if entry["column"] else ""
    return f"{named or entry['origin']}{column}"


def _healed(result: Result) -> list[dict[str, Any]]:
    grouped: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for entry in result.incidents:
        if entry["state"] in _HEALED:
            by = ", ".join(dict.fromkeys(each["remedy"] for each in entry["remedies"] if each["state"] == "verified"))
            several = entry["cause"] in {"orphan_rows", "parent_missing"}
            where = f"{entry['pipeline']} {entry['column']}" if several else _where(result, entry)
            grouped[(str(entry["cause"]), where, by or "the next attempt")].append(entry)
    return [
        {"cause": cause, "where": where, "remedy": by, "incidents": len(found), "rows": _rows(found)}
        for (cause, where, by), found in sorted(grouped.items(), key=lambda item: item[0][1])
    ]


def _rows(found: list[dict[str, Any]]) -> int:
    return sum(int(entry["rows_failed"] or 0) for entry in found)


def _waiting(result: Result) -> list[dict[str, Any]]:
    rows = []
    for entry in reversed(result.incidents):
        if entry["state"] in _OVER:
            continue
        proposed = [remedy for remedy in entry["remedies"] if remedy["state"] == "proposed"]
        root = f"--root {result.root}"
        command = f"mend approve {proposed[-1]['id']} {root}" if proposed else f"mend explain {entry['id']} {root}"
        rows.append(
            {
                "incident": entry["id"],
                "cause": str(entry["cause"]),
                "where": _where(result, entry),
                "rows": int(entry["rows_failed"] or 0),
                "command": command,
            }
        )
    return rows


def _quarantined(result: Result) -> list[dict[str, Any]]:
    why: dict[str, list[str]] = defaultdict(list)
    for entry in result.incidents:
        if entry["batch_id"] and entry["state"] not in _OVER:
            why[entry["batch_id"]].append(f"{entry['check']} {entry['column']}".strip() + f" ({entry['cause']})")
    return [
        {
            "where": entry["input"].rpartition("/")[2],
            "rows": int(entry["rows_quarantined"]),
            "why": ", ".join(sorted(why[entry["batch_id"]])) or "see mend quarantine show",
        }
        for entry in result.batches
        if entry["rows_quarantined"]
    ]
