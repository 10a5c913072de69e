"""What load does with rows: gives passed parts on, applies the one transform, keeps what a load replaces."""

from __future__ import annotations

from collections.abc import Sequence

from services.load import foreign_rows
from services.load.table_rows import DROPPED, PROVENANCE, TableRows, Transform
from shared.domain import paths
from shared.domain.checks import check
from shared.events.types import BatchValidated
from shared.ports.object_store import ObjectStore
from shared.ports.ports import Ports
from shared.ports.warehouse import BATCH_COLUMN, ROW_COLUMN, SEQ_COLUMN, Mode, TableColumn
from tests.simulation.planes import rows_file
from tests.simulation.planes.rows_file import Rows

LEAST = 50  # the simulated projects' one transform: UPPER(status), and WHERE distance IS NULL OR distance >= 50
_SELECTED = ("id", "status", "distance", "day", "note", "customer")


def table_rows(event: BatchValidated, transform: Transform, keys: Sequence[str], ports: Ports) -> TableRows:
    """Files of table rows for the passed parts: the parts themselves when there is no transform."""
    parts = [(path, rows_file.read(ports.objects, path)) for path in event.passed_parts]
    if not transform.sql:
        columns = _columns(parts[-1][1]) if parts else ()
        return TableRows(tuple(event.passed_parts), columns, sum(len(part.rows) for _, part in parts), 0)
    check("distance >= 50" in transform.sql and "UPPER(status)" in transform.sql, "the simulated projects' transform")
    files: list[str] = []
    dropped: list[int] = []
    columns, rows = (), 0
    for number, (_, part) in enumerate(parts):
        made, gone = transformed(part)
        dropped += gone
        files.append(paths.part(paths.loaded(event.batch_id, event.attempt), number))
        rows_file.write(ports.objects, files[-1], made)
        columns, rows = _columns(made), rows + len(made.rows)
    if dropped:
        discarded = Rows([ROW_COLUMN, "reason"], ["integer", "string"], [[each, DROPPED] for each in dropped])
        rows_file.write(ports.objects, paths.discarded(event.batch_id, event.attempt, "load"), discarded)
    return TableRows(tuple(files), columns, rows, len(dropped))


def transformed(part: Rows) -> tuple[Rows, list[int]]:
    """The rows that the transform gives, and the numbers of those that its WHERE drops."""
    names = [*_SELECTED, ROW_COLUMN, BATCH_COLUMN, SEQ_COLUMN]
    places = [part.place(name) for name in names]
    distance, number = part.place("distance"), part.place(ROW_COLUMN)
    kept, dropped = [], []
    for row in part.rows:
        if row[distance] is not None and row[distance] < LEAST:
            dropped.append(row[number])
            continue
        cells = [row[place] for place in places]
        cells[1] = cells[1].upper() if cells[1] is not None else None
        kept.append(cells)
    return Rows(names, [part.types[place] for place in places], kept), dropped


def write_before(
    event: BatchValidated, table: str, mode: Mode, files: Sequence[str], keys: Sequence[str], ports: Ports
) -> None:
    """Keep what the load of ``files`` replaces, once; the rows that were never ours are written first."""
    path = paths.before(event.batch_id, event.attempt)
    if mode == "append" or ports.objects.stat(path) is not None:
        return
    found = ports.warehouse.dump(table) if mode == "overwrite" else ports.warehouse.rows_with_keys(table, files, keys)
    for rows in found:
        check(isinstance(rows, Rows), "the plain plane's warehouse")
        batch = rows.place(BATCH_COLUMN)
        others = [row for row in rows.rows if row[batch] != event.batch_id]
        if others:
            foreign = rows.only(row for row in others if row[batch] is None)
            if mode == "overwrite" and len(foreign.rows) == len(others):
                foreign_rows.supersede(table, event.batch_id, event.attempt, ports.objects)
            rows_file.write(ports.objects, paths.before_foreign(event.batch_id, event.attempt), foreign)
            rows_file.write(ports.objects, path, rows.only(others))


def columns_of_file(path: str, objects: ObjectStore) -> tuple[TableColumn, ...]:
    """The table columns of a file of rows."""
    return _columns(rows_file.read(objects, path))


def _columns(rows: Rows) -> tuple[TableColumn, ...]:
    typed = zip(rows.columns, rows.types, strict=True)
    return tuple(TableColumn(name, kind) for name, kind in typed if name not in PROVENANCE)  # type: ignore[arg-type]
