"""Lines of a stack trace that only say where in the code it happened: of Python, Java, Node, .NET, Ruby, PHP and Go."""

from __future__ import annotations

import re

_PYTHON = re.compile(r"\s*File ['\"].*['\"], line \d+(?:, in .*)?$")
_PYTHON_CODE = re.compile(r" {4}\S")  # the line of code below its frame
_MARKS = re.compile(r"\s*[~^]+\s*$")
_OTHERS = re.compile(
    r"\s+at .*(?:\.\w+:\d+(?::\d+)?\)?|\((?:Native Method|Unknown Source|<anonymous>|native|index \d+)\)|:line \d+)\s*$"
    r"|\s+at (?:async )?(?:[\w.$<> ]+ \()?(?:node:|\[eval\]|file:|webpack)\S*:\d+\)?\s*$"
    r"|\s*\.\.\. \d+ (?:more|lines matching .*|common frames omitted)\s*$"
    r"|\s+from \S+:\d+:in [`'].*$"
    r"|#\d+ (?:\{main\}|\S+\(\d+\): .*|\[internal function\]: .*)$"
    r"|\s+\S+\.go:\d+(?: \+0x[0-9a-f]+.*)?$|(?:runtime|main|created by [\w./]+)\.\S*\(.*\)?$|goroutine \d+ \[.*\]:$"
    r"|\s*\d+: 0x[0-9a-f]+ .*$"
)


def is_frame(line: str) -> bool:
    """Whether a line is a frame by itself; a line of code below a frame of Python's is none."""
    return _OTHERS.match(line) is not None or _PYTHON.match(line) is not None


def without_frames(text: str) -> str:
    """The text without its stack frames; as it is where nothing else stands in it."""
    kept: list[str] = []
    in_python = False
    for line in text.split("\n"):
        code = in_python and (_PYTHON_CODE.match(line) is not None or _MARKS.match(line) is not None)
        in_python = code or _PYTHON.match(line) is not None
        if not (in_python or _OTHERS.match(line)):
            kept.append(line)
    return "\n".join(kept) if any(line.strip() for line in kept) else text
