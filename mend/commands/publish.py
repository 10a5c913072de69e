"""``mend publish`` and ``mend signal``: what users and other systems send in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from mend.commands.options import Json, Root
from mend.output import Exit, console, print_json
from shared.domain.errors import DefinitionError


def publish(
    pipeline: Annotated[str, typer.Argument(help="Name of the pipeline to run.")],
    uri: Annotated[str, typer.Option("--uri", help="Only this file, glob or address.")] = "",
    root: Root = None,
    as_json: Json = False,
) -> None:
    """Ask for a pipeline to be run, as a message to mend-requests does; ``mend up`` or the next run deals with it."""
    _send("mend-requests", json.dumps({"pipeline": pipeline, "uri": uri}).encode(), {}, root, as_json, work=False)


def signal(
    file: Annotated[Path, typer.Argument(help="JSON file: a failure report of another system.")],
    kind: Annotated[str, typer.Option("--kind", help="generic or airflow (default: seen from its keys).")] = "",
    root: Root = None,
    as_json: Json = False,
) -> None:
    """Report another system's failure, and say what is believed of it."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise DefinitionError(str(file), 0, 0, f"cannot be read: {error.strerror}", "name a JSON file") from error
    _send("mend-signals", data, {"kind": kind} if kind else {}, root, as_json, work=True)


def _send(topic: str, data: bytes, attributes: dict[str, str], root: Root, as_json: bool, *, work: bool) -> None:
    from mend import project, report, runner
    from mend.services import every_service
    from shared.ports.event_bus import Message

    process = project.open_process(project.of_root(root))
    process.worker(every_service())  # makes the subscriptions, so that the message reaches somebody
    before = {entry["id"] for entry in report.incidents(report.Store(process.store, process.objects))}
    message_id = process.bus.publish([Message(topic, data, attributes)])[0]
    if not work:
        if as_json:
            print_json({"message_id": message_id, "topic": topic})
        else:
            console().print(f"published to {topic}; mend up or mend run deals with it")
        return
    runner.run_events(process, [])
    found = report.incidents(report.Store(process.store, process.objects))
    fresh = [entry for entry in found if entry["id"] not in before]
    if as_json:
        print_json({"message_id": message_id, "topic": topic, "incidents": fresh})
    elif not fresh:
        console().print("it is part of an incident that is known already: mend incidents")
    for entry in fresh if not as_json else []:
        belief = f"{entry['class']}/{entry['cause']} ({float(entry['confidence']):.0%})"
        console().print(f"incident {entry['id']}: {belief}, {entry['state']}")
        console().print(f"mend explain {entry['id']} --root {process.settings.root}")
    raise typer.Exit(Exit.WAITING if report.waits_for_person(fresh) else Exit.DONE)
