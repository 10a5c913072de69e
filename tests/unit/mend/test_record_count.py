"""Goal: the second count agrees with the reading rules, and is not the reading itself.

Method: random bytes, marks, limits and chunk sizes, compared with the plain oracle; then compressed and other formats.
"""

from __future__ import annotations

import gzip
import io

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mend.record_count import RecordCount, count_records
from shared.domain.reading import ReadingOptions
from tests.oracles.csv_oracle import CsvOracle
from tests.oracles.csv_samples import junk, reading_options, tidy


def count(content: bytes, options: ReadingOptions, chunk_bytes: int = 1 << 20, limit: int = 1 << 28) -> RecordCount:
    return count_records(lambda: io.BytesIO(content), options, chunk_bytes=chunk_bytes, record_bytes_max=limit)


@settings(max_examples=400, deadline=None)
@given(st.one_of(junk, tidy()), reading_options, st.integers(1, 40), st.sampled_from([3, 8, 17, 1 << 28]))
@example(b'h\na"\nb"\n', ReadingOptions(), 40, 1 << 28)
@example(b'h\n"a"\r\n"b"\r\n', ReadingOptions(), 6, 1 << 28)
def test_agrees_with_the_oracle(content: bytes, options: ReadingOptions, chunk: int, limit: int) -> None:
    marks = (mark.encode() for mark in (options.delimiter, options.quote, options.escape))
    found = CsvOracle(*marks, limit).read(
        content.removeprefix(b"\xef\xbb\xbf"),
        header=options.header,
        skip_lines=options.skip_lines,
        names=len(options.column_names),
    )
    assert count(content, options, chunk, limit) == (len(found.rows), "")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "latin-1", "utf-16", "utf-16-le", "shift_jis"])
@pytest.mark.parametrize("chunk_bytes", [1, 2, 3, 50])
def test_encodings(encoding: str, chunk_bytes: int) -> None:
    content = '\ufeffa,b\n1,"x\ny"\n2,z'.removeprefix("\ufeff" if encoding != "utf-16-le" else "").encode(encoding)
    assert count(content, ReadingOptions(encoding=encoding), chunk_bytes) == (2, "")


@pytest.mark.parametrize("chunk_bytes", [1, 7, 1 << 20])
def test_gzip(chunk_bytes: int) -> None:
    options = ReadingOptions(compression="gzip")
    content = b"a,b\n" + b"".join(b"%d,%d\n" % (n, n * n) for n in range(5000))
    packed = gzip.compress(content)
    assert count(packed, options, chunk_bytes) == (5000, "")
    assert count(packed + gzip.compress(b"1,2\n") + b"\0" * 9, options, chunk_bytes) == (5001, "")
    records, problem = count(packed[: len(packed) // 2], options, chunk_bytes)
    assert problem == "truncated"
    assert 1000 < records < 5000
    assert count(packed[:-8] + bytes(8), options, chunk_bytes) == (5000, "corrupt")
    assert count(content, options, chunk_bytes) == (0, "unreadable")


def test_json_lines_and_parquet() -> None:
    lines = ReadingOptions(format="jsonl")
    assert count(b'{"a": "x\\"y"}\n\nnonsense\r\n \n{"a": 1}', lines) == (4, "")
    parquet = ReadingOptions(format="parquet")
    assert count(b"PAR1 and no more", parquet) == (0, "unreadable")
    assert count(b"", parquet) == (0, "")
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet as pq

    sink = io.BytesIO()
    pq.write_table(pa.table({"a": [1, 2, 3]}), sink)
    assert count(sink.getvalue(), parquet) == (3, "")
    assert count(gzip.compress(sink.getvalue()), ReadingOptions(format="parquet", compression="gzip")) == (3, "")
