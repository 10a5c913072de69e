"""``mend quarantine``: the rows that wait, why they do, all of them as a file, and a person's leave for a batch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mend.commands.options import By, Json, Reason, Root, person
from mend.output import Exit, console, counted, print_json, print_table, progress_bar
from mend.quarantine import NOT_ACCEPTABLE
from shared.domain.masking import one_line

_BATCHES_SHOWN = 50

app = typer.Typer(
    name="quarantine",
    help="Rows that were set aside: list them, show why, export them, or accept what holds a batch.",
    no_args_is_help=True,
)
Batch = Annotated[str, typer.Argument(help="Id of the batch (b…), or its beginning.")]
Values = Annotated[bool, typer.Option("--values", help="Show cell values too.")]


@app.command("list")
def list_batches(
    root: Root = None,
    pipeline: Annotated[str, typer.Option("--pipeline", help="Only this pipeline.")] = "",
    as_json: Json = False,
) -> None:
    """Batches with rows in quarantine now, by reason."""
    from mend import project
    from mend.quarantine import waiting_batches

    process = project.open_process(project.of_root(root))
    found = waiting_batches(process.store, process.objects, pipeline)
    if as_json:
        print_json({"rows": sum(each["rows"] for each in found), "batches": found})
    else:
        out = console()
        rows = counted(sum(each["rows"] for each in found), "row")
        out.print(f"in quarantine: {rows} of {counted(len(found), 'batch', 'batches')}")
        for each in found[:_BATCHES_SHOWN]:
            state = "held whole" if each["held"] else "set aside row by row"
            out.print(f"\n{each['batch_id']}  {one_line(each['input'])}  {counted(each['rows'], 'row')}, {state}")
            for reason in each["reasons"]:
                about = f"{reason['check']} {reason['column']}".strip()
                out.print(f"    {reason['rows']:>9,}  {about}: {reason['explanation']}")
        if len(found) > _BATCHES_SHOWN:
            out.print(f"… and {len(found) - _BATCHES_SHOWN:,} batches more: --pipeline NAME or --json")
        _hint(found, str(process.settings.root))
    raise typer.Exit(Exit.WAITING if found else Exit.DONE)


def _hint(found: list[dict[str, Any]], root: str) -> None:
    out = console()
    if found:
        out.print(f"\nmend quarantine show {found[0]['batch_id']} --root {root}   # row by row; --values shows cells")
    checks = {each["batch_id"]: {reason["check"] for reason in each["reasons"]} for each in found}
    for each in [each for each in found if each["held"] and not checks[each["batch_id"]] & NOT_ACCEPTABLE][:5]:
        what = one_line(each["input"])
        out.print(f"mend quarantine release {each['batch_id']} --root {root}   # accept what holds {what}")


@app.command("show")
def show(
    batch: Batch,
    root: Root = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1_000, help="Rows to show.")] = 20,
    values: Values = False,
    show_personal: Annotated[
        bool, typer.Option("--show-personal", help="Show cell values with personal data in them unmasked.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Rows of a batch with every reason; cell values only with --values, personal data only with --show-personal."""
    from mend import lookup, project
    from mend.personal_columns import personal_columns
    from mend.places import healing_of
    from mend.quarantine import is_held, reasons_of, rows_of

    process = project.open_process(project.of_root(root))
    found = lookup.find(process.store, batch, ["batch"])
    healing = healing_of(process.store, found.key)
    rows, reasons = reasons_of(process.objects, found.key, healing)
    values = values or show_personal
    personal = None if show_personal else personal_columns(process.store, process.definitions, found.key)
    shown = rows_of(process.objects, found.key, healing, limit, values=values, personal=personal)
    if as_json:
        held = is_held(process.store, found.key, healing)
        told = {"batch_id": found.key, "input": found.data["uri"], "held": held, "rows": rows}
        print_json({**told, "reasons": reasons, "shown": shown})
        return
    out = console()
    out.print(f"{rows:,} rows of {one_line(found.data['uri'])} wait in quarantine (batch {found.key})")
    print_table("why", ("check", "column", "rows", "explanation"), [list(each.values()) for each in reasons])
    columns = ["row", "misfit", "reasons", *(["cells as delivered"] if values else [])]
    lines: list[list[object]] = []
    for each in shown:
        why = "; ".join(_told(reason) for reason in each["reasons"])
        cells = ", ".join(f"{name}={value}" for name, value in each.get("cells", {}).items()) or each.get("raw", "")
        lines.append([each["row"], each["misfit"], why, *([cells] if values else [])])
    print_table("rows", columns, lines, personal=True)
    if rows > len(shown):
        out.print(f"… and {rows - len(shown):,} more: --limit N, or mend quarantine export {found.key} FILE.csv")


