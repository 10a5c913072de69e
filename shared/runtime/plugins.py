"""What users add: sources, channels and remedies that installed packages announce as entry points."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

from shared.domain.errors import DefinitionError
from shared.domain.masking import clean

SOURCES = "mendline.sources"
CHANNELS = "mendline.channels"
REMEDIES = "mendline.remedies"


def announced(group: str) -> dict[str, EntryPoint]:
    """Entry points of a group by name; nothing of them is loaded yet. Of two with one name the first found wins."""
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=group):
        found.setdefault(point.name, point)
    return found


def load(group: str, name: str, *, known: tuple[str, ...] = ()) -> Any:
    """The object behind an entry point. ``DefinitionError`` says which names there are, or why it cannot be loaded.

    ``known`` are the names that are built in, for the message.
    """
    points = announced(group)
    kind = group.rpartition(".")[2].removesuffix("s")
    if name not in points:
        names = ", ".join(sorted({*known, *points})) or "none"
        hint = f"write one of: {names}; or install the package that brings it"
        raise DefinitionError("pipeline", 0, 0, f"there is no {kind} “{clean(name, 60)}”", hint)
    try:
        return points[name].load()
    except (ImportError, AttributeError) as error:
        what = f"the {kind} “{clean(name, 60)}” cannot be loaded: {clean(str(error), 200)}"
        raise DefinitionError(
            "pipeline", 0, 0, what, f"repair or remove the package of {points[name].value}"
        ) from error
