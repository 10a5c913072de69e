"""JSON to staged tables: every line or element an object, its scalars as the text that was written, or a raw row.

JSON Lines end with LF, CR or CRLF, and a line without any byte is no record; of a document see ``json_elements``.
Columns are the union of the keys in the order first seen, so a later table may have more columns than an earlier one
(never fewer): the last part has them all.
"""

from __future__ import annotations

import json
from itertools import chain
from json.encoder import encode_basestring
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from services.ingest.json_elements import Element, JsonElements
from services.ingest.record_blocks import Block, RecordBlocks
from services.ingest.record_grammar import Grammar
from services.ingest.staged_rows import RawRecord, StagedRows, interleaved, text_schema
from shared.domain.reading import (
    BAD_BYTES,
    BAD_UNICODE,
    DUPLICATE_KEYS,
    NOT_JSON,
    RECORD_BYTES_MAX,
    TOO_LONG,
    TOO_MANY_COLUMNS,
    Problem,
    ReadingOptions,
    staged_name,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from services.ingest.delivered_bytes import DeliveredBytes

COLUMNS_MAX: Final = 20_000
CELLS_MAX: Final = 4_000_000  # of one table, since an absent key costs memory too

Row = dict[str, Any]


class _Literal(str):
    """A number as it was written."""

    __slots__ = ()


class _DuplicateKeys(ValueError):
    """An object names a key twice, and one of the two values would be lost."""


class _Record(NamedTuple):
    line: int
    text: str
    misfit: str = ""


class JsonReading:
    """Reads one delivery."""

    def __init__(
        self,
        delivery: DeliveredBytes,
        options: ReadingOptions,
        *,
        record_bytes_max: int = RECORD_BYTES_MAX,
        columns_max: int = COLUMNS_MAX,
    ) -> None:
        self._delivery = delivery
        self._columns_max = columns_max
        self._document: JsonElements | None = None
        if options.format == "json":
            self._document = JsonElements(delivery, skip_lines=options.skip_lines, record_bytes_max=record_bytes_max)
        self._blocks = RecordBlocks(
            delivery,
            Grammar(ReadingOptions(quote="")),
            skip_lines=options.skip_lines,
            record_bytes_max=record_bytes_max,
            look_ahead_bytes=record_bytes_max,
        )
        self._scan_flat = _scanner(str)
        self._scan_nested = _scanner(_Literal)
        self._names: dict[str, str] = {}  # key -> column
        self._used: set[str] = set()
        self._records = 0

    @property
    def columns(self) -> list[str]:
        """Columns seen so far."""
        return list(self._names.values())

    @property
    def problem(self) -> Problem:
        """What is wrong with a document as a whole, after it was read."""
        return self._document.problem if self._document else ""

    @property
    def reason(self) -> str:
        """One sentence about it."""
        return self._document.reason if self._document else ""

    def tables(self) -> Iterator[StagedRows]:
        """Staged rows in record order."""
        for records in self._record_lists():
            start = 0
            while start < len(records):
                stop = start + max(1, CELLS_MAX // (len(self._names) + 1))
                yield self._rows(records[start:stop])
                start = stop

    def _record_lists(self) -> Iterator[list[_Record]]:
        if self._document is None:
            yield from map(self._lines, self._blocks)
        else:
            for elements in self._document:
                yield [self._element(each) for each in elements]

    def _element(self, element: Element) -> _Record:
        if element.cut_short:
            return _Record(element.line, self._delivery.raw_text(element.content), TOO_LONG)
        try:
            text = element.content.decode()
        except UnicodeDecodeError:
            text = "\0"
        if "\0" in text:
            return _Record(element.line, self._delivery.raw_text(element.content), BAD_BYTES)
        return _Record(element.line, text, NOT_JSON if element.beyond else "")

    def _lines(self, block: Block) -> list[_Record]:
        if block.cut_short:
            return [_Record(block.line, self._delivery.raw_text(block.content), TOO_LONG)]
        content = (
            block.content.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in block.content else block.content
        )
        try:
            lines = content.decode().split("\n")
        except UnicodeDecodeError:
            return self._bad_lines(content, block.line)
        if "\0" in content.decode():
            return self._bad_lines(content, block.line)
        return [_Record(number, line) for number, line in enumerate(lines, start=block.line) if line]

    def _bad_lines(self, content: bytes, first_line: int) -> list[_Record]:
        records: list[_Record] = []
        for number, line in enumerate(content.split(b"\n"), start=first_line):
            if not line:
                continue
            try:
                bad = b"\0" in line
                text = line.decode()
            except UnicodeDecodeError:
                bad, text = True, ""
            records.append(_Record(number, self._delivery.raw_text(line), BAD_BYTES) if bad else _Record(number, text))
        return records

    def _rows(self, records: list[_Record]) -> StagedRows:
        first = self._records + 1
        self._records += len(records)
        parsed = [record.misfit or self._parsed(record.text) for record in records]
        rows = [row for row in parsed if not isinstance(row, str)]
        try:
            self._learn(rows)
            columns = self._arrays(rows)
        except (UnicodeEncodeError, RecursionError, _TooManyColumns):
            parsed = [row if isinstance(row, str) else self._judged(row) for row in parsed]
            rows = [row for row in parsed if not isinstance(row, str)]
            columns = self._arrays(rows)
        raw = [
            RawRecord(number, misfit, record.text, record.line)
            for number, (record, misfit) in enumerate(zip(records, parsed, strict=True), start=first)
            if isinstance(misfit, str)
        ]
        return interleaved(columns, text_schema(self.columns), len(rows), raw, first)

    def _parsed(self, text: str) -> Row | str:
        """The record's object, or why it is none."""
        text = text.strip(" \t")
        nested = "[" in text or text.find("{", 1) > 0  # only there a number must be told from a string
        try:
            row, end = (self._scan_nested if nested else self._scan_flat)(text, 0)
        except _DuplicateKeys:
            return DUPLICATE_KEYS
        except (StopIteration, ValueError, RecursionError):
            return NOT_JSON
        return row if isinstance(row, dict) and end == len(text) else NOT_JSON

    def _learn(self, rows: list[Row]) -> None:
        """Gives every new key a column."""
        new = [key for key in dict.fromkeys(chain.from_iterable(rows)) if key not in self._names]
        if len(self._names) + len(new) > self._columns_max:
            raise _TooManyColumns
        "".join(new).encode()
        for key in new:
            self._names[key] = staged_name(key, len(self._names) + 1, self._used)

    def _judged(self, row: Row) -> Row | str:
        """One row of a batch in which some row cannot be staged."""
        try:
            for value in row.values():
                (_text(value) or "").encode()
            self._learn([row])
        except UnicodeEncodeError:
            return BAD_UNICODE
        except RecursionError:
            return NOT_JSON
        except _TooManyColumns:
            return TOO_MANY_COLUMNS
        return row

    def _arrays(self, rows: list[Row]) -> list[Any]:
        import pyarrow as pa

        keys = list(self._names)
        if not keys or not rows:
            return [pa.nulls(len(rows), pa.string()) for _ in keys]
        try:
            columns = (
                [*zip(*map(itemgetter(*keys), rows), strict=True)]
                if len(keys) > 1
                else [[row[keys[0]] for row in rows]]
            )
        except KeyError:
            columns = [[row.get(key) for row in rows] for key in keys]
        arrays = []
        for values in columns:
            try:
                arrays.append(pa.array(values, pa.string()))
            except (pa.ArrowTypeError, pa.ArrowInvalid):
                arrays.append(pa.array([_text(value) for value in values], pa.string()))
        return arrays


class _TooManyColumns(ValueError):
    """More different keys than a staged file may have columns."""


def _text(value: Any) -> str | None:
    """A cell: text as it is, a number as written, null as null, anything nested as JSON."""
    if value is None or isinstance(value, str):
        return value
    return _json(value)


def _json(value: Any) -> str:
    if isinstance(value, _Literal):
        return str(value)
    if isinstance(value, str):
        return str(encode_basestring(value))
    if isinstance(value, dict):
        return "{" + ", ".join(f"{encode_basestring(key)}: {_json(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_json(item) for item in value) + "]"
    return {True: "true", False: "false", None: "null"}[value]


def _object(pairs: list[tuple[str, Any]]) -> Row:
    row = dict(pairs)
    if len(row) != len(pairs):
        raise _DuplicateKeys
    return row


def _scanner(number: type[str]) -> Callable[[str, int], tuple[Any, int]]:
    decoder = json.JSONDecoder(object_pairs_hook=_object, parse_float=number, parse_int=number, parse_constant=number)
    return decoder.scan_once  # type: ignore[attr-defined, no-any-return]  # raw_decode without its lookups
