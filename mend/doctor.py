"""Looks a store over, touching nothing: what is damaged, what was left undone, what will stop the next run."""

from __future__ import annotations

import os
import platform
import shutil
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from shared.domain.errors import DefinitionError, DefinitionMissing, InvariantBroken
from shared.domain.incident import CLOSED
from shared.domain.masking import clean
from shared.domain.store_health import StoreHealth
from shared.ports.definitions import Definitions

SETTLED_SECONDS = 60  # what is younger may be in the hands of a process that works
LATE_SECONDS = 600
PIPELINES_SHOWN_MAX = 10
FREE_BYTES_MIN = 200_000_000
FREE_BYTES_LOW = 2_000_000_000
PYTHON_MIN = (3, 11)
LIBRARIES = ("mendline", "duckdb", "polars", "pyarrow", "pandera", "pydantic", "sqlglot", "open-data-contract-standard")

Level = Literal["problem", "notice"]


class Finding(NamedTuple):
    """One thing to know: a problem makes the command fail, a notice does not."""

    level: Level
    about: str
    what: str
    do: str


class Diagnosis(NamedTuple):
    """Everything that was found, and what the machine is."""

    findings: list[Finding]
    facts: dict[str, Any]

    @property
    def healthy(self) -> bool:
        """True when no finding is a problem."""
        return all(finding.level != "problem" for finding in self.findings)


def examine(
    root: Path, health: StoreHealth, holder: int | None, definitions: Definitions, now: int, models: Mapping[str, str]
) -> Diagnosis:
    """All findings about a store, worst first; ``holder`` is the process that holds the warehouse.

    ``models`` are the folders of text models by the setting that names them.
    """
    findings = [
        *_of_file(root, health),
        *_of_work(root, health, now),
        *_of_dead_letters(root, health),
        *_of_warehouse(holder),
        *_of_left_overs(root),
        *_of_disk(root),
        *_of_permissions(root),
        *_of_definitions(health.pipelines, definitions),
        *_of_models(models),
        *_of_python(),
    ]
    findings.sort(key=lambda finding: finding.level != "problem")
    facts = {
        "store": str(root),
        "store_state": health.state,
        "store_format": health.format,
        "store_bytes": health.bytes,
        "messages_waiting": sum(queue.waiting for queue in health.queues),
        "free_bytes": shutil.disk_usage(root).free if root.is_dir() else 0,
        "python": platform.python_version(),
        "system": platform.platform(),
        "versions": versions(),
    }
    return Diagnosis(findings, facts)


# ── the store's file ──


def _of_file(root: Path, health: StoreHealth) -> Iterator[Finding]:
    place = f"{root}/.mend/store.db"
    if health.state == "missing":
        what = f"there is no store in {root}" if not _objects(root) else f"{place} is gone, the files beside it are not"
        todo = "name it with --root, or make one: mend run PIPELINE.yaml" if not _objects(root) else _saving(root)
        yield Finding("problem", "store", what, todo)
    elif health.state == "newer":
        what = f"{place} was made by a newer version: {health.detail}"
        yield Finding("problem", "store", what, "install that version of Mendline or a later one; nothing is lost")
    elif health.state == "stranger":
        yield Finding("problem", "store", f"{place}: {health.detail}", "move that file away, or choose another --root")
    elif health.state == "damaged":
        found = "; ".join(clean(problem, 120) for problem in health.problems[:3])
        yield Finding("problem", "store", f"{clean(health.detail)} {found}".strip(), _saving(root))
        yield Finding("notice", "what is left", _readable(health), _reading(root))
    elif health.state == "unreadable":
        todo = "make it readable for this user, end whoever keeps it locked, and look again"
        yield Finding("problem", "store", f"{place} cannot be read: {clean(health.detail)}", todo)


def _saving(root: Path) -> str:
    """What to do with a store whose file is lost, and what is still there."""
    raw, size = _amount(root / "objects" / "raw")
    kept = f"{raw:,} deliveries ({_size(size)}) lie unchanged in {root}/objects/raw"
    table = f"; the tables are in {root}/warehouse.duckdb" if (root / "warehouse.duckdb").exists() else ""
    raw_folder = root / "objects" / "raw"
    names = sorted(each.name for each in raw_folder.iterdir() if each.is_dir()) if raw_folder.is_dir() else []
    again = "; ".join(_anew(root, name) for name in names[:PIPELINES_SHOWN_MAX] or ["PIPELINE"])
    return f"put back a copy of {root}/.mend if there is one; {kept}{table}; to begin anew from them: {again}"


