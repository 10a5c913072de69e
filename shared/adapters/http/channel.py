"""Notices to Microsoft Teams: an Adaptive Card posted to a Workflows address."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from shared.adapters.local.clock import SystemClock
from shared.adapters.notice_text import bounded
from shared.domain.errors import ForeignFailure
from shared.ports.channel import Notice
from shared.ports.clock import Clock

if TYPE_CHECKING:
    import httpx

MESSAGE_BYTES_MAX = 20_000  # Teams refuses above about 28 KB, some tenants from 21 KB
RETRY_AFTER_SECONDS_MAX = 3_600
RETRY_AFTER_SECONDS_DEFAULT = 30
REPLY_BYTES_MAX = 4_000
SHRINK_ROUNDS_MAX = 60

_COLORS = {"info": "Accent", "warning": "Warning", "error": "Attention"}
_MARKDOWN = re.compile(r"([\\`*_\[\]()~|])")
_AT_LINE_START = re.compile(r"(?m)^(\s*)([#+>-]|\d+(?=\.))")
# The old connectors answer 200 and say in the body that it went wrong.
_ERROR_IN_BODY = re.compile(r"HTTP error (\d{3})", re.IGNORECASE)


class TeamsChannel:
    """Posts to what ``address`` gives, which is a secret: it is asked for each time, and never shown.

    After a refusal for too many messages nothing is sent before the time that Teams named.
    """

    def __init__(
        self,
        address: Callable[[], str | None],
        clock: Clock | None = None,
        *,
        name: str = "teams",
        timeout_seconds: float = 10.0,
    ) -> None:
        self.name = name
        self._secret = address
        self._clock = clock or SystemClock()
        self._timeout_seconds = timeout_seconds
        self._not_before = 0.0

    def send(self, notice: Notice) -> None:
        """Post the notice; ``ForeignFailure`` with the HTTP status unless Teams took it."""
        wait = self._not_before - self._clock.monotonic()
        if wait > 0:
            raise self._throttled(wait)
        import httpx

        address = self._address()
        content = card_bytes(notice)
        logger = logging.getLogger("httpx")  # it logs the addresses it calls
        silence = _Silence(address)
        logger.addFilter(silence)
        try:
            with httpx.Client(timeout=self._timeout_seconds, follow_redirects=False, trust_env=True) as client:
                reply = client.post(address, content=content, headers={"Content-Type": "application/json"})
                self._judge(reply)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            # Not chained and not quoted: the error knows the address.
            reason = "timeout" if isinstance(error, httpx.TimeoutException) else "connection"
            raise ForeignFailure(
                f"Teams could not be reached ({reason})",
                system=self.name,
                exception_type=type(error).__name__,
                reason=reason,
            ) from None
        finally:
            logger.removeFilter(silence)

    def _address(self) -> str:
        address = self._secret()
        if not address:
            raise ForeignFailure(
                "there is no Teams address; put the Workflows address into the secret that the settings name",
                system=self.name,
                reason="secret_missing",
            )
        try:
            parts = urlsplit(address)
        except ValueError:
            parts = urlsplit("")
        if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
            raise ForeignFailure(
                "the secret with the Teams address holds no https address", system=self.name, reason="secret_wrong"
            )
        return address

    def _judge(self, reply: httpx.Response) -> None:
        status = reply.status_code
        said = _ERROR_IN_BODY.search(reply.text[:REPLY_BYTES_MAX]) if status == 200 else None
        if said is not None:
            status = int(said.group(1))
        elif 200 <= status < 300:
            return
        if status == 429:
            wait = self._retry_after(reply.headers.get("Retry-After", ""))
            self._not_before = self._clock.monotonic() + wait
            raise self._throttled(wait)
        advice = {
            400: "it refused the card",
            401: "its address has expired; make a new one",
            403: "its address has expired; make a new one",
            404: "its flow is gone; make a new one",
            413: "it found the card too large",
        }.get(status, "it did not take the message")
        raise ForeignFailure(f"Teams answered {status}: {advice}", system=self.name, http_status=status)

    def _retry_after(self, header: str) -> float:
        seconds = float(RETRY_AFTER_SECONDS_DEFAULT)
        if re.fullmatch(r"\d{1,9}", header.strip()):
            seconds = float(header)
        elif header:
            try:
                seconds = parsedate_to_datetime(header).timestamp() - self._clock.now() / 1_000_000
            except ValueError:
                seconds = float(RETRY_AFTER_SECONDS_DEFAULT)
        return min(max(seconds, 1.0), RETRY_AFTER_SECONDS_MAX)

    def _throttled(self, wait: float) -> ForeignFailure:
        return ForeignFailure(
            f"Teams takes no messages for {wait:.0f} s",
            system=self.name,
            http_status=429,
            reason=f"retry_after={wait:.0f}",
        )


class _Silence(logging.Filter):
    """Drops log records that show the address."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self._address = address

    def filter(self, record: logging.LogRecord) -> bool:
        parts = urlsplit(self._address)
        shown = record.getMessage()
        return self._address not in shown and parts.netloc not in shown


def escaped(text: str) -> str:
    """Text that a card shows as it is: no markdown, no HTML, no mention, no date function."""
    plain = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("{{", "{ {")
    return _AT_LINE_START.sub(r"\1\\\2", _MARKDOWN.sub(r"\\\1", plain))


def card_bytes(notice: Notice) -> bytes:
    """The message for a Workflows address, at most ``MESSAGE_BYTES_MAX``: facts go first, then the summary's end."""
    shown = bounded(notice)
    content = _encoded(shown)
    for _ in range(SHRINK_ROUNDS_MAX):
        if len(content) <= MESSAGE_BYTES_MAX:
            break
        if len(shown.facts) > 3:
            shown = shown._replace(facts=shown.facts[:-1])
        else:
            shown = shown._replace(summary=shown.summary[: len(shown.summary) // 2] + "…")
        content = _encoded(shown)
    return content


def _encoded(shown: Notice) -> bytes:
    return json.dumps(_message(shown), ensure_ascii=False).encode("utf-8", "replace")


def _message(shown: Notice) -> dict[str, Any]:
    body: list[dict[str, Any]] = [
        {
            "type": "TextBlock",
            "text": escaped(shown.title),
            "weight": "Bolder",
            "size": "Medium",
            "wrap": True,
            "color": _COLORS.get(shown.severity, "Default"),
        }
    ]
    if shown.summary:
        body.append({"type": "TextBlock", "text": escaped(shown.summary), "wrap": True})
    if shown.facts:
        facts = [{"title": escaped(title), "value": escaped(value)} for title, value in shown.facts]
        body.append({"type": "FactSet", "facts": facts})
    if shown.command:
        body.append({"type": "TextBlock", "text": escaped(shown.command), "fontType": "Monospace", "wrap": True})
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
        "msteams": {"width": "Full"},
    }
    if shown.link:
        card["actions"] = [{"type": "Action.OpenUrl", "title": "Open", "url": shown.link}]
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}
