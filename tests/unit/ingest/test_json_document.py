"""Goal: every element of a JSON document is a row or is kept raw, and `mend audit` counts the same by other means.

Method: documents that say one thing each; then random marks in pieces of every size, read and counted.
"""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mend.record_count import RecordCount, count_records
from services.ingest.delivered_bytes import DeliveredBytes
from services.ingest.json_reading import JsonReading
from shared.domain.reading import ReadingOptions

DOCUMENT = ReadingOptions(format="json")
Seen = tuple[list[tuple[Any, Any, int]], str]  # (cells or raw text, misfit, line) of every row, and the problem


def read(content: bytes, chunk_bytes: int = 1 << 20, options: ReadingOptions = DOCUMENT, **limits: int) -> Seen:
    delivery = DeliveredBytes(lambda: io.BytesIO(content), options, chunk_bytes)
    reading = JsonReading(delivery, options, **limits)
    rows: list[tuple[Any, Any, int]] = []
    for staged in reading.tables():
        lines = {record.number: record.line for record in staged.raw}
        for row in staged.table.to_pylist():
            number, raw, misfit = (row.pop(name) for name in ("_mend_row", "_mend_raw", "_mend_misfit"))
            assert number == len(rows) + 1
            cells = {name: value for name, value in row.items() if value is not None}
            rows.append((raw if misfit else cells, misfit, lines.get(number, 0)))
    return rows, delivery.problem or reading.problem


def count(content: bytes, chunk_bytes: int = 1 << 20, options: ReadingOptions = DOCUMENT) -> RecordCount:
    return count_records(lambda: io.BytesIO(content), options, chunk_bytes=chunk_bytes)


def rows_of(content: bytes) -> list[Any]:
    found, problem = read(content)
    assert (len(found), problem) == count(content)
    return [misfit or cells for cells, misfit, _ in found]


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b'[{"a": 1.10}, {"a": "x"}]', [{"a": "1.10"}, {"a": "x"}]),
        (b' [\r\n {"a": 1},\r\n {"b": null,\n "a": 2}\n]\n', [{"a": "1"}, {"a": "2"}]),
        (b'\xef\xbb\xbf[{"a": 1}]', [{"a": "1"}]),
        (b'[{"a": "],}[{"}, {"a": "\\"]"}, {"a": "\\\\"}]', [{"a": "],}[{"}, {"a": '"]'}, {"a": "\\"}]),
        (b'[{"a": [[1], {"b": []}]}, {}]', [{"a": '[[1], {"b": []}]'}, {}]),
        (b'[{"a": ' + b"[" * 40 + b"]" * 40 + b"}, {}]", [{"a": "[" * 40 + "]" * 40}, {}]),
        (b"[]", []),
        (b" [ \n ] ", []),
        (b"", []),
        (b" \r\n", []),
        (b'{"a": 1}', [{"a": "1"}]),
        (b'{\n  "a": {\n    "b": 1\n  }\n}\n', [{"a": '{"b": 1}'}]),
        (b'[{"a": 1},]', [{"a": "1"}]),
        (b'[, {"a": 1},, {"a": 2}]', [{"a": "1"}, {"a": "2"}]),
        (b'[1, "x,y", [{"a": 1}, {}], null, {"a": 1}]', ["not_json"] * 4 + [{"a": "1"}]),
        (b'[{"a": 1} {"a": 2}, {"a": 3}]', ["not_json", {"a": "3"}]),
        (b"[{'a': 1}, {a: 1}, {\"a\": tru}, {\"a\": 3}]", ["not_json"] * 3 + [{"a": "3"}]),
        (b'[{"a": 1], {"a": 2}]', ["not_json", {"a": "2"}]),
        (b'[{"a": 1, "a": 2}, {"a": "\xff"}, {"a": "\0"}]', ["duplicate_keys", "bad_bytes", "bad_bytes"]),
        (b'[{"a": "\\ud800"}, {"a": "line\nend"}]', ["bad_unicode", "not_json"]),
    ],
)  # fmt: skip
def test_every_element_is_a_row_or_kept(content: bytes, rows: list[Any]) -> None:
    assert rows_of(content) == rows


