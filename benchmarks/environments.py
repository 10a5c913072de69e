"""Builds the environments that are measured, once: ``python -m benchmarks.environments``.

Ours is what a user installs, without the tools of development (some libraries import what they find there). Each
peer's is its list of requirements.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent
ENVIRONMENTS = HERE / "envs"
REQUIREMENTS = HERE / "peers"
OURS = "mendline"
PEERS = ("datacontract", "great_expectations", "soda")


def binary(side: str, name: str) -> Path:
    """A program of a side's environment."""
    return ENVIRONMENTS / side / "bin" / name


def missing(wanted: Sequence[str] = (OURS, *PEERS)) -> list[str]:
    """Environments among those wanted that have not been built from today's lists."""
    return [side for side in wanted if not _is_current(side)]


def clean_environment() -> dict[str, str]:
    """This process's environment, with the writing of compiled modules switched on for every child."""
    unwanted = {"PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME"}
    return {name: value for name, value in os.environ.items() if name not in unwanted}


def build(side: str) -> None:
    """Make the environment anew, byte-compiled."""
    place = ENVIRONMENTS / side
    shutil.rmtree(place, ignore_errors=True)
    uv = shutil.which("uv") or shutil.which(str(REPOSITORY / ".uv/bin/uv"))
    if uv is None:
        raise SystemExit("uv is needed; `make bench-env` finds or installs it")
    if side == OURS:
        asked = ["--quiet", "--frozen", "--no-default-groups", "--extra", "cli", "--compile-bytecode"]
        _run([uv, "sync", *asked, "--python", sys.executable], {"UV_PROJECT_ENVIRONMENT": str(place)})
    else:
        _run([uv, "venv", "--quiet", "--python", sys.executable, str(place)])
        python = str(binary(side, "python"))
        listed = str(REQUIREMENTS / f"{side}.txt")
        _run([uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python, "-r", listed])
    (place / ".built").write_text(_digest(side), encoding="utf-8")


def _run(command: list[str], more: dict[str, str] | None = None) -> None:
    subprocess.run(command, env={**clean_environment(), **(more or {})}, cwd=REPOSITORY, check=True)


def _is_current(side: str) -> bool:
    stamp = ENVIRONMENTS / side / ".built"
    return stamp.is_file() and stamp.read_text(encoding="utf-8") == _digest(side)


def _digest(side: str) -> str:
    listed = REPOSITORY / "uv.lock" if side == OURS else REQUIREMENTS / f"{side}.txt"
    return hashlib.sha256(listed.read_bytes()).hexdigest()


def main() -> None:
    """Build what is missing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.environments", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=(OURS, *PEERS), default=(OURS, *PEERS), help="these alone")
    wanted = parser.parse_args().only
    for side in missing(wanted):
        print(f"{side}: building {ENVIRONMENTS / side}", flush=True)
        build(side)
    print(f"environments: {', '.join(wanted)}: ready")


if __name__ == "__main__":
    main()
