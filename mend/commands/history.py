"""``mend history``: what happened, as the events tell it, in the views that the cloud's history has."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mend.commands.options import Json, Root
from mend.output import Exit, console, print_json, print_table

VIEWS = ("batches", "incidents", "remedies", "repairs", "quality", "time_to_repair", "metrics")
_ROWS_SHOWN = 100
_COLUMNS_SHOWN = 8


def history(
    view: Annotated[str, typer.Argument(help=f"One of: {', '.join(VIEWS)}.")],
    pipeline: Annotated[str, typer.Option("--pipeline", help="Only this pipeline.")] = "",
    root: Root = None,
    as_json: Json = False,
) -> None:
    """Batches, incidents, remedies, repairs, quality, time to repair and metrics, from the store's events."""
    from mend import project
    from shared.runtime import settings, wiring

    if view not in VIEWS:
        raise typer.BadParameter(f"there is no view {view!r}; there are {', '.join(VIEWS)}")
    place = project.of_root(root)
    past = wiring.history(settings.load(root=str(place.root), project=str(place.folder)))
    try:
        found = past.view(view, **({"pipeline": pipeline} if pipeline else {}))
    finally:
        past.close()
    rows = _ordered(found.to_pylist())
    if as_json:
        print_json({"view": view, "columns": found.column_names, "rows": rows})
    else:
        _show(view, found.column_names, rows)
    raise typer.Exit(Exit.DONE)


def _ordered(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Oldest first, where a view has times."""

    def place(row: dict[str, Any]) -> list[str]:
        times = [str(row[name]) for name in row if name == "day" or name.endswith("_at")]
        return [*times[:1], *(str(cell) for cell in row.values())]

    return sorted(rows, key=place)


def _show(view: str, columns: list[str], rows: list[dict[str, Any]]) -> None:
    shown = columns[:_COLUMNS_SHOWN]
    cells = [["" if row[name] is None else row[name] for name in shown] for row in rows[:_ROWS_SHOWN]]
    print_table(view, shown, cells, empty="nothing happened yet")
    if len(rows) > _ROWS_SHOWN or len(columns) > _COLUMNS_SHOWN:
        more = f"{max(len(rows) - _ROWS_SHOWN, 0):,} rows and {max(len(columns) - _COLUMNS_SHOWN, 0)} columns"
        console().print(f"… and {more} more: --json")
