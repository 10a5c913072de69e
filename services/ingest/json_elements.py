"""Cuts the JSON document of a delivery into its records: the elements of an array, or the one object that it is.

The rules, which `mend audit` counts by as well:

- Marks within a string are content; a backslash takes the next byte with it, wherever it stands.
- An element ends at the first comma or closing bracket at which as many brackets were closed as opened, of whatever
  kind. So one that is broken inside leaves the others alone. Nothing between two commas is no record.
- What follows the document's end is one record more, and says that the delivery is damaged.
- A document that is neither an array nor an object has no records, and cannot be read.

Elements are found in pieces of the delivery, so that memory is bounded by one element, whatever the document's size.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from services.ingest.record_blocks import KEPT_OF_LONG_LINE_BYTES, after_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from services.ingest.delivered_bytes import DeliveredBytes
    from shared.domain.reading import Problem

_BYTES_AT_ONCE: Final = 2 << 20
_ELEMENTS_AT_ONCE: Final = 1 << 16  # small ones take more memory than their bytes
_DEPTH_AT_ONCE: Final = 6  # elements that are nested deeper are walked through mark by mark
_WHITE: Final = b" \t\r\n"
_BLANK = re.compile(rb"[ \t\r\n]*+")
_MARKS = re.compile(rb'["\\,\[\]{}]')
_MARKS_INSIDE = re.compile(rb'["\\\[\]{}]')  # within brackets a comma ends nothing
_MARKS_IN_STRING = re.compile(rb'["\\]')


def _element() -> re.Pattern[bytes]:
    """A whole element of balanced brackets, and that something follows which ends it; it never goes back."""
    others = rb'"(?:[^"\\]++|\\[\s\S]|(?!))*+"|\\[\s\S]'
    inside = rb'(?:[^"\\\[\]{}]++|' + others + rb"|(?!))*+"
    for _ in range(_DEPTH_AT_ONCE):
        inside = rb'(?:[^"\\\[\]{}]++|' + others + rb"|[\[{]" + inside + rb"[\]}]|(?!))*+"
    return re.compile(rb'(?:[^"\\\[\]{},]++|' + others + rb"|[\[{]" + inside + rb"[\]}]|(?!))*+(?=[,\]}])")


_ELEMENT = _element()


class Element(NamedTuple):
    """The bytes of a record. ``line`` is the line in which it begins, from 1."""

    content: bytes
    line: int
    cut_short: bool = False  # the beginning of one that is too long
    beyond: bool = False  # it follows the document's end


class JsonElements:
    """Iterates over a delivery's records; ``problem`` and ``reason`` say after it what is wrong with the document."""

    def __init__(self, delivery: DeliveredBytes, *, skip_lines: int, record_bytes_max: int) -> None:
        self._chunks = after_lines(delivery.chunks(), skip_lines)
        self._record_bytes_max = record_bytes_max
        self._buffer = b""
        self._at = 0
        self._ended = False
        self._line = 1 + skip_lines
        self.problem: Problem = ""
        self.reason = ""

    def __iter__(self) -> Iterator[list[Element]]:
        """The records in order, some at a time."""
        found: list[Element] = []
        size = 0
        for element in self._records():
            found.append(element)
            size += len(element.content)
            if size >= _BYTES_AT_ONCE or len(found) == _ELEMENTS_AT_ONCE:
                yield found
                found, size = [], 0
        if found:
            yield found

    def _records(self) -> Iterator[Element]:
        if not self._skip_blank():
            return
        opening = self._next()
        if opening not in (b"[", b"{"):
            self.problem, self.reason = "unreadable", "neither a JSON array nor a JSON object"
            return
        if opening == b"[":
            yield from self._elements()
        else:
            walk = _Walk(to_its_close=True)
            yield self._walked(walk)
            self._judge(closed=walk.depth == 0)
        if self._skip_blank():
            self.problem, self.reason = "corrupt", f"something follows the JSON document's end, in line {self._line}"
            yield self._walked(None)._replace(beyond=True)

    def _elements(self) -> Iterator[Element]:
        """The elements of the array that begins here, to its end."""
        self._take(self._at + 1)
        while self._skip_blank():
            line = self._line
            matched = _ELEMENT.match(self._buffer, self._at)
            if matched and matched.end() - self._at <= self._record_bytes_max:
                self._take(matched.end())
                element = Element(matched[0].rstrip(_WHITE), line)
            else:
                element = self._walked(_Walk())
            if element.content:
                yield element
            ending = self._next()
            if ending == b"":
                break
            self._take(self._at + 1)
            if ending != b",":
                return
        self._judge(closed=False)

    def _judge(self, *, closed: bool) -> None:
        if not closed:
            self.problem, self.reason = "truncated", "the JSON document ends before its closing bracket"

    def _walked(self, walk: _Walk | None) -> Element:
        """The element from here to where ``walk`` ends it, without one to the delivery's end; the rest of a long one
        is passed over."""
        line = self._line
        looked = self._at
        kept: bytes | None = None
        while True:
            if walk is None:
                looked, found = len(self._buffer), False
            else:
                looked, found = walk.look(self._buffer, looked)
            if kept is None and looked - self._at > self._record_bytes_max:
                kept = self._buffer[self._at : self._at + min(KEPT_OF_LONG_LINE_BYTES, self._record_bytes_max)]
            if found or self._ended:
                break
            if kept is not None:
                self._take(looked)
            before = self._at
            self._fill(2 * (len(self._buffer) - self._at))
            looked -= before - self._at
        end = looked if found else len(self._buffer)
        content = self._buffer[self._at : end] if kept is None else kept
        self._take(end)
        return Element(content.rstrip(_WHITE) if kept is None else content, line, cut_short=kept is not None)

    def _skip_blank(self) -> bool:
        """Goes on to the next byte that is no blank; False at the end of the delivery."""
        while True:
            matched = _BLANK.match(self._buffer, self._at)
            self._take(matched.end() if matched else self._at)
            if self._at < len(self._buffer):
                return True
            if self._ended:
                return False
            self._fill(1)

    def _next(self) -> bytes:
        """The byte here; b"" at the end of the delivery."""
        return self._buffer[self._at : self._at + 1]

    def _take(self, end: int) -> None:
        """Goes on to ``end`` in the buffer."""
        self._line += self._buffer.count(b"\n", self._at, end)
        self._at = end

    def _fill(self, wanted: int) -> None:
        """Has at least so many bytes in the buffer from here on, and one piece more; fewer at the delivery's end."""
        pieces = [self._buffer[self._at :]]
        size = len(pieces[0])
        while not self._ended and (size < wanted or len(pieces) == 1):
            chunk = next(self._chunks, None)
            if chunk is None:
                self._ended = True
            else:
                pieces.append(chunk)
                size += len(chunk)
        self._buffer, self._at = b"".join(pieces), 0


class _Walk:
    """Looks for an element's end over as many pieces as it takes."""

    def __init__(self, *, to_its_close: bool = False) -> None:
        """``to_its_close``: it is a value that begins with a bracket, and ends with its closing one."""
        self._to_its_close = to_its_close
        self._quoted = False
        self.depth = 0

    def look(self, content: bytes, at: int) -> tuple[int, bool]:
        """The element's end and True, or how far ``content`` was looked through."""
        while True:
            inside = _MARKS_INSIDE if self.depth else _MARKS
            mark = (_MARKS_IN_STRING if self._quoted else inside).search(content, at)
            if mark is None:
                return len(content), False
            at, sign = mark.end(), mark[0]
            if sign == b"\\":
                if at == len(content):
                    return at - 1, False
                at += 1
            elif sign == b'"':
                self._quoted = not self._quoted
            elif sign in b"[{":
                self.depth += 1
            elif sign == b",":
                if not self.depth and not self._to_its_close:
                    return at - 1, True
            elif not self.depth:
                return at - 1, True
            else:
                self.depth -= 1
                if not self.depth and self._to_its_close:
                    return at, True
