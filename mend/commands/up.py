"""``mend up``: all services in one process, until it is stopped."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mend.commands.options import Json, Root
from mend.output import Exit, console, print_json
from shared.domain.errors import DefinitionMissing

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.runtime.logs import LogLine


def up(
    project: Annotated[Path, typer.Option("--project", help="Folder that holds pipelines/.")] = Path(),
    root: Root = None,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Take in POST /signals/KIND and POST /requests here.")
    ] = 0,
    as_json: Json = False,
) -> None:
    """Run all services until stopped: watch sources, keep schedules, heal; one line an event."""
    from mend import project as projects
    from mend import up as running

    folder = project.resolve()
    if not (folder / "pipelines").is_dir():
        raise DefinitionMissing(f"{folder}: there is no folder pipelines/ here; make a pipeline first: mend init DATA")
    place = root or folder / projects.ROOT_NAME
    known = projects.remember(projects.Project(folder, place, projects.noted(place)[1]))
    say = _speaker(as_json)
    process = projects.open_process(known)
    process.log.listen(_json_line if as_json else _line)
    with ExitStack() as open_things:
        stopped = open_things.enter_context(running.until_signalled())
        if port:
            server = running.listen(process, port)
            open_things.callback(server.close)
            say(f"listening on http://127.0.0.1:{server.port} for POST /signals/KIND and POST /requests")
        say(f"watching the pipelines of {folder}; Ctrl-C stops after the event in hand")
        running.run(process, stopped, say)
    say("stopped; nothing is left half done, and what waits goes on with the next mend up or mend run")
    raise typer.Exit(Exit.DONE)


def _speaker(as_json: bool) -> Callable[[str], None]:
    """Sentences for people; a program that reads lines of JSON finds them on standard error."""
    out = console(stderr=as_json)
    return out.print


def _json_line(line: LogLine) -> None:
    """The log line itself."""
    print_json(line._asdict())
    sys.stdout.flush()


def _line(line: LogLine) -> None:
    """One line for an event that something was done with."""
    if line.outcome in {"repeated", "ignored"} or line.event.startswith("clock.ticked"):
        return
    at = datetime.now(UTC).astimezone().strftime("%H:%M:%S")
    took = f"{line.milliseconds:,.0f} ms" if line.milliseconds >= 1 else ""
    outcome = "" if line.outcome == "handled" else line.outcome
    shown = f"{at} {line.service:<9} {line.event.removesuffix('.v1'):<20} {line.about[:48]:<48} {outcome} {took}"
    sys.stdout.write(shown.rstrip() + "\n")
    sys.stdout.flush()
