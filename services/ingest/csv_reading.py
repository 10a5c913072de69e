"""CSV to staged tables: every record becomes a row of exact cells, or a row that holds it raw with the reason.

What the fast path (pyarrow, one whole block) cannot take is split into records first; those that cannot be rows are
set aside and the others go through the same pyarrow call. A line without any byte is no record, unless the file has one
column and the line comes after its header (or, without header, after the first other line).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from services.ingest.record_blocks import KEPT_OF_LONG_LINE_BYTES, Block, RecordBlocks
from services.ingest.record_grammar import Grammar, Span, line_count
from services.ingest.staged_rows import RawRecord, StagedRows, interleaved, text_schema
from shared.domain.reading import (
    BAD_BYTES,
    OPEN_QUOTE,
    RECORD_BYTES_MAX,
    TOO_FEW_FIELDS,
    TOO_LONG,
    TOO_MANY_COLUMNS,
    TOO_MANY_FIELDS,
    ReadingOptions,
    staged_names,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from services.ingest.delivered_bytes import DeliveredBytes

COLUMNS_MAX: Final = 20_000
ROW_BYTES_MAX: Final = 64 << 20  # no warehouse takes a longer row; it is set aside whole, whatever it holds
LOOK_AHEAD_BYTES: Final = 16 << 20
_BOM: Final = b"\xef\xbb\xbf"  # pyarrow takes it off what it is given; ours is off already, so it is content here


class _Sorted(NamedTuple):
    """The records of a block, split into what pyarrow takes and what it cannot."""

    good: bytes
    good_numbers: list[int]  # within the block, from 1; empty = the good ones are all there are
    aside: list[tuple[int, str, str]]  # number, misfit, raw text


class CsvReading:
    """Reads one delivery; ``columns`` are known once the first block was read."""

    def __init__(
        self,
        delivery: DeliveredBytes,
        options: ReadingOptions,
        *,
        record_bytes_max: int = RECORD_BYTES_MAX,
        look_ahead_bytes: int = LOOK_AHEAD_BYTES,
        columns_max: int = COLUMNS_MAX,
    ) -> None:
        self._delivery = delivery
        self._options = options
        self._grammar = Grammar(options)
        self._columns_max = columns_max
        self._blocks = RecordBlocks(
            delivery,
            self._grammar,
            skip_lines=options.skip_lines,
            record_bytes_max=record_bytes_max,
            look_ahead_bytes=look_ahead_bytes,
        )
        self.columns: list[str] = []
        self._schema: pa.Schema = None  # of the columns
        self._width = 0  # fields of a record; 0 = not known yet
        self._records = 0  # so far
        if options.column_names:
            self._name([*options.column_names])

    def tables(self) -> Iterator[StagedRows]:
        """Staged rows in record order, a block at a time."""
        for found in self._blocks:
            block = found if self._width else self._with_columns(found)
            if block is None:
                continue
            rows = self._rows(block)
            if rows is not None:
                yield rows

    def _with_columns(self, block: Block) -> Block | None:
        """Names the columns by the first record and, when that is a header, takes it off the block."""
        options = self._options
        content = block.content.lstrip(b"\r\n")
        if not content:
            return None
        line = block.line + line_count(block.content[: len(block.content) - len(content)])
        if block.cut_short:
            fields = [content]
            rest = b""
        else:
            span = next(self._grammar.records(content, block.line_by_line))
            fields = self._fields(content[: span.end], span.quote_open)
            rest = content[span.end :]
        if not options.header:
            self._name([""] * len(fields))
            return block._replace(content=content, line=line)
        self._name([self._delivery.raw_text(field) if _is_bad(field) else field.decode() for field in fields])
        after = rest[2:] if rest.startswith(b"\r\n") else rest[1:]
        return Block(after, line + line_count(content) - line_count(after), block.line_by_line) if after else None

    def _name(self, names: list[str]) -> None:
        self._width = len(names)
        self.columns = staged_names(names) if len(names) <= self._columns_max else []
        self._schema = text_schema(self.columns)

    def _fields(self, record: bytes, quote_open: bool) -> list[bytes]:
        """The fields of one record, as the same parser sees them."""
        import pyarrow as pa
        from pyarrow import csv

        delimiter = self._options.delimiter.encode()
        marks = (self._options.quote.encode(), self._options.escape.encode())
        # The parser takes four kilobytes for each column, so a million of them only where a quote asks for it.
        if quote_open or not any(mark and mark in record for mark in marks):
            return record.split(delimiter)
        names = [f"f{n}" for n in range(record.count(delimiter) + 1)]
        table = csv.read_csv(
            pa.py_buffer(_BOM + record + b"\n"),
            csv.ReadOptions(use_threads=False, block_size=len(record) + 5, autogenerate_column_names=True),
            self._parse_options(newlines=True, handler=None),
            _convert_options(names, pa.binary()),
        )
        return [column[0].as_py() for column in table.columns]

    def _parse_options(self, newlines: bool, handler: Any) -> Any:
        from pyarrow import csv

        return csv.ParseOptions(
            delimiter=self._options.delimiter,
            quote_char=self._options.quote or False,
            double_quote=True,
            escape_char=self._options.escape or False,
            newlines_in_values=newlines,
            ignore_empty_lines=self._width != 1,
            invalid_row_handler=handler,
        )

    def _rows(self, block: Block) -> StagedRows | None:
        content = block.content
        first = self._records + 1
        if block.cut_short:
            self._records += 1
            raw = [RawRecord(first, TOO_LONG, self._delivery.raw_text(content), block.line)]
            return interleaved([], self._schema, 0, raw, first)
        clean = (
            len(content) <= ROW_BYTES_MAX
            and not _is_bad(content)
            and not (block.line_by_line and self._grammar.special(content))
        )
        if clean and self.columns:
            sorted_ = _Sorted(content, [], [])
        else:
            sorted_ = self._set_aside(block)
        table, misfits = self._parse(sorted_.good)
        rows = table.num_rows if table is not None else 0
        numbers = sorted_.good_numbers
        aside = sorted_.aside + [(numbers[n - 1] if numbers else n, why, text) for n, why, text in misfits]
        self._records += rows + len(aside)
        if self._records < first:
            return None
        lines = self._lines(block, aside)
        raw = [RawRecord(first + n - 1, why, text, lines.get(n, 0)) for n, why, text in aside]
        return interleaved(table.columns if table is not None else [], self._schema, rows, raw, first)

    def _parse(self, content: bytes) -> tuple[pa.Table | None, list[tuple[int, str, str]]]:
        import pyarrow as pa
        from pyarrow import csv

        misfits: list[tuple[int, str, str]] = []

        def misfit(row: Any) -> str:
            reason = TOO_MANY_FIELDS if row.actual_columns > row.expected_columns else TOO_FEW_FIELDS
            misfits.append((row.number, reason, row.text))
            return "skip"

        if not content:
            return None, misfits
        if content.startswith(_BOM):
            content = _BOM + content
        table = csv.read_csv(
            pa.py_buffer(content),
            csv.ReadOptions(use_threads=False, block_size=len(content) + 1, column_names=self.columns),
            self._parse_options(self._grammar.special(content), misfit),
            _convert_options(self.columns, pa.string()),
        )
        if self._options.escape and misfits:  # pyarrow leaves an escaped line end off the end of a text
            content = content.removeprefix(_BOM) if content.startswith(_BOM * 2) else content
            texts = dict(self._numbered(Block(content, 0)))
            misfits = [(n, why, content[texts[n].start : texts[n].end].decode()) for n, why, _ in misfits]
        return table, misfits

    def _set_aside(self, block: Block) -> _Sorted:
        """Splits a block into records and keeps those out that must not be parsed."""
        good: list[bytes] = []
        numbers: list[int] = []
        aside: list[tuple[int, str, str]] = []
        for number, span in self._numbered(block):
            record = block.content[span.start : span.end]
            if len(record) > ROW_BYTES_MAX:
                aside.append((number, TOO_LONG, self._delivery.raw_text(record[:KEPT_OF_LONG_LINE_BYTES])))
            elif _is_bad(record):
                aside.append((number, BAD_BYTES, self._delivery.raw_text(record)))
            elif span.quote_open:
                aside.append((number, OPEN_QUOTE, record.decode()))
            elif not self.columns:
                aside.append((number, TOO_MANY_COLUMNS, record.decode()))
            else:
                good.append(record)
                numbers.append(number)
        return _Sorted(b"".join(record + b"\n" for record in good), numbers, aside)

    def _numbered(self, block: Block) -> Iterator[tuple[int, Span]]:
        """The block's records from 1, blank lines left out where they are none."""
        spans = self._grammar.records(block.content, block.line_by_line)
        return enumerate((span for span in spans if span.start < span.end or self._width == 1), start=1)

    def _lines(self, block: Block, aside: list[tuple[int, str, str]]) -> dict[int, int]:
        """The line in the delivery of the first record of each kind of misfit."""
        first_numbers: dict[str, int] = {}
        for number, why, _ in sorted(aside):
            first_numbers.setdefault(why, number)
        sought = set(first_numbers.values())
        lines: dict[int, int] = {}
        for number, span in self._numbered(block) if sought else ():
            if number in sought:
                lines[number] = block.line + line_count(block.content[: span.start])
                if len(lines) == len(sought):
                    break
        return lines


def _convert_options(names: list[str], type_: pa.DataType) -> Any:
    from pyarrow import csv

    return csv.ConvertOptions(
        column_types=dict.fromkeys(names, type_), strings_can_be_null=False, null_values=[], check_utf8=False
    )


def _is_bad(content: bytes) -> bool:
    """Whether there is a NUL, or anything that is no UTF-8."""
    if b"\0" in content:
        return True
    if content.isascii():
        return False
    try:
        content.decode()
    except UnicodeDecodeError:
        return True
    return False
