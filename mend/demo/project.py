"""Lay out the demonstration's project folder: definitions that a user could have written."""

from __future__ import annotations

from pathlib import Path

DEFINITIONS = Path(__file__).parent / "definitions"


def definition_paths() -> list[str]:
    """All definition files, relative to a project folder."""
    return sorted(path.relative_to(DEFINITIONS).as_posix() for path in DEFINITIONS.rglob("*.yaml"))


def write_definitions(project: Path) -> list[Path]:
    """Copy pipelines, contracts and the policy into a project folder."""
    written = []
    for name in definition_paths():
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((DEFINITIONS / name).read_bytes())
        written.append(path)
    return written
