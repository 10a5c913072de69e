"""Goal: the beginning of a delivery suggests the reading a person would choose, quickly, and never raises."""

from __future__ import annotations

import gzip
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest.dialect import HEAD_BYTES, SUGGESTIONS_MAX, sniff
from shared.domain.reading import ReadingOptions

ROWS = "id,name,v\n1,a,2.5\n2,b,3.25\n"


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (ROWS.encode(), {}),
        (b"", {}),
        (b"\xef\xbb\xbf" + ROWS.encode(), {}),
        (ROWS.encode("utf-16"), {"encoding": "utf-16"}),
        (ROWS.encode("utf-16-be"), {"encoding": "utf-16-be"}),
        (
            "id;ort;v\n1;Zürich;2,5\n2;Köln;3,75\n".encode("latin-1"),
            {"encoding": "cp1252", "delimiter": ";", "decimal": ","},
        ),
        (b"id;v\n1;1,234\n2;2,345\n", {"delimiter": ";"}),
        (b'id,v\n1,"2,5"\n2,"3,75"\n', {"decimal": ","}),
        (ROWS.replace(",", "\t").encode(), {"delimiter": "\t"}),
        (ROWS.replace(",", "|").encode(), {"delimiter": "|"}),
        (ROWS.replace(",", "~").encode(), {"delimiter": "~"}),
        (b"1,2,x\n3,4,y\n5,6,z\n", {"header": False}),
        (b"anna,berlin\nbob,berlin\nanna,rome\n", {"header": False}),
        (b"Report of May\nby X\n\na,b,c\n1,2,3\n2,3,4\n4,5,6\n", {"skip_lines": 3}),
        (b"a,b\n'x,1','y'\n'z,2','y'\n'','y'\n", {"quote": "'"}),
        (b'a,b\n"say \\"x\\"",2\n"y",3\n', {"escape": "\\"}),
        (b"name\nanna\nbob\n", {}),
        (ROWS.replace(",", "^").encode(), {"delimiter": "^"}),
        (b"login:shell:n\nroot:sh:1\nanna:zsh:2\n", {"delimiter": ":"}),
        (b"Report of May\n1,2\n2,3\n4,5\n", {"header": False, "skip_lines": 1}),
        (b"Report of May\nname;v\na;1\nb;2\n", {"delimiter": ";", "skip_lines": 1}),
        (b'{"a": 1}\n{"b": 2}\n', {"format": "jsonl"}),
        (b"PAR1\x15\x04", {"format": "parquet"}),
        (gzip.compress(ROWS.encode(), mtime=0), {"compression": "gzip"}),
        (gzip.compress(ROWS.encode(), mtime=0)[:-9], {"compression": "gzip"}),
        (
            ("имя;город\n" + "Привет мир; город Москва\n" * 40).encode("cp1251"),
            {"encoding": "cp1251", "delimiter": ";"},
        ),
        ("東京都千代田区,日本語テキスト\n".encode("shift_jis") * 40, {"encoding": "shift_jis", "header": False}),
    ],
)
def test_the_first_suggestion(head: bytes, expected: dict[str, object]) -> None:
    assert sniff(head, "delivery.csv")[0] == ReadingOptions.model_validate(expected)


@pytest.mark.parametrize(
    ("head", "name", "expected"),
    [
        (b'[{"a": 1}]', "a.csv", "json"),
        (b'\xef\xbb\xbf\r\n[\n  {"a": 1},\n', "a", "json"),
        ('[{"a": 1}]'.encode("utf-16"), "a", "json"),
        (gzip.compress(b'[{"a": 1}]', mtime=0), "a.json.gz", "json"),
        (b"[]", "a", "json"),
        (b"[1, 2]", "a.json", "json"),
        (b"[1, 2]", "a.csv", "csv"),
        (b"[2026-01-01] INFO a\n[2026-01-02] INFO b\n", "a.log", "csv"),
        (b'{\n  "a": [\n    {"b": 1},\n    {"b": 2}\n  ]\n}\n', "a", "json"),
        (b'{"a": 1}\n', "a.json", "jsonl"),
        (b'{"a": 1\n{"a": 2}\n', "a.json", "jsonl"),
        (b'{"a": "' + b"x" * HEAD_BYTES, "a.json", "jsonl"),
        (b"{a: 1}\n", "a.json", "json"),
        (b"a,b\n1,2\n", "a.json", "csv"),
        (b"", "a.json", "csv"),
    ],
)
def test_lines_and_documents_of_json_are_told_apart(head: bytes, name: str, expected: str) -> None:
    assert sniff(head[:HEAD_BYTES], name)[0].format == expected


@pytest.mark.parametrize(
    "column",
    [
        ["growth", "6.0e-3", "2.9e-2", "7.1e-2", "1.4e-3"],
        ["project", "14-04-14d-1", "12-08-14d-1", "13-01-14d-3", "11-08-14m-1"],
        ["home-town", "york-north", "kent-south", "bath-west", "hull-east"],
        ["author", "kluth_ p", "payne_ k", "cummings_ l", "musiek_ f"],
        ["price", "$6.00", "$56.99", "$59.00", "$9.99"],
        ["e-mail", "a@x.org", "b@y.org", "c@z.org", "d@x.org"],
        ["year", "fy11: 2010/2011", "fy12: 2011/2012", "fy14: 2013/2014", "fy15: 2014/2015"],
        ["open", "12:30-14:30", "13:30-14:00", "13:00-14:00", "12:00-12:30"],
        ["at 12:30", "10:15", "10:30", "10:45", "11:00"],
        ["place", "3700 blk & 39th ave", "ne 5th & hwy 40", "36th ave & hwy 40", "5th pl & 39th ave"],
        ["scores", "2;3", "4;1", "0;0", "1;2"],
        ["a:b", "a:c", "x", "y:z:w", "k"],
    ],
)
def test_a_file_of_one_column_is_not_split(column: list[str]) -> None:
    (found, *_) = sniff("".join(f"{line}\n" for line in column).encode(), "one.csv")
    assert (found.delimiter, found.skip_lines, found.header) == (",", 0, True)


def test_other_encodings_and_headers_are_suggested_too() -> None:
    found = sniff(ROWS.encode(), "x.csv")
    assert ReadingOptions(encoding="cp1252") in found
    assert ReadingOptions(header=False) in found
    assert len(set(found)) == len(found) <= SUGGESTIONS_MAX


@settings(deadline=None)
@given(st.one_of(st.binary(max_size=400), st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace"))))
def test_never_raises(head: bytes) -> None:
    for each in (head, b"\x1f\x8b" + head, gzip.compress(head), b"\xff\xfe" + head):
        for options in sniff(each, "x"):
            assert ReadingOptions.from_json(options.to_json()) == options


def test_it_is_linear() -> None:
    """What grows with the square of the head would take minutes."""
    head = (ROWS + "3,é,1.5\n" * 20_000).encode("cp1252")[:HEAD_BYTES]
    started = time.process_time()
    sniff(head, "x.csv")
    assert time.process_time() - started < 20
