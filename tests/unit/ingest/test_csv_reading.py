"""Goal: no byte of a CSV delivery is lost or changed, however it arrives.

Method: random bytes under random marks, limits and chunk sizes, compared row by row with a plain oracle; then the cases
that have a name.
"""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.ingest.csv_reading import CsvReading
from services.ingest.delivered_bytes import DeliveredBytes
from shared.domain.reading import RECORD_BYTES_MAX, ReadingOptions, escaped_text, unescaped_bytes
from tests.oracles.csv_oracle import CsvOracle
from tests.oracles.csv_samples import junk, reading_options, tidy

Staged = list[tuple[int, str | None, str | None, tuple[str | None, ...]]]


def read(
    content: bytes,
    options: ReadingOptions,
    *,
    chunk_bytes: int = 1 << 20,
    record_bytes_max: int = RECORD_BYTES_MAX,
    look_ahead_bytes: int = 16 << 20,
    **more: Any,
) -> tuple[list[str], Staged, list[int]]:
    delivery = DeliveredBytes(lambda: io.BytesIO(content), options, chunk_bytes)
    reading = CsvReading(
        delivery, options, record_bytes_max=record_bytes_max, look_ahead_bytes=look_ahead_bytes, **more
    )
    rows: Staged = []
    lines: list[int] = []
    for staged in reading.tables():
        staged.table.validate(full=True)
        for row in staged.table.to_pylist():
            number, raw, misfit, *cells = row.values()
            rows.append((number, raw, misfit, tuple(cells)))
        lines.extend(record.line for record in staged.raw)
    return reading.columns, rows, lines


def expected(content: bytes, options: ReadingOptions, limit: int = RECORD_BYTES_MAX) -> tuple[int, Staged]:
    marks = (mark.encode() for mark in (options.delimiter, options.quote, options.escape))
    found = CsvOracle(*marks, limit).read(
        content, header=options.header, skip_lines=options.skip_lines, names=len(options.column_names)
    )
    rows: Staged = []
    for row in found.rows:
        if row.cells is not None:
            rows.append((row.number, None, None, row.cells))
            continue
        assert row.raw is not None
        escaped = row.misfit in ("bad_bytes", "too_long")
        rows.append(
            (row.number, escaped_text(row.raw) if escaped else row.raw.decode(), row.misfit, (None,) * found.width)
        )
    return found.width, rows


@settings(max_examples=400, deadline=None)
@given(
    st.one_of(junk, tidy()),
    reading_options,
    st.integers(1, 20),
    st.sampled_from([3, 8, 17, 1 << 28]),
    st.sampled_from([1, 5, 1 << 24]),
)
@example(b'h,i\n1,"2\n3,4\n5,6\n', ReadingOptions(), 3, 1 << 28, 5)
@example(b'h\n"' + b"a" * 9, ReadingOptions(), 1, 8, 1)
@example(b'h\n"a\nbbbb\r\nccc', ReadingOptions(), 1, 8, 1)
@example(b",\\\n", ReadingOptions(escape="\\", header=False, column_names=("x",)), 1, 1 << 28, 5)
@example("a,b\n\ufeff1,2\n\ufeff3,4\n5\n".encode(), ReadingOptions(escape="\\"), 4, 1 << 28, 5)
def test_every_record_is_staged_exactly(
    content: bytes, options: ReadingOptions, chunk: int, limit: int, ahead: int
) -> None:
    columns, rows, _ = read(content, options, chunk_bytes=chunk, record_bytes_max=limit, look_ahead_bytes=ahead)
    width, wanted = expected(content.removeprefix(b"\xef\xbb\xbf"), options, limit)
    assert len(columns) == width
    assert rows == wanted


def staged(content: bytes, **options: Any) -> Staged:
    return read(content, ReadingOptions(**options))[1]


def test_a_quote_that_never_closes_costs_one_row() -> None:
    content = b"a,b\n1,2\n" + b'3,"4\n' + b"".join(b"%d,x\n" % n for n in range(1000))
    rows = staged(content)
    assert rows[1] == (2, '3,"4', "open_quote", (None, None))
    assert [row[0] for row in rows] == list(range(1, 1003))
    assert sum(row[2] is not None for row in rows) == 1


def test_a_quote_that_closes_far_away_by_accident_costs_one_row() -> None:
    rows = staged(b'a,b\n1,"open\n2,x\n3,"y, z"\n4,w\n')
    assert [row[2] for row in rows] == ["open_quote", None, None, None]
    assert rows[2][3] == ("3", "y, z")


