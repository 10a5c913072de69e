"""Finds the ends of CSV records by hopping between quotes; the second opinion behind ``record_count``.

The reading that stages rows uses pyarrow and its own grammar; nothing of either is used here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from shared.domain.reading import ReadingOptions

Content = bytes | bytearray  # a bytearray grows without a second copy of what is large

_ENDS: Final = b"\r\n"


class Step(NamedTuple):
    """What begins at a position: a record up to ``next``, or lines to be taken one by one up to ``lines_until``."""

    end: int = -1  # of the record, without its line end
    next: int = -1
    lines_until: int = -1


UNDECIDED: Final = Step()


class Scanner:
    """The rules of one set of marks."""

    def __init__(self, options: ReadingOptions) -> None:
        self._delimiter = options.delimiter.encode("ascii")
        self._quote = options.quote.encode("ascii")
        self._escape = options.escape.encode("ascii")
        marks = re.escape(options.quote + options.escape).encode("ascii")
        self._outside = re.compile(b"[\r\n" + marks + b"]")
        self._inside = re.compile(b"[" + marks + b"]" if marks else b"(?!)")
        self._odd_neighbour = re.compile(
            re.escape(self._quote) + b"[^\r\n" + re.escape(self._delimiter + self._quote) + b"]"
        )

    def plain(self, content: Content) -> bool:
        """Whether line ends alone decide."""
        return not (self._quote and self._quote in content) and not (self._escape and self._escape in content)

    def tidy_prefix(self, content: bytes, final: bool) -> tuple[int, bytes]:
        """A prefix of whole records in which every quote stands where a writer puts it, and that prefix without what
        is quoted (a quote stands for it). (0, b"") when there is none that is certain.

        Splitting at quotes gives outside and inside by turns exactly if each outside piece is empty (a doubled quote)
        or has a delimiter or line end where it touches a quote.
        """
        if self._escape and self._escape in content:
            return 0, b""
        pieces = content.split(self._quote)
        outside = pieces[0::2]
        if final and len(pieces) % 2 == 1:
            end = len(content)
        else:
            end = self._cut_outside(pieces, outside)
        joined = self._quote.join(outside)
        if end == 0 or self._odd_neighbour.search(joined) or self._odd_neighbour.search(joined[::-1]):
            return 0, b""
        return end, joined

    def _cut_outside(self, pieces: list[bytes], outside: list[bytes]) -> int:
        """Where the last line end outside of quotes ends; cuts ``outside`` there."""
        left = sum(map(len, pieces)) + len(pieces) - 1
        for index in range(len(pieces) - 1, -1, -1):
            piece = pieces[index]
            left -= len(piece)
            if index % 2 == 0:
                known = len(piece) - (index == len(pieces) - 1 and piece.endswith(b"\r"))
                cut = max(piece.rfind(b"\n", 0, known), piece.rfind(b"\r", 0, known)) + 1
                if cut:
                    del outside[index // 2 + 1 :]
                    outside[-1] = piece[:cut]
                    return left + cut
            left -= 1
        return 0

    def step(self, content: Content, start: int, end: int, final: bool) -> Step:
        """The record that begins at ``start``, judged by what comes before ``end``."""
        stop = end - (not final and content.endswith(b"\r", start, end))
        at = start
        unescaped_from = start  # a quote here or later may open a field
        while found := self._outside.search(content, at, stop):
            mark = found.start()
            if content[mark] in _ENDS:
                pair = content[mark : mark + 2] == b"\r\n"
                return Step(end=mark, next=mark + 1 + pair)
            if content[mark : mark + 1] == self._escape:
                at = unescaped_from = mark + 2
                if at > stop:
                    return Step(lines_until=len(content)) if final else UNDECIDED
                continue
            starts_field = mark == start or (mark > unescaped_from and content[mark - 1 : mark] == self._delimiter)
            if not starts_field:
                at = mark + 1
                continue
            close = self._close(content, mark + 1, stop)
            if close < 0:
                return Step(lines_until=len(content)) if final else UNDECIDED
            if close + 1 >= stop and not final:
                return UNDECIDED
            line = max(content.rfind(b"\n", mark, close), content.rfind(b"\r", mark, close)) + 1
            follower = content[close + 1 : close + 2]
            if line and follower not in (b"", b"\r", b"\n", self._delimiter):
                return Step(lines_until=line)
            at = unescaped_from = close + 1
        return Step(end=len(content), next=len(content)) if final else UNDECIDED

    def _close(self, content: Content, at: int, stop: int) -> int:
        """The lone quote after ``at``, or -1."""
        while found := self._inside.search(content, at, stop):
            mark = found.start()
            doubled = content[mark + 1 : mark + 2] == self._quote and mark + 1 < stop
            if content[mark : mark + 1] == self._quote and not doubled:
                return mark
            at = mark + 2
        return -1

    def is_wide(self, record: Content, line_by_line: bool) -> bool:
        """Whether a first record has more than one field."""
        if self._delimiter not in record:
            return False
        if line_by_line and self.step(record, 0, len(record), final=True).lines_until >= 0:
            return True
        at = 0
        while at < len(record):
            if self._quote and at == 0 and record.startswith(self._quote):
                at = self._close(record, 1, len(record)) + 1
            mark = record[at : at + 1]
            if mark == self._delimiter:
                return True
            at += 2 if self._escape and mark == self._escape else 1
        return False
