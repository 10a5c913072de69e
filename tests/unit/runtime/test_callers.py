"""A function that anybody can reach believes Google's word about the accounts it knows, and takes each request once.

Method: requests go over HTTP to a server on this machine; the certificates that its tokens are checked against come
over HTTP from another one. Keys, certificates and tokens are made here, the latter by hand where no library would.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from flask import Request
from functions_framework import create_app

from services.ingest.handlers import SERVICE
from shared.adapters.gcp.id_tokens import CERTIFICATES_SECONDS_MAX, CLOCK_SKEW_SECONDS
from shared.events.codec import topic_of
from shared.events.types import IncidentOpened
from shared.ports.event_bus import SIGNALS_TOPIC
from shared.ports.id_tokens import Claims
from shared.runtime import wiring
from shared.runtime.callers import AUTHORIZATION_CHARACTERS_MAX, refusal
from shared.runtime.http import take_in
from shared.runtime.http_server import LocalServer
from shared.runtime.signatures import HEADER, Sent, sign
from shared.runtime.wiring import Process
from tests.conformance.turned_clock import TurnedClock
from tests.emulators.http_server import Answer
from tests.support.identity_tokens import (
    ACCOUNT,
    AUDIENCE,
    KEY_ID,
    Key,
    Published,
    respelt,
    signed_part,
    text,
    unsigned,
)
from tests.support.local_ports import logged, make_process, seen, watch
from tests.tidy.tree import ROOT

OPENED = topic_of(IncidentOpened)
BODY = json.dumps({"system": "workflows", "message": "the nightly load failed", "id": "1"}).encode()
PATH = "/signals/generic"
SENT = Sent("POST", PATH, BODY)


@pytest.fixture(scope="module")
def key() -> Key:
    return Key()


@pytest.fixture(scope="module")
def stranger() -> Key:
    return Key()


@pytest.fixture(scope="module")
def server(key: Key) -> Iterator[Published]:
    made = Published(key)
    with made.server:
        yield made


@pytest.fixture
def published(server: Published) -> Published:
    server.answer = server.good
    server.asked().clear()
    return server


class Door:
    """A server of ours that takes reports in for the process that stands behind it."""

    def __init__(self) -> None:
        self.process: Process | None = None
        self.server = LocalServer(0, {"signals": self._take_in})

    def _take_in(self, request: Request) -> tuple[str, int]:
        assert self.process is not None
        process = self.process
        judge = process.callers.judge
        return take_in(SERVICE, process.runtime(), SIGNALS_TOPIC, request, process.ids.new(), judge)


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    made = Door()
    yield made
    made.server.close()


Send = Callable[..., tuple[int, str]]


@pytest.fixture
def send(door: Door) -> Send:
    """Status and text of a report that is sent to a process."""

    def post(process: Process, headers: Mapping[str, str], body: bytes = BODY) -> tuple[int, str]:
        door.process = process
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", door.server.port, timeout=10)) as connection:
            connection.request("POST", PATH, body, dict(headers))
            answer = connection.getresponse()
            return answer.status, answer.read().decode().strip()

    return post


@pytest.fixture
def process(published: Published, tmp_path: Path) -> Process:
    return made(published, tmp_path)


def made(published: Published, folder: Path, **settings: object) -> Process:
    known = {"signals_audience": AUDIENCE, "signals_accounts": f"somebody@else.example {ACCOUNT}"}
    place = {"signals_certificates_url": f"{published.server.url}/certs"}
    process = make_process(folder, TurnedClock(), **{**known, **place, **settings})
    watch(process, [OPENED])
    return process


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_an_account_that_is_known_is_believed(send: Send, process: Process, key: Key) -> None:
    assert send(process, bearer(key.token())) == (202, "taken in")
    (event,) = seen(process, [OPENED])
    assert isinstance(event, IncidentOpened)
    assert event.origin == "signal"


NOT_SIGNED = "the token is not signed by Google, or has expired"
NO_TOKEN = "the request has no token"
HOUR = 3_600
CASES: dict[str, tuple[Callable[[Key, Key], str], str]] = {
    "forged": (lambda key, stranger: stranger.token(), NOT_SIGNED),
    "forged, with a key of its own": (lambda key, stranger: stranger.token({"kid": "key-2"}), NOT_SIGNED),
    "forged, with every key tried": (lambda key, stranger: stranger.token({"kid": ""}), NOT_SIGNED),
    "claims of one, signature of another": (
        lambda key, stranger: f"{signed_part({'alg': 'RS256', 'kid': KEY_ID})}.{key.token(aud='x').split('.')[2]}",
        NOT_SIGNED,
    ),
    "expired": (
        lambda key, stranger: key.token(iat=int(time.time()) - 2 * HOUR, exp=int(time.time()) - CLOCK_SKEW_SECONDS - 5),
        NOT_SIGNED,
    ),
    "of the future": (lambda key, stranger: key.token(iat=int(time.time()) + CLOCK_SKEW_SECONDS + 60), NOT_SIGNED),
    "never expires": (lambda key, stranger: key.token(exp=None), NOT_SIGNED),
    "expires in words": (lambda key, stranger: key.token(exp="tomorrow"), NOT_SIGNED),
    "another audience": (lambda key, stranger: key.token(aud=f"{AUDIENCE}/"), "the token is for another audience"),
    "several audiences": (lambda key, stranger: key.token(aud=[AUDIENCE]), "the token is for another audience"),
    "no audience": (lambda key, stranger: key.token(aud=None), "the token is for another audience"),
    "another issuer": (
        lambda key, stranger: key.token(iss="https://accounts.google.com.example"),
        "the token has another issuer than Google",
    ),
    "an account that is not known": (
        lambda key, stranger: key.token(email=f"x{ACCOUNT}"),
        "the account may not send here",
    ),
    "an account in capitals": (
        lambda key, stranger: key.token(email=ACCOUNT.upper()),
        "the account may not send here",
    ),
    "an address that nobody verified": (
        lambda key, stranger: key.token(email_verified=False),
        "the token does not say whose it is: it needs a verified e-mail address",
    ),
    "an address that is verified in words": (
        lambda key, stranger: key.token(email_verified="true"),
        "the token does not say whose it is: it needs a verified e-mail address",
    ),
    "no address": (
        lambda key, stranger: key.token(email=None, email_verified=None),
        "the token does not say whose it is: it needs a verified e-mail address",
    ),
    "no signature": (lambda key, stranger: f"{signed_part({'alg': 'none'})}.", NO_TOKEN),
    "no algorithm": (lambda key, stranger: f"{signed_part({'alg': 'none'})}.{text(b'x')}", NOT_SIGNED),
    "the public key as a secret": (lambda key, stranger: unsigned(key, "HS256", key.public), NOT_SIGNED),
    "the certificate as a secret": (
        lambda key, stranger: unsigned(key, "HS256", key.certificate.encode()),
        NOT_SIGNED,
    ),
    "another algorithm's name": (lambda key, stranger: key.token({"alg": "ES256"}), NOT_SIGNED),
    "an algorithm that is a list": (lambda key, stranger: key.token({"alg": ["RS256"]}), NOT_SIGNED),
    "a key that is an object": (lambda key, stranger: key.token({"kid": {"a": 1}}), NOT_SIGNED),
    "a signature that the platform took away": (
        lambda key, stranger: key.token().rpartition(".")[0] + ".SIGNATURE_REMOVED_BY_GOOGLE",
        NOT_SIGNED,
    ),
    "nonsense in its form": (lambda key, stranger: "a.b.c", NOT_SIGNED),
    "a list in a list in a list": (lambda key, stranger: f"{text(b'[' * 3_000)}.e30.e30", NOT_SIGNED),
    "nothing": (lambda key, stranger: "", NO_TOKEN),
    "two tokens": (lambda key, stranger: f"{key.token()} {key.token()}", NO_TOKEN),
    "too long": (lambda key, stranger: key.token(x="y" * AUTHORIZATION_CHARACTERS_MAX), "the token is too long"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_not_believed(send: Send, process: Process, key: Key, stranger: Key, case: str) -> None:
    token, why = CASES[case]
    assert send(process, bearer(token(key, stranger))) == (401, why)
    assert seen(process, [OPENED]) == []


@pytest.mark.parametrize("header", ["", "Basic dXNlcjpwYXNz", "Bearer", "\x7f", "Bearer " + "." * 500])
def test_what_is_no_token(send: Send, process: Process, published: Published, header: str) -> None:
    assert send(process, {"Authorization": header} if header else {}) == (401, NO_TOKEN)
    assert published.asked() == [], "nobody is asked for certificates on its account"


def test_clocks_may_differ_a_little(send: Send, process: Process, key: Key) -> None:
    now = int(time.time())
    half = CLOCK_SKEW_SECONDS // 2
    assert send(process, bearer(key.token(iat=now - HOUR, exp=now - half)))[0] == 202
    assert send(process, bearer(key.token(iat=now + half)))[0] == 202


# ── a request that is sent again ──────────────────────────────────────────────────────────────────────────────────


def test_a_request_that_is_sent_again_has_no_effect(send: Send, process: Process, key: Key) -> None:
    token = key.token()
    assert send(process, bearer(token))[0] == 202
    assert len(seen(process, [OPENED])) == 1
    assert send(process, bearer(token))[0] == 202, "a caller that missed the answer is told that it was taken in"
    assert send(process, {**bearer(token), "X-Request-Id": "another"})[0] == 202, "its name is not signed"
    assert respelt(token) != token
    assert send(process, bearer(respelt(token)))[0] == 202, "it is still the same token"
    assert seen(process, [OPENED]) == []


def test_one_token_may_bring_several_reports(send: Send, process: Process, key: Key) -> None:
    """Google's libraries use a token until it expires."""
    token = key.token()
    for number in (1, 2):
        body = json.dumps({"system": "workflows", "resource": f"load-{number}", "message": "failed"}).encode()
        assert send(process, bearer(token), body)[0] == 202
        assert len(seen(process, [OPENED])) == 1


