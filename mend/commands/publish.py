"""``mend publish`` and ``mend signal``: what users and other systems send in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mend.commands.options import Json, Root
from mend.output import Exit, console, print_json
from shared.domain.errors import DefinitionError, DefinitionMissing
from shared.domain.masking import one_line
from shared.ports.event_bus import Message

if TYPE_CHECKING:
    from shared.runtime.wiring import Process

_KINDS = ("generic", "airflow", "log_entry", "deployment")


def publish(
    pipeline: Annotated[str, typer.Argument(help="Name of the pipeline to run.")],
    uri: Annotated[str, typer.Option("--uri", help="Only this file, glob or address.")] = "",
    root: Root = None,
    as_json: Json = False,
) -> None:
    """Ask for a pipeline to be run, as a message to mend-requests does; ``mend up`` or the next run deals with it."""
    process = _process(root)
    _refuse_unknown(process, pipeline)
    data = json.dumps({"pipeline": pipeline, "uri": uri}).encode()
    message_id = process.bus.publish([Message("mend-requests", data, {})])[0]
    if as_json:
        print_json({"message_id": message_id, "topic": "mend-requests"})
    else:
        console().print("published to mend-requests; mend up or mend run deals with it")


def signal(
    file: Annotated[Path, typer.Argument(help="JSON file: a failure of another system, or a deployment.")],
    kind: Annotated[
        str, typer.Option("--kind", help=f"One of {', '.join(_KINDS)} (default: seen from its keys).")
    ] = "",
    root: Root = None,
    as_json: Json = False,
) -> None:
    """Report another system's failure, and say what is believed of it; or tell of a deployment, for later failures."""
    from mend import report, runner

    if kind not in ("", *_KINDS):
        raise typer.BadParameter(f"it is one of {', '.join(_KINDS)}", param_hint="--kind")
    data = _read(file)
    process = _process(root)
    before, deployed = _reports(process), _deployments(process)
    message = Message("mend-signals", data, {"kind": kind} if kind else {})
    message_id = process.bus.publish([message])[0]
    runner.run_events(process, [])
    heard = {key for key, times in _reports(process).items() if times != before.get(key, 0)}
    found = [each for each in report.incidents(report.Store(process.store, process.objects)) if each["id"] in heard]
    new = [each for key, each in _deployments(process).items() if key not in deployed]
    if as_json:
        told = {"incidents": found, "deployments": new}
        print_json({"message_id": message_id, "topic": "mend-signals", **told})
    for each in new if not as_json else []:
        what = " ".join(each[name] for name in ("system", "resource", "version") if each[name])
        console().print(f"kept: the deployment of {what or ', '.join(each['pipelines'])}", markup=False)
    for entry in found if not as_json else []:
        belief = f"{entry['class']}/{entry['cause']} ({float(entry['confidence']):.0%})"
        known = ", known already" if entry["id"] in before else ""
        console().print(f"incident {entry['id']}: {belief}, {entry['state']}{known}")
        console().print(f"mend explain {entry['id']} --root {process.settings.root}")
    raise typer.Exit(Exit.WAITING if report.waits_for_person(found) else Exit.DONE)


def _process(root: Root) -> Process:
    from mend import project
    from mend.services import every_service

    process = project.open_process(project.of_root(root))
    process.worker(every_service())  # makes the subscriptions, so that the message reaches somebody
    return process


def _refuse_unknown(process: Process, pipeline: str) -> None:
    """A name that no file has is a slip; noticed here, it need not become an incident."""
    from shared.domain.definition_file import suggestion

    known = [Path(path).stem for path in process.definitions.list("pipelines")]
    if known and pipeline not in known:
        raise DefinitionMissing(f"there is no pipeline {one_line(pipeline, 60)} ({suggestion(pipeline, known)})")


def _read(file: Path) -> bytes:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise DefinitionError(str(file), 0, 0, f"cannot be read: {error.strerror}", "name a JSON file") from error
    try:
        found = json.loads(data)
    except json.JSONDecodeError as error:
        raise DefinitionError(str(file), error.lineno, error.colno, "is not JSON", "name a JSON file") from error
    except (ValueError, RecursionError) as error:
        raise DefinitionError(str(file), 0, 0, "is not JSON", "name a JSON file") from error
    if not isinstance(found, dict):
        raise DefinitionError(str(file), 1, 1, "holds no JSON object", "a report is {…}, with a message in it")
    return data


def _deployments(process: Process) -> dict[str, dict[str, Any]]:
    from mend.report import documents

    return dict(documents(process.store, "deployments"))


def _reports(process: Process) -> dict[str, int]:
    """How often each incident of another system was reported, and each report that could not be read."""
    from mend.report import documents

    found = documents(process.store, "incidents")
    told = [(key, data) for key, data in found if data.get("origin") in ("signal", "internal") and "reports" in data]
    return {key: int(data["reports"]) for key, data in told}
