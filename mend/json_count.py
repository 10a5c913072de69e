"""A second count of the records of a JSON document: from its marks alone, many at once, and by no JSON library.

The rules are those of the reading (see ``services/ingest/json_elements.py``), the way to them another one: strings are
cut out, and the depth of every bracket and comma that is left is the running sum of the brackets before it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

_ESCAPED = re.compile(rb"\\[\s\S]")
_BLANKS: Final = b" \t\r\n"
_OPENING: Final = b"[{"


def count_elements(chunks: Iterable[bytes]) -> tuple[int, str]:
    """How many records a document in UTF-8 has, and "" or what is wrong with it: truncated, corrupt, unreadable."""
    count = _Count()
    for chunk in chunks:
        count.add(chunk)
    return count.finish()


class _Count:
    def __init__(self) -> None:
        self._pending = b""  # a backslash whose other half is yet to come
        self._quoted = False
        self._opening = b""  # the document's first byte
        self._depth = 0
        self._last = 0  # the mark before, at ``_depth``
        self._ended = False
        self._beyond = False
        self._records = 0

    def add(self, chunk: bytes) -> None:
        """Take in the next bytes."""
        chunk = self._pending + chunk
        backslashes = len(chunk) - len(chunk.rstrip(b"\\"))
        self._pending = b"\\" if backslashes % 2 else b""
        if b"\\" in chunk:
            chunk = _ESCAPED.sub(b"x", chunk[:-1] if self._pending else chunk)
        pieces = chunk.split(b'"')
        outside = b'"'.join(pieces[1 if self._quoted else 0 :: 2])
        # A string that goes over the chunk's beginning or end is something too.
        outside = b'"' * self._quoted + outside
        self._quoted ^= len(pieces) % 2 == 0
        self._marks((outside + b'"' * self._quoted).translate(None, _BLANKS))

    def finish(self) -> tuple[int, str]:
        """The result, after the last bytes."""
        if self._pending and not self._quoted:
            self._marks(b"x")
        if self._opening and self._opening not in _OPENING:
            return 0, "unreadable"
        if self._opening and not self._ended:
            unfinished = self._opening == b"[" and not (self._depth == 1 and self._last in b"[{,")
            return self._records + unfinished, "truncated"
        return self._records + self._beyond, "corrupt" if self._beyond else ""

    def _marks(self, content: bytes) -> None:
        """Counts on through what is neither blank nor in a string."""
        import numpy as np

        if not self._opening:
            self._opening = content[:1]
            self._records = int(self._opening == b"{")
        if not content or (self._opening and self._opening not in _OPENING):
            return
        if self._ended:
            self._beyond = True
            return
        marks = np.frombuffer(content, np.uint8)
        depths = self._depth + np.cumsum(_steps()[marks], dtype=np.int64)
        closed = np.flatnonzero(depths <= 0)
        if closed.size:
            self._ended = True
            self._beyond = int(closed[0]) + 1 < len(marks)
            marks, depths = marks[: closed[0] + 1], depths[: closed[0] + 1]
        if self._opening == b"[":
            self._records += self._elements(marks, depths)
        self._depth, self._last = int(depths[-1]), int(marks[-1])

    def _elements(self, marks: NDArray[np.uint8], depths: NDArray[np.int64]) -> int:
        """The elements that end here, those without anything in them left out."""
        import numpy as np

        before = np.concatenate([[self._last], marks[:-1]])
        depths_before = np.concatenate([[self._depth], depths[:-1]])
        ends = ((marks == ord(",")) & (depths == 1)) | (depths == 0)
        empty = (depths_before == 1) & np.isin(before, list(b"[{,"))
        return int(np.count_nonzero(ends & ~empty))


def _steps() -> NDArray[np.int64]:
    import numpy as np

    steps = np.zeros(256, np.int64)
    steps[list(b"[{")] = 1
    steps[list(b"]}")] = -1
    return steps
