"""A function that anybody can reach believes signed requests alone, each once, and at the address they were signed for.

Method: requests go over HTTP to the server of ``mend up``; the cloud's function is asked behind functions-framework.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from functions_framework import create_app

from mend.up import listen
from shared.events.codec import topic_of
from shared.events.types import IncidentOpened
from shared.runtime import wiring
from shared.runtime.signatures import AGE_SECONDS_MAX, HEADER, Sent, judge, sign
from shared.runtime.wiring import Process
from tests.conformance.turned_clock import TurnedClock
from tests.support.local_ports import make_process, seen, watch
from tests.tidy.tree import ROOT

OPENED = topic_of(IncidentOpened)
BODY = json.dumps({"system": "airflow", "message": "task failed", "id": "1"}).encode()
PATH = "/signals/generic"
SENT = Sent("POST", PATH, BODY)
Send = Callable[..., tuple[int, str]]


@pytest.fixture
def process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Process:
    monkeypatch.setenv("MEND_SECRET_SIGNALS", "s3cret")
    made = make_process(tmp_path, TurnedClock(), signals_secret="signals")
    watch(made, [OPENED])
    return made


@pytest.fixture
def address(process: Process) -> Iterator[tuple[str, int]]:
    server = listen(process, 0)
    yield "127.0.0.1", server.port
    server.close()


@pytest.fixture
def send(address: tuple[str, int]) -> Send:
    """Status and text of the answer to a request."""
    return lambda signature, sent=SENT: asked(address, signature, sent)


def asked(address: tuple[str, int], signature: str, sent: Sent = SENT) -> tuple[int, str]:
    with contextlib.closing(http.client.HTTPConnection(*address, timeout=10)) as connection:
        connection.request(sent.method, sent.path, sent.body, {HEADER: signature} if signature else {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode().strip()


def now(process: Process) -> int:
    return process.clock.now() // 1_000_000


def test_a_signed_request_is_taken_once(process: Process, send: Send) -> None:
    signature = sign("s3cret", SENT, now(process))
    assert send(signature) == (202, "taken in")
    assert len(seen(process, [OPENED])) == 1
    process.clock.sleep(AGE_SECONDS_MAX - 1)
    assert send(signature)[0] == 202, "sent again in time"
    assert seen(process, [OPENED]) == [], "it has no effect"
    process.clock.sleep(2)
    assert send(signature)[0] == 401, "too old"


@pytest.mark.parametrize(
    "other",
    ["/signals/airflow", "/signals/generic/", "/signals", "/signals/x/generic", "/signals/generic%0A", "/SIGNALS"],
)
def test_what_is_signed_for_one_address_is_refused_at_another(process: Process, send: Send, other: str) -> None:
    signature = sign("s3cret", SENT, now(process))
    assert send(signature, SENT._replace(path=other))[0] in (401, 404)
    assert seen(process, [OPENED]) == []
    assert send(signature)[0] == 202, "and taken where it was signed for"
    assert send(signature, SENT._replace(path=other))[0] in (401, 404), "nor is it replayed there afterwards"
    assert len(seen(process, [OPENED])) == 1


def test_what_is_not_signed_of_an_address_has_no_effect(process: Process, send: Send) -> None:
    signature = sign("s3cret", SENT, now(process))
    assert send(signature, SENT._replace(path=f"{PATH}?kind=airflow"))[0] == 202
    assert send(signature)[0] == 202, "the same message"
    assert len(seen(process, [OPENED])) == 1


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_another_method_is_another_request(process: Process, send: Send, method: str) -> None:
    assert send(sign("s3cret", SENT, now(process)), SENT._replace(method=method))[0] in (401, 405)
    signed = sign("s3cret", SENT._replace(method=method), now(process))
    assert send(signed) == (401, "the signature is wrong")
    assert seen(process, [OPENED]) == []


@pytest.mark.parametrize(
    "case",
    ["none", "nonsense", "forged", "another body", "another path", "another time", "of the future", "the old way"],
)
def test_what_is_not_believed(process: Process, send: Send, case: str) -> None:
    good = sign("s3cret", SENT, now(process))
    signature = {
        "none": "",
        "nonsense": "t=1,v2=",
        "forged": sign("guess", SENT, now(process)),
        "another body": sign("s3cret", SENT._replace(body=BODY + b" "), now(process)),
        "another path": sign("s3cret", SENT._replace(path="/signals/airflow"), now(process)),
        "another time": good.replace(f"t={now(process)}", f"t={now(process) + 1}"),
        "of the future": sign("s3cret", SENT, now(process) + AGE_SECONDS_MAX + 1),
        "the old way": good.replace("v2=", "v1="),
    }[case]
    assert send(signature)[0] == 401
    assert seen(process, [OPENED]) == []


SPELLINGS: dict[str, Callable[[str], str]] = {
    "a leading zero": lambda good: good.replace("t=", "t=0"),
    "leading zeros": lambda good: good.replace("t=", "t=00"),
    "a plus": lambda good: good.replace("t=", "t=+"),
    "an underscore": lambda good: good.replace("t=1", "t=1_"),
    "a digit of another script": lambda good: good.replace("1", "\N{ARABIC-INDIC DIGIT ONE}", 1),
    "a raised digit": lambda good: good.replace("1", "\N{SUPERSCRIPT ONE}", 1),
    "a space within": lambda good: good.replace(",", ", "),
    "a space before the time": lambda good: good.replace("t=", "t= "),
    "an end of line": lambda good: f"{good}\n",
    "the time twice": lambda good: f"{good.split(',')[0]},{good}",
    "the signature twice": lambda good: f"{good},{good.split(',')[1]}",
    "the header twice": lambda good: f"{good},{good}",
    "another order": lambda good: ",".join(reversed(good.split(","))),
    "upper case": lambda good: good.split("=")[0] + "=" + good.partition("=")[2].upper(),
    "digits in upper case": lambda good: good.rpartition("=")[0] + "=" + good.rpartition("=")[2].upper(),
    "names in upper case": lambda good: good.replace("t=", "T="),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_signature_that_is_respelt_is_no_second_message(process: Process, send: Send, spelling: str) -> None:
    good = sign("s3cret", SENT, now(process))
    respelt = SPELLINGS[spelling](good)
    assert respelt != good
    assert judge("s3cret", respelt, SENT, now(process)).refusal
    assert send(good)[0] == 202
    assert len(seen(process, [OPENED])) == 1
    if respelt.isascii() and respelt.isprintable():
        assert send(respelt)[0] == 401, "over HTTP too"
    assert seen(process, [OPENED]) == []


def test_the_header_is_sent_twice(process: Process, address: tuple[str, int]) -> None:
    good = sign("s3cret", SENT, now(process))
    with contextlib.closing(http.client.HTTPConnection(*address, timeout=10)) as connection:
        connection.putrequest("POST", PATH)
        for each in (good, good):
            connection.putheader(HEADER, each)
        connection.putheader("Content-Length", str(len(BODY)))
        connection.endheaders(BODY)
        assert connection.getresponse().status == 401
    assert seen(process, [OPENED]) == []


def test_no_part_of_the_body_stands_for_the_path() -> None:
    told = sign("s3cret", Sent("POST", "/a", b"b\nc"), 1)
    assert judge("s3cret", told, Sent("POST", "/a", b"b\nc"), 1) == ("", told)
    assert judge("s3cret", told, Sent("POST", "/a\nb", b"c"), 1) == ("the signature is wrong", "")


def test_a_secret_that_is_missing_opens_nothing(tmp_path: Path) -> None:
    process = make_process(tmp_path, TurnedClock(), signals_secret="absent")
    with contextlib.closing(listen(process, 0)) as server:
        assert asked(("127.0.0.1", server.port), sign("", SENT, now(process)))[0] == 401
    with contextlib.closing(listen(make_process(tmp_path, TurnedClock()), 0)) as server:
        assert asked(("127.0.0.1", server.port), "")[0] == 202, "without the setting the platform checks"


def test_the_function_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"ROOT": str(tmp_path / "store"), "PROJECT": str(tmp_path), "SIGNALS_SECRET": "signals"}
    for name, value in {**told, "SECRET_SIGNALS": "s3cret"}.items():
        monkeypatch.setenv(f"MEND_{name}", value)
    wiring.process.cache_clear()
    try:
        source = str(ROOT / "services" / "ingest" / "main.py")
        client = create_app(target="signals", source=source).test_client()
        signature = {HEADER: sign("s3cret", SENT, int(time.time()))}
        assert client.post("/signals/airflow", data=BODY, headers=signature).status_code == 401
        assert client.post(PATH, data=BODY, headers=signature).status_code == 202
    finally:
        wiring.process.cache_clear()


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("openssl")), reason="needs curl and openssl")
def test_the_documented_command_signs(process: Process, address: tuple[str, int]) -> None:
    """The lines of docs/deploy.md, as a shell runs them."""
    text = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"((?:^    .*\n)*^    .*X-Mend-Signature: t=.*\n(?:^    .*\n)*)", text, re.MULTILINE)
    script = "\n".join(line for line in lines.splitlines() if "gcloud" not in line)
    process.clock.sleep(time.time() - process.clock.now() / 1_000_000)
    url = f"http://{address[0]}:{address[1]}"
    environment = {"PATH": "/usr/bin:/bin", "SECRET": "s3cret", "SIGNALS": url}
    ended = subprocess.run(["sh", "-c", script], env=environment, capture_output=True, text=True, timeout=30)
    assert (ended.returncode, ended.stdout.strip()) == (0, "taken in"), ended.stderr
    assert len(seen(process, [OPENED])) == 1