@pytest.mark.parametrize(
    ("content", "rows", "problem"),
    [
        (b'[{"a": 1}, {"a": 2', 2, "truncated"),
        (b'[{"a": 1}, {"a": 2}', 2, "truncated"),
        (b'[{"a": 1}, ', 1, "truncated"),
        (b"[", 0, "truncated"),
        (b'[{"a": "never closed}, {"a": 2}]', 1, "truncated"),
        (b'{"a": 1', 1, "truncated"),
        (b'[{"a": 1}] x', 2, "corrupt"),
        (b'[{"a": 1}] [{"a": 2}]', 2, "corrupt"),
        (b'{"a": 1}\n{"a": 2}', 2, "corrupt"),
        (b'[{"a": 1}]]', 2, "corrupt"),
        (b"a,b\n1,2\n", 0, "unreadable"),
        (b'"a"', 0, "unreadable"),
        (b"7", 0, "unreadable"),
    ],
)
def test_a_document_that_is_not_whole_says_so_and_keeps_what_there_is(content: bytes, rows: int, problem: str) -> None:
    found, told = read(content)
    assert (len(found), told) == (rows, problem)
    assert count(content) == (rows, problem)


def test_what_follows_the_end_is_kept_and_never_a_row() -> None:
    found, _ = read(b'[{"a": 1}]\n{"a": 2}\n')
    assert found == [({"a": "1"}, None, 0), ('{"a": 2}', "not_json", 2)]


def test_lines_are_those_in_which_elements_begin() -> None:
    found, _ = read(b'[\n{"a": 1},\r\n\n  x,\n {"a"\n: 2}, y\n]')
    assert [line for _, misfit, line in found if misfit] == [4, 6]


def test_an_element_too_long_is_kept_by_its_beginning() -> None:
    content = b'[{"a": 1}, {"a": "' + b"x" * 200 + b'"}, {"a": 3}]'
    for chunk_bytes in (1, 7, 1 << 20):
        found, _ = read(content, chunk_bytes, record_bytes_max=40)
        assert [(cells, misfit) for cells, misfit, _ in found] == [
            ({"a": "1"}, None), (content[11:51].decode(), "too_long"), ({"a": "3"}, None)
        ]  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "latin-1"])
def test_encodings_compression_and_lines_before_it(encoding: str) -> None:
    options = ReadingOptions(format="json", encoding=encoding, compression="gzip", skip_lines=1)
    content = gzip.compress('a line\n[{"é": "è"}, {"é": 2}]'.encode(encoding))
    for chunk_bytes in (1, 3, 1 << 20):
        assert read(content, chunk_bytes, options) == ([({"é": "è"}, None, 0), ({"é": "2"}, None, 0)], "")
        assert count(content, chunk_bytes, options) == (2, "")
    assert read(content[:-9], options=options)[1] == count(content[:-9], options=options).problem == "truncated"


marks = st.lists(
    st.sampled_from(
        ["[", "]", "{", "}", ",", ":", '"', "\\", " ", "\n", "a", "1", '"x"', '{"a":1}', "é", "[1]", "\r\n"]
    ),
    max_size=16,
).map("".join)


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(["[", "[", "{", ""]), marks, st.integers(1, 5), st.sampled_from([3, 8, 1 << 28]))
@example("[", '{"a":1}\\', 1, 1 << 28)
@example("{", '"a":1}"x', 1, 3)
def test_pieces_do_not_matter_and_the_count_agrees(opening: str, rest: str, chunk_bytes: int, limit: int) -> None:
    content = (opening + rest).encode()
    found = read(content, chunk_bytes, record_bytes_max=limit)
    assert found == read(content, record_bytes_max=limit)
    assert count(content, chunk_bytes) == (len(found[0]), found[1])


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from("abc"), values), max_size=6), st.integers(1, 30), st.integers(0, 2))
def test_as_a_parser_reads_it(rows: list[dict[str, Any]], chunk_bytes: int, indent: int) -> None:
    content = json.dumps(rows, indent=indent or None, ensure_ascii=False).encode("utf-8", "surrogatepass")
    found, problem = read(content, chunk_bytes)
    assert problem == ""
    assert len(found) == len(rows) == count(content, chunk_bytes).records
    for row, (cells, misfit, _) in zip(rows, found, strict=True):
        if misfit is None:
            assert set(cells) == {name for name, value in row.items() if value is not None}
            for name, value in row.items():
                if isinstance(value, (dict, list)):
                    assert json.loads(cells[name]) == value


def test_memory_is_bounded_by_pieces() -> None:
    element = b'{"a": "' + b"x" * 1_000 + b'"},'
    pieces = 40_000

    class Long(io.RawIOBase):
        left = pieces

        def readable(self) -> bool:
            return True

        def read(self, size: int = -1) -> bytes:
            if self.left == pieces:
                self.left -= 1
                return b"[" + element
            self.left -= 1
            return element if self.left >= 0 else b""

    tracemalloc.start()
    reading = JsonReading(DeliveredBytes(Long, DOCUMENT), DOCUMENT)  # type: ignore[arg-type]
    assert sum(staged.table.num_rows for staged in reading.tables()) == pieces
    assert count_records(Long, DOCUMENT).records == pieces  # type: ignore[arg-type]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < pieces * len(element) / 2
