"""The ``mend`` command: commands by name, and one way to end with an error."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from typing import Annotated, NoReturn

import typer

from mend.commands.audit import audit
from mend.commands.check import check
from mend.commands.contract import app as contract
from mend.commands.decide import approve, reject, undo
from mend.commands.demo import demo
from mend.commands.deploy import deploy
from mend.commands.doctor import doctor
from mend.commands.explain import explain
from mend.commands.feedback import feedback
from mend.commands.history import history
from mend.commands.init import init
from mend.commands.knowledge import app as knowledge
from mend.commands.learn import learn
from mend.commands.publish import publish, signal
from mend.commands.quarantine import app as quarantine
from mend.commands.replay import replay
from mend.commands.run import run
from mend.commands.status import incidents, status
from mend.commands.taxonomy import taxonomy
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
    taxonomy,
    approve,
    reject,
    undo,
    feedback,
    learn,
    replay,
    deploy,
):
    app.command()(command)
app.add_typer(contract)
app.add_typer(knowledge)
app.add_typer(quarantine)


def main() -> NoReturn:
    """Run the command line and end the process; errors raised on purpose end with one clear message."""
    gc.set_threshold(200_000, 20, 20)  # loading libraries makes many objects and no garbage: a tenth of a short run
    _narrow(sys.argv[1:])
    try:
        app()
    except MendError as error:
        console(stderr=True).print(f"mend: {clean(str(error), 2_000)}", soft_wrap=True)
        _leave(Exit.USAGE if isinstance(error, DefinitionError | DefinitionMissing) else Exit.FAILED)
    except SystemExit as ended:
        if ended.code is not None and not isinstance(ended.code, int):
            raise  # a sentence, which Python itself shows
        _leave(ended.code or 0)
    _leave(Exit.DONE)


def _narrow(arguments: list[str]) -> None:
    """Leave of the commands only the one that is asked for: making all of them takes as long as a short command."""
    asked = [each for each in app.registered_commands if each.callback and each.callback.__name__ in arguments[:1]]
    if asked:
        app.registered_commands, app.registered_groups = asked, []


def _leave(code: int) -> NoReturn:
    """End at once, with everything said and everything closed that asked for it.

    Taking the libraries apart is a tenth of a short run's time, and a library's thread that comes back for the
    interpreter meanwhile is ended inside C++, which aborts the whole process: work that was done would end with the
    code of a crash, once in some hundreds of runs.
    """
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        code = code or Exit.FAILED  # whoever read has gone, or the disk is full
    os._exit(code)
