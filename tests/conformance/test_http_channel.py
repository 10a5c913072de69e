"""The Teams channel under the suite, against a real server on this machine that answers as Teams does."""

import json
import logging
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from shared.adapters.http.channel import MESSAGE_BYTES_MAX, TeamsChannel, card_bytes, escaped
from shared.domain.errors import ForeignFailure
from shared.ports.channel import Channel, Notice
from tests.conformance.channel_suite import HOSTILE, NOTICE, ChannelSuite
from tests.conformance.turned_clock import TurnedClock

SIGNATURE = "s3cretsignature"


class Teams:
    """The server: what it was sent, and what it answers next."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self.sizes: list[int] = []
        self.status = 202
        self.headers: dict[str, str] = {}
        self.body = b""
        teams = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                teams.sizes.append(len(content))
                teams.received.append(json.loads(content))
                self.send_response(teams.status)
                for name, value in {**teams.headers, "Content-Length": str(len(teams.body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(teams.body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/workflows/x?sig={SIGNATURE}"


@pytest.fixture
def teams() -> Iterator[Teams]:
    teams = Teams()
    thread = threading.Thread(target=teams.server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield teams
    teams.server.shutdown()
    teams.server.server_close()
    thread.join()


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
def channel(teams: Teams, clock: TurnedClock) -> TeamsChannel:
    return TeamsChannel(lambda: teams.address, clock, timeout_seconds=5.0)


def texts(part: Any) -> Iterator[str]:
    """Every text of a card, as a person sees it."""
    if isinstance(part, dict):
        for value in part.values():
            yield from texts(value)
    elif isinstance(part, list):
        for value in part:
            yield from texts(value)
    elif isinstance(part, str):
        plain = re.sub(r"\\([\\`*_\[\]()~|#+>\-\d])", r"\1", part)
        yield plain.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


class TestTeamsChannel(ChannelSuite):
    """No known differences."""

    @pytest.fixture
    def channel(self, teams: Teams, clock: TurnedClock) -> Channel:
        self.teams = teams
        return TeamsChannel(lambda: teams.address, clock)

    @pytest.fixture
    def broken_channel(self) -> Channel:
        return TeamsChannel(lambda: f"http://127.0.0.1:1/x?sig={SIGNATURE}", TurnedClock(), timeout_seconds=1.0)

    def shown(self, channel: Channel) -> str:
        return "\n".join(texts(self.teams.received[-1]))


def test_the_message_is_a_workflows_card(teams: Teams, channel: TeamsChannel) -> None:
    channel.send(NOTICE)
    [message] = teams.received
    [attachment] = message["attachments"]
    card = attachment["content"]
    assert message["type"] == "message"
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert (card["type"], card["version"], card["msteams"]) == ("AdaptiveCard", "1.4", {"width": "Full"})
    assert card["actions"] == [{"type": "Action.OpenUrl", "title": "Open", "url": NOTICE.link}]
    assert [part["type"] for part in card["body"]] == ["TextBlock", "TextBlock", "FactSet", "TextBlock"]


@pytest.mark.parametrize(
    "notice",
    [
        HOSTILE,
        HOSTILE._replace(summary="🙂" * 9_000, facts=tuple(("[" * 80, "*" * 400) for _ in range(30))),
        HOSTILE._replace(
            title="*" * 900, summary="_" * 9_000, facts=(), command="~" * 900, link="https://x/" + "y" * 1_900
        ),
    ],
)
def test_it_is_never_larger_than_teams_takes(teams: Teams, channel: TeamsChannel, notice: Notice) -> None:
    channel.send(notice)
    assert teams.sizes[0] <= MESSAGE_BYTES_MAX
    assert len(card_bytes(notice)) == teams.sizes[0]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a*b_c", r"a\*b\_c"),
        ("[x](https://evil)", r"\[x\]\(https://evil\)"),
        ("<at>all</at> & <b>", "&lt;at&gt;all&lt;/at&gt; &amp; &lt;b&gt;"),
        ("{{DATE(2020-01-01)}}", r"{ {DATE\(2020-01-01\)}}"),
        ("# head\n- item\n1. one\n10% of 2.5", "\\# head\n\\- item\n\\1. one\n10% of 2.5"),
        ("back\\slash `code` ~~x~~ |", r"back\\slash \`code\` \~\~x\~\~ \|"),
        ("--by NAME is plain", r"\--by NAME is plain"),
    ],
)
def test_text_is_shown_as_it_is(text: str, shown: str) -> None:
    assert escaped(text) == shown


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 500, 502, 302])
def test_a_refusal_carries_its_status(teams: Teams, channel: TeamsChannel, status: int) -> None:
    teams.status = status
    with pytest.raises(ForeignFailure) as caught:
        channel.send(NOTICE)
    assert caught.value.http_status == status
    assert SIGNATURE not in str(caught.value)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("17", 17), ("", 30), ("soon", 30), ("Tue, 14 Nov 2023 22:14:20 GMT", 60), ("999999", 3_600), ("0", 1)],
)
def test_too_many_messages_and_when_to_come_back(
    teams: Teams, channel: TeamsChannel, clock: TurnedClock, header: str, seconds: int
) -> None:
    teams.status, teams.headers = 429, {"Retry-After": header} if header else {}
    with pytest.raises(ForeignFailure) as caught:
        channel.send(NOTICE)
    assert (caught.value.http_status, caught.value.reason) == (429, f"retry_after={seconds}")
    teams.status = 202
    clock.sleep(seconds - 0.5)
    with pytest.raises(ForeignFailure) as again:
        channel.send(NOTICE)
    assert again.value.http_status == 429
    assert len(teams.received) == 1, "nobody knocks before the time that was named"
    clock.sleep(1.0)
    channel.send(NOTICE)
    assert len(teams.received) == 2


def test_the_old_connectors_say_it_in_the_body(teams: Teams, channel: TeamsChannel) -> None:
    teams.status, teams.body = 200, b"1"
    channel.send(NOTICE)
    teams.body = (
        b"Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429 with ..."
    )
    with pytest.raises(ForeignFailure) as caught:
        channel.send(NOTICE)
    assert caught.value.http_status == 429


@pytest.mark.parametrize("status", [202, 500])
def test_the_address_is_never_shown(
    teams: Teams, channel: TeamsChannel, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    """The library logs every address that it calls, and its errors know it."""
    caplog.set_level(logging.DEBUG)
    teams.status = status
    shown = repr(channel)
    for each in (channel, TeamsChannel(lambda: f"http://127.0.0.1:1/x?sig={SIGNATURE}", timeout_seconds=1.0)):
        try:
            each.send(NOTICE)
        except ForeignFailure as error:
            shown += f"{error} {error.__cause__!r} {error.__suppress_context__}"
    assert SIGNATURE not in caplog.text + shown
    assert "None True" in shown, "the library's error is not chained"


@pytest.mark.parametrize("address", [None, "", "ftp://x/y", "http://example.com/x", "https://[x", "not an address"])
def test_an_address_that_is_none(address: str | None) -> None:
    with pytest.raises(ForeignFailure) as caught:
        TeamsChannel(lambda: address).send(NOTICE)
    assert caught.value.reason in ("secret_missing", "secret_wrong")
