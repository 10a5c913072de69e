"""What commands print: tables for people, one JSON object for programs; and their exit codes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from shared.domain.masking import clean, one_line, visible

if TYPE_CHECKING:
    from rich.console import Console

    from mend.project import Progress


PIPE_CHARACTERS = 160


class Exit(IntEnum):
    """How a command ended."""

    DONE = 0  # as asked, nothing open
    FAILED = 1
    USAGE = 2
    WAITING = 3  # something waits for a person


def print_json(value: Mapping[str, Any]) -> None:
    """One JSON object on standard output."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")


def console(*, stderr: bool = False) -> Console:
    """A console that shows text as it is: no markup, no emoji codes, no highlighting, nothing a terminal obeys."""
    from rich.console import Console

    class Plain(Console):
        def print(self, *objects: Any, **options: Any) -> None:
            super().print(*(visible(each) if isinstance(each, str) else each for each in objects), **options)

    found = Plain(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=not stderr)
    if not found.is_terminal:
        found.width = PIPE_CHARACTERS  # a pipe has no width of its own; tables should not be squeezed into 80
    return found


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], empty: str = "none") -> None:
    """A table; numbers are set to the right, every cell is bounded and shown literally."""
    from rich.table import Table
    from rich.text import Text

    target = console()
    if not rows:
        target.print(f"{title}: {empty}")
        return
    table = Table(title=title, title_justify="left", show_edge=False, pad_edge=False)
    for index, column in enumerate(columns):
        numeric = all(isinstance(row[index], int | float) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_shown(cell)) for cell in row))
    target.print(table)


def _shown(cell: object) -> str:
    return f"{cell:,}" if isinstance(cell, int) and not isinstance(cell, bool) else one_line(str(cell), 300)


@contextmanager
def progress_bar(*, quiet: bool) -> Iterator[Progress | None]:
    """Shows long steps on standard error while the context lasts; nothing when quiet or not at a terminal."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bars(*columns, console=console(stderr=True), transient=True) as bars:
        task = bars.add_task("starting", total=None)

        def show(step: str, done: int, total: int) -> None:
            bars.update(task, description=clean(step, 60), completed=done, total=total or None)

        yield show
