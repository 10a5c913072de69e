"""``mend run``: one pipeline, once, to its end."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mend.commands.options import Json, Root
from mend.output import Exit, console, counted, print_json, print_table, progress_bar

if TYPE_CHECKING:
    from mend.checking import Problem
    from mend.report import Store

_UNCHECKED_SHOWN = 5


def run(
    pipeline: Annotated[Path, typer.Argument(help="Pipeline file (YAML).")],
    root: Root = None,
    uri: Annotated[str, typer.Option("--uri", help="Only this file, glob or address.")] = "",
    wait: Annotated[float, typer.Option("--wait", help="Seconds to wait for retries that are due later.")] = 30.0,
    as_json: Json = False,
) -> None:
    """Check, load and heal what the pipeline's source has, then say where every row is."""
    from mend import checking, project, report, runner

    found, definition = project.of_pipeline(pipeline, root)
    started = time.monotonic()
    with progress_bar(quiet=as_json) as progress:
        process = project.open_process(found, progress=progress)
        unchecked = checking.refuse_wrong(definition, str(pipeline), process.definitions)
        left_over = runner.run_pipeline(process, definition.pipeline, uri, wait)
    result = runner.summary(process, definition.pipeline, time.monotonic() - started)
    if as_json:
        print_json(result)
    else:
        show(result, found.root)
        _show_waiting(report.Store(process.store, process.objects), definition.pipeline, found.root)
    _show_unchecked(unchecked)
    if left_over:
        console(stderr=True).print(f"mend: {left_over}", soft_wrap=True)
        raise typer.Exit(Exit.FAILED)
    raise typer.Exit(Exit.WAITING if report.waits_for_person(result["incidents"]) else Exit.DONE)


def _show_unchecked(unchecked: list[Problem]) -> None:
    """What the contract says and the run passed over, for whoever reads only the last lines."""
    out = console(stderr=True)
    for problem in unchecked[:_UNCHECKED_SHOWN]:
        out.print(f"{problem.place}: warning: {problem.message}", markup=False, soft_wrap=True)
    if len(unchecked) > _UNCHECKED_SHOWN:
        out.print(f"… and {len(unchecked) - _UNCHECKED_SHOWN:,} more that are not checked: mend check")


def show(result: dict[str, Any], root: Path) -> None:
    """The run's account as tables."""
    from mend import report

    columns = ("batch", "input", "state", "attempts", "read", "loaded", "quarantined", "discarded", "in flight")
    names = ("batch_id", "input", "state", "attempts", *report.COUNTS)
    shown = [entry for entry in result["batches"] if entry["rows_read"] != entry["rows_loaded"] or entry["incidents"]]
    rest = len(result["batches"]) - len(shown)
    rows = [[str(entry[name]) if name in names[:3] else entry[name] for name in names] for entry in shown[:50]]
    if shown:
        print_table(f"{result['pipeline']}: batches that were not simply loaded", columns, rows)
    sums = result["totals"]
    out = console()
    if len(shown) > 50:
        out.print(f"… and {len(shown) - 50:,} more: mend status --root {root}")
    if rest:
        out.print(f"{counted(rest, 'batch', 'batches')} loaded as they came")
    out.print(
        f"{counted(sums['batches'], 'batch', 'batches')} · {sums['rows_read']:,} rows read"
        f" = {sums['rows_loaded']:,} loaded + {sums['rows_quarantined']:,} quarantined"
        f" + {sums['rows_discarded']:,} discarded"
        f" + {sums['rows_in_flight']:,} in flight · {result['seconds']:.1f} s"
    )


def _show_waiting(store: Store, pipeline: str, root: Path) -> None:
    """What is open: where, why, and what to type."""
    from mend.waiting import SENTENCES_MAX, waiting

    out = console()
    found = list(waiting(store, pipeline, root))
    for each in found[:SENTENCES_MAX]:
        out.print(f"{each.place}: {each.what}")
        out.print(f"  → {each.command}")
    if found:
        wait = "1 incident waits" if len(found) == 1 else f"{len(found):,} incidents wait"
        out.print(f"{wait} for a person: mend incidents --root {root}")
