"""What commands print: tables for people, one JSON object for programs; and their exit codes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from shared.domain.masking import clean, one_line, visible

if TYPE_CHECKING:
    from rich.console import Console

    from mend.project import Progress


PIPE_CHARACTERS = 10_000


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
        found.width = PIPE_CHARACTERS  # a pipe has no width of its own, and programs want one line a row
    return found


def print_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], empty: str = "none", *, personal: bool = False
) -> None:
    """A table; numbers are set to the right, every cell is bounded and shown literally.

    ``personal``: the cells are as this reader may see them; else personal data in them is hidden.

    No word is ever broken, since ids and commands are there to be copied: a terminal too narrow for a table shows
    a paragraph a row instead, and a pipe gets one line a row.
    """
    target = console()
    if not rows:
        target.print(f"{title}: {empty}")
        return
    cells = [[_shown(cell, personal=personal) for cell in row] for row in rows]
    words = [_widest(word for row in [columns, *cells] for word in row[at].split()) for at in range(len(columns))]
    if target.is_terminal and sum(words) + 3 * (len(columns) - 1) > target.width:
        _print_paragraphs(target, title, columns, cells)
        return
    numeric = [all(isinstance(row[at], int | float) for row in rows) for at in range(len(columns))]
    _print_grid(target, title, list(zip(columns, numeric, words, strict=True)), cells)


def _print_grid(
    target: Console, title: str, columns: Sequence[tuple[str, bool, int]], cells: Sequence[Sequence[str]]
) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", show_edge=False, pad_edge=False)
    for name, numeric, width in columns:
        table.add_column(name, justify="right" if numeric else "left", overflow="fold", min_width=width)
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    target.print(table)


def _print_paragraphs(target: Console, title: str, columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    """The first column as a heading, and under it what the others say."""
    import textwrap

    target.print(title)
    for row in cells:
        told = " · ".join(f"{name}: {cell}" for name, cell in zip(columns[1:], row[1:], strict=True) if cell.strip())
        target.print(row[0])
        lines = textwrap.wrap(told, max(target.width - 4, 20), break_long_words=False, break_on_hyphens=False)
        for line in lines:
            target.print(f"    {line}")


def _widest(words: Iterable[str]) -> int:
    from rich.cells import cell_len

    return max((cell_len(word) for word in words), default=0)


def shown(text: str, characters_max: int) -> str:
    """What somebody wrote, on one line, bounded, without what a terminal obeys or hides."""
    line = " ".join(visible(text[: characters_max * 4]).split())
    return line if len(line) <= characters_max else line[: characters_max - 1] + "…"


def counted(count: int, one: str, many: str = "") -> str:
    """A number and what it counts: "1 row", "2 rows"."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def _shown(cell: object, *, personal: bool) -> str:
    if isinstance(cell, int) and not isinstance(cell, bool):
        return f"{cell:,}"
    return one_line(str(cell), 300, personal=personal)


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
