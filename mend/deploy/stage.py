"""A folder that holds one service, or the scheduled commands, alone: ``python -m mend.deploy.stage validate``."""

from __future__ import annotations

import compileall
import hashlib
import py_compile
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from mend.deploy import scheduled_jobs, steps
from shared.domain.errors import DefinitionError
from shared.runtime import settings

ROOT: Final = Path(__file__).resolve().parents[2]
STAGED: Final = ROOT / steps.STAGED
# functions-framework puts the folder last on the path: an installed package called shared would hide ours.
_ENTRY_POINT: Final = '''"""Puts its own folder first, whatever else is installed, and hands over the functions."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from services.{service}.main import *  # noqa: E402, F403
'''
_PROCFILE: Final = "web: functions-framework --source=main.py\n"  # FUNCTION_TARGET says which entry point
_MODEL: Final = Path("services/classify/model")
_ARTIFACT: Final = ("model.json", "weights.npz")
_IGNORED: Final = shutil.ignore_patterns("__pycache__", "README.md")


def services() -> list[str]:
    """The names of the services that can be staged."""
    return sorted(path.parent.name for path in (ROOT / "services").glob("*/main.py"))


def stage(service: str, folder: Path, *, requirements: bool = True, text_model: Path | None = None) -> Path:
    """Make the folder anew: the kernel, the service, an entry point, its dependencies alone.

    It is byte-compiled, and names the Python that did it, so that it is built with that one. Its last file, ``.tag``,
    is the name of the image.

    ``requirements`` are exported from the lock by uv, with hashes, so that what is built is what was tested. The
    scheduled commands (``audit``) are the command line, with what it imports. ``text_model`` is put in the place of the
    one that Mendline comes with; ``DefinitionError`` when it is none, and the folder stays as it is.
    """
    if service not in (known := [*services(), scheduled_jobs.STAGED]):
        raise SystemExit(f"there is no service {service}: {', '.join(known)}")
    if text_model is not None:
        _refuse_damaged(text_model)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "shared", folder / "shared", ignore=_IGNORED)
    (_put_commands if service == scheduled_jobs.STAGED else _put_service)(service, folder)
    if text_model is not None and (folder / _MODEL).is_dir():  # classify, and the job that watches for drift
        for name in _ARTIFACT:
            shutil.copy(text_model / name, folder / _MODEL / name)
    if requirements:
        (folder / "requirements.txt").write_text(requirements_of(service), encoding="utf-8")
    # Built with another Python, the image would compile everything anew at each cold start.
    (folder / ".python-version").write_text(f"{sys.version_info.major}.{sys.version_info.minor}\n", encoding="utf-8")
    # Checked by content, not by time: a build copies the files and gives them other times.
    compileall.compile_dir(folder, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
    (folder / steps.TAG).write_text(f"{content_of(folder)}\n", encoding="utf-8")
    return folder


def content_of(folder: Path) -> str:
    """A name for all that is in a folder: the same content has the same one, staged wherever and whenever.

    Compiled files are left out: they hold the place where it was done, and follow from the others.
    """
    digest = hashlib.sha256()
    for path in sorted(each for each in folder.rglob("*") if each.is_file() and each.suffix != ".pyc"):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(folder).as_posix()}\n{content}\n".encode())
    return digest.hexdigest()[:20]


def _refuse_damaged(text_model: Path) -> None:
    from services.classify import text_model as reading

    reading.load(text_model)


def _put_commands(_: str, folder: Path) -> None:
    for name in ("mend", "services"):
        shutil.copytree(ROOT / name, folder / name, ignore=_IGNORED)
    (folder / "Procfile").write_text(scheduled_jobs.procfile(), encoding="utf-8")


def _put_service(service: str, folder: Path) -> None:
    shutil.copytree(ROOT / "services" / service, folder / "services" / service, ignore=_IGNORED)
    shutil.copy(ROOT / "services" / "__init__.py", folder / "services" / "__init__.py")
    (folder / "main.py").write_text(_ENTRY_POINT.format(service=service), encoding="utf-8")
    (folder / "Procfile").write_text(_PROCFILE, encoding="utf-8")


def requirements_of(service: str) -> str:
    """The service's dependencies on Google Cloud, from the lock."""
    uv = shutil.which("uv") or str(ROOT / ".uv" / "bin" / "uv")
    command = [uv, "export", "--quiet", "--frozen", "--no-default-groups", "--no-emit-project"]
    names = (*scheduled_jobs.EXTRAS, "gcp") if service == scheduled_jobs.STAGED else (service, "gcp")
    words = [*command, *(f"--extra={name}" for name in names)]
    exported = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    return exported.stdout


def main() -> None:
    """Stage the named service, or all, with the text model that the setting names."""
    named = settings.load().text_model
    for service in sys.argv[1:] or [*services(), scheduled_jobs.STAGED]:
        try:
            staged = stage(service, STAGED / service, text_model=Path(named) if named else None)
        except DefinitionError as error:
            raise SystemExit(f"MEND_TEXT_MODEL: {error}") from error
        sys.stdout.write(f"{staged}\n")


if __name__ == "__main__":
    main()
