"""Finds the project folder and the store, and remembers which belongs to which."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from shared.domain.errors import DefinitionError, DefinitionMissing, StoreUnavailable
from shared.domain.pipeline import PipelineDefinition, parse_pipeline
from shared.runtime import settings, wiring
from shared.runtime.logs import EventLog
from shared.runtime.wiring import Process

ROOT_NAME = "mend-store"
_DEFINITION_BYTES_MAX = 1_000_000

Progress = Callable[[str, int, int], None]


class Project(NamedTuple):
    """A project folder, its store, and pipeline files that lie elsewhere than in ``pipelines/``."""

    folder: Path
    root: Path
    files: Mapping[str, Path]


def of_pipeline(file: Path, root: Path | None) -> tuple[Project, PipelineDefinition]:
    """The project that a pipeline file belongs to: the folder above ``pipelines/``, else the file's own folder."""
    try:
        text = file.read_bytes()[: _DEFINITION_BYTES_MAX + 1].decode("utf-8")
    except FileNotFoundError as error:
        raise DefinitionMissing(
            f"{file}: there is no such file; name a pipeline file, or make one: mend init DATA"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        what = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error.strerror)
        raise DefinitionError(str(file), 0, 0, f"cannot be read: {what}", "name a pipeline file (YAML)") from error
    pipeline = parse_pipeline(text, str(file))
    where = file.resolve()
    folder = where.parent.parent if where.parent.name == "pipelines" else where.parent
    return remember(
        Project(folder, root or folder / ROOT_NAME, {f"pipelines/{pipeline.pipeline}.yaml": where})
    ), pipeline


def of_root(root: Path | None, folder: Path | None = None) -> Project:
    """The project whose store is ``root`` (default: ``mend-store`` here); on Google Cloud the settings say it."""
    if settings.load().backend == "gcp":
        return Project(Path(), Path(), {})
    place = root or Path(ROOT_NAME)
    if not (place / ".mend").is_dir():
        raise DefinitionMissing(
            f"{place}: there is no store here; name one with --root, or run: mend run PIPELINE.yaml"
        )
    known = _read(place)
    return Project(
        folder or Path(str(known.get("project", "."))),
        place,
        {name: Path(path) for name, path in dict(known.get("files", {})).items()},
    )


def remember(project: Project) -> Project:
    """Note in the store where the project is; files noted before stay known."""
    known = _read(project.root)
    files = {**dict(known.get("files", {})), **{name: str(path) for name, path in project.files.items()}}
    text = json.dumps({"project": str(project.folder.resolve()), "files": files}, indent=1, sort_keys=True)
    note = _note(project.root)
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        if not note.exists() or note.read_text(encoding="utf-8") != text:
            note.write_text(text, encoding="utf-8")
    except OSError as error:
        what = f"{project.root}: the store cannot be written ({error.strerror})"
        raise StoreUnavailable(f"{what}; make the folder writable or choose another with --root") from error
    return project._replace(files={name: Path(path) for name, path in files.items()})


def noted(root: Path) -> tuple[Path, dict[str, Path]]:
    """The project folder and the single files that a store was last used with; of no store, the folder one is in."""
    known = _read(root)
    files = {name: Path(path) for name, path in dict(known.get("files", {})).items()}
    return Path(str(known.get("project", "."))), files


def open_process(project: Project, *, log: EventLog | None = None, progress: Progress | None = None) -> Process:
    """The process's ports over the project's store, here or on Google Cloud."""
    there = settings.load()
    if there.backend == "gcp":
        return wiring.build(there, log=log or EventLog(), progress=progress)
    given = settings.load(root=str(project.root), project=str(project.folder))
    return wiring.build(given, log=log, definition_files=project.files, progress=progress)


def _note(root: Path) -> Path:
    return root / ".mend" / "project.json"


def _read(root: Path) -> dict[str, dict[str, str]]:
    try:
        found = json.loads(_note(root).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
