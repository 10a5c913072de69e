"""Options that many commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Root = Annotated[Path | None, typer.Option("--root", help="Folder of the store (default: mend-store).")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
By = Annotated[str, typer.Option("--by", help="Who decides (default: the operating system's user).")]
Reason = Annotated[str, typer.Option("--reason", help="Why, for the record.")]


def person(by: str) -> str:
    """The name that a decision is recorded under."""
    import getpass

    return by or getpass.getuser()
