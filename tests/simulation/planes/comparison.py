"""What two planes made of the same world, compared: documents, files of rows, tables, outcomes of handlers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from shared.runtime.logs import LogLine
from tests.simulation.simulation import Simulation

_DIGEST = re.compile(r"(snapshots/[^/]+/)[0-9a-f]{32}")
_COLLECTIONS = (
    *("deliveries", "positions", "verdicts", "profiles", "contracts", "loads", "incidents", "knowledge", "healings"),
    *("remedies", "decisions", "repairs", "budgets", "posteriors", "messages"),
)
_SHOWN = 12


class Told:
    """A simulation, and what its log says; made before it runs."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        self.lines: list[LogLine] = []
        simulation.log.listen(self.lines.append)

    def documents(self, collection: str) -> dict[str, Any]:
        """The documents of a collection by key."""
        return dict(self.simulation.store.documents(collection))


def differences(real: Told, plain: Told) -> list[str]:
    """Every difference that matters, a sentence each; a snapshot's digest and the bytes of files are none."""
    found = [*_outcomes(real, plain)]
    for collection in _COLLECTIONS:
        one, other = real.documents(collection), plain.documents(collection)
        found += _keys(collection, set(one), set(other))
        for key in sorted(set(one) & set(other)):
            found += [f"{collection}/{key}: {each}" for each in _unequal(_plain(one[key]), _plain(other[key]))]
    return [*found, *_files(real, plain), *_tables(real, plain)]


def _outcomes(real: Told, plain: Told) -> Iterator[str]:
    """Whether the same events were handled in the same order, and ended alike."""
    one, other = (
        [(each.service, each.event, each.event_id, each.outcome) for each in world.lines] for world in (real, plain)
    )
    for number, (mine, theirs) in enumerate(zip(one, other, strict=False)):
        if mine != theirs:
            yield f"step {number}: {mine} or {theirs}"
            return
    if len(one) != len(other):
        yield f"{len(one)} or {len(other)} events were handled"


def _files(real: Told, plain: Told) -> Iterator[str]:
    """Rows of all files, in any order within a file."""
    one, other = (
        {
            _DIGEST.sub(r"\1", each.path): each.path
            for each in world.simulation.objects.list("")
            if each.path[-8:] == ".parquet"
        }
        for world in (real, plain)
    )
    yield from _keys("files", set(one), set(other))
    for path in sorted(set(one) & set(other)):
        if path.startswith("snapshots/"):
            continue
        mine = real.simulation.rows(one[path])
        theirs = plain.simulation.rows(other[path])
        yield from (f"{path}: {each}" for each in _unequal_rows(mine, theirs))


def _tables(real: Told, plain: Told) -> Iterator[str]:
    for name in sorted(real.simulation.world.plans):
        mine, theirs = (each.plane.table(each.warehouse, f"lab.{name}") for each in (real.simulation, plain.simulation))
        yield from (f"lab.{name}: {each}" for each in _unequal_rows(mine, theirs))


def _unequal_rows(mine: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> Iterator[str]:
    one, other = sorted(map(_shown, mine)), sorted(map(_shown, theirs))
    if one != other:
        gone = [row for row in one if row not in other]
        more = [row for row in other if row not in one]
        yield f"{len(one)} or {len(other)} rows; only real {gone[:2]}; only plain {more[:2]}"


def _shown(row: dict[str, Any]) -> str:
    return repr(sorted(row.items()))


def _keys(what: str, one: set[str], other: set[str]) -> Iterator[str]:
    if one != other:
        yield f"{what}: only real {sorted(one - other)[:_SHOWN]}, only plain {sorted(other - one)[:_SHOWN]}"


def _plain(document: Any) -> Any:
    """Without what has to differ."""
    if isinstance(document, dict):
        return {name: _plain(value) for name, value in document.items()}
    if isinstance(document, list):
        return [_plain(each) for each in document]
    return _DIGEST.sub(r"\1", document) if isinstance(document, str) else document


def _unequal(one: Any, other: Any, where: str = "") -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted({*one, *other}):
            yield from _unequal(one.get(name), other.get(name), f"{where}.{name}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, (mine, theirs) in enumerate(zip(one, other, strict=True)):
            yield from _unequal(mine, theirs, f"{where}[{number}]")
    elif one != other:
        yield f"{where}: {str(one)[:300]} or {str(other)[:300]}"
