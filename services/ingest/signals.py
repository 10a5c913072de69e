"""What other systems report, as incidents: generic JSON, Airflow's failure callback, entries of Cloud Logging."""

from __future__ import annotations

import json
import re
from typing import Any

from services.ingest import log_entries
from services.ingest.signal_fields import integer, name, status, text, typed
from shared.domain.errors import MalformedEvent
from shared.domain.ids import derive
from shared.domain.incident import Origin
from shared.domain.masking import clean, excerpt
from shared.events.types import Event, IncidentOpened

SIGNAL_BYTES_MAX = 1_000_000
_NUMBER = re.compile(r"\d+")
DEPLOYMENT = "deployment"  # no failure: deployments.py keeps it
KINDS = ("generic", "airflow", "log_entry", DEPLOYMENT)
_AIRFLOW_CONTEXT = ("dag_id", "task_id", "run_id", "try_number", "operator", "logical_date", "execution_date", "state")


def parse(data: bytes, what: str = "signal") -> dict[str, Any]:
    """The message's JSON object. ``MalformedEvent`` says what is wrong, without quoting it."""
    if len(data) > SIGNAL_BYTES_MAX:
        raise MalformedEvent(f"the {what} is {len(data):,} bytes long, {SIGNAL_BYTES_MAX:,} are allowed")
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise MalformedEvent(f"the {what} is not JSON") from error
    if not isinstance(found, dict):
        raise MalformedEvent(f"the {what} is not a JSON object")
    return found


def kind_of(signal: dict[str, Any], address: str = "") -> str:
    """``kind`` if given (in the signal, or by the address it came to), else guessed from keys only one sender uses."""
    for given in (signal.get("kind"), address):
        if isinstance(given, str) and given in KINDS:
            return given
    if log_entries.is_entry(signal):
        return "log_entry"
    return "airflow" if "dag_id" in signal or isinstance(signal.get("task_instance"), dict) else "generic"


def incident_of(signal: dict[str, Any], address: str, cause: Event, now: int) -> IncidentOpened:
    """The incident that a signal reports; the same failure reported again has the same fingerprint."""
    fields = _READERS[kind_of(signal, address)](signal)
    where = fields.pop("where")
    fields["evidence_json"] = json.dumps(fields["evidence_json"], ensure_ascii=False)
    marks = (fields["exception_type"], fields["reason"], str(fields["http_status"]), fields["sqlstate"])
    words = derive(_shape(fields["message"]), length=8) if not any(mark not in ("", "0") for mark in marks) else ""
    fingerprint = clean("|".join(("signal", fields["system"], where, *marks, words)), 1_000)
    return IncidentOpened.caused_by(cause, fingerprint, now, fingerprint=fingerprint, origin=Origin.SIGNAL, **fields)


def _shape(message: str) -> str:
    """The message without numbers, so that a counter or an id in it does not make a new incident."""
    return _NUMBER.sub("#", message)


def _generic(signal: dict[str, Any]) -> dict[str, Any]:
    error = signal.get("error")
    inner = error if isinstance(error, dict) else {}
    message = signal.get("message") or inner.get("message") or (error if isinstance(error, str) else "")
    system = name(signal.get("system") or signal.get("source") or "external")
    resource = name(signal.get("resource") or signal.get("job") or signal.get("job_id") or "")
    return {
        "where": resource or name(signal.get("id")),
        "pipeline": name(signal.get("pipeline")),
        "system": system,
        "exception_type": name(signal.get("exception_type") or inner.get("type")),
        "http_status": status(signal.get("http_status") or signal.get("status") or inner.get("code")),
        "grpc_status": name(signal.get("grpc_status") or inner.get("status")),
        "sqlstate": name(signal.get("sqlstate")),
        "reason": name(signal.get("reason") or inner.get("reason")),
        "exit_code": integer(signal.get("exit_code")),
        "message": excerpt(text(message)),
        "evidence_json": {"resource": resource, "keys": sorted(name(key) for key in list(signal)[:50])},
    }


def _airflow(signal: dict[str, Any]) -> dict[str, Any]:
    instance = signal.get("task_instance")
    context = {**(instance if isinstance(instance, dict) else {}), **signal}
    exception = context.get("exception")
    inner = exception if isinstance(exception, dict) else {}
    said = text(inner.get("message") if inner else exception or context.get("message"))
    kind, rest = typed(said)
    return {
        "where": f"{name(context.get('dag_id'))}.{name(context.get('task_id'))}",
        "pipeline": name(context.get("pipeline")),
        "system": "airflow",
        "exception_type": name(context.get("exception_type") or inner.get("type") or kind),
        "http_status": status(context.get("http_status") or inner.get("code")),
        "grpc_status": name(context.get("grpc_status")),
        "sqlstate": name(context.get("sqlstate")),
        "reason": name(context.get("reason")),
        "exit_code": integer(context.get("exit_code")),
        "message": excerpt(rest),
        "evidence_json": {key: name(context[key]) for key in _AIRFLOW_CONTEXT if key in context},
    }


_READERS = {"generic": _generic, "airflow": _airflow, "log_entry": log_entries.fields}
