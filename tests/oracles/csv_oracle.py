"""What a delivery of CSV bytes must become, one byte at a time: the reading rules without any cleverness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

LINE_ENDS = b"\r\n"
LONG_LINE_KEPT = 64 << 10


class Row(NamedTuple):
    """A staged row: cells, or the bytes of the record and why it has none."""

    number: int
    raw: bytes | None
    misfit: str | None
    cells: tuple[str, ...] | None


class Reading(NamedTuple):
    width: int
    header: list[bytes] | None
    rows: list[Row]


class _Record(NamedTuple):
    raw: bytes
    fields: list[bytes] | None  # None: not a row
    misfit: str = ""


class _Open(Exception):
    """The end of the delivery came inside a quote, or after an escape."""


class _Undecided(Exception):
    """The record is longer than allowed."""


class _Broken(Exception):
    """A quote closed where it could not have been meant to."""

    def __init__(self, line_start: int) -> None:
        self.line_start = line_start


@dataclass(frozen=True)
class CsvOracle:
    """Plain rules for one set of marks; ``limit`` is the most bytes a record may have."""

    delimiter: bytes = b","
    quote: bytes = b'"'
    escape: bytes = b""
    limit: int = 1 << 28

    def read(self, content: bytes, *, header: bool = True, skip_lines: int = 0, names: int = 0) -> Reading:
        """All of a delivery's content (UTF-8, no byte order mark)."""
        for _ in range(skip_lines):
            content = content[self._line_end(content, 0)[1] :]
        records = self._records(content)
        if not names:
            while records and not records[0].raw:
                records.pop(0)
        head: list[bytes] | None = None
        width = names
        if not names and records:
            first = records[0]
            head = first.fields
            if head is None:
                head = [first.raw] if first.misfit == "too_long" else first.raw.split(self.delimiter)
            width = len(head)
            if header:
                records.pop(0)
            else:
                head = None
        rows: list[Row] = []
        for record in records:
            if record.raw or width == 1:
                rows.append(self._row(len(rows) + 1, record, width))
        return Reading(width, head, rows)

    def _row(self, number: int, record: _Record, width: int) -> Row:
        misfit = record.misfit
        if misfit != "too_long" and _bad(record.raw):
            misfit = "bad_bytes"
        if not misfit:
            assert record.fields is not None
            if len(record.fields) == width:
                return Row(number, None, None, tuple(field.decode() for field in record.fields))
            misfit = "too_many_fields" if len(record.fields) > width else "too_few_fields"
        return Row(number, record.raw, misfit, None)

    def _records(self, content: bytes) -> list[_Record]:
        records: list[_Record] = []
        at = 0
        while at < len(content):
            stop = at
            try:
                fields, end, following = self._record(content, at)
                records.append(_Record(content[at:end], fields))
                at = following
                continue
            except _Open:
                stop = len(content)
            except _Broken as broken:
                stop = broken.line_start
            except _Undecided:
                window = content[at : at + self.limit]
                window = window[:-1] if window.endswith(b"\r") else window
                stop = at + max(window.rfind(b"\n"), window.rfind(b"\r")) + 1
            if stop == at:
                end, following = self._line_end(content, at)
                records.append(_Record(content[at : at + min(self.limit, LONG_LINE_KEPT)], None, "too_long"))
                at = following
            while at < stop:
                end, following = self._line_end(content, at)
                line = content[at:end]
                try:
                    fields, _, _ = CsvOracle(self.delimiter, self.quote, self.escape)._record(line, 0)
                    records.append(_Record(line, fields))
                except _Open:
                    records.append(_Record(line, None, "open_quote"))
                at = following
        return records

    def _line_end(self, content: bytes, at: int) -> tuple[int, int]:
        while at < len(content) and content[at] not in LINE_ENDS:
            at += 1
        return at, at + (2 if content[at : at + 2] == b"\r\n" else 1 if at < len(content) else 0)

    def _record(self, content: bytes, start: int) -> tuple[list[bytes], int, int]:
        """Fields, the end of the record and the start of the next."""
        fields: list[bytes] = []
        at = start
        while True:
            value, at = self._quoted(content, start, at) if self._is(self.quote, content, at) else (b"", at)
            rest, at = self._rest(content, start, at)
            fields.append(value + rest)
            if at == len(content):
                return fields, at, at
            if content[at] in LINE_ENDS:
                if content[at : at + 1] == b"\r":
                    self._see(content, start, at + 1, at_end_ok=True)
                return fields, at, at + (2 if content[at : at + 2] == b"\r\n" else 1)
            at += 1

    def _is(self, mark: bytes, content: bytes, at: int) -> bool:
        return mark != b"" and content[at : at + 1] == mark

    def _see(self, content: bytes, start: int, at: int, at_end_ok: bool) -> bool:
        """Whether there is a byte at ``at``; raises when the answer may not be known or must not be no."""
        if at >= start + self.limit and len(content) > start + self.limit:
            raise _Undecided
        if at >= len(content) and not at_end_ok:
            raise _Open
        return at < len(content)

    def _quoted(self, content: bytes, start: int, opened: int) -> tuple[bytes, int]:
        value = b""
        at = opened + 1
        while True:
            self._see(content, start, at, at_end_ok=False)
            if self._is(self.escape, content, at):
                self._see(content, start, at + 1, at_end_ok=False)
                value += content[at + 1 : at + 2]
                at += 2
            elif self._is(self.quote, content, at):
                if not self._see(content, start, at + 1, at_end_ok=True) or not self._is(self.quote, content, at + 1):
                    break
                value += self.quote
                at += 2
            else:
                value += content[at : at + 1]
                at += 1
        inside = content[opened:at]
        line_start = opened + max(inside.rfind(b"\n"), inside.rfind(b"\r")) + 1
        after = content[at + 1 : at + 2]
        if line_start > opened and after and after != self.delimiter and after not in (b"\r", b"\n"):
            raise _Broken(line_start)
        return value, at + 1

    def _rest(self, content: bytes, start: int, at: int) -> tuple[bytes, int]:
        value = b""
        while self._see(content, start, at, at_end_ok=True):
            if self._is(self.escape, content, at):
                self._see(content, start, at + 1, at_end_ok=False)
                value += content[at + 1 : at + 2]
                at += 2
                continue
            if content[at] in LINE_ENDS or content[at : at + 1] == self.delimiter:
                break
            value += content[at : at + 1]
            at += 1
        return value, at


def _bad(record: bytes) -> bool:
    try:
        record.decode()
    except UnicodeDecodeError:
        return True
    return b"\0" in record
