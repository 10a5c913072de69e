"""The ``mend`` command: commands by name, and one way to end with an error."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from mend.commands.audit import audit
from mend.commands.check import check
from mend.commands.decide import approve, reject, undo
from mend.commands.demo import demo
from mend.commands.doctor import doctor
from mend.commands.explain import explain
from mend.commands.history import history
from mend.commands.init import init
from mend.commands.publish import publish, signal
from mend.commands.quarantine import app as quarantine
from mend.commands.replay import replay
from mend.commands.run import run
from mend.commands.status import incidents, status
from mend.commands.up import up
from mend.output import Exit, console
from shared.domain.errors import DefinitionError, DefinitionMissing, MendError
from shared.domain.masking import clean

app = typer.Typer(
    name="mend",
    help="A data pipeline that mends itself: every row is accounted for, and every failure is healed or explained.",
    epilog="Exit codes: 0 ended as asked and nothing open · 3 something waits for a person · 1 failed · 2 wrong usage.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        sys.stdout.write(f"mend {version('mendline')}\n")
        raise typer.Exit(Exit.DONE)


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """A data pipeline that mends itself: every row is accounted for, and every failure is healed or explained."""


for command in (
    demo,
    init,
    audit,
    check,
    doctor,
    run,
    up,
    publish,
    signal,
    status,
    history,
    incidents,
    explain,
    approve,
    reject,
    undo,
    replay,
):
    app.command()(command)
app.add_typer(quarantine)


def main() -> None:
    """Run the command line; errors raised on purpose end with one clear message."""
    try:
        app()
    except MendError as error:
        console(stderr=True).print(f"mend: {clean(str(error), 2_000)}", soft_wrap=True)
        sys.exit(Exit.USAGE if isinstance(error, DefinitionError | DefinitionMissing) else Exit.FAILED)
