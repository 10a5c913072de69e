"""The console and the file of notices under the suite."""

import io
import json
import re
from pathlib import Path

import pytest

from shared.adapters.local.channel import ConsoleChannel, JsonLinesChannel
from shared.ports.channel import Channel
from tests.conformance.channel_suite import NOTICE, ChannelSuite


class TestConsoleChannel(ChannelSuite):
    """Prints to a stream."""

    @pytest.fixture
    def stream(self) -> io.StringIO:
        return io.StringIO()

    @pytest.fixture
    def channel(self, stream: io.StringIO) -> Channel:
        return ConsoleChannel(stream)

    @pytest.fixture
    def broken_channel(self) -> Channel:
        stream = io.StringIO()
        stream.close()
        return ConsoleChannel(stream)

    def shown(self, channel: Channel) -> str:
        assert isinstance(channel, ConsoleChannel)
        assert isinstance(channel._stream, io.StringIO)
        return channel._stream.getvalue()


class TestJsonLinesChannel(ChannelSuite):
    """Appends to a file."""

    @pytest.fixture
    def channel(self, tmp_path: Path) -> Channel:
        return JsonLinesChannel(tmp_path / "deeper" / "notices.jsonl")

    @pytest.fixture
    def broken_channel(self, tmp_path: Path) -> Channel:
        return JsonLinesChannel(tmp_path)

    def shown(self, channel: Channel) -> str:
        assert isinstance(channel, JsonLinesChannel)
        notice = json.loads(channel._path.read_text().splitlines()[-1])
        return "\n".join([*map(str, notice.values()), *(f"{k} {v}" for k, v in notice["facts"])])


def test_lines_are_whole_and_a_cut_one_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notices.jsonl"
    path.write_text('{"key": "cut sho')
    JsonLinesChannel(path).send(NOTICE)
    JsonLinesChannel(path).send(NOTICE)
    first, *others = path.read_text().splitlines()
    assert first == '{"key": "cut sho'
    assert [json.loads(line)["key"] for line in others] == [NOTICE.key, NOTICE.key]


def test_the_console_speaks_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    ConsoleChannel().send(NOTICE)
    captured = capsys.readouterr()
    assert NOTICE.title in captured.err
    assert captured.out == ""


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_the_same_words_in_style(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    piped, terminal = io.StringIO(), _Terminal()
    for stream in (piped, terminal):
        ConsoleChannel(stream).send(NOTICE._replace(summary="[bold]one[/bold]\ntwo", facts=(("where", "there [x]"),)))
    assert "[bold]one[/bold]\ntwo\n  where: there [x]\n" in piped.getvalue()
    styled = terminal.getvalue()
    assert "\x1b[" in styled
    assert re.sub(r"\x1b\[[0-9;]*m", "", styled) == piped.getvalue()
