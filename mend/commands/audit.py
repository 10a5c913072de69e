"""``mend audit``: is every row accounted for?"""

from __future__ import annotations

import time
from typing import Any

import typer

from mend.commands.options import Json, Root
from mend.output import Exit, console, print_json, print_table, progress_bar
from shared.domain.masking import one_line

_PROBLEMS_SHOWN = 30


def audit(root: Root = None, as_json: Json = False) -> None:
    """Count every delivered record again: is each in exactly one place, and do the tables agree?"""
    from mend import project
    from mend.audit import audit as count_again

    started = time.monotonic()
    with progress_bar(quiet=as_json) as progress:
        process = project.open_process(project.of_root(root), progress=progress)
        try:
            found = count_again(process)
        finally:
            process.close()
    account = {**found.as_json(), "seconds": round(time.monotonic() - started, 3)}
    if as_json:
        print_json(account)
    else:
        _show(account)
    raise typer.Exit(Exit.DONE if found.ok else Exit.FAILED)


def _show(account: dict[str, Any]) -> None:
    out = console()
    columns = ("table", "mode", "rows", "loaded by Mendline", "columns not compared")
    rows = [
        [
            each["table"],
            each["mode"],
            each["rows"],
            each["rows_ours"],
            ", ".join(each["columns_not_compared"]) or "none",
        ]
        for each in account["tables"]
    ]
    if rows:
        print_table("tables", columns, rows)
    for each in account["tables"]:
        if each["under_way"]:
            out.print(f"in flight: a load into {each['table']} is under way; end it with mend run, then count again")
    for reason, count in account["discarded_because"].items():
        out.print(f"discarded: {count:,} × {reason}")
    for each in account["waiting"][:_PROBLEMS_SHOWN]:
        named = ", ".join(each["incidents"])
        where = one_line(each["input"], 300)
        out.print(f"in flight: {each['rows']:,} rows of {where}, because of {each['because']} {named}")
    for problem in account["problems"][:_PROBLEMS_SHOWN]:
        out.print(f"PROBLEM: {problem}")
    if len(account["problems"]) > _PROBLEMS_SHOWN:
        out.print(f"… and {len(account['problems']) - _PROBLEMS_SHOWN:,} more: --json")
    said = "audit ok" if account["ok"] else "audit FAILED"
    out.print(
        f"{said}: {account['batches']:,} batches · {account['rows_read']:,} rows read"
        f" = {account['rows_loaded']:,} loaded + {account['rows_quarantined']:,} quarantined"
        f" + {account['rows_discarded']:,} discarded + {account['rows_in_flight']:,} in flight"
        f" · {account['seconds']:.1f} s"
    )
