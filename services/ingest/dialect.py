"""What the beginning of a delivery suggests about how to read it; a guess, best first, never an error."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
import zlib
from collections import Counter
from typing import Final, Literal, NamedTuple

from services.ingest.sample_columns import decimal_commas, first_row_is_header
from shared.domain.reading import ReadingOptions

HEAD_BYTES: Final = 64 << 10
SUGGESTIONS_MAX: Final = 6
_SAMPLE_CHARACTERS: Final = 32 << 10
_SAMPLE_ROWS: Final = 200
_PREAMBLE_LINES_MAX: Final = 20
_DELIMITERS: Final = (",", ";", "\t", "|")
# Believed only where every record has them equally often, the first too. What words, numbers, dates and addresses are
# written with (- _ . / @ &) is none: in a file of one column 2e-3, 11-08 and a_b would be two each.
_RARE_DELIMITERS: Final = ("~", "^", ":")
_RARE_ROWS_MIN: Final = 3
_CLOCK = re.compile(r"(?<!\d)\d{1,2}:\d\d(?!\d)")
_SCRIPTS: Final = ["shift_jis", "euc_jp", "gb18030", "big5", "euc_kr", "cp1251", "koi8_r", "cp1253", "cp1255", "cp1256"]
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_HIGH_RUN = re.compile(rb"[\x80-\xff]{4,}")
_HIGH = re.compile(rb"[\x80-\xff]")

_FOREIGN: Final = ((b"PK\x03\x04", "a ZIP archive"),)
_WHITE: Final = " \t\r\n"
# What an array of objects, an empty one, and an object over several lines begin with; no CSV file does.
_JSON_ARRAY = re.compile(r'[ \t\r\n]*+\[[ \t\r\n]*+(?:\{[ \t\r\n]*+["}]|\][ \t\r\n]*+\Z)')
_JSON_OBJECT = re.compile(r'[ \t\r\n]*+\{[ \t\r\n]*+"[^"\r\n]*+"[ \t]*+:')

Compression = Literal["none", "gzip"]


class _Shape(NamedTuple):
    """How well a delimiter and a quote explain a sample."""

    score: float
    delimiter: str
    quote: str
    escape: str
    rows: list[list[str]]
    skip_lines: int


def sniff(head: bytes, file_name: str) -> list[ReadingOptions]:
    """Readings that the first ``HEAD_BYTES`` of a delivery suggest, best first, at least one, all different."""
    name = file_name.lower()
    compression: Compression = "none"
    whole = len(head) < HEAD_BYTES
    if head.startswith(b"\x1f\x8b"):
        compression, head, whole = "gzip", _gunzipped(head), False
        name = name.removesuffix(".gz")
    if head.startswith(b"PAR1") or (name.endswith((".parquet", ".pq")) and b"\0" in head):
        return [ReadingOptions(format="parquet", compression=compression)]
    if head.startswith(b"Obj\x01") or (name.endswith(".avro") and b"\0" in head):
        return [ReadingOptions(format="avro", compression=compression)]
    if foreign_format(head):
        # As text its cells would be taken for names of columns; read as Parquet it is said what it is.
        return [ReadingOptions(format="parquet", compression=compression)]
    encodings = _encodings(head)
    text = head.decode(encodings[0], "replace").removeprefix("\ufeff")[:_SAMPLE_CHARACTERS]
    if not whole or len(text) == _SAMPLE_CHARACTERS:
        text = text[: max(text.rfind("\n"), text.rfind("\r")) + 1] or text
    json_format = _json_format(text, name)
    if json_format:
        kinds = [ReadingOptions(format=json_format, compression=compression, encoding=each) for each in encodings]
        found = [*kinds, ReadingOptions(compression=compression, encoding=encodings[0])]
    else:
        found = _csv_readings(text, encodings, compression)
    return list(dict.fromkeys(found))[:SUGGESTIONS_MAX]


def foreign_format(head: bytes) -> str:
    """What the bytes are, if that is a format that is not read; else ""."""
    return next((name for mark, name in _FOREIGN if head.startswith(mark)), "")


def _gunzipped(head: bytes) -> bytes:
    try:
        return zlib.decompressobj(31).decompress(head, HEAD_BYTES)
    except zlib.error:
        return b""


def _encodings(head: bytes) -> list[str]:
    """Encodings to try; the first one is the guess."""
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return [encoding]
    if head.isascii() and b"\0" not in head:
        return ["utf-8", "cp1252"]  # the rest may hold what the beginning does not
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if even + odd > len(head) // 5 and max(even, odd) > 20 * min(even, odd):
        return ["utf-16-le" if odd > even else "utf-16-be"]
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return _legacy_encodings(head)
    return ["utf-8"]


def _legacy_encodings(head: bytes) -> list[str]:
    western = ["cp1252", "iso8859-1"]
    if set(_HIGH.findall(head)) & {b"\x81", b"\x8d", b"\x8f", b"\x90", b"\x9d"}:
        western.reverse()  # bytes that cp1252 does not have
    runs = sum(len(run) for run in _HIGH_RUN.findall(head))
    high = len(_HIGH.findall(head))
    if 2 * runs < high and 4 * high < len(head):  # western languages scatter their accents
        return western
    import charset_normalizer

    lines = [line for line in head.splitlines() if not line.isascii()]
    matches = charset_normalizer.from_bytes(b"\n".join(lines)[:4096], cp_isolation=_SCRIPTS, enable_fallback=False)
    names = [match.encoding for match in sorted(matches, key=lambda match: (match.chaos, -match.coherence))]
    return [*names[:3], *western]


def _json_format(text: str, name: str) -> Literal["jsonl", "json", ""]:
    """JSON Lines where a line is an object of its own, a document where an array or an object begins; else ""."""
    lines = text.strip(_WHITE).splitlines()
    begins = lines[0][:1] if lines else ""
    if begins == "{":
        # Of broken lines some are whole; within a document no object stands alone at the beginning of a line.
        if name.endswith((".jsonl", ".ndjson")) or any(map(_is_object, lines)):
            return "jsonl"
        if _JSON_OBJECT.match(text):
            return "json" if len(lines) > 1 else "jsonl"  # a line that is longer than the sample is one of several
    if _JSON_ARRAY.match(text):
        return "json"
    return "json" if name.endswith(".json") and begins in ("{", "[") else ""


def _is_object(line: str) -> bool:
    try:
        return line.startswith("{") and isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _csv_readings(text: str, encodings: list[str], compression: Compression) -> list[ReadingOptions]:
    shapes = _shapes(text)
    readings: list[ReadingOptions] = []
    for shape in shapes[:2]:
        header = first_row_is_header(shape.rows)
        best = ReadingOptions(
            compression=compression,
            encoding=encodings[0],
            delimiter=shape.delimiter,
            quote=shape.quote,
            escape=shape.escape,
            header=header,
            skip_lines=shape.skip_lines,
            decimal="," if decimal_commas(shape.rows) else ".",
        )
        others = [best.model_copy(update={"encoding": _canonical(encoding)}) for encoding in encodings[1:]]
        if shape is shapes[0]:
            flipped = [] if len(shape.rows) < 2 else [best.model_copy(update={"header": not header})]
            readings += [best, *others[:2], *flipped]
        else:
            readings.append(best)
    return readings


def _canonical(encoding: str) -> str:
    return ReadingOptions(encoding=encoding).encoding


def _shapes(text: str) -> list[_Shape]:
    """Ways to split the sample, best first; one column when nothing splits it."""
    quote = _quote(text)
    escape = "\\" if quote and f"\\{quote}" in text else ""
    shapes = [_shape(text, delimiter, quote, escape) for delimiter in _DELIMITERS]
    good = sorted((shape for shape in shapes if shape.score >= 0.5), key=lambda shape: -shape.score)
    if good and (good[0].score >= 0.8 or len(good) == 1):
        return good
    rare = [_shape(text, each, quote, escape) for each in _RARE_DELIMITERS if _may_split(each, text)]
    good = [*(shape for shape in rare if shape.score >= 1 and len(shape.rows) >= _RARE_ROWS_MIN), *good]
    return good or [_shape(text, ",", quote, escape)]


def _quote(text: str) -> str:
    single = len(re.findall(r"(?:^|[,;\t|])'[^'\n]*'(?=[,;\t|\r\n])", text, re.MULTILINE))
    return "'" if single > 2 and '"' not in text else '"'


def _shape(text: str, delimiter: str, quote: str, escape: str) -> _Shape:
    rows: list[list[str]] = []
    starts: list[int] = []
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, quotechar=quote, escapechar=escape or None, doublequote=True
    )
    line = 0
    try:
        for row in reader:
            if row:
                rows.append(row)
                starts.append(line)
            line = reader.line_num
            if len(rows) == _SAMPLE_ROWS:
                break
    except csv.Error:
        return _Shape(0.0, delimiter, quote, escape, rows, 0)
    if not rows:
        return _Shape(0.0, delimiter, quote, escape, rows, 0)
    width, count = Counter(len(row) for row in rows).most_common(1)[0]
    first = next(index for index, row in enumerate(rows) if len(row) == width)
    preamble = 0 < first <= _PREAMBLE_LINES_MAX and len(rows) - first >= 3 and max(map(len, rows[:first])) < width
    if preamble and delimiter != "," and starts[first] == 1:
        # A single line right above values names the one column that they are; a comma in them would be quoted.
        preamble = first_row_is_header([row for row in rows[1:] if len(row) == width])
    if preamble:
        rows, skip, count = rows[first:], starts[first], count + first // 2
    else:
        skip = 0
    fit = count / (len(rows) + (first if preamble else 0))
    head_fits = len(rows[0]) == width
    score = 0.0 if width == 1 else fit * (1.0 if head_fits else 0.5) + min(width, 50) / 1000
    return _Shape(score, delimiter, quote, escape, [row for row in rows if len(row) == width], skip)


def _may_split(delimiter: str, text: str) -> bool:
    """Whether the first line has it, and no colon that is a clock's."""
    first = text.lstrip("\r\n").partition("\n")[0]
    return delimiter in first and not (delimiter == ":" and _CLOCK.search(first))
