"""A function that anybody can reach believes signed requests alone, and each once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from flask import Request
from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder

from services.ingest.handlers import SERVICE
from shared.events.codec import topic_of
from shared.events.types import IncidentOpened
from shared.ports.event_bus import SIGNALS_TOPIC
from shared.runtime import http
from shared.runtime.signatures import AGE_SECONDS_MAX, HEADER, sign
from shared.runtime.wiring import Process
from tests.conformance.turned_clock import TurnedClock
from tests.support.local_ports import make_process, seen, watch

OPENED = topic_of(IncidentOpened)
BODY = json.dumps({"system": "airflow", "message": "task failed", "id": "1"}).encode()


@pytest.fixture
def process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Process:
    monkeypatch.setenv("MEND_SECRET_SIGNALS", "s3cret")
    made = make_process(tmp_path, TurnedClock(), signals_secret="signals")
    watch(made, [OPENED])
    return made


def send(process: Process, signature: str, body: bytes = BODY) -> int:
    headers = Headers({HEADER: signature} if signature else {})
    request = Request(EnvironBuilder(path="/signals/generic", method="POST", data=body, headers=headers).get_environ())
    judge = process.callers.judge
    return http.take_in(SERVICE, process.runtime(), SIGNALS_TOPIC, request, process.ids.new(), judge)[1]


def now(process: Process) -> int:
    return process.clock.now() // 1_000_000


def test_a_signed_request_is_taken_once(process: Process) -> None:
    signature = sign("s3cret", BODY, now(process))
    assert send(process, signature) == 202
    assert len(seen(process, [OPENED])) == 1
    process.clock.sleep(AGE_SECONDS_MAX - 1)
    assert send(process, signature) == 202, "sent again in time"
    assert seen(process, [OPENED]) == [], "it has no effect"
    process.clock.sleep(2)
    assert send(process, signature) == 401, "too old"


@pytest.mark.parametrize("case", ["none", "nonsense", "forged", "another body", "another time", "of the future"])
def test_what_is_not_believed(process: Process, case: str) -> None:
    good = sign("s3cret", BODY, now(process))
    signature = {
        "none": "",
        "nonsense": "t=1,v1=",
        "forged": sign("guess", BODY, now(process)),
        "another body": sign("s3cret", BODY + b" ", now(process)),
        "another time": good.replace(f"t={now(process)}", f"t={now(process) + 1}"),
        "of the future": sign("s3cret", BODY, now(process) + AGE_SECONDS_MAX + 1),
    }[case]
    assert send(process, signature) == 401
    assert seen(process, [OPENED]) == []


def test_a_secret_that_is_missing_opens_nothing(tmp_path: Path) -> None:
    process = make_process(tmp_path, TurnedClock(), signals_secret="absent")
    assert send(process, sign("", BODY, now(process))) == 401
    assert send(make_process(tmp_path, TurnedClock()), "") == 202, "without the setting the platform checks"