def test_a_token_is_nowhere_kept(send: Send, process: Process, key: Key, tmp_path: Path) -> None:
    process, lines = logged(process)
    tokens = [key.token(), key.token(aud="x"), key.token()[:-9] + "AAAAAAAAA"]
    answers = [send(process, bearer(each)) for each in tokens]
    assert [status for status, _ in answers] == [202, 401, 401]
    assert lines, "something was logged"
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert len(kept) > 10_000
    for part in {part for each in tokens for part in each.split(".")}:
        assert part.encode() not in kept
        assert part not in repr(lines) + repr(answers)


# ── certificates ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("stated", "stands"),
    [
        ("public, max-age=60, must-revalidate", 60.0),
        ("max-age=19999999", CERTIFICATES_SECONDS_MAX),
        ("no-store", 0.0),
    ],
)
def test_certificates_are_asked_for_when_they_are_out_of_date(
    send: Send, process: Process, published: Published, key: Key, stated: str, stands: float
) -> None:
    published.answer = Answer(200, {KEY_ID: key.certificate}, (("Cache-Control", stated),))
    for wait, asked in ((0.0, 1), (max(stands - 1.0, 0.0), 1 if stands else 2), (1.0, 2 if stands else 3)):
        process.clock.sleep(wait)
        assert send(process, bearer(key.token()))[0] == 202
        assert len(published.asked()) == asked


