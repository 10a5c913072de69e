"""Readings without pyarrow: the product's own bytes, blocks and grammar; only the cells are cut by Python's csv."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import BinaryIO, NamedTuple

from services.ingest.csv_reading import CsvReading
from services.ingest.delivered_bytes import DeliveredBytes
from services.ingest.dialect import sniff as _sniffed
from services.ingest.record_blocks import Block
from services.ingest.staging import ROWS_MAX, Staged, TooManyRows
from shared.domain.checks import check
from shared.domain.reading import MISFIT, RAW, ROW, TOO_FEW_FIELDS, TOO_MANY_FIELDS, ReadingOptions, staged_names
from tests.simulation.planes.rows_file import Row

_ENCODE = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


class _Parsed(NamedTuple):
    rows: list[list[str]]
    misfits: list[tuple[int, str, str]]  # number among the given records from 1, why, text


class PlainCsvReading(CsvReading):
    """The product's reading, whose rows are lists; ``read`` is everything at once."""

    def read(self) -> list[Row]:
        """All rows: number, raw text, misfit, cells."""
        found: list[Row] = []
        for given in self._blocks:
            block = given if self._width else self._with_columns(given)
            if block is not None:
                found += self._listed(block)
        return found

    def _name(self, names: list[str]) -> None:
        self._width = len(names)
        self.columns = staged_names(names) if len(names) <= self._columns_max else []

    def _fields(self, record: bytes, quote_open: bool) -> list[bytes]:
        # Byte for byte, since a header may be in another encoding than the reading says.
        return [field.encode("latin-1") for field in self._split(record.decode("latin-1"))[0]]

    def _split(self, text: str, *, strict: bool = False) -> list[list[str]]:
        options = self._options
        reader = csv.reader(
            io.StringIO(text, newline=""),
            delimiter=options.delimiter,
            quotechar=options.quote or None,
            escapechar=options.escape or None,
            quoting=csv.QUOTE_MINIMAL if options.quote else csv.QUOTE_NONE,
            strict=strict,
        )
        return list(reader)

    def _listed(self, block: Block) -> list[Row]:
        content = block.content
        first = self._records + 1
        check(not block.cut_short, "a simulated delivery has no record that is too long")
        if b"\0" in content or not _is_text(content) or block.line_by_line or not self.columns:
            sorted_ = self._set_aside(block)
            parsed = self._cut(sorted_.good)
            numbers = sorted_.good_numbers
            aside = sorted_.aside + [(numbers[n - 1] if numbers else n, why, text) for n, why, text in parsed.misfits]
        else:
            parsed = self._cut(content)
            aside = parsed.misfits
        self._records += len(parsed.rows) + len(aside)
        raw = {first + number - 1: (text, why) for number, why, text in aside}
        good = iter(parsed.rows)
        nothing = [None] * len(self.columns)
        found: list[Row] = []
        for number in range(first, self._records + 1):
            if number in raw:
                found.append([number, *raw[number], *nothing])
            else:
                found.append([number, None, None, *next(good)])
        return found

    def _cut(self, content: bytes) -> _Parsed:
        """The records' cells; those of another number of fields as text."""
        text = content.decode()
        if not content:
            return _Parsed([], [])
        quote = self._options.quote
        if "\r" not in text and not (quote and quote in text) and not self._options.escape:
            return self._sorted_lines(text.removesuffix("\n").split("\n"))
        try:
            rows = [row or [""] for row in self._split(text, strict=True) if row or self._width == 1]
        except csv.Error:
            rows = []
        if rows and all(len(row) == self._width for row in rows):
            return _Parsed(rows, [])
        return self._one_by_one(content)

    def _sorted_lines(self, lines: list[str]) -> _Parsed:
        delimiter, width = self._options.delimiter, self._width
        rows: list[list[str]] = []
        misfits: list[tuple[int, str, str]] = []
        for line in lines:
            if line or width == 1:
                self._sort(line.split(delimiter), line, rows, misfits)
        return _Parsed(rows, misfits)

    def _one_by_one(self, content: bytes) -> _Parsed:
        rows: list[list[str]] = []
        misfits: list[tuple[int, str, str]] = []
        for _, span in self._numbered(Block(content, 0)):
            text = content[span.start : span.end].decode()
            self._sort((self._split(text) or [[""]])[0], text, rows, misfits)
        return _Parsed(rows, misfits)

    def _sort(self, cells: list[str], text: str, rows: list[list[str]], misfits: list[tuple[int, str, str]]) -> None:
        if len(cells) == self._width:
            rows.append(cells)
        else:
            why = TOO_MANY_FIELDS if len(cells) > self._width else TOO_FEW_FIELDS
            misfits.append((len(rows) + len(misfits) + 1, why, text))


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


@lru_cache(maxsize=4_096)
def _suggested(head: bytes, file_name: str) -> tuple[ReadingOptions, ...]:
    return tuple(_sniffed(head, file_name))


def sniff(head: bytes, file_name: str) -> list[ReadingOptions]:
    """What the product suggests, remembered by content."""
    return list(_suggested(head, file_name))


def stage(
    open_stream: Callable[[], BinaryIO],
    options: ReadingOptions,
    open_part: Callable[[int], AbstractContextManager[BinaryIO]],
    rows_max: int = ROWS_MAX,
) -> Staged:
    """Reads the delivery and writes its one part; a simulated delivery is small, and CSV."""
    check(options.format == "csv", "simulated deliveries are CSV")
    delivery = DeliveredBytes(open_stream, options)
    reading = PlainCsvReading(delivery, options)
    rows = reading.read()
    if len(rows) > rows_max:
        raise TooManyRows(len(rows), 0)
    columns = [ROW, RAW, MISFIT, *reading.columns]
    types = ["integer", *["string"] * (len(columns) - 1)]
    with open_part(0) as stream:
        stream.write(_ENCODE([columns, types, rows]).encode())
    problem, reason = delivery.problem, delivery.reason
    if not problem and not reading.columns and not rows:
        problem, reason = "empty", "the delivery has no record and no header"
    return Staged(
        parts=1,
        rows=len(rows),
        raw_rows=sum(row[2] is not None for row in rows),
        columns=tuple(reading.columns),
        misfits=(),
        problem=problem,
        reason=reason,
    )