def _anew(root: Path, pipeline: str) -> str:
    """The command that takes a pipeline's kept deliveries into a new store."""
    return f"mend run pipelines/{pipeline}.yaml --root NEW --uri '{root.resolve()}/objects/raw/{pipeline}/*/*'"


def _readable(health: StoreHealth) -> str:
    if not health.readable:
        return "nothing can be read of the store's file; what was decided and by whom is lost with it"
    counts = ", ".join(f"{each.what} {each.rows:,}" for each in health.readable)
    return f"what can still be read of it: {counts}"


def _reading(root: Path) -> str:
    return f"rows that are whole come out with: sqlite3 {root}/.mend/store.db .recover > saved.sql (for reading only)"


# ── what was left undone ──


def _of_work(root: Path, health: StoreHealth, now: int) -> Iterator[Finding]:
    todo = f"mend run PIPELINE.yaml --root {root}, or mend up --root {root}, goes on with it"
    if health.unpublished:
        first = health.unpublished[0]
        what = f"{len(health.unpublished)} receipts hold events that are not on the bus, first {first.service}"
        yield Finding("problem", "receipts", f"{what}: {first.event_type} {first.event_id}", todo)
    for stuck in health.failing:
        what = f"{stuck.service} failed {stuck.failures} times on {stuck.event_type} {stuck.event_id}"
        yield Finding("problem", "receipts", what, f"{todo}; the third time it becomes an incident with its stack")
    for holder in health.holders:
        pid = holder.split(":")[1] if holder.count(":") == 2 else holder
        yield Finding("notice", "messages", f"process {pid} died with messages in its hands", todo)
    late = [queue for queue in health.queues if queue.overdue]
    if late:
        oldest = (now - min(queue.oldest_due for queue in late)) / 1_000_000
        overdue = sum(queue.overdue for queue in late)
        names = ", ".join(f"{queue.subscription} {queue.overdue:,}" for queue in late[:5])
        what = f"{overdue:,} messages wait, the first for {span(oldest)}: {names}"
        yield Finding("problem" if oldest > LATE_SECONDS else "notice", "messages", what, todo)
    tired = [queue for queue in health.queues if queue.attempts >= 5]
    for queue in tired:
        what = f"{queue.subscription}: a message was delivered {queue.attempts} times"
        yield Finding("notice", "messages", what, "after 20 times it becomes a dead letter and an incident")
    if health.timers:
        oldest = (now - health.timers[0].wake_at) / 1_000_000
        what = f"{len(health.timers)} timers rang and nobody heard, the first {span(oldest)} ago"
        yield Finding("problem" if oldest > LATE_SECONDS else "notice", "timers", what, todo)


def _of_dead_letters(root: Path, health: StoreHealth) -> Iterator[Finding]:
    for letter in health.dead_letters:
        if not letter.event_id and letter.state in CLOSED:
            continue  # no event of ours: it cannot be handled, and somebody has dealt with it
        what = f"{letter.service or 'a service'} gave up on event {letter.event_id or '(no event of ours)'}"
        verb = "replay" if letter.event_id else "explain"
        yield Finding("problem", "dead letters", what, f"mend {verb} {letter.incident_id} --root {root}")


# ── the machine ──


def _of_warehouse(holder: int | None) -> Iterator[Finding]:
    if holder is None:
        return
    alive = holder and _is_running(holder)
    if alive or not holder:
        what = f"process {holder or '(unknown)'} works in the warehouse at this moment"
        yield Finding("notice", "warehouse", what, "nothing, unless it stays so: then end that process")
    else:
        what = f"process {holder}, which holds the warehouse's lock, runs elsewhere or has ended"
        yield Finding("problem", "warehouse", what, "use a store from one machine only, on a local disk")


