"""``mend publish`` and ``mend signal``: what users and other systems send in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mend.commands.options import Json, Root
from mend.output import Exit, console, print_json
from shared.domain.errors import DefinitionError, DefinitionMissing
from shared.domain.masking import one_line
from shared.ports.event_bus import REQUESTS_TOPIC, SIGNALS_TOPIC, Message

if TYPE_CHECKING:
    from shared.runtime.wiring import Process

_KINDS = ("generic", "airflow", "log_entry", "deployment")
_NOT_HEARD = "it was reported, and no incident has come of it so far; mend incidents shows it once it was heard"
_STOPPED = "it was reported, and we could not deal with it, which is incident"
_NOT_KEPT = "it was told, and no service has kept it so far"


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
    message_id = process.bus.publish([Message(REQUESTS_TOPIC, data, {})])[0]
    if as_json:
        print_json({"message_id": message_id, "topic": REQUESTS_TOPIC})
    else:
        who = "the services deal" if process.settings.backend == "gcp" else "mend up or mend run deals"
        console().print(f"published to {REQUESTS_TOPIC}; {who} with it")


def signal(
    file: Annotated[Path, typer.Argument(help="JSON file: a failure of another system, or a deployment.")],
    kind: Annotated[
        str, typer.Option("--kind", help=f"One of {', '.join(_KINDS)} (default: seen from its keys).")
    ] = "",
    root: Root = None,
    as_json: Json = False,
) -> None:
    """Report another system's failure, and say what is believed of it; or tell of a deployment, for later failures."""
    from services.ingest import signals

    if kind not in ("", *_KINDS):
        raise typer.BadParameter(f"it is one of {', '.join(_KINDS)}", param_hint="--kind")
    data = _read(file)
    process = _process(root)
    if signals.kind_of(signals.parse(data), kind) == signals.DEPLOYMENT:
        raise typer.Exit(_tell(process, data, kind, as_json))
    raise typer.Exit(_report(process, data, kind, as_json))


def _report(process: Process, data: bytes, kind: str, as_json: bool) -> Exit:
    """Send a failure, wait for what is decided about it, and show that."""
    from mend import report, runner
    from mend.reported import Reported

    reported = Reported.of(process, data, kind)
    message_id = _send(process, data, kind)
    runner.await_services(process, lambda: reported.is_dealt_with() or bool(reported.stopped_by(message_id)))
    store, heard = report.Store(process.store, process.objects), reported.heard()
    alone = report.incident_alone(store, heard) if heard else None
    found = [] if alone is None else [alone]
    stopping = "" if found else reported.stopped_by(message_id)
    stopped = report.incident_alone(store, stopping) if stopping else None
    if as_json:
        told = {"incidents": found, "deployments": [], "stopped_by": stopped and stopped["id"]}
        print_json({"message_id": message_id, "topic": SIGNALS_TOPIC, **told})
    for entry in found if not as_json else []:
        belief = f"{entry['class']}/{entry['cause']} ({float(entry['confidence']):.0%})"
        known = ", known already" if entry["id"] == reported.known else ""
        console().print(f"incident {entry['id']}: {belief}, {entry['state']}{known}")
        console().print(f"mend explain {entry['id']} --root {process.settings.root}")
    if not found:
        why = f"{_STOPPED} {stopped['id']}: {stopped['explanation']}" if stopped is not None else _NOT_HEARD
        console(stderr=True).print(f"mend: {why}", markup=False, soft_wrap=True)
        return Exit.FAILED
    return Exit.WAITING if report.waits_for_person(found) else Exit.DONE


def _tell(process: Process, data: bytes, kind: str, as_json: bool) -> Exit:
    """Send word of a deployment, and show what was kept of it."""
    from mend import runner
    from mend.reported import Told

    deployed = Told.of(process, data, kind)
    message_id = _send(process, data, kind)
    runner.await_services(process, lambda: deployed.kept(message_id) is not None)
    kept = deployed.kept(message_id)
    if as_json:
        found = [] if kept is None else [kept]
        print_json({"message_id": message_id, "topic": SIGNALS_TOPIC, "incidents": [], "deployments": found})
    elif kept is not None:
        what = " ".join(kept[name] for name in ("system", "resource", "version") if kept[name])
        console().print(f"kept: the deployment of {what or ', '.join(kept['pipelines'])}", markup=False)
    if kept is None:
        console(stderr=True).print(f"mend: {_NOT_KEPT}", soft_wrap=True)
    return Exit.FAILED if kept is None else Exit.DONE


def _send(process: Process, data: bytes, kind: str) -> str:
    from mend import runner

    message_id = process.bus.publish([Message(SIGNALS_TOPIC, data, {"kind": kind} if kind else {})])[0]
    if process.settings.backend != "gcp":
        runner.run_events(process, [])
    return message_id


def _process(root: Root) -> Process:
    from mend import project
    from mend.services import every_service

    process = project.open_process(project.of_root(root))
    if process.settings.backend != "gcp":  # there the deployment has made them
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
