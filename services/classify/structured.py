"""Clues from the fields of a report that a machine filled in: reason outranks status, status outranks words."""

from __future__ import annotations

import re

from services.classify import codes, database_numbers, exception_types
from services.classify.diagnosis import Clue, Evidence
from shared.domain.incident import FailureClass, Origin
from shared.events.types import IncidentOpened

_NOT_A_NAME = re.compile(r"[\s_\-.]+")
_NUMBER = re.compile(r"-?\d{1,6}")
_VENDOR_CODE = re.compile(r"(?i)\b(ORA|MYSQL|MSG|ER)[-_ ]?0*(\d{1,5})\b")
_VENDORS = {"ora": "oracle", "mysql": "mysql", "er": "mysql", "msg": "sqlserver"}


def clues_of(report: IncidentOpened) -> list[Clue]:
    """What the fields say, highest rank first."""
    found = [
        _reason(report),
        _sqlstate(report),
        _grpc(report),
        _exception_type(report),
        _http(report),
        _exit_code(report),
    ]
    clues = [clue for clue in found if clue is not None]
    strong = [clue for clue in clues if clue.evidence.weight >= exception_types.WEAK_WEIGHT + 0.01]
    return strong + [clue for clue in clues if clue not in strong]


def squeezed(name: str) -> str:
    """A code's name without case, spaces and joints: "RESOURCE_EXHAUSTED" and "ResourceExhausted" are one."""
    return _NOT_A_NAME.sub("", name).casefold()[:100]


def _clue(found: codes.Meaning | None, field: str, value: str, meaning: str) -> Clue | None:
    if found is None:
        return None
    return Clue(found[0], Evidence("event", field, value[:200], found[1]), meaning)


def _reason(report: IncidentOpened) -> Clue | None:
    name = squeezed(report.reason.partition("=")[0])
    if not name:
        return None
    if report.origin == Origin.DESTINATION and name in codes.DESTINATION_REASONS:
        cause = codes.DESTINATION_REASONS[name]
        evidence = Evidence("event", "reason", report.reason[:200], 0.8)
        return Clue(FailureClass.CONFIGURATION_ERROR, evidence, f"the reason is {report.reason[:200]}", cause)
    if name == "sourceended" or (name == "shortread" and report.origin == Origin.SOURCE):
        # A transfer that broke off is the network's doing as long as fetching again is possible.
        evidence = Evidence("event", "reason", report.reason[:200], 0.85)
        return Clue(FailureClass.NETWORK_TIMEOUT, evidence, "the source ended before all bytes had come")
    found = codes.REASONS.get(name) or codes.GRPC.get(name) or exception_types.TYPES.get(name)
    return _clue(found, "reason", report.reason, f"the reason is {report.reason[:200]}")


def _sqlstate(report: IncidentOpened) -> Clue | None:
    state = report.sqlstate.strip().upper()[:20]
    if not state:
        return None
    found = sqlstate_meaning(state) or vendor_meaning(state) or number_meaning(state, report.system)
    return _clue(found, "sqlstate", state, f"SQLSTATE {state}")


def sqlstate_meaning(state: str) -> codes.Meaning | None:
    """By the whole code, else by its class."""
    if len(state) != 5 or not state.isalnum():
        return None
    return codes.SQLSTATE.get(state) or codes.SQLSTATE_CLASSES.get(state[:2])


def vendor_meaning(text: str) -> codes.Meaning | None:
    """By a database's own error number with its prefix, such as ORA-00942."""
    match = _VENDOR_CODE.search(text)
    if match is None:
        return None
    failure_class = database_numbers.NUMBERS[_VENDORS[match[1].lower()]].get(int(match[2]))
    return (failure_class, database_numbers.WEIGHT) if failure_class else None


def number_meaning(text: str, system: str) -> codes.Meaning | None:
    """By a bare number of the system that said it."""
    vendor = {"mariadb": "mysql", "mssql": "sqlserver"}.get(squeezed(system), squeezed(system))
    if vendor not in database_numbers.NUMBERS or not _NUMBER.fullmatch(text):
        return None
    failure_class = database_numbers.NUMBERS[vendor].get(int(text))
    return (failure_class, database_numbers.WEIGHT) if failure_class else None


def _grpc(report: IncidentOpened) -> Clue | None:
    name = squeezed(report.grpc_status).removeprefix("statuscode")
    name = codes.GRPC_NUMBERS.get(name, name)
    return _clue(codes.GRPC.get(name), "grpc_status", report.grpc_status, f"the gRPC status is {name}")


def _exception_type(report: IncidentOpened) -> Clue | None:
    name = exception_types.last_name(report.exception_type)
    found = exception_types.TYPES.get(name)
    return _clue(found, "exception_type", report.exception_type, f"the exception is {report.exception_type[:200]}")


def _http(report: IncidentOpened) -> Clue | None:
    status = report.http_status
    return _clue(codes.HTTP.get(status), "http_status", str(status), f"the HTTP status is {status}")


def _exit_code(report: IncidentOpened) -> Clue | None:
    code = report.exit_code
    meaning = codes.EXIT_MEANINGS.get(code, "")
    return _clue(codes.EXIT_CODES.get(code), "exit_code", str(code), f"exit code {code}: {meaning}".rstrip(": "))