def test_empty_cells_quotes_and_line_ends_inside_stay() -> None:
    assert staged(b'a,b\r\n,""\r\n"x ""y""\r\nz", 1 \r\n')[0][3] == ("", "")
    assert staged(b'a,b\r\n,""\r\n"x ""y""\r\nz", 1 \r\n')[1][3] == ('x "y"\r\nz', " 1 ")


@pytest.mark.parametrize(
    ("content", "misfits"),
    [
        (b"a,b\n1\n1,2,3\n1,2\n", ["too_few_fields", "too_many_fields", None]),
        (b"a,b\n1,\xe9\n\xe91,2\nx,y\n", ["bad_bytes", "bad_bytes", None]),
        (b"a,b\n1,\0\nx,y\n", ["bad_bytes", None]),
        (b"a,b\n\n\n1,2\n\n", [None]),
        (b"a\n\n1\n\n", [None, None, None]),
        (b"", []),
        (b"a,b", []),
        (b"a,b\n", []),
        (b"\xef\xbb\xbfa,b\n1,2", [None]),
    ],
)
def test_named_cases(content: bytes, misfits: list[str | None]) -> None:
    assert [row[2] for row in staged(content)] == misfits


def test_names() -> None:
    columns, _, _ = read(b"\xef\xbb\xbfa,a,,_mend_row,a__2,\xe9\n", ReadingOptions())
    assert columns == ["a", "a__3", "column_3", "x_mend_row", "a__2", "\\xe9"]
    assert read(b"1,2\n", ReadingOptions(header=False))[0] == ["column_1", "column_2"]


def test_more_columns_than_can_be_staged_lose_nothing() -> None:
    columns, rows, _ = read(b"a,b,c\n1,2,3\n4\n", ReadingOptions(), columns_max=2)
    assert columns == []
    assert rows == [(1, "1,2,3", "too_many_columns", ()), (2, "4", "too_many_columns", ())]


def test_ten_thousand_columns() -> None:
    line = b",".join(b"%d" % n for n in range(10_001))
    columns, rows, _ = read(b"\n".join([line, line, line + b",1"]), ReadingOptions())
    assert len(columns) == 10_001
    assert rows[0][3][-1] == "10000"
    assert rows[1][2] == "too_many_fields"


def test_lines_are_counted_as_an_editor_counts_them() -> None:
    content = b'skipped\r\n\r\na,b\r\n"1\r\n\r\n",2\r\n\r\nshort\r\n"\xff\r\n",3\r\n'
    _, rows, lines = read(content, ReadingOptions(skip_lines=1), chunk_bytes=4)
    assert [row[2] for row in rows] == [None, "too_few_fields", "bad_bytes"]
    assert lines == [8, 9]


@pytest.mark.parametrize(
    "encoding", ["latin-1", "cp1252", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "shift_jis", "utf-8-sig"]
)
@pytest.mark.parametrize("chunk_bytes", [1, 3, 7, 100])
def test_encodings_are_transcoded_however_they_arrive(encoding: str, chunk_bytes: int) -> None:
    text = 'ab,b\n1,"x\n=y"\n' if encoding == "shift_jis" else 'aé,b\nÜ,"x\nÿy"\n'
    options = ReadingOptions(encoding=encoding)
    columns, rows, _ = read(text.encode(encoding), options, chunk_bytes=chunk_bytes)
    assert columns == [text[:2], "b"]
    assert [row[3] for row in rows] == [(text[5], text[8:12].rstrip('"'))]


@pytest.mark.parametrize(
    ("encoding", "bad"), [("cp1252", b"\x81"), ("ascii", b"\xe9"), ("utf-8", b"\xe9"), ("shift_jis", b"\xff")]
)
def test_bytes_an_encoding_does_not_know_can_be_had_back(encoding: str, bad: bytes) -> None:
    record = "1,\\".encode(encoding) + bad
    rows = read(b"a,b\n" + record + b"\n3,4\n", ReadingOptions(encoding=encoding))[1]
    assert [row[2] for row in rows] == ["bad_bytes", None]
    assert rows[0][1] is not None
    assert unescaped_bytes(rows[0][1], encoding) == record


@given(st.binary())
def test_escaped_text_is_reversible(raw: bytes) -> None:
    assert unescaped_bytes(escaped_text(raw)) == raw


def test_binary_junk_becomes_rows() -> None:
    junk_bytes = bytes(range(256)) * 200
    columns, rows, _ = read(junk_bytes, ReadingOptions())
    assert len(columns) >= 1
    assert [row[0] for row in rows] == list(range(1, len(rows) + 1))
    assert len(rows) > 200
