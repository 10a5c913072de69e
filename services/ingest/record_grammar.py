"""Where CSV records end: pyarrow's own rules as regular expressions over bytes.

A field that starts with a quote ends at the next lone quote; what follows up to the delimiter belongs to it literally.
A quote elsewhere is an ordinary character. Delimiters and line ends (LF, CR, CRLF) inside quotes are content.
On top of that, ours: a quoted field that spans lines must be followed by a delimiter, a line end or the end of the
delivery. Otherwise its quote was never meant to open, and its lines are read one by one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.domain.reading import ReadingOptions

_LINE = re.compile(rb"([^\r\n]*+)(?:\r\n?|\n|\Z)")
LINE_END = re.compile(rb"\r\n?|\n")
_NEVER = re.compile(rb"(?!)")


class Cut(NamedTuple):
    """How far complete records reach, and why no further."""

    end: int  # complete records end here
    open_at: int = -1  # a quote opened here and does not close within the bytes seen
    broken_before: int = -1  # the record at ``end`` is broken; at this line's start records may begin again


class Span(NamedTuple):
    """A record's place in a block, without its line end."""

    start: int
    end: int
    quote_open: bool = False


class Grammar:
    """Compiled for one set of options."""

    def __init__(self, options: ReadingOptions) -> None:
        marks = (options.delimiter, options.quote, options.escape)
        delimiter, quote, escape = (re.escape(mark).encode("ascii") for mark in marks)
        self._quote: Final = options.quote.encode("ascii")
        self._escape: Final = options.escape.encode("ascii")
        line_end = rb"(?:\r\n?|\n)"
        escaped, escaped_in_line = (b"|" + escape + rb"[\s\S]", b"|" + escape + rb"[^\r\n]") if escape else (b"", b"")
        rest = _all(rb"[^%b%b\r\n]++%b" % (delimiter, escape, escaped))
        field = line_field = rest
        self._quoted = self._inside = _NEVER
        if quote:
            inside = _all(rb"[^%b%b]++|%b%b" % (quote, escape, quote * 2, escaped))
            inside_line = _all(rb"[^%b%b\r\n]++|%b%b" % (quote, escape, quote * 2, escaped_in_line))
            line_field = rb"(?:%b%b%b%b|(?!%b)%b)" % (quote, inside_line, quote, rest, quote, rest)
            field = rb"(?:%b|%b%b%b(?=[%b\r\n]|\Z))" % (line_field, quote, inside, quote, delimiter)
            self._inside = re.compile(inside)
            self._quoted = re.compile(quote + inside + quote)
        record = field + _all(delimiter + field)
        plain_line = rb"[^%b%b\r\n]*+%b" % (quote, escape, line_end)
        self._field = re.compile(field)
        self._fields = re.compile(_all(field + delimiter))
        self._records = re.compile(_all(rb"%b|%b%b" % (plain_line, record, line_end)))
        self._record = re.compile(rb"(%b)(?:%b|\Z)" % (record, line_end))
        self._whole_line = re.compile(line_field + _all(delimiter + line_field))

    def special(self, content: bytes) -> bool:
        """Whether the content needs more than splitting at line ends."""
        return (self._quote != b"" and self._quote in content) or (self._escape != b"" and self._escape in content)

    def cut(self, content: bytes, final: bool) -> Cut:
        """How far complete records reach in ``content``, which begins with a record."""
        known = len(content) if final else certain_length(content)
        if not self.special(content):
            return Cut(known if final else last_line_end(content, 0, known))
        end = _match_end(self._records, content, 0, known)
        reached = _match_end(self._fields, content, end, known)
        if final:
            field = self._field.match(content, reached)
            if field is not None and field.end() == known:
                return Cut(known)
        if self._quote == b"" or content[reached : reached + 1] != self._quote:
            return Cut(end, open_at=reached) if final else Cut(end)  # at the end only a dangling escape leads here
        quoted = self._quoted.match(content, reached, known)
        if quoted is None:
            return Cut(end, open_at=reached)
        line_start = last_line_end(content, reached, quoted.end())
        if line_start and quoted.end() < known:
            return Cut(end, broken_before=line_start)
        return Cut(end, open_at=reached) if final else Cut(end)

    def is_quote(self, content: bytes) -> bool:
        """Whether ``content`` is exactly one quote."""
        return content != b"" and content == self._quote

    def closing(self, content: bytes, start: int) -> int:
        """Where the quoted content from ``start`` ends: at a lone quote, or before undecided bytes at the end."""
        return _match_end(self._inside, content, start, len(content))

    def records(self, content: bytes, line_by_line: bool) -> Iterator[Span]:
        """Every record of a block, blank ones too."""
        for match in (_LINE if line_by_line else self._record).finditer(content):
            start, end = match.span(1)
            if match.start() == len(content):
                return
            quote_open = line_by_line and self._whole_line.fullmatch(content, start, end) is None
            yield Span(start, end, quote_open)


def _all(alternatives: bytes) -> bytes:
    """As many as there are of some alternatives, without ever going back.

    Before Python 3.11.5 a failing last round left its traces; the alternative that always fails wipes them. Groups that
    capture must not occur inside (3.11 gives them wrong spans).
    """
    return rb"(?:%b|(?!))*+" % alternatives


def _match_end(pattern: re.Pattern[bytes], content: bytes, start: int, stop: int) -> int:
    match = pattern.match(content, start, stop)
    return match.end() if match else start


def certain_length(content: bytes) -> int:
    """Without a CR at the end, which may be half of a CRLF."""
    return len(content) - 1 if content.endswith(b"\r") else len(content)


def last_line_end(content: bytes, start: int, stop: int) -> int:
    """The position after the last line end in ``content[start:stop]``, or 0."""
    return max(content.rfind(b"\n", start, stop), content.rfind(b"\r", start, stop)) + 1


def line_count(content: bytes) -> int:
    """How many line ends there are; a CRLF is one."""
    lines = content.count(b"\n")
    if b"\r" not in content:  # finding none is twenty times as fast as counting none
        return lines
    return lines + content.count(b"\r") - content.count(b"\r\n")
