"""The catalogue of known failures, written in general form; the text model learns it beside what was provoked."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

from shared.domain.checks import check
from shared.domain.incident import FailureClass

_FILE = Path(__file__).with_name("known_failures.txt")


class Known(NamedTuple):
    """An entry of the catalogue."""

    failure_class: FailureClass
    system: str
    text: str


@cache
def entries() -> tuple[Known, ...]:
    """The catalogue, read once per process."""
    found: list[Known] = []
    heading: FailureClass | None = None
    for line in _FILE.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            heading = FailureClass(line.strip("[] "))
        elif line and not line.startswith("#"):
            system, bar, text = (part.strip() for part in line.partition("|"))
            check(bool(bar) and heading is not None, f"known_failures.txt: {line!r} is no entry")
            if heading is not None:
                found.append(Known(heading, system, text))
    return tuple(found)
