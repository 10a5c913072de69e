"""The store's log file under the suite, and what is in it when a process was killed or may not read it."""

import json
from pathlib import Path
from typing import Any

import pytest

from shared.adapters.local.log_reader import FileLogReader
from shared.domain.errors import StoreUnavailable
from shared.ports.log_reader import LogReader
from tests.conformance.log_reader_suite import LogReaderSuite, line


class TestFileLogReader(LogReaderSuite):
    """No known differences."""

    @pytest.fixture
    def reader(self, tmp_path: Path) -> LogReader:
        self.path = tmp_path / "log.jsonl"
        return FileLogReader(self.path)

    def write(self, lines: list[dict[str, Any]]) -> None:
        self.path.write_text("".join(json.dumps(each) + "\n" for each in lines))


def test_half_a_line_and_the_older_file(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    (tmp_path / "log.old.jsonl").write_text(json.dumps(line(1, "b1")) + "\n")
    path.write_bytes(b'{"about": "b1", "ser\n[1, "b1"]\n\xff\xfe b1\n' + json.dumps(line(2, "b1")).encode())
    assert [each.attempt for each in FileLogReader(path).about(["b1"], 9)] == [1, 2]


def test_it_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").mkdir()
    with pytest.raises(StoreUnavailable, match=r"log\.jsonl"):
        FileLogReader(tmp_path / "log.jsonl").about(["b1"], 9)