@pytest.mark.parametrize(
    "answer",
    [
        Answer(500, {}),
        Answer(404, {KEY_ID: "x"}),
        Answer(200, b"<html>"),
        Answer(200, []),
        Answer(200, {}),
        Answer(200, {"keys": []}),
        Answer(200, b"[" * 90_000),
    ],
)
def test_without_certificates_a_caller_is_asked_to_come_again(
    send: Send, process: Process, published: Published, key: Key, answer: Answer
) -> None:
    published.answer = answer
    token = key.token()
    assert send(process, bearer(token)) == (503, "not now; send it again")
    published.answer = published.good
    assert send(process, bearer(token))[0] == 202


def test_nobody_answers_for_certificates(send: Send, published: Published, key: Key, tmp_path: Path) -> None:
    process = made(published, tmp_path, signals_certificates_url="http://127.0.0.1:9/certs")
    assert send(process, bearer(key.token()))[0] == 503


# ── what the settings name ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("left_out", ["signals_audience", "signals_accounts"])
def test_half_a_setting_opens_nothing(
    send: Send, published: Published, key: Key, tmp_path: Path, left_out: str
) -> None:
    process = made(published, tmp_path, **{left_out: ""})
    for headers in ({}, bearer(key.token()), bearer(key.token(aud=None))):
        assert send(process, headers)[0] == 401


