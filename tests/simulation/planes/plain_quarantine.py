"""The quarantine of a batch as lists, and the attempts that are made of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from services.remediate.attempt import CellChange, Repairs, Written
from services.remediate.quarantine import MARKS, Quarantine
from services.remediate.records import Attempt, Healing, Remedy
from services.remediate.verifying import Counted
from services.remediate.work import BatchCases, Work
from shared.domain import paths
from shared.domain.reading import RAW, ROW
from shared.ports.object_store import ObjectStore
from tests.simulation.planes import rows_file
from tests.simulation.planes.plain_cells import as_integer
from tests.simulation.planes.rows_file import Row, Rows

Cell = tuple[int, str]  # row number, column
Change = tuple[str, str, str, float]  # old, new, remedy, confidence


def parts(objects: ObjectStore, folder: str) -> Iterator[Rows]:
    """The files of a folder of rows, in order."""
    for info in list(objects.list(folder)):
        yield rows_file.read(objects, info.path)


def numbers(objects: ObjectStore, folder: str) -> set[int]:
    """The `_mend_row` of every row in a folder or under a file's path."""
    return {row[part.place(ROW)] for part in parts(objects, folder) for row in part.rows}


def contained(objects: ObjectStore, batch: str, attempt: Attempt) -> set[int]:
    """Rows whose place an attempt decides."""
    staged = numbers(objects, paths.staged(batch, attempt.number))
    if attempt.kind == "rows" and attempt.verdict:
        staged -= numbers(objects, paths.quarantine(batch, attempt.number))
    return staged | numbers(objects, paths.discarded(batch, attempt.number, "remediate"))


# ── the methods of Quarantine ──


def gone(self: Quarantine) -> set[int]:
    """Rows that later attempts took away."""
    if self._gone is None:
        found = [contained(self._objects, self._batch, each) for each in self._later]
        self._gone = set().union(*found)  # type: ignore[assignment]
    return self._gone  # type: ignore[return-value]


def frames(self: Quarantine) -> Iterator[Rows]:
    """The rows with their marks, staged cells and violations; nothing empty."""
    if self._base is None or self._base.rows_quarantined == 0:
        return
    away = gone(self)
    for part in parts(self._objects, paths.quarantine(self._batch, self._base.number)):
        left = part.only(row for row in part.rows if row[0] not in away)
        if left.rows:
            yield without(left, self._warnings)


def columns(self: Quarantine) -> dict[str, str]:
    """Staged columns and their types."""
    for frame in frames(self):
        return {name: kind for name, kind in zip(frame.columns, frame.types, strict=True) if name not in MARKS}
    return {}


def counts(self: Quarantine) -> dict[tuple[str, str], int]:
    """Rows by (check, column)."""
    found: Counter[tuple[str, str]] = Counter()
    for frame in frames(self):
        for row in frame.rows:
            found.update({(each["check"], each["column"]) for each in row[-1]})
    return dict(found)


def values(self: Quarantine, column: str, staged: str) -> Counter[str]:
    """Rows by the texts that a staged column has in rows with a violation on ``column``; sorted by text."""
    found: Counter[str] = Counter()
    for frame in frames(self):
        if staged in frame.columns:
            place = frame.place(staged)
            found.update(row[place] for row in frame.rows if row[place] is not None and violates(row, column))
    return Counter(dict(sorted(found.items())))


def without(frame: Rows, warnings: list[str]) -> Rows:
    """The rows without violations that are only warnings (``check|column``)."""
    if not warnings:
        return frame
    return frame.only(
        [*row[:-1], [each for each in row[-1] if f"{each['check']}|{each['column']}" not in warnings]]
        for row in frame.rows
    )


def violates(row: Row, column: str) -> bool:
    """True for a row with a violation on that column, alone or as part of a composite."""
    return any(each["column"] == column or column in each["column"].split(",") for each in row[-1])


# ── attempts ──


def tried(objects: ObjectStore, healing: Healing) -> set[tuple[int, str, str]]:
    """(row, column, remedy) of every repair of the current reading, except those that a person took back."""
    found: set[tuple[int, str, str]] = set()
    for attempt in healing.attempts:
        if attempt.reading == healing.reading and attempt.remedies and not attempt.undone:
            found |= {(row[0], row[1], row[4]) for row in _repaired(objects, healing.batch_id, attempt.number)}
    return found


