"""Goal: staged parts hold every record once and in order, whatever the delivery's format, compression or damage."""

from __future__ import annotations

import contextlib
import encodings.aliases
import functools
import gzip
import io
import random
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import pyarrow as pa
import pytest
from pyarrow import parquet
from pydantic import ValidationError

from mend.record_count import count_records
from services.ingest import staging
from services.ingest.staging import Staged, stage
from shared.domain.errors import ForeignFailure
from shared.domain.reading import ReadingOptions

PARQUET = ReadingOptions(format="parquet")
GZIP = ReadingOptions(compression="gzip")


class Parts:
    """Keeps the parts that ended well."""

    def __init__(self) -> None:
        self.written: dict[int, bytes] = {}

    @contextlib.contextmanager
    def open(self, number: int) -> Iterator[BinaryIO]:
        sink = io.BytesIO()
        yield sink
        self.written[number] = sink.getvalue()

    def tables(self) -> list[pa.Table]:
        return [parquet.read_table(pa.BufferReader(self.written[number])) for number in sorted(self.written)]

    def rows(self) -> list[dict[str, Any]]:
        return pa.concat_tables(self.tables(), promote_options="default").to_pylist()


def run(content: bytes, options: ReadingOptions | None = None) -> tuple[Staged, Parts]:
    parts = Parts()
    staged = stage(lambda: io.BytesIO(content), options or ReadingOptions(), parts.open)
    assert sorted(parts.written) == list(range(staged.parts))
    rows = parts.rows()
    assert [row["_mend_row"] for row in rows] == list(range(1, staged.rows + 1))
    assert sum(row["_mend_misfit"] is not None for row in rows) == staged.raw_rows
    assert sum(misfit.rows for misfit in staged.misfits) == staged.raw_rows
    counted = count_records(lambda: io.BytesIO(content), options or ReadingOptions())
    assert counted.records == staged.rows
    assert counted.problem in (staged.problem, "")
    return staged, parts


@pytest.mark.parametrize(
    ("content", "columns", "rows", "problem"),
    [
        (b"", (), 0, "empty"),
        (b"\n\n", (), 0, "empty"),
        (b"a,b\n", ("a", "b"), 0, ""),
        (b"a,b\n1,2", ("a", "b"), 1, ""),
    ],
)
def test_there_is_always_a_part_with_the_columns(
    content: bytes, columns: tuple[str, ...], rows: int, problem: str
) -> None:
    staged, parts = run(content)
    assert (staged.columns, staged.rows, staged.problem) == (columns, rows, problem)
    assert parts.tables()[0].column_names == ["_mend_row", "_mend_raw", "_mend_misfit", *columns]


def test_row_groups_and_parts_are_bounded_and_nothing_falls_between_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "ROW_GROUP_ROWS_MAX", 1000)
    monkeypatch.setattr(staging, "PART_ROW_GROUPS_MAX", 3)
    content = b"a,b\n" + b"".join(b"%d,\xe9\n" % n if n % 997 == 5 else b"%d,x\n" % n for n in range(10_500))
    staged, parts = run(content)
    assert staged.parts == 4
    assert [table.num_rows for table in parts.tables()] == [3000, 3000, 3000, 1500]
    file = parquet.ParquetFile(pa.BufferReader(parts.written[0]))
    assert [file.metadata.row_group(n).num_rows for n in range(3)] == [1000] * 3
    assert staged.misfits == (staging.Misfit("bad_bytes", 11, 6, 7),)
    assert [row["a"] for row in parts.rows() if row["a"]] == [str(n) for n in range(10_500) if n % 997 != 5]


def test_the_same_delivery_gives_the_same_bytes() -> None:
    content = b"a,b\n1,2\n3\n" * 50
    assert run(content)[1].written == run(content)[1].written