def _of_left_overs(root: Path) -> Iterator[Finding]:
    number, size = _amount(root / "objects" / ".unfinished")
    if number:
        what = f"{number:,} unfinished files ({_size(size)}) lie in objects/.unfinished"
        yield Finding("notice", "left-overs", what, "nothing: what is older than a day goes when a run starts")
    number, size = _amount(root / "warehouse.duckdb.tmp")
    if number:
        what = f"the warehouse keeps {_size(size)} of intermediate results in warehouse.duckdb.tmp"
        yield Finding("notice", "left-overs", what, "if no run is under way, that folder may be removed")


def _of_disk(root: Path) -> Iterator[Finding]:
    if not root.is_dir():
        return
    free = shutil.disk_usage(root).free
    if free < FREE_BYTES_LOW:
        level: Level = "problem" if free < FREE_BYTES_MIN else "notice"
        yield Finding(level, "disk", f"only {_size(free)} are free under {root}", "free some space, or move the store")


def _of_permissions(root: Path) -> Iterator[Finding]:
    names = (".", ".mend", ".mend/store.db", "objects", "warehouse.duckdb", "notices.jsonl", "metrics.jsonl")
    for name in names:
        place = root / name
        if place.exists() and not os.access(place, os.R_OK | os.W_OK):
            todo = f"chmod u+rw {place}, or run as its owner"
            yield Finding("problem", "permissions", f"{place} is not readable and writable for this user", todo)
    secrets = root / ".mend" / "secrets"
    if secrets.exists() and stat.S_IMODE(secrets.stat().st_mode) & 0o077:
        yield Finding("problem", "permissions", f"others may read {secrets}", f"chmod 600 {secrets}")


def _of_definitions(pipelines: Sequence[str], definitions: Definitions) -> Iterator[Finding]:
    from shared.domain.contract import parse_contract
    from shared.domain.pipeline import parse_pipeline

    for name in pipelines:
        path = f"pipelines/{name}.yaml"
        try:
            pipeline = parse_pipeline(definitions.read(path).text, path)
            parse_contract(definitions.read(pipeline.contract).text, pipeline.contract, pipeline.destination.table)
        except DefinitionMissing as error:
            todo = "put the file back, or say where the project is with --project"
            yield Finding("problem", "definitions", clean(str(error)), todo)
        except DefinitionError as error:
            yield Finding("problem", "definitions", clean(str(error)), "mend check says what is wrong")


def _of_models(models: Mapping[str, str]) -> Iterator[Finding]:
    """Without the model that is named nothing can be diagnosed; without a challenger only its word is missing."""
    named = {setting: folder for setting, folder in models.items() if folder}
    if not named:
        return
    from services.classify import text_model

    for setting, folder in named.items():
        level: Level = "problem" if setting == "MEND_TEXT_MODEL" else "notice"
        todo = f"mend learn --list shows the models that are there; or unset {setting}"
        try:
            text_model.load(Path(folder))
        except (DefinitionError, InvariantBroken) as error:
            yield Finding(level, "text model", f"{setting}: {clean(str(error))}", todo)


def _of_python() -> Iterator[Finding]:
    if sys.version_info < PYTHON_MIN:
        yield Finding("problem", "python", f"Python {platform.python_version()} is too old", "install 3.11 or newer")
    missing = [name for name, version in versions().items() if not version]
    if missing:
        yield Finding("problem", "python", f"not installed: {', '.join(missing)}", "pip install 'mendline[cli]'")


def versions() -> dict[str, str]:
    """Versions of what matters; "" for what is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = ""
    return found


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _objects(root: Path) -> bool:
    return (root / "objects").is_dir()


def _amount(folder: Path) -> tuple[int, int]:
    """Number and bytes of the files below a folder; those that vanish meanwhile do not count."""
    number = size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                size += (Path(place) / name).stat().st_size
            except OSError:
                continue
            number += 1
    return number, size


def _size(count: int) -> str:
    for unit, each in (("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)):
        if count >= each:
            return f"{count / each:.1f} {unit}"
    return f"{count} bytes"


def span(seconds: float) -> str:
    """How long, for people."""
    for unit, each in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * each:
            return f"{seconds / each:.0f} {unit}"
    return f"{max(0, seconds):.0f} seconds"
