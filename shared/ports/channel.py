"""Where people are told."""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol


class Notice(NamedTuple):
    """One message to people; every text is bounded and escaped by the channel, facts are (title, value)."""

    key: str  # the same key = the same message; carries the event id
    title: str
    summary: str
    severity: Literal["info", "warning", "error"]
    facts: tuple[tuple[str, str], ...] = ()
    command: str = ""  # what to type to act on it
    link: str = ""


class Channel(Protocol):
    """Raises ``ForeignFailure`` when the channel does not take the message."""

    name: str

    def send(self, notice: Notice) -> None:
        """Deliver the notice; may be repeated after a crash."""
