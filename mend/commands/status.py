"""``mend status`` and ``mend incidents``: what stands, and what is open."""

from __future__ import annotations

from typing import Annotated

import typer

from mend.commands.options import Json, Root
from mend.output import Exit, console, print_json, print_table

Pipeline = Annotated[str, typer.Option("--pipeline", help="Only this pipeline.")]


def status(root: Root = None, pipeline: Pipeline = "", as_json: Json = False) -> None:
    """Batches by state, where their rows are, what is open."""
    from mend import load_waits, project, report

    process = project.open_process(project.of_root(root))
    store = report.Store(process.store, process.objects)
    batches = report.batches(store, pipeline)
    loads = load_waits.waiting_loads(process.store, pipeline=pipeline)
    incidents = report.incidents(store, pipeline)
    opened = [entry for entry in incidents if report.waits_for_person([entry])]
    if as_json:
        print_json(
            {
                "totals": report.totals(batches),
                "batches_by_state": report.states(batches),
                "incidents_by_state": report.states(incidents),
                "batches": batches,
                "loads_waiting": loads,
                "open_incidents": opened,
            }
        )
    else:
        pipelines = sorted({entry["pipeline"] for entry in [*batches, *opened]})
        rows = []
        for name in pipelines:
            mine = [entry for entry in batches if entry["pipeline"] == name]
            sums = report.totals(mine)
            shown = ", ".join(f"{count} {state}" for state, count in report.states(mine).items())
            waiting = sum(entry["pipeline"] == name for entry in opened)
            rows.append([name or "(no pipeline)", shown, *(sums[count] for count in report.COUNTS), waiting])
        columns = ("pipeline", "batches", "read", "loaded", "quarantined", "discarded", "in flight", "open incidents")
        print_table(f"store {process.settings.root}", columns, rows, empty="no batch yet; run: mend run PIPELINE.yaml")
        if loads:
            tables = ", ".join(sorted({each["table"] for each in loads}))
            console().print(
                f"{len(loads):,} batches wait to be loaded together, the warehouse has had its jobs: {tables}"
            )
    raise typer.Exit(Exit.WAITING if opened else Exit.DONE)


def incidents(
    root: Root = None,
    pipeline: Pipeline = "",
    every: Annotated[bool, typer.Option("--all", help="Healed and dismissed ones too.")] = False,
    roots: Annotated[bool, typer.Option("--roots", help="One line a cause, with how many hang on it.")] = False,
    as_json: Json = False,
) -> None:
    """Incidents with their diagnosis, newest first, and the command that decides what waits."""
    from mend import project, report, root_cause

    process = project.open_process(project.of_root(root))
    found = report.incidents(report.Store(process.store, process.objects), pipeline, open_only=not every)
    opened = [entry for entry in found if report.waits_for_person([entry])]
    if roots:
        found = root_cause.roots(process.store, process.definitions, found)
    if as_json:
        print_json({"incidents": found})
    else:
        columns: tuple[str, ...] = ("incident", "state", "cause", "confidence", "pipeline", "what", "rows", "remedy")
        columns += ("hang on it",) * roots
        rows = [
            [
                entry["id"],
                entry["state"],
                f"{entry['class']}/{entry['cause']}",
                f"{float(entry['confidence']):.0%}",
                entry["pipeline"],
                " ".join(part for part in (entry["check"], entry["column"]) if part) or entry["origin"],
                int(entry["rows_failed"] or 0),
                ", ".join(f"{each['remedy']} {each['state']}" for each in entry["remedies"][-2:]),
                *([len(entry["others"])] if roots else []),
            ]
            for entry in found[:200]
        ]
        print_table("incidents", columns, rows, empty="none open (--all shows healed ones)")
        _hints(found, str(process.settings.root))
    raise typer.Exit(Exit.WAITING if opened else Exit.DONE)


def _hints(found: list[dict[str, object]], root: str) -> None:
    """What to type next."""
    out = console()
    if len(found) > 200:
        out.print(f"… and {len(found) - 200:,} more: --pipeline NAME or --json")
    proposed = [
        (remedy["id"], remedy.get("plan_text", ""))
        for entry in found
        for remedy in entry["remedies"]  # type: ignore[attr-defined]
        if remedy["state"] == "proposed"
    ]
    for remedy, plan in proposed[:10]:
        out.print(f"mend approve {remedy} --root {root}   # {plan}")
    if found:
        out.print(f"mend explain {found[0]['id']} --root {root}   # the whole story of an incident")
