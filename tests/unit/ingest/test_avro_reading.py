"""Goal: every object of an Avro file is a row with its own types, or is kept raw; sizes that lie harm nothing.

Method: files by fastavro's writer, and containers put together here whose claims, marks and codecs are as bad as
wanted; what is read is compared with the count of `mend audit`, which looks at block headers only.
"""

from __future__ import annotations

import bz2
import datetime as dt
import gzip
import io
import json
import lzma
import random
import subprocess
import sys
import tracemalloc
import zlib
from decimal import Decimal
from typing import Any
from uuid import UUID

import fastavro
import pyarrow as pa
import pytest

from mend.record_count import RecordCount, count_records
from services.ingest.avro_reading import AvroReading
from services.ingest.delivered_bytes import DeliveredBytes
from services.ingest.dialect import sniff
from services.ingest.staging import TooManyRows, stage
from shared.domain.reading import ReadingOptions

AVRO = ReadingOptions(format="avro")
MARK = bytes(range(16))
PAIR = {"type": "record", "name": "t", "fields": [{"name": "i", "type": "long"}, {"name": "s", "type": "string"}]}
OURS = ("_mend_row", "_mend_raw", "_mend_misfit")


def number(value: int) -> bytes:
    left, made = (value << 1) ^ (value >> 127), bytearray()
    while left >= 0x80:
        made.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([*made, left])


def sized(content: bytes) -> bytes:
    return number(len(content)) + content


def head(schema: Any = PAIR, codec: str | None = None) -> bytes:
    meta = {b"avro.schema": schema if isinstance(schema, bytes) else json.dumps(schema).encode()}
    meta |= {b"avro.codec": codec.encode()} if codec else {}
    return b"Obj\x01" + number(len(meta)) + b"".join(sized(k) + sized(v) for k, v in meta.items()) + b"\0" + MARK


def block(objects: int, content: bytes, mark: bytes = MARK, size: int | None = None) -> bytes:
    return number(objects) + number(len(content) if size is None else size) + content + mark


def pairs(*numbers: int) -> bytes:
    return b"".join(number(each) + sized(b"x") for each in numbers)


def read(content: bytes, chunk_bytes: int = 1 << 20, options: ReadingOptions = AVRO) -> tuple[AvroReading, pa.Table]:
    reading = AvroReading(DeliveredBytes(lambda: io.BytesIO(content), options, chunk_bytes))
    tables = [staged.table for staged in reading.tables()]
    for table in tables:
        table.validate(full=True)
    whole = pa.concat_tables(tables) if tables else pa.table({name: [] for name in OURS})
    assert whole["_mend_row"].to_pylist() == list(range(1, whole.num_rows + 1))
    return reading, whole


def count(content: bytes, chunk_bytes: int = 1 << 20, options: ReadingOptions = AVRO) -> RecordCount:
    return count_records(lambda: io.BytesIO(content), options, chunk_bytes=chunk_bytes)


def written(schema: Any, rows: list[dict[str, Any]], **options: Any) -> bytes:
    stream = io.BytesIO()
    fastavro.writer(stream, fastavro.parse_schema(schema), rows, **options)
    return stream.getvalue()


def record(**types: Any) -> dict[str, Any]:
    return {"type": "record", "name": "t", "fields": [{"name": name, "type": kind} for name, kind in types.items()]}


def logical(kind: Any, name: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "logicalType": name, **more}


UTC = dt.UTC
MOMENT = dt.datetime(2024, 1, 2, 3, 4, 5, 6000, tzinfo=UTC)
PRICE = logical("bytes", "decimal", precision=6, scale=2)
INNER = record(z=["null", "string"], l={"type": "array", "items": "int"}) | {"name": "R"}
FIXED = {"type": "fixed", "name": "F", "size": 3}
LOCAL = MOMENT.replace(tzinfo=None)
SHORT = {**FIXED, "logicalType": "decimal", "precision": 6, "scale": 1}
MOMENTS = {"type": "map", "values": logical("long", "timestamp-millis")}
NOTHINGS = {"type": "array", "items": "null"}
HASH = {"type": "fixed", "name": "U", "size": 16, "logicalType": "uuid"}
SPAN = {"type": "fixed", "name": "D", "size": 12, "logicalType": "duration"}


