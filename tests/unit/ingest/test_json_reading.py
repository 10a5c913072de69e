"""Goal: every line of JSON Lines is a row whose cells are the text that was written, or is kept raw."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mend.record_count import count_records
from services.ingest.delivered_bytes import DeliveredBytes
from services.ingest.json_reading import JsonReading
from shared.domain.reading import ReadingOptions

LINES = ReadingOptions(format="jsonl")


def read(
    content: bytes, chunk_bytes: int = 1 << 20, **limits: int
) -> tuple[list[str], list[dict[str, Any]], list[int]]:
    reading = JsonReading(DeliveredBytes(lambda: io.BytesIO(content), LINES, chunk_bytes), LINES, **limits)
    rows: list[dict[str, Any]] = []
    lines: list[int] = []
    columns = 0
    for staged in reading.tables():
        staged.table.validate(full=True)
        assert len(staged.table.column_names) >= columns
        columns = len(staged.table.column_names)
        rows += staged.table.to_pylist()
        lines += [record.line for record in staged.raw]
    return reading.columns, rows, lines


def cells(content: bytes) -> list[dict[str, Any]]:
    ours = {"_mend_row", "_mend_raw", "_mend_misfit"}
    return [{name: value for name, value in row.items() if name not in ours} for row in read(content)[1]]


def test_scalars_are_the_text_that_was_written() -> None:
    content = b'{"i": 12345678901234567890123, "f": 1.10, "e": 1E400, "z": -0, "s": "1.10", '
    content += b'"t": true, "u": false, "n": null}\n'
    assert cells(content) == [
        {
            "i": "12345678901234567890123",
            "f": "1.10",
            "e": "1E400",
            "z": "-0",
            "s": "1.10",
            "t": "true",
            "u": "false",
            "n": None,
        }
    ]


def test_nested_values_are_json_with_their_numbers_as_written() -> None:
    content = '{"o": {"a": [1.10, "1.10", true, null, {}], "é": "\\"\\n"}, "l": []}\n'.encode()
    assert cells(content) == [{"o": '{"a": [1.10, "1.10", true, null, {}], "é": "\\"\\n"}', "l": "[]"}]


def test_columns_are_the_union_of_keys_in_the_order_seen() -> None:
    columns, rows, _ = read(b'{"b": 1}\n{"a": 2, "b": 3}\n{}\n{"_mend_row": 4, "": 5}\n')
    assert columns == ["b", "a", "x_mend_row", "column_4"]
    assert [row["_mend_row"] for row in rows] == [1, 2, 3, 4]
    assert rows[0]["a"] is None
    assert rows[3]["column_4"] == "5"


@pytest.mark.parametrize(
    ("line", "misfit"),
    [
        (b"nonsense", "not_json"),
        (b"[1]", "not_json"),
        (b"1", "not_json"),
        (b'{"a": 1} x', "not_json"),
        (b'{"a": 1}, {"a": 2}', "not_json"),
        (b'{"a": ', "not_json"),
        (b" ", "not_json"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "not_json"),
        (b'{"a": ' + b"[" * 940 + b"]" * 940 + b"}", None),
        (b'{"a": 1, "a": 2}', "duplicate_keys"),
        (b'{"a": {"b": 1, "b": 2}}', "duplicate_keys"),
        (b'{"a": "\\ud800"}', "bad_unicode"),
        (b'{"\\ud800": 1}', "bad_unicode"),
        (b'{"a": "\xff"}', "bad_bytes"),
        (b'{"a": "\0"}', "bad_bytes"),
        (b'{"a": "\\u0000"}', None),
        (b' {"a": 1}\t', None),
    ],
)
def test_lines_that_are_no_objects_are_kept(line: bytes, misfit: str | None) -> None:
    _, rows, lines = read(b'\n{"a": "x"}\r\n' + line + b'\n{"a": "y"}')
    assert [row["_mend_misfit"] for row in rows] in (
        [None, misfit, None],
        [None, "not_json", None] if len(line) > 900 else [],
    )
    assert [rows[0]["a"], rows[2]["a"]] == ["x", "y"]
    if rows[1]["_mend_misfit"]:
        assert lines == [3]
        if misfit != "bad_bytes":
            assert rows[1]["_mend_raw"] == line.decode()


def test_too_many_keys_and_too_long_lines_lose_nothing() -> None:
    _, rows, _ = read(b'{"a": 1, "b": 2}\n{"c": 3}\n{"a": 4}\n', columns_max=2)
    assert [(row["_mend_raw"], row["_mend_misfit"], row["a"]) for row in rows] == [
        (None, None, "1"), ('{"c": 3}', "too_many_columns", None), (None, None, "4"),
    ]  # fmt: skip
    _, rows, _ = read(b'{"a": "' + b"x" * 100 + b'"}\n{"a": 4}\n', chunk_bytes=5, record_bytes_max=40)
    assert [row["_mend_misfit"] for row in rows] == ["too_long", None]


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.dictionaries(st.sampled_from(["a", "b", "é", ""]), values).map(lambda row: json.dumps(row).encode()),
            st.binary(max_size=12),
        ),
        max_size=8,
    ),
    st.integers(1, 30),
)
def test_every_line_is_there(lines: list[bytes], chunk_bytes: int) -> None:
    content = b"\n".join(lines)
    _, rows, _ = read(content, chunk_bytes)
    delivered = [line for line in content.removeprefix(b"\xef\xbb\xbf").replace(b"\r", b"\n").split(b"\n") if line]
    assert [row["_mend_row"] for row in rows] == list(range(1, len(delivered) + 1))
    assert count_records(lambda: io.BytesIO(content), LINES, chunk_bytes=chunk_bytes).records == len(rows)
    names = {"a": "a", "b": "b", "é": "é"}
    for line, row in zip(delivered, rows, strict=True):
        if row["_mend_misfit"] is None:
            for key, value in json.loads(line).items():
                if key in names and isinstance(value, (dict, list)):
                    assert json.loads(row[names[key]]) == value
                elif key in names and isinstance(value, str):
                    assert row[names[key]] == value
                elif key in names and value is not None:
                    assert row[names[key]] == json.dumps(value)
