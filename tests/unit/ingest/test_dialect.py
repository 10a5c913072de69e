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


def test_it_is_quick() -> None:
    head = (ROWS + "3,é,1.5\n" * 20_000).encode("cp1252")[:HEAD_BYTES]
    sniff(head, "x.csv")
    started = time.perf_counter()
    sniff(head, "x.csv")
    assert time.perf_counter() - started < 0.2
