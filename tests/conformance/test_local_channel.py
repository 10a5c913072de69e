"""The console and the file of notices under the suite."""

import io
import json
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