def _told(reason: dict[str, str]) -> str:
    told = f"{reason['check']} {reason['column']}".strip()
    return f"{told} [{reason['value']}]" if "value" in reason else told


@app.command("export")
def export(
    batch: Batch,
    file: Annotated[Path, typer.Argument(help="File to write: .csv or .parquet.")],
    root: Root = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace the file if there is one.")] = False,
    show_personal: Annotated[
        bool, typer.Option("--show-personal", help="Personal data as it is, to mend and deliver again.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write all waiting rows of a batch with their reasons, values included, personal data masked unless asked."""
    from mend import lookup, project, quarantine
    from mend.personal_columns import personal_columns
    from mend.places import healing_of

    process = project.open_process(project.of_root(root))
    found = lookup.find(process.store, batch, ["batch"])
    told = quarantine.export(
        process.objects,
        found.key,
        healing_of(process.store, found.key),
        file,
        replace=replace,
        personal=None if show_personal else personal_columns(process.store, process.definitions, found.key),
    )
    if as_json:
        print_json({"batch_id": found.key, "file": str(file), "rows": told.rows, "cells_marked": told.cells_marked})
        return
    out = console()
    how = "personal data included" if show_personal else "personal data masked (--show-personal includes it)"
    out.print(f"{told.rows:,} rows with their reasons are in {file}, cells as they were delivered, {how}")
    if told.cells_marked:
        out.print(
            f"{told.cells_marked:,} cells that a spreadsheet would run as a formula begin with an apostrophe there"
        )


@app.command("release")
def release(batch: Batch, root: Root = None, by: By = "", reason: Reason = "", as_json: Json = False) -> None:
    """Accept what holds a batch: its rows without a violation of their own are loaded, and say what came of it."""
    from mend import lookup, project, report, runner
    from mend.places import healing_of, places
    from mend.quarantine import is_held
    from shared.events.types import RemedyDecided

    with progress_bar(quiet=as_json) as progress:
        process = project.open_process(project.of_root(root), progress=progress)
        found = lookup.find(process.store, batch, ["batch"])
        held = is_held(process.store, found.key, healing_of(process.store, found.key))
        if held:
            event_id = process.ids.new()
            event = RemedyDecided(
                id=event_id,
                time=process.clock.now(),
                subject=found.key,
                correlation_id=event_id,
                remedy_id=f"release:{found.key}",
                decision="approve",
                by=person(by),
                reason=reason[:500],
            )
            runner.run_events(process, [event])

        def is_still_held() -> bool:
            return is_held(process.store, found.key, healing_of(process.store, found.key))

        if held:
            runner.await_services(process, lambda: not is_still_held())
    after = places(process.objects, process.store, found.key)
    still = is_still_held()
    store = report.Store(process.store, process.objects)
    opened = [each for each in report.incidents(store) if each["batch_id"] == found.key]
    counts = {"rows_loaded": after.loaded, "rows_quarantined": after.quarantined, "rows_discarded": after.discarded}
    account = {"batch_id": found.key, "was_held": held, "held": still, **counts}
    account["incidents"] = [
        {name: each[name] for name in ("id", "check", "column", "state")}
        for each in opened
        if report.waits_for_person([each])
    ]
    if as_json:
        print_json(account)
    else:
        _say_released(account, str(process.settings.root))
    if held and still:
        raise typer.Exit(Exit.FAILED)
    raise typer.Exit(Exit.WAITING if account["incidents"] else Exit.DONE)


def _say_released(account: dict[str, Any], root: str) -> None:
    out = console()
    batch = account["batch_id"]
    if not account["was_held"]:
        out.print(f"nothing holds batch {batch}: what passed is loaded, the rest waits row by row")
    elif account["held"]:
        out.print(
            f"batch {batch} is still held: what holds it cannot be accepted, it must be mended or delivered again"
        )
    else:
        out.print(f"batch {batch} is released")
    out.print(
        f"{account['rows_loaded']:,} rows loaded, {account['rows_quarantined']:,} in quarantine,"
        f" {account['rows_discarded']:,} discarded"
    )
    for each in account["incidents"][:10]:
        out.print(f"mend explain {each['id']} --root {root}   # {each['check']} {each['column']}: {each['state']}")
