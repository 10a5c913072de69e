"""Goal: the source fails exactly as often as it says, then answers whole, and lets nothing else out."""

import urllib.error
import urllib.request
from pathlib import Path

import pytest

from mend.demo.source_server import SourceServer


def _ask(url: str, method: str = "GET") -> tuple[int, bytes, dict[str, str]]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=5) as answer:
            return answer.status, answer.read(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        return error.code, error.read(), dict(error.headers)


def test_two_failures_then_the_file(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"a,b\n1,2\n")
    with SourceServer(tmp_path, port=0) as source:
        url = source.url("x.csv")
        answers = [_ask(url), _ask(url, "HEAD"), _ask(url, "HEAD"), _ask(url), _ask(url)]
    assert [status for status, _, _ in answers] == [503, 503, 200, 200, 200]
    assert answers[0][2]["Retry-After"] == "1"
    assert answers[2][1] == b""
    assert answers[3][1] == answers[4][1] == b"a,b\n1,2\n"
    assert answers[3][2]["ETag"] == answers[4][2]["ETag"]
    assert [answer.status for answer in source.answers] == [503, 503, 200, 200, 200]


@pytest.mark.parametrize("name", ["absent.csv", "../secret", "%2e%2e/secret", "folder", ""])
def test_nothing_else_is_served(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("s")
    (served := tmp_path / "served").mkdir()
    (served / "folder").mkdir()
    with SourceServer(served, failures=0, port=0) as source:
        assert _ask(source.url(name))[0] == 404


def test_a_taken_port_is_no_obstacle(tmp_path: Path) -> None:
    with SourceServer(tmp_path, port=0) as first, SourceServer(tmp_path, port=first.port) as second:
        assert first.port != second.port