def _repaired(objects: ObjectStore, batch: str, number: int) -> list[Row]:
    return [row for part in parts(objects, paths.repairs(batch, number)) for row in part.rows]


def changed_cells(frame: Rows, change: CellChange, before: set[tuple[int, str, str]]) -> dict[Cell, Change]:
    """The cells of a frame that a change touches."""
    if change.staged not in frame.columns:
        return {}
    place = frame.place(change.staged)
    mapping: dict[str, tuple[str, float]] = change.mapping  # type: ignore[assignment]
    found: dict[Cell, Change] = {}
    for row in frame.rows:
        old = row[place]
        new, confidence = mapping.get(old, (old, 0.0))
        if new == old or (row[0], change.column, change.remedy) in before:
            continue
        if change.all_rows or violates(row, change.column):
            found[row[0], change.column] = (old, new, change.remedy, confidence)
    return found


def repair(
    frame: Rows, repairs: Repairs, before: set[tuple[int, str, str]]
) -> tuple[Rows, dict[Cell, Change], set[int]]:
    """A frame after all changes, the log, and the rows each of whose violations was addressed."""
    log: dict[Cell, Change] = {}
    for change in repairs.changes:
        cells = {each: what for each, what in changed_cells(frame, change, before).items() if each not in log}
        if not cells:
            continue
        log |= cells
        place = frame.place(change.staged)
        new = {number: what[1] for (number, _), what in cells.items()}
        frame = frame.only(
            [*row[:place], new[row[0]], *row[place + 1 :]] if row[0] in new else row for row in frame.rows
        )
    concerned: dict[str, set[int]] = {}
    for discard in repairs.discards:
        rows: list[tuple[int, int, str]] = discard.rows  # type: ignore[assignment]
        both = {number for row in rows for number in row[:2]}
        concerned.setdefault(",".join(discard.columns), set()).update(both)
    again, late = set(repairs.rejudge), set(repairs.late)
    touched = {number for number, _ in log}.union(*concerned.values())

    def addressed(number: int, column: str) -> bool:
        mended = any((number, part) in log for part in column.split(","))
        along = column in late and number in touched
        return mended or number in concerned.get(column, ()) or column in again or along

    ready = {row[0] for row in frame.rows if row[-1] and all(addressed(row[0], each["column"]) for each in row[-1])}
    return frame, log, ready


def rows_ready(quarantine: Quarantine, repairs: Repairs, before: set[tuple[int, str, str]]) -> list[int]:
    """Rows all of whose violations the changes address."""
    return [number for frame in frames(quarantine) for number in sorted(repair(frame, repairs, before)[2])]


def write_attempt(objects: ObjectStore, healing: Healing, number: int, repairs: Repairs, *, whole: bool) -> Written:
    """Write attempt ``number`` from the current quarantine: all rows (``whole``), or those that are ready."""
    quarantine = Quarantine(objects, healing)
    before = tried(objects, healing)
    dropped = _dropped(quarantine, repairs, before, whole)
    written = Written(rows_discarded=len(dropped), rows_kept=len({kept for kept, _ in dropped.values()}))
    folder = paths.staged(healing.batch_id, number)
    log: dict[Cell, Change] = {}
    for frame, cells, ready in (repair(each, repairs, before) for each in frames(quarantine)):
        taken = [row[:-1] for row in frame.rows if (whole or row[0] in ready) and row[0] not in dropped]
        if not taken:
            continue
        path = paths.part(folder, len(written.parts))
        written.bytes += rows_file.write(objects, path, Rows(frame.columns[:-1], frame.types[:-1], taken))
        written.parts.append(path)
        written.rows += len(taken)
        raw = frame.place(RAW)
        written.raw_rows += sum(row[raw] is not None for row in taken)
        mine = {row[0] for row in taken}
        log |= {cell: what for cell, what in cells.items() if cell[0] in mine}
    for info in list(objects.list(folder)):
        if info.path not in written.parts:
            objects.delete(info.path)
    _write_log(objects, paths.repairs(healing.batch_id, number), log)
    _write_dropped(
        objects, paths.discarded(healing.batch_id, number, "remediate"), {row: why for row, (_, why) in dropped.items()}
    )
    written.cells = dict(Counter((what[2], column) for (_, column), what in log.items()))
    return written


