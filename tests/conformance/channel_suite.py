"""What every channel does with a notice: bounded, cleaned, and never taken as markup."""

import pytest

from shared.domain.errors import ForeignFailure
from shared.ports.channel import Channel, Notice

NOTICE = Notice(
    key="e1/proposed",
    title="Remedy proposed",
    summary="Trim spaces in 12 rows.",
    severity="warning",
    facts=(("Pipeline", "flights"), ("Rows", "12")),
    command="mend approve r1234 --by NAME",
    link="https://example.com/incidents/i1",
)
HOSTILE = Notice(
    key="e2",
    title="\x1b[31mred\u202e\x00 title\nsecond line",
    summary="[bold]not markup[/bold] <b>not HTML</b> [x](javascript:1) <at>all</at> " + "y" * 50_000,
    severity="error",
    facts=tuple((f"fact {n}", "[red]v[/red]" + "é" * 10_000) for n in range(100)),
    command="z" * 10_000,
    link="javascript:alert(1)",
)


class ChannelSuite:
    """Subclasses supply ``channel`` and ``broken_channel``, and say what was ``shown``."""

    @pytest.fixture
    def channel(self) -> Channel:
        raise NotImplementedError

    @pytest.fixture
    def broken_channel(self) -> Channel:
        raise NotImplementedError

    def shown(self, channel: Channel) -> str:
        """The text that arrived, with the channel's own escaping taken back."""
        raise NotImplementedError

    def test_everything_of_a_notice_arrives(self, channel: Channel) -> None:
        channel.send(NOTICE)
        shown = self.shown(channel)
        for text in (NOTICE.title, NOTICE.summary, NOTICE.command, NOTICE.link, "Pipeline", "flights", "Rows", "12"):
            assert text in shown

    def test_little_is_enough(self, channel: Channel) -> None:
        channel.send(Notice("k", "Only a title", "", "info"))
        assert "Only a title" in self.shown(channel)

    def test_a_strangers_text_is_bounded_and_harmless(self, channel: Channel) -> None:
        channel.send(HOSTILE)
        shown = self.shown(channel)
        assert len(shown) < 40_000
        assert "[bold]not markup[/bold] <b>not HTML</b>" in shown
        assert "red title second line" in " ".join(shown.split()).replace("[31m", "")
        for bad in ("\x1b", "\x00", "\u202e", "javascript:alert"):
            assert bad not in shown

    def test_repeated_is_no_error(self, channel: Channel) -> None:
        channel.send(NOTICE)
        channel.send(NOTICE)

    def test_what_cannot_be_sent_is_a_foreign_failure(self, broken_channel: Channel) -> None:
        with pytest.raises(ForeignFailure) as caught:
            broken_channel.send(NOTICE)
        assert caught.value.system == broken_channel.name