@pytest.mark.parametrize(
    ("kind", "value", "staged", "as_type"),
    [
        ("boolean", True, True, "bool"),
        ("int", -5, -5, "int32"),
        ("long", 2**62, 2**62, "int64"),
        ("float", 1.5, 1.5, "float"),
        ("double", 0.1, 0.1, "double"),
        ("string", "é\0", "é\0", "string"),
        ("bytes", b"\xff", b"\xff", "binary"),
        (FIXED, b"abc", b"abc", "binary"),
        ({"type": "enum", "name": "E", "symbols": ["A", "B"]}, "B", "B", "string"),
        (["null", "long"], None, None, "int64"),
        (["string", "null"], "x", "x", "string"),
        ("null", None, None, "null"),
        (logical("int", "date"), dt.date(1960, 2, 29), dt.date(1960, 2, 29), "date32[day]"),
        (logical("int", "time-millis"), dt.time(1, 2, 3, 4000), "01:02:03.004000", "string"),
        (logical("long", "time-micros"), dt.time(23, 59, 59, 999999), "23:59:59.999999", "string"),
        (logical("long", "timestamp-millis"), MOMENT, MOMENT, "timestamp[ms, tz=UTC]"),
        (["null", logical("long", "timestamp-micros")], MOMENT, MOMENT, "timestamp[us, tz=UTC]"),
        (logical("long", "local-timestamp-micros"), LOCAL, LOCAL, "timestamp[us]"),
        (PRICE, Decimal("-1.10"), Decimal("-1.10"), "decimal128(38, 2)"),
        (SHORT, Decimal("0.3"), Decimal("0.3"), "decimal128(38, 1)"),
        (logical("bytes", "decimal", precision=50, scale=1), Decimal("1" * 45 + ".5"), "1" * 45 + ".5", "string"),
        (logical("bytes", "decimal", precision=0), b"\1", b"\1", "binary"),
        (logical("string", "uuid"), UUID(int=5), str(UUID(int=5)), "string"),
        (HASH, UUID(int=7).bytes, str(UUID(int=7)), "string"),
        (SPAN, b"\1\0\0\0\2\0\0\0\xe8\3\0\0", "P1M2DT1.000S", "string"),
        (INNER, {"z": None, "l": [1, 2]}, {"z": None, "l": [1, 2]}, "struct<z: string, l: list<item: int32>>"),
        ({"type": "array", "items": ["null", FIXED]}, [None, b"abc"], [None, b"abc"], "list<item: binary>"),
        ({"type": "map", "values": ["null", "long"]}, {"a": 1, "b": None}, '{"a": 1, "b": null}', "string"),
        (["null", "string", "long"], 7, "7", "string"),
        (["null", "string", "long"], "7", "7", "string"),
        (["long", {"type": "array", "items": PRICE}], [Decimal("1.10"), Decimal("2.25")], "[1.1, 2.25]", "string"),
        (MOMENTS, {"a": MOMENT}, '{"a": "2024-01-02T03:04:05.006Z"}', "string"),
        ({"type": "map", "values": "bytes"}, {"a": b"\xffx"}, '{"a": "\\\\xffx"}', "string"),
    ],
    ids=repr,
)  # fmt: skip
def test_types_are_kept(kind: Any, value: Any, staged: Any, as_type: str) -> None:
    content = written(record(before="int", v=kind), [{"before": 1, "v": value}])
    reading, table = read(content, 7)
    assert (reading.problem, table["v"].to_pylist()) == ("", [staged])
    assert str(table.schema.field("v").type) == as_type


def test_values_that_python_has_not_are_kept() -> None:
    schema = record(d=logical("int", "date"), t=logical("long", "timestamp-micros"), m=logical("int", "time-millis"))
    content = head(schema) + block(1, number(10_000_000) + number(2**62) + number(86_400_000))
    reading, table = read(content)
    assert reading.problem == ""
    assert [table["d"].cast(pa.int32())[0].as_py(), table["t"].cast(pa.int64())[0].as_py()] == [10_000_000, 2**62]
    assert table["m"][0].as_py() == "86400000"


def test_a_decimal_beyond_its_precision_is_never_rounded() -> None:
    schema = record(p=PRICE)
    rows = sized((12_345_678_901).to_bytes(6, "big")) + sized(b"\x7f" * 16) + sized(b"\x01" * 40) + sized(b"\1")
    _, table = read(head(schema) + block(4, rows))
    assert table["p"].to_pylist() == [Decimal("123456789.01"), None, None, Decimal("0.01")]
    assert table["_mend_misfit"].to_pylist() == [None, "unreadable", "unreadable", None]


CODECS = {
    "deflate": lambda content: zlib.compress(content, wbits=-15),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "snappy": lambda content: (
        pa.Codec("snappy").compress(content, asbytes=True) + zlib.crc32(content).to_bytes(4, "big")
    ),
    "zstandard": lambda content: pa.Codec("zstd").compress(content, asbytes=True),
}