def test_json_parts_get_more_columns_as_keys_appear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "ROW_GROUP_ROWS_MAX", 2)
    monkeypatch.setattr(staging, "DeliveredBytes", functools.partial(staging.DeliveredBytes, chunk_bytes=9))
    content = b'{"a": 1}\n' * 3 + b'{"b": 2}\n' * 3
    staged, parts = run(content, ReadingOptions(format="jsonl"))
    assert [table.column_names[3:] for table in parts.tables()] == [["a"], ["a", "b"]]
    assert staged.columns == ("a", "b")
    assert parts.tables()[-1].column_names[3:] == ["a", "b"]
    assert [(row["a"], row["b"]) for row in parts.rows()] == [("1", None)] * 3 + [(None, "2")] * 3


def test_keys_of_the_last_lines_are_columns_even_without_rows_after() -> None:
    staged, parts = run(b'{"a": 1}\nx\n', ReadingOptions(format="jsonl"))
    assert staged.misfits == (staging.Misfit("not_json", 1, 2, 2),)
    assert parts.tables()[-1].column_names[3:] == list(staged.columns) == ["a"]


LINES = b"a,b\n" + b"".join(b"%d,%d\n" % (n, n * n) for n in range(20_000))


def test_gzip_whole_in_members_cut_and_damaged() -> None:
    packed = gzip.compress(LINES)
    assert run(packed, GZIP)[0].rows == 20_000
    several, _ = run(packed + gzip.compress(b"1,2\n") + bytes(100), GZIP)
    assert (several.rows, several.problem) == (20_001, "")
    cut, parts = run(packed[: len(packed) // 2], GZIP)
    assert cut.problem == "truncated"
    assert [row["a"] for row in parts.rows()[:-1]] == [str(n) for n in range(cut.rows - 1)]
    assert cut.rows > 5000
    damaged, parts = run(packed[:-8] + bytes(8), GZIP)
    assert (damaged.problem, damaged.rows) == ("corrupt", 20_000)
    middle = bytearray(packed)
    middle[len(packed) // 2 : len(packed) // 2 + 40] = bytes(40)
    damaged, parts = run(bytes(middle), GZIP)
    assert damaged.problem == "corrupt"
    assert parts.rows()[5000]["a"] == "5000"
    assert run(packed + b"garbage", GZIP)[0].problem == "corrupt"
    assert run(packed[:5], GZIP)[0].problem == "truncated"
    assert run(LINES, GZIP)[0].problem == "unreadable"
    assert run(b"", GZIP)[0].problem == "empty"


def parquet_bytes(rows: int = 100, row_group: int = 40) -> bytes:
    sink = io.BytesIO()
    table = pa.table({"n": pa.array(range(rows), pa.int32()), "": [[str(n)] for n in range(rows)], "t": [b"x"] * rows})
    parquet.write_table(table, sink, row_group_size=row_group, compression="none", use_dictionary=False)
    return sink.getvalue()


def test_parquet_keeps_its_types() -> None:
    staged, parts = run(parquet_bytes(), PARQUET)
    assert (staged.rows, staged.columns, staged.problem) == (100, ("n", "column_2", "t"), "")
    schema = parts.tables()[0].schema
    assert [schema.field(name).type for name in ("n", "t")] == [pa.int32(), pa.binary()]
    assert parts.rows()[99]["column_2"] == ["99"]
    assert run(gzip.compress(parquet_bytes()), ReadingOptions(format="parquet", compression="gzip"))[0].rows == 100


def test_parquet_without_rows_keeps_its_columns() -> None:
    staged, parts = run(parquet_bytes(0), PARQUET)
    assert (staged.rows, staged.problem) == (0, "")
    assert parts.tables()[0].schema.field("n").type == pa.int32()


@pytest.mark.parametrize("content", [b"PAR1", b"junk" * 100, parquet_bytes()[:-20], parquet_bytes()[200:] + b"PAR1"])
def test_parquet_that_is_none(content: bytes) -> None:
    staged, _ = run(content, PARQUET)
    assert (staged.rows, staged.problem) == (0, "unreadable")
    assert "Parquet" in staged.reason


def test_a_damaged_row_group_is_counted_and_the_others_are_read() -> None:
    content = bytearray(parquet_bytes())
    metadata = parquet.read_metadata(pa.BufferReader(bytes(content)))
    page = metadata.row_group(1).column(0).data_page_offset
    content[page : page + 30] = b"\xff" * 30
    staged, parts = run(bytes(content), PARQUET)
    assert (staged.rows, staged.problem) == (100, "corrupt")
    assert staged.misfits == (staging.Misfit("unreadable", 40, 41, 0),)
    assert [row["n"] for row in parts.rows() if row["n"] is not None] == [*range(40), *range(80, 100)]


class Vanishing(io.BytesIO):
    """A file that is gone after some bytes."""

    def __init__(self, content: bytes, after: int) -> None:
        super().__init__(content)
        self._left = after

    def read(self, size: int | None = -1) -> bytes:
        got = super().read(size)
        self._left -= len(got)
        if self._left < 0:
            raise OSError(5, "Input/output error")
        return got


def gone() -> BinaryIO:
    raise FileNotFoundError(2, "No such file or directory", "/landing/secret.csv")


@pytest.mark.parametrize(
    ("open_stream", "options", "reason"),
    [
        (gone, ReadingOptions(), "ENOENT"),
        (gone, PARQUET, "ENOENT"),
        (lambda: Vanishing(LINES, 1000), ReadingOptions(), "EIO"),
        (lambda: Vanishing(gzip.compress(LINES), 1000), GZIP, "EIO"),
        (lambda: Vanishing(b'{"a": 1}\n', 2), ReadingOptions(format="jsonl"), "EIO"),
        (lambda: Vanishing(parquet_bytes(), 300), PARQUET, "EIO"),
        (
            lambda: Vanishing(gzip.compress(parquet_bytes()), 300),
            PARQUET.model_copy(update={"compression": "gzip"}),
            "EIO",
        ),
    ],
)
def test_a_delivery_that_vanishes_is_a_foreign_failure_and_leaves_no_part(
    open_stream: Callable[[], BinaryIO], options: ReadingOptions, reason: str
) -> None:
    parts = Parts()
    with pytest.raises(ForeignFailure) as failure:
        stage(open_stream, options, parts.open)
    assert failure.value.reason == reason
    assert "secret" not in str(failure.value)
    assert parts.written == {}


def test_a_sink_that_fails_is_not_blamed_on_the_source() -> None:
    class Full(io.BytesIO):
        def write(self, _: Any) -> int:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        stage(lambda: io.BytesIO(LINES), ReadingOptions(), lambda _: contextlib.nullcontext(Full()))


def test_a_long_open_quote_is_followed_without_keeping_what_it_swallows() -> None:
    line = b"%d," + b"x" * 90 + b"\n"
    content = b'a,b\n1,"open\n' + b"".join(line % n for n in range(400_000))
    parts = Parts()
    tracemalloc.start()
    staged = stage(lambda: io.BytesIO(content), ReadingOptions(), parts.open)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert staged.misfits == (staging.Misfit("open_quote", 1, 1, 2),)
    assert staged.rows == 400_001
    written = sum(map(len, parts.written.values()))
    assert peak - written < 120 << 20


def test_random_bytes_under_every_encoding() -> None:
    rng = random.Random(11)
    tried = 0
    for name in sorted(set(encodings.aliases.aliases.values())):
        try:
            options = ReadingOptions(encoding=name)
        except ValidationError:
            continue
        tried += 1
        for size in (1, 3, 50, 2000):
            run(rng.randbytes(size), options)
    assert tried > 80


def test_random_bytes_under_every_format() -> None:
    rng = random.Random(7)
    for _ in range(30):
        content = rng.randbytes(rng.randrange(3000))
        for options in (
            ReadingOptions(),
            GZIP,
            PARQUET,
            ReadingOptions(format="jsonl"),
            ReadingOptions(encoding="utf-16"),
        ):
            run(content, options)
