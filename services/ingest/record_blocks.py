"""Cuts a delivery's bytes into blocks of whole CSV records, in bounded memory and independently of how they arrive.

A record is decided within ``record_bytes_max`` bytes from its start. One that is not, or that is broken (see the
grammar), is read line by line up to the line in which that shows; a single line longer than that is kept by its
beginning. A quote that stays open for long is followed by a second pass over the delivery, not by keeping its bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from services.ingest.record_grammar import LINE_END, Grammar, certain_length, last_line_end, line_count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from services.ingest.delivered_bytes import DeliveredBytes

KEPT_OF_LONG_LINE_BYTES: Final = 64 << 10


class Block(NamedTuple):
    """Whole records. ``line`` is the number of the first one's line in the delivery, from 1."""

    content: bytes
    line: int
    line_by_line: bool = False
    cut_short: bool = False  # the beginning of one line that is too long


class _Fate(NamedTuple):
    """What a look ahead found about an open quote."""

    closes_at: int = -1
    lines_until: int = -1


class RecordBlocks:
    """Iterates over the blocks of one delivery."""

    def __init__(
        self,
        delivery: DeliveredBytes,
        grammar: Grammar,
        *,
        skip_lines: int,
        record_bytes_max: int,
        look_ahead_bytes: int,
    ) -> None:
        self._delivery = delivery
        self._grammar = grammar
        self._skip_lines = skip_lines
        self._record_bytes_max = record_bytes_max
        self._look_ahead_bytes = look_ahead_bytes
        self._chunks = self._content()
        self._buffer = b""
        self._offset = 0  # of the buffer in the content
        self._ended = False
        self._line = 1 + skip_lines

    def __iter__(self) -> Iterator[Block]:
        wanted = 1
        lines_until = 0
        while True:
            self._fill(wanted)
            if not self._buffer:
                return
            if self._offset < lines_until:
                end = self._lines_end(lines_until)
                if end:
                    yield self._take(end, line_by_line=True)
                wanted = 1 if end else 2 * len(self._buffer)
                continue
            window, final = self._window()
            cut = self._grammar.cut(window, final)
            if cut.end:
                yield self._take(cut.end)
            if cut.broken_before >= 0:
                lines_until = self._offset + cut.broken_before - cut.end
                wanted = 1
                continue
            if final:
                lines_until = self._offset + len(self._buffer)
                continue
            wanted = min(2 * len(self._buffer), self._record_bytes_max) + 1
            if cut.end:
                continue
            if len(self._buffer) > self._record_bytes_max:
                lines_until = self._offset + last_line_end(window, 0, certain_length(window))
            elif cut.open_at >= 0 and len(window) > self._look_ahead_bytes:
                fate = self._look_ahead(cut.open_at)
                lines_until = fate.lines_until
                wanted = max(fate.closes_at + 2 - self._offset, len(self._buffer) + 1)
            else:
                continue
            if lines_until == self._offset:
                yield self._take_long_line()
            if lines_until >= 0:
                wanted = 1

    def _content(self) -> Iterator[bytes]:
        return after_lines(self._delivery.chunks(), self._skip_lines)

    def _fill(self, wanted: int) -> None:
        pieces = [self._buffer]
        size = len(self._buffer)
        while size < wanted and not self._ended:
            chunk = next(self._chunks, None)
            if chunk is None:
                self._ended = True
            else:
                pieces.append(chunk)
                size += len(chunk)
        if len(pieces) > 1:
            self._buffer = b"".join(pieces)

    def _window(self) -> tuple[bytes, bool]:
        if len(self._buffer) <= self._record_bytes_max:
            return self._buffer, self._ended
        return self._buffer[: self._record_bytes_max], False

    def _take(self, end: int, line_by_line: bool = False) -> Block:
        block = Block(self._buffer[:end], self._line, line_by_line)
        self._buffer = self._buffer[end:]
        self._offset += end
        self._line += line_count(block.content)
        return block

    def _lines_end(self, lines_until: int) -> int:
        stop = min(len(self._buffer), lines_until - self._offset)
        # What a look ahead or a quote held back comes in small blocks again.
        small = self._buffer[: max(self._look_ahead_bytes // 4, 1)]
        end = last_line_end(small, 0, certain_length(small)) if len(small) < stop else 0
        if end:
            return end
        if self._ended or self._offset + stop == lines_until:
            return stop
        return last_line_end(self._buffer, 0, certain_length(self._buffer))

    def _take_long_line(self) -> Block:
        """The beginning of a line; the rest of it is passed over."""
        kept_bytes = min(KEPT_OF_LONG_LINE_BYTES, self._record_bytes_max)
        self._fill(kept_bytes)
        block = Block(self._buffer[:kept_bytes], self._line, cut_short=True)
        self._line += 1
        while True:
            end = _first_line_end(self._buffer)
            if 0 <= end < len(self._buffer) or self._ended:
                break
            kept = len(self._buffer) if end < 0 else end - 1  # a CR at the end stays: its LF may follow
            self._offset += kept
            self._buffer = self._buffer[kept:]
            self._fill(len(self._buffer) + 1)
        end = len(self._buffer) if end < 0 else end
        self._offset += end
        self._buffer = self._buffer[end:]
        return block

    def _look_ahead(self, open_at: int) -> _Fate:
        """Follows an open quote through a second pass, to where it closes or to where its record is given up."""
        start = self._offset + open_at + 1
        given_up = self._offset + self._record_bytes_max
        line_start = self._offset
        position = 0  # of ``content`` in the whole
        content = b""
        for chunk in self._content():
            content += chunk
            stop = min(len(content), given_up - position)
            if position + stop == given_up:
                stop = certain_length(content[:stop])
            found = last_line_end(content, max(self._offset - position, 0), stop)
            line_start = position + found if found else line_start
            if position + len(content) <= start:
                closing = len(content)
            else:
                closing = self._grammar.closing(content, max(start - position, 0))
                if closing + 1 < len(content) and position + closing + 1 < given_up:
                    return _Fate(closes_at=position + closing)
                if position + len(content) > given_up:
                    return _Fate(lines_until=line_start)
            position += closing
            content = content[closing:]
        if self._grammar.is_quote(content):
            return _Fate(closes_at=position)
        return _Fate(lines_until=position + len(content))


def _first_line_end(content: bytes) -> int:
    """The position after the first line end, or -1."""
    found = LINE_END.search(content)
    return found.end() if found else -1


def after_lines(chunks: Iterator[bytes], lines: int) -> Iterator[bytes]:
    """The content without its first lines."""
    left = lines
    content = b""
    for chunk in chunks:
        content += chunk
        while left:
            end = _first_line_end(content)
            if end < 0:
                content = b""
                break
            if end == len(content) and content.endswith(b"\r"):
                content = b"\r"
                break
            content = content[end:]
            left -= 1
        else:
            if content:
                yield content
            yield from chunks
            return
