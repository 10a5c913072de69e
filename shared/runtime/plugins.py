"""What users add: sources, channels, checks and remedies that installed packages announce as entry points."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from shared.domain.errors import DefinitionError
from shared.domain.masking import clean

SOURCES = "mendline.sources"
CHANNELS = "mendline.channels"
CHECKS = "mendline.checks"
REMEDIES = "mendline.remedies"


class PluginFailed(Exception):
    """What a package brought raised something; the message is the error's type, since its text may hold values."""


def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call what a package brought. Whatever it raises is its failure and not ours: ``PluginFailed``."""
    try:
        return function(*arguments)
    except Exception as error:  # a stranger's code may raise anything
        raise PluginFailed(type(error).__name__) from error


def announced(group: str) -> dict[str, EntryPoint]:
    """Entry points of a group by name; nothing of them is loaded yet. Of two with one name the first found wins."""
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=group):
        found.setdefault(point.name, point)
    return found


def load(group: str, name: str, *, known: tuple[str, ...] = (), place: tuple[str, int] = ("pipeline", 0)) -> Any:
    """The object behind an entry point. ``DefinitionError`` says which names there are, or why it cannot be loaded.

    ``known`` are the names that are built in, ``place`` is the file and line that asks for it, for the message.
    """
    points = announced(group)
    kind = group.rpartition(".")[2].removesuffix("s")
    if name not in points:
        names = ", ".join(sorted({*known, *points})) or "none"
        hint = f"write one of: {names}; or install the package that brings it"
        raise DefinitionError(*place, 0, f"there is no {kind} “{clean(name, 60)}”", hint)
    try:
        return points[name].load()
    except (ImportError, AttributeError) as error:
        what = f"the {kind} “{clean(name, 60)}” cannot be loaded: {clean(str(error), 200)}"
        raise DefinitionError(*place, 0, what, f"repair or remove the package of {points[name].value}") from error
