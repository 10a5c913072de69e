"""What other systems report, as incidents: generic JSON and Airflow's failure callback."""

from __future__ import annotations

import json
import re
from typing import Any

from shared.domain.errors import MalformedEvent
from shared.domain.ids import derive
from shared.domain.incident import Origin
from shared.domain.masking import clean, mask
from shared.events.types import Event, IncidentOpened

SIGNAL_BYTES_MAX = 1_000_000
_NAME_CHARACTERS_MAX = 200
_NUMBER = re.compile(r"\d+")
_KINDS = ("generic", "airflow")
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
        if isinstance(given, str) and given in _KINDS:
            return given
    return "airflow" if "dag_id" in signal or isinstance(signal.get("task_instance"), dict) else "generic"


def incident_of(signal: dict[str, Any], address: str, cause: Event, now: int) -> IncidentOpened:
    """The incident that a signal reports; the same failure reported again has the same fingerprint."""
    fields = _airflow(signal) if kind_of(signal, address) == "airflow" else _generic(signal)
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
    system = _name(signal.get("system") or signal.get("source") or "external")
    resource = _name(signal.get("resource") or signal.get("job") or signal.get("job_id") or "")
    return {
        "where": resource or _name(signal.get("id")),
        "pipeline": _name(signal.get("pipeline")),
        "system": system,
        "exception_type": _name(signal.get("exception_type") or inner.get("type")),
        "http_status": _status(signal.get("http_status") or signal.get("status") or inner.get("code")),
        "grpc_status": _name(signal.get("grpc_status") or inner.get("status")),
        "sqlstate": _name(signal.get("sqlstate")),
        "reason": _name(signal.get("reason") or inner.get("reason")),
        "exit_code": _integer(signal.get("exit_code")),
        "message": mask(_text(message)),
        "evidence_json": {"resource": resource, "keys": sorted(_name(key) for key in list(signal)[:50])},
    }


def _airflow(signal: dict[str, Any]) -> dict[str, Any]:
    instance = signal.get("task_instance")
    context = {**(instance if isinstance(instance, dict) else {}), **signal}
    exception = context.get("exception")
    inner = exception if isinstance(exception, dict) else {}
    text = _text(inner.get("message") if inner else exception or context.get("message"))
    head, colon, rest = text.partition(":")
    typed = bool(colon) and head.replace(".", "").replace("_", "").isalnum() and head.endswith(("Error", "Exception"))
    kind = _name(context.get("exception_type") or inner.get("type") or (head.rsplit(".", 1)[-1] if typed else ""))
    return {
        "where": f"{_name(context.get('dag_id'))}.{_name(context.get('task_id'))}",
        "pipeline": _name(context.get("pipeline")),
        "system": "airflow",
        "exception_type": kind,
        "http_status": _status(context.get("http_status") or inner.get("code")),
        "grpc_status": _name(context.get("grpc_status")),
        "sqlstate": _name(context.get("sqlstate")),
        "reason": _name(context.get("reason")),
        "exit_code": _integer(context.get("exit_code")),
        "message": mask(rest.strip() if typed else text),
        "evidence_json": {key: _name(context[key]) for key in _AIRFLOW_CONTEXT if key in context},
    }


def _text(value: object) -> str:
    return value[:20_000] if isinstance(value, str) else ""


def _name(value: object) -> str:
    return clean(str(value), _NAME_CHARACTERS_MAX) if isinstance(value, str | int) and value != "" else ""


def _status(value: object) -> int:
    number = _integer(value)
    return number if 100 <= number <= 599 else 0


def _integer(value: object) -> int:
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdigit() and len(digits) < 10 else 0