def _write_log(objects: ObjectStore, path: str, log: dict[Cell, Change]) -> None:
    if not log:
        objects.delete(path)
        return
    names = [ROW, "column", "old", "new", "remedy", "confidence"]
    types = ["integer", "string", "string", "string", "string", "number"]
    rows_file.write(objects, path, Rows(names, types, [[*cell, *log[cell]] for cell in sorted(log)]))


def _write_dropped(objects: ObjectStore, path: str, reasons: dict[int, str]) -> None:
    if reasons:
        rows = [[number, reasons[number]] for number in sorted(reasons)]
        rows_file.write(objects, path, Rows([ROW, "reason"], ["integer", "string"], rows))
    else:
        objects.delete(path)


def _dropped(
    quarantine: Quarantine, repairs: Repairs, before: set[tuple[int, str, str]], whole: bool
) -> dict[int, tuple[int, str]]:
    """Rows to drop, each with the row that is kept and why: only those whose kept row goes on."""
    found: dict[int, tuple[int, str]] = {}
    for discard in repairs.discards:
        rows: list[tuple[int, int, str]] = discard.rows  # type: ignore[assignment]
        for number, kept, reason in rows:
            found.setdefault(number, (kept, reason))
    if found and not whole:
        ready = set(rows_ready(quarantine, repairs, before))
        found = {number: what for number, what in found.items() if what[0] in ready}
    return found


def discard_all(objects: ObjectStore, healing: Healing, number: int, reason: str) -> int:
    """Write an attempt without staged rows that drops the whole current quarantine; how many rows that are."""
    rows = {row[0]: reason for frame in frames(Quarantine(objects, healing)) for row in frame.rows}
    if rows:
        _write_dropped(objects, paths.discarded(healing.batch_id, number, "remediate"), rows)
    return len(rows)


# ── verification, and waits ──


def count_rows(work: Work, healing: Healing, attempt: Attempt, record: Remedy) -> Counted:
    """Rows that the remedy changed in the attempt: passed, quarantined again, and of these in its own columns."""
    wrong = blamed(work, healing, attempt, record.columns)
    if record.rows_discarded:
        return Counted(max(record.rows - len(wrong), 0), len(wrong), len(wrong))
    objects, batch, number = work.ports.objects, record.batch_id, attempt.number
    again = numbers(objects, paths.quarantine(batch, number))
    mine = {row[0] for row in _repaired(objects, batch, number) if row[4] == record.remedy and row[1] in record.columns}
    back = mine & again
    return Counted(len(mine) - len(back), len(back), len(back & wrong))


def blamed(work: Work, healing: Healing, attempt: Attempt, names: list[str]) -> set[int]:
    """Rows of the attempt's quarantine that fail in one of the columns."""
    found: set[int] = set()
    for part in parts(work.ports.objects, paths.quarantine(healing.batch_id, attempt.number)):
        for row in without(part, healing.warnings).rows:
            if any(violates(row, name) for name in names):
                found.add(row[0])
    return found


def are_there(work: Work, cases: BatchCases, finding: Any) -> bool:
    """True when at least one key that the rows lack stands in the parent table now, or when only validate can tell."""
    names, parents = finding.columns, finding.evidence("parent_columns")
    column = cases.contract.column(names[0]) if len(names) == 1 else None
    plain = column is not None and column.logical_type in ("string", "integer")
    if column is None or not plain or not isinstance(parents, list) or len(parents) != 1:
        return True
    keys = work.ports.warehouse.keys(finding.awaits_table, [str(parents[0])])
    if keys is None:
        return False
    delivered = {wanted: given for given, wanted in cases.healing.rename.items()}.get(names[0], names[0])
    lacked = values(cases.quarantine, finding.column, delivered)
    typed = [as_integer(text) if column.logical_type == "integer" else text for text in lacked]
    known = {row[0] for row in keys.rows}
    return any(value is None or value in known for value in typed)