@pytest.mark.parametrize("codec", CODECS)
def test_codecs(codec: str) -> None:
    pack = CODECS[codec]
    content = head(codec=codec) + block(300, pack(pairs(*range(300)))) + block(1, pack(pairs(7)))
    for chunk_bytes in (3, 1 << 20):
        reading, table = read(content, chunk_bytes)
        assert (reading.problem, table["i"].to_pylist()) == ("", [*range(300), 7])
        assert count(content, chunk_bytes) == (301, "")
    broken = head(codec=codec) + block(2, b"nonsense") + block(1, pack(pairs(7)))
    reading, table = read(broken)
    assert (reading.problem, table["i"].to_pylist()) == ("corrupt", [None, None, 7])
    assert count(broken).records == 3


def test_a_wrong_checksum_is_damage() -> None:
    packed = pa.Codec("snappy").compress(pairs(1), asbytes=True) + b"\0\0\0\0"
    reading, table = read(head(codec="snappy") + block(1, packed))
    assert (reading.problem, table["_mend_misfit"].to_pylist()) == ("corrupt", ["unreadable"])


def test_what_becomes_too_large_is_not_unpacked() -> None:
    bomb = zlib.compressobj(9, wbits=-15)
    packed = b"".join(bomb.compress(bytes(1 << 24)) for _ in range(17)) + bomb.flush()
    reading, table = read(head(codec="deflate") + block(1, packed) + block(1, zlib.compress(pairs(3), wbits=-15)))
    assert (reading.problem, table["i"].to_pylist()) == ("corrupt", [None, 3])


def test_gzip_around_it() -> None:
    options = ReadingOptions(format="avro", compression="gzip")
    content = gzip.compress(head() + block(2, pairs(1, 2)) + block(1, pairs(3)))
    assert sniff(content, "a.avro.gz") == [options]
    assert read(content, 5, options)[1]["i"].to_pylist() == [1, 2, 3]
    assert count(content, 5, options) == (3, "")
    assert count(content[:-9], options=options).problem == "truncated"


WHOLE = head() + block(2, pairs(1, 2)) + block(1, pairs(3))


@pytest.mark.parametrize(
    ("content", "rows", "problem", "reason"),
    [
        (b"", 0, "", ""),
        (b"Obj\x02", 0, "unreadable", "first bytes"),
        (b"PAR1", 0, "unreadable", "first bytes"),
        (head()[:-3], 0, "truncated", "within the header"),
        (head()[:9], 0, "truncated", "within the header"),
        (b"Obj\x01" + number(1) + number(2**60), 0, "unreadable", "claims a size"),
        (b"Obj\x01" + number(2**60) + number(2**60), 0, "unreadable", "claims a size"),
        (b"Obj\x01" + number(1) + number(-9), 0, "unreadable", "claims a size"),
        (head(codec="lz4"), 0, "unreadable", "null, deflate, snappy"),
        (head(), 0, "", ""),
        (WHOLE[:-1], 2, "truncated", "within block 2"),
        (WHOLE[:-17], 2, "truncated", "within block 2"),
        (WHOLE + b"\x02", 3, "truncated", "within block 3"),
        (head() + block(1, pairs(1), MARK[::-1]) + block(1, pairs(2)), 0, "corrupt", "block 1"),
        (head() + block(1, pairs(1)) + block(2**60, pairs(2)), 1, "corrupt", "block 2"),
        (head() + block(1, pairs(1)) + block(1, pairs(2), size=2**60), 1, "corrupt", "block 2"),
        (head() + block(1, pairs(1), size=-1), 0, "corrupt", "block 1"),
        (head() + block(-1, pairs(1)), 0, "corrupt", "block 1"),
        (head() + b"\xff" * 40, 0, "corrupt", "block 1"),
        (head() + block(1, pairs(1), size=200 << 20), 0, "truncated", "within block 1"),
        (head() + block(3, pairs(1)) + block(1, pairs(2)), 4, "corrupt", "block 1 of the Avro file cannot be read"),
        (head() + block(1, number(1) + number(2**60) + b"x"), 1, "corrupt", "cannot be read to its end"),
        (head() + block(1, number(1) + number(2) + b"\xff\xff"), 1, "corrupt", "cannot be read to its end"),
        (head(b"{") + block(1, b"x"), 1, "unreadable", "without a schema"),
        (head(b"[" * 100_000) + block(1, b"x"), 1, "unreadable", "without a schema"),
        (head("string") + block(2, b"\0\0"), 2, "unreadable", "are no records"),
        (head(record()) + block(2, b""), 2, "unreadable", "are no records"),
        (head([PAIR, "null"]) + block(1, b"\2"), 1, "unreadable", "are no records"),
        (head(record(a="nonsense")) + block(1, b"x"), 1, "unreadable", "whose schema is none"),
        (head({**PAIR, "fields": [{"type": "int"}]}) + block(1, b"x"), 1, "unreadable", "whose schema is none"),
        (head({**PAIR, "fields": PAIR["fields"] * 2}) + block(1, b"x"), 1, "unreadable", "whose schema is none"),
        (head(record(next=["null", "t"])) + block(1, b"\2" * 99 + b"\0"), 1, "unreadable", "contains itself"),
        (head(record(a=NOTHINGS)) + block(1, number(2**60)), 1, "unreadable", "arrays of nothing"),
    ],
)  # fmt: skip
def test_damage_is_said_and_nothing_is_lost(content: bytes, rows: int, problem: str, reason: str) -> None:
    for chunk_bytes in (1, 1 << 20):
        reading, table = read(content, chunk_bytes)
        assert (table.num_rows, reading.problem) == (rows, problem)
        assert reason in reading.reason
        assert count(content, chunk_bytes).records == rows


