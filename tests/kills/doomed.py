"""Environment of a process that ends at its nth effect on the disk; see doom.c."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILT = HERE.parents[1] / "build" / "kills"


@cache
def library() -> Path | None:
    """The compiled doom.c; None where there is no C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    BUILT.mkdir(parents=True, exist_ok=True)
    source, target = HERE / "doom.c", BUILT / "doom.so"
    if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
        made = target.with_suffix(f".{id(source)}")
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-O1", "-o", str(made), str(source), "-ldl"], check=True, timeout=60
        )
        made.replace(target)
    return target


def at(effect: int, *, half: bool = False) -> dict[str, str]:
    """Dies at that effect (from 1), before it happens or in the middle of it."""
    return {**_loaded(), "DOOM_AT": str(effect), **({"DOOM_HALF": "1"} if half else {})}


def counting(file: Path) -> dict[str, str]:
    """Writes the number of effects to a file when the process ends."""
    return {**_loaded(), "DOOM_COUNT": str(file)}


def _loaded() -> dict[str, str]:
    found = library()
    assert found is not None, "a C compiler is needed for kills at exact effects"
    return {"LD_PRELOAD": str(found)}
