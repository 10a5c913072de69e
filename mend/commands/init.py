"""``mend init``: from data to a pipeline and a contract, and, when asked, to the first load."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mend.commands.options import Json, Root
from mend.output import Exit, console, counted, print_json, print_table, progress_bar
from shared.domain.errors import DefinitionError, ForeignFailure

if TYPE_CHECKING:
    from mend.initialise import Initialised
    from shared.domain.contract import Column, Inside

_COLUMNS_SHOWN = 60
_NAMES_SHOWN = 5


def init(
    data: Annotated[str, typer.Argument(help="A file, a folder, a pattern in quotes, or a web address.")],
    project: Annotated[Path, typer.Option("--project", help="Folder for pipelines/ and contracts/.")] = Path(),
    root: Root = None,
    name: Annotated[str, typer.Option("--name", help="Name of the pipeline (default: from the files).")] = "",
    table: Annotated[str, typer.Option("--table", help="dataset.table (default: analytics.NAME).")] = "",
    mode: Annotated[
        Literal["append", "upsert", "overwrite"] | None,
        typer.Option("--mode", help="append, upsert or overwrite (default: upsert if there is a sure key)."),
    ] = None,
    samples: Annotated[int, typer.Option("--samples", min=1, help="Deliveries to infer from, first by name.")] = 7,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the two files if they are there.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Load at once, without asking.")] = False,
    as_json: Json = False,
) -> None:
    """Write a pipeline and a contract inferred from data, show them, and ask before the first load."""
    from mend.initialise import Wanted, initialise
    from shared.runtime import settings, wiring

    given = settings.load(project=str(project))
    wanted = Wanted(data, project, name, table, mode, samples, force)
    with progress_bar(quiet=as_json) as progress:
        try:
            made = initialise(wanted, wiring.source_of(given), progress)
        except ForeignFailure as error:
            raise DefinitionError(data, 0, 0, f"cannot be read: {error.message}", "name a file or a folder") from error
    if not as_json:
        _show(made)
    if not (yes or (not as_json and _agreed(made))):
        command = _command(made, root)
        if as_json:
            print_json({**_account(made), "loaded": False, "next": command})
        else:
            console().print(f"nothing is loaded yet; correct the two files as you like, then: {command}")
        raise typer.Exit(Exit.DONE)
    _load(made, root, as_json)


def _agreed(made: Initialised) -> bool:
    """Ask, if there is somebody to ask."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    count = made.deliveries
    what = "this delivery" if count == 1 else f"the {count:,} deliveries"
    return typer.confirm(f"Load {what} into {made.pipeline.destination.table} now?", default=False)


def _load(made: Initialised, root: Path | None, as_json: bool) -> None:
    import time

    from mend import project, report, runner
    from mend.commands.run import show

    found, definition = project.of_pipeline(made.pipeline_file, root)
    started = time.monotonic()
    with progress_bar(quiet=as_json) as progress:
        process = project.open_process(found, progress=progress)
        runner.run_pipeline(process, definition.pipeline)
    result = runner.summary(process, definition.pipeline, time.monotonic() - started)
    if as_json:
        print_json({**_account(made), "loaded": True, "run": result})
    else:
        show(result, found.root)
    raise typer.Exit(Exit.WAITING if report.waits_for_person(result["incidents"]) else Exit.DONE)


def _command(made: Initialised, root: Path | None) -> str:
    parts = ["mend", "run", str(made.pipeline_file), *(["--root", str(root)] if root else [])]
    return shlex.join(parts)


def _account(made: Initialised) -> dict[str, Any]:
    destination = made.pipeline.destination
    return {
        "pipeline": made.pipeline.pipeline,
        "pipeline_file": str(made.pipeline_file),
        "contract_file": str(made.contract_file),
        "source": made.pipeline.source.uri,
        "table": destination.table,
        "mode": destination.mode,
        "format": made.dialect.model_dump(mode="json"),
        "null_values": list(made.null_values),
        "primary_key": list(made.contract.primary_key),
        "columns": [
            {"name": each.name, "type": each.logical_type, "rules": _rules(each)} for each in made.contract.columns
        ],
        "deliveries": made.deliveries,
        "sampled": made.read,
        "rows_sampled": made.rows,
        "notes": list(made.notes),
    }


def _show(made: Initialised) -> None:
    out = console()
    columns = made.contract.columns
    rows = [[each.name, each.logical_type, _rules(each)] for each in columns[:_COLUMNS_SHOWN]]
    title = (
        f"{made.pipeline.pipeline}: {counted(len(columns), 'column')}, from {counted(made.rows, 'row')}"
        f" of {counted(len(made.read), 'delivery', 'deliveries')}"
    )
    print_table(title, ("column", "type", "rules"), rows)
    if len(columns) > _COLUMNS_SHOWN:
        out.print(f"… and {len(columns) - _COLUMNS_SHOWN:,} more in {made.contract_file}")
    destination = made.pipeline.destination
    out.print(
        f"source {made.pipeline.source.uri}: {counted(made.deliveries, 'delivery', 'deliveries')}, {_spoken(made)}"
    )
    key = f", key {', '.join(made.contract.primary_key)}" if made.contract.primary_key else ""
    out.print(f"table {destination.table}, {destination.mode}{key}")
    nulls = ", ".join(value or "an empty cell" for value in made.null_values)
    out.print(f"null is written as: {nulls}")
    for note in made.notes:
        out.print(f"note: {note}")
    out.print(f"written: {made.pipeline_file}, {made.contract_file}")


def _spoken(made: Initialised) -> str:
    """The dialect in words."""
    dialect = made.dialect
    if dialect.format != "csv":
        return {"jsonl": "JSON Lines", "json": "a JSON document", "avro": "Avro"}.get(dialect.format, "Parquet")
    delimiter = {"\t": "tabs"}.get(dialect.delimiter, f"“{dialect.delimiter}”")
    header = "with a header" if dialect.header else "without a header"
    comma = ", decimal commas" if dialect.decimal == "," else ""
    return f"CSV in {dialect.encoding}, separated by {delimiter}, {header}{comma}"


def _rules(column: Column) -> str:
    """What is claimed of a column besides its type."""
    said = []
    if column.primary_key_position:
        said.append("key")
    if column.required:
        said.append("required")
    if column.format:
        said.append(f"written {column.format}")
    if column.minimum is not None:
        said.append(f"at least {column.minimum}")
    if column.enum:
        said.append(f"one of {len(column.enum)} values")
    if column.inside is not None and (within := _inside(column.inside)):
        said.append(within)
    return ", ".join(said)


def _inside(inside: Inside) -> str:
    """The names in an object, or in each of an array's."""
    items = inside.items
    within = items.inside if items is not None and items.inside is not None else inside
    names = [each.name for each in within.properties]
    if not names:
        return f"of {items.logical_type}s" if items is not None else ""
    more = ", …" if len(names) > _NAMES_SHOWN else ""
    return f"with {', '.join(names[:_NAMES_SHOWN])}{more}"