def test_rows_before_the_damage_within_a_block_are_kept() -> None:
    reading, table = read(head() + block(3, pairs(1, 2)) + block(1, pairs(9)))
    assert table["i"].to_pylist() == [1, 2, None, 9]
    assert table["_mend_misfit"].to_pylist() == [None, None, "unreadable", None]
    assert table["_mend_raw"][2].as_py() == "an object of block 1 of the Avro file cannot be read"
    assert reading.problem == "corrupt"


def test_a_schema_that_grows_without_end_is_refused() -> None:
    kind: Any = "int"
    for level in range(40):
        fields = [{"name": "a", "type": kind}, {"name": "b", "type": f"N{level - 1}" if level else "int"}]
        kind = {"type": "record", "name": f"N{level}", "fields": fields}
    assert read(head(record(a=kind)))[0].reason == "an Avro schema of more than 20,000 types"
    for _ in range(100):
        kind = {"type": "array", "items": kind}
    assert "levels" in read(head(record(a=kind)))[0].reason


def test_more_objects_than_a_batch_may_have_stop_the_reading() -> None:
    content = head() + block(2**28, pairs(1))
    with pytest.raises(TooManyRows):
        stage(lambda: io.BytesIO(content), AVRO, lambda _: io.BytesIO(), rows_max=100_000)  # type: ignore[arg-type]


def test_names_of_columns_and_none_of_ours() -> None:
    content = head(record(**{"_mend_row": "int", "Größe in m": "int"})) + block(1, number(5) + number(6))
    reading, table = read(content)
    assert reading.columns == ["x_mend_row", "Größe in m"]
    assert table["x_mend_row"].to_pylist() == [5]


@pytest.mark.parametrize("seed", range(300))
def test_flipped_bytes_raise_nothing_and_the_count_agrees(seed: int) -> None:
    chance = random.Random(seed)
    rows = [{"i": each, "m": {"k": [each]}, "s": "x" * 20} for each in range(30)]
    schema = record(i="long", m={"type": "map", "values": {"type": "array", "items": "int"}}, s="string")
    content = bytearray(written(schema, rows, codec=chance.choice(["null", "deflate"]), sync_interval=200))
    for _ in range(chance.randint(1, 4)):
        content[chance.randrange(len(content))] = chance.choice([0, 1, 127, 255, chance.randrange(256)])
    cut = bytes(content[: chance.choice([len(content), chance.randrange(len(content))])])
    _, table = read(cut, chance.choice([1, 50, 1 << 20]))
    assert count(cut).records == table.num_rows


def test_memory_is_bounded_by_blocks() -> None:
    blocks, each = 200, block(300, b"".join(number(1) + sized(b"x" * 1000) for _ in range(300)))

    class Long(io.RawIOBase):
        left = blocks

        def readable(self) -> bool:
            return True

        def read(self, size: int = -1) -> bytes:
            self.left -= 1
            return each if 0 <= self.left < blocks - 1 else head() + each if self.left == blocks - 1 else b""

    tracemalloc.start()
    reading = AvroReading(DeliveredBytes(Long, AVRO))  # type: ignore[arg-type]
    assert sum(staged.table.num_rows for staged in reading.tables()) == blocks * 300
    assert count_records(Long, AVRO).records == blocks * 300  # type: ignore[arg-type]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < blocks * len(each) / 2


def test_no_cold_start_pays_for_it() -> None:
    code = "import sys, services.ingest.main; sys.exit('fastavro' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
