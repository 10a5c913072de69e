"""``mend replay``: an event that failed, or that was given up, is handled once more."""

from __future__ import annotations

from typing import Annotated

import typer

from mend.commands.options import By, Json, Root, person
from mend.output import Exit, console, print_json, print_table, progress_bar


def replay(
    what: Annotated[str, typer.Argument(help="Id of an event or of an incident (mend incidents shows it).")] = "",
    dead_letters: Annotated[
        bool, typer.Option("--dead-letters", help="Every event that used up its deliveries.")
    ] = False,
    root: Root = None,
    by: By = "",
    as_json: Json = False,
) -> None:
    """Handle an event again that failed or was given up, and say what came of it."""
    from mend import project, runner
    from mend.replay import Replay, Replayed
    from mend.services import every_service

    if bool(what) == dead_letters:
        raise typer.BadParameter("name an event or an incident, or say --dead-letters")
    with progress_bar(quiet=as_json) as progress:
        process = project.open_process(project.of_root(root), progress=progress)
        replaying = Replay(process, every_service(), person(by))
        cases = replaying.dead_letters() if dead_letters else replaying.cases_of(what)
        sent = [replaying.event_of(case) for case in cases]
        if sent:
            runner.run_events(process, list({event.id: event for event in sent}.values()))

        def replayed() -> list[Replayed]:
            return [replaying.outcome_of(case, event) for case, event in zip(cases, sent, strict=True)]

        runner.await_services(process, lambda: all(each.outcome != "waiting" for each in replayed()))
    done = replayed()
    if as_json:
        print_json({"replayed": [each._asdict() for each in done]})
    else:
        columns = ("service", "event", "id", "outcome", "incident", "is now")
        rows = [
            [each.service, each.event_type, each.event_id, each.outcome, each.incident_id, each.incident_state]
            for each in done
        ]
        print_table("replayed", columns, rows, empty="no event was given up")
        waits = next((each for each in done if each.outcome != "handled" and each.incident_id), None)
        if waits is not None:
            console().print(f"mend explain {waits.incident_id} --root {process.settings.root}   # why")
    outcomes = {each.outcome for each in done}
    if "failed" in outcomes:
        raise typer.Exit(Exit.FAILED)
    raise typer.Exit(Exit.WAITING if "waiting" in outcomes else Exit.DONE)
