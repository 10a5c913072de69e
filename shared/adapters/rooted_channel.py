"""A channel in front of another: what a notice tells people to type names the store that it speaks of."""

from __future__ import annotations

from shared.domain.commands import at_root
from shared.ports.channel import Channel, Notice


class RootedChannel:
    """Passes notices on, with ``--root ROOT`` after each of our commands in them."""

    def __init__(self, channel: Channel, root: str) -> None:
        self.name = channel.name
        self._channel = channel
        self._root = root

    def send(self, notice: Notice) -> None:
        """As the channel behind it; raises what that raises."""
        self._channel.send(
            notice._replace(
                summary=at_root(notice.summary, self._root),
                facts=tuple((title, at_root(value, self._root)) for title, value in notice.facts),
                command=at_root(notice.command, self._root),
            )
        )
