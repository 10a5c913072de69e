"""Entries of Cloud Logging, as a sink sends them: failures of Composer, Dataflow, Workflows, BigQuery and functions."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from services.ingest.signal_fields import integer, name, status, text, typed
from shared.domain.masking import excerpt

# google.rpc.Code by number.
_GRPC: Final = (
    *("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS"),
    *("PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED"),
    *("INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"),
)
# Said of every kind of bad request: it outranks no words.
_VAGUE: Final = frozenset({"OK", "UNKNOWN", "INVALID_ARGUMENT", "INTERNAL"})
_DEPTH_MAX: Final = 10
_SERVICE_ACCOUNTS: Final = "gserviceaccount.com"


class Told(NamedTuple):
    """What an entry says of a failure."""

    system: str
    where: str
    message: str = ""
    exception_type: str = ""
    http_status: int = 0
    grpc_status: str = ""
    run: str = ""  # which execution of it failed
    pipeline: str = ""


def is_entry(signal: dict[str, Any]) -> bool:
    """Whether a signal is an entry of Cloud Logging: these two are in every one."""
    return isinstance(signal.get("logName"), str) and isinstance(signal.get("resource"), dict)


def fields(entry: dict[str, Any]) -> dict[str, Any]:
    """The entry as fields of an incident, with ``where`` it failed."""
    kind = name(at(entry, "resource", "type"))
    told = _READERS.get(kind, _other)(entry)
    evidence = {
        "resource": told.where,
        "resource_type": kind,
        "log": name(entry.get("logName")).rpartition("/")[2],
        "insert_id": name(entry.get("insertId")),
        "run": told.run,
        "trace": name(entry.get("trace")),
    }
    return {
        "where": told.where,
        "pipeline": told.pipeline,
        "system": told.system,
        "exception_type": told.exception_type,
        "http_status": told.http_status,
        "grpc_status": told.grpc_status,
        "sqlstate": "",
        "reason": "",
        "exit_code": 0,
        "message": excerpt(told.message),
        "evidence_json": {key: value for key, value in evidence.items() if value},
    }


def at(found: object, *path: str) -> Any:
    """What is at a path of keys in nested objects; None where one is missing."""
    for key in path[:_DEPTH_MAX]:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _airflow(entry: dict[str, Any]) -> Told:
    """A worker's log: the last line of a traceback says what failed."""
    said = text(entry.get("textPayload"))
    lines = [line for line in said.splitlines() if line.strip()]
    kind, message = typed(lines[-1].strip()) if lines else ("", "")
    where = f"{name(at(entry, 'labels', 'workflow'))}.{name(at(entry, 'labels', 'task-id'))}"
    return Told(
        "airflow",
        where if where != "." else name(at(entry, "resource", "labels", "environment_name")),
        message,
        exception_type=name(kind),
        run=name(at(entry, "labels", "execution-date")),
    )


def _dataflow(entry: dict[str, Any]) -> Told:
    labels = at(entry, "resource", "labels")
    said = text(at(entry, "jsonPayload", "exception")) or _said(entry)
    where = name(at(labels, "job_name")) or name(at(labels, "job_id"))
    return Told("dataflow", where, said, run=name(at(labels, "job_id")))


def _workflows(entry: dict[str, Any]) -> Told:
    """The failure is itself JSON in a text, cut after a kilobyte."""
    raw = text(at(entry, "jsonPayload", "failure", "exception"))
    try:
        inner = json.loads(raw)
    except (ValueError, RecursionError):
        inner = {}
    step = name(at(entry, "jsonPayload", "failure", "source"))
    where = name(at(entry, "resource", "labels", "workflow_id"))
    return Told(
        "workflows",
        f"{where}.{step}" if step else where,
        text(at(inner, "message")) or raw or _said(entry),
        http_status=status(at(inner, "code")),
        run=name(at(entry, "labels", "workflows.googleapis.com/execution_id")),
    )


def _bigquery(entry: dict[str, Any]) -> Told:
    """A job that ended with an error, or one that was refused."""
    job = at(entry, "protoPayload", "metadata", "jobChange", "job")
    wrong = at(job, "jobStatus", "errorResult") or at(entry, "protoPayload", "status")
    labels = at(job, "jobConfig", "labels")
    called = name(at(job, "jobName")) or name(at(entry, "protoPayload", "resourceName"))
    # Jobs are named anew for every run: what stays is whose they are.
    owner = name(at(labels, "pipeline")) or name(at(labels, "dag_id"))
    account, _, domain = text(at(entry, "protoPayload", "authenticationInfo", "principalEmail")).partition("@")
    return Told(
        "bigquery",
        owner or (name(account) if domain.endswith(_SERVICE_ACCOUNTS) else ""),  # who a person is, is nobody's business
        text(at(wrong, "message")),
        grpc_status=_grpc(at(wrong, "code")),
        run=called.rpartition("/")[2],
        pipeline=name(at(labels, "pipeline")),
    )


def _cloud_run(entry: dict[str, Any]) -> Told:
    said = _said(entry)
    lines = [line for line in said.splitlines() if line.strip()]
    traced = any(line.startswith("Traceback ") for line in lines)
    kind, message = typed(lines[-1].strip()) if traced else ("", said)
    labels = at(entry, "resource", "labels")
    return Told(
        "cloud run",
        name(at(labels, "service_name")) or name(at(labels, "job_name")) or name(at(labels, "function_name")),
        message,
        exception_type=name(kind),
        http_status=status(at(entry, "httpRequest", "status")),
        run=name(at(labels, "revision_name")),
    )


def _other(entry: dict[str, Any]) -> Told:
    labels = at(entry, "resource", "labels")
    every = list(labels.items())[:50] if isinstance(labels, dict) else []
    named = [name(value) for key, value in every if str(key).endswith(("_name", "_id")) and key != "project_id"]
    system = name(at(entry, "resource", "type")) or "cloud logging"
    wrong = at(entry, "protoPayload", "status")
    return Told(
        system,
        ".".join(named[-2:]),
        _said(entry) or text(at(wrong, "message")),
        http_status=status(at(entry, "httpRequest", "status")),
        grpc_status=_grpc(at(wrong, "code")),
    )


def _said(entry: dict[str, Any]) -> str:
    return text(entry.get("textPayload")) or text(at(entry, "jsonPayload", "message"))


def _grpc(code: object) -> str:
    number = integer(code)
    word = _GRPC[number] if 0 < number < len(_GRPC) else ""
    return "" if word in _VAGUE else word


_READERS: Final[dict[str, Callable[[dict[str, Any]], Told]]] = {
    "cloud_composer_environment": _airflow,
    "dataflow_step": _dataflow,
    "workflows.googleapis.com/Workflow": _workflows,
    "bigquery_project": _bigquery,
    "cloud_run_revision": _cloud_run,
    "cloud_run_job": _cloud_run,
    "cloud_function": _cloud_run,
}
