"""Notices on the console, and as JSON lines in a file."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TextIO

from shared.adapters.notice_text import bounded
from shared.domain.errors import ForeignFailure
from shared.ports.channel import Notice

_STYLES = {"info": "bold cyan", "warning": "bold yellow", "error": "bold red"}


class ConsoleChannel:
    """Notices for whoever watches; on standard error unless another stream is given."""

    def __init__(self, stream: TextIO | None = None, *, name: str = "console") -> None:
        self.name = name
        self._stream = stream

    def send(self, notice: Notice) -> None:
        """Print the notice; nothing in it is taken as markup."""
        lines = _lines(bounded(notice))
        try:
            stream = self._stream or sys.stderr
            if stream.isatty():
                _print_styled(lines, stream)
            else:  # nobody sees styles, and loading what makes them takes as long as a hundred notices
                stream.write("".join("".join(text for text, _ in line) + "\n" for line in lines))
                stream.flush()
        except (OSError, ValueError) as error:  # ValueError: the stream was closed
            raise ForeignFailure(
                "the console does not take the notice", system=self.name, exception_type=type(error).__name__
            ) from error


def _lines(shown: Notice) -> list[list[tuple[str, str]]]:
    """The notice's lines as pieces of text, each with its style."""
    lines = [[(shown.title, _STYLES.get(shown.severity, "bold"))]]
    lines += [[(line, "")] for line in shown.summary.split("\n")] if shown.summary else []
    lines += [[(f"  {title}: ", "dim"), (value, "")] for title, value in shown.facts]
    lines += [[("  → ", "dim"), (shown.command, "bold")]] if shown.command else []
    lines += [[(f"  {shown.link}", "dim")]] if shown.link else []
    return lines


def _print_styled(lines: list[list[tuple[str, str]]], stream: TextIO) -> None:
    from rich.console import Console
    from rich.text import Text

    text = Text("\n").join(Text.assemble(*line) for line in lines)
    Console(file=stream, highlight=False, soft_wrap=True).print(text)


class JsonLinesChannel:
    """Notices for other programs: one JSON object a line, appended whole."""

    def __init__(self, path: Path, *, name: str = "jsonl") -> None:
        self.name = name
        self._path = path

    def send(self, notice: Notice) -> None:
        """Append the notice; a line that a crash cut short is left alone on its line."""
        line = json.dumps(bounded(notice)._asdict(), ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                size = os.fstat(descriptor).st_size
                if size and os.pread(descriptor, 1, size - 1) != b"\n":
                    line = b"\n" + line
                while line:
                    line = line[os.write(descriptor, line) :]
            finally:
                os.close(descriptor)
        except OSError as error:
            raise ForeignFailure(
                f"{self._path} does not take the notice: {error.strerror}",
                system=self.name,
                exception_type=type(error).__name__,
            ) from error