def test_beside_a_secret(
    send: Send, published: Published, key: Key, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEND_SECRET_SIGNALS", "s3cret")
    process = made(published, tmp_path, signals_secret="signals")
    signature = {HEADER: sign("s3cret", SENT, process.clock.now() // 1_000_000)}
    assert send(process, signature)[0] == 202
    assert send(process, bearer(key.token()))[0] == 202
    assert send(process, {})[0] == 401
    wrong = {HEADER: sign("guess", SENT, process.clock.now() // 1_000_000)}
    assert send(process, {**wrong, **bearer(key.token())}) == (401, "the signature is wrong")


def test_a_signature_means_nothing_without_a_secret(send: Send, process: Process) -> None:
    assert send(process, {HEADER: sign("", SENT, process.clock.now() // 1_000_000)})[0] == 401


def test_every_claim_counts() -> None:
    good = Claims("accounts.google.com", AUDIENCE, ACCOUNT, email_verified=True)
    accounts = frozenset({ACCOUNT})
    assert refusal(good, AUDIENCE, accounts) == ""
    wrong = [good._replace(**{name: value}) for name, value in good._asdict().items() for value in [type(value)()]]
    why = [refusal(each, AUDIENCE, accounts) for each in [None, *wrong]]
    assert all(why)
    assert len(set(why)) == 5, "each for a reason of its own"


def test_the_function_itself(published: Published, key: Key, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "ROOT": str(tmp_path / "store"),
        "PROJECT": str(tmp_path),
        "SIGNALS_AUDIENCE": AUDIENCE,
        "SIGNALS_ACCOUNTS": ACCOUNT,
        "SIGNALS_CERTIFICATES_URL": published.server.url,
    }.items():
        monkeypatch.setenv(f"MEND_{name}", value)
    wiring.process.cache_clear()
    try:
        source = str(ROOT / "services" / "ingest" / "main.py")
        client = create_app(target="signals", source=source).test_client()
        assert client.post("/signals/generic", data=BODY).status_code == 401
        assert client.post("/signals/generic", data=BODY, headers=bearer(key.token())).status_code == 202
    finally:
        wiring.process.cache_clear()


def test_what_is_not_asked_for_is_not_loaded(tmp_path: Path) -> None:
    """Google's library is a cold start of its own."""
    script = """
import sys
from shared.domain.errors import StoreUnavailable
from shared.runtime import wiring
from shared.runtime.settings import load
known = {"signals_audience": "a", "signals_accounts": "b"} if sys.argv[2] else {}
process = wiring.build(load({}, root=sys.argv[1], signals_certificates_url="http://127.0.0.1:9/", **known))
try:
    process.callers.judge("", "Bearer a.b.c", b"")
except StoreUnavailable:
    pass
print("google.auth" in sys.modules)
"""
    told = [
        subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / "store"), asked],
            cwd=ROOT, capture_output=True, text=True, check=True,
        ).stdout.strip()
        for asked in ("", "yes")
    ]  # fmt: skip
    assert told == ["False", "True"]
