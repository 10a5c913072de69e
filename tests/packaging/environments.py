"""A clean environment and a staged folder for one service: what a deployment of it would have, and nothing else."""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.tidy.tree import ROOT

SERVICES = sorted(path.parent.name for path in (ROOT / "services").glob("*/main.py"))
BUILD = ROOT / "build" / "packaging"
PROBE = Path(__file__).with_name("probe.py")
# What the clean process inherits: where programs and certificates are, and nothing of ours.
INHERITED = ("HOME", "PATH", "LANG", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")
ENTRY_POINT = '''"""Puts its own folder first, whatever else is installed, and hands over the functions."""
import pathlib, sys
sys.path.insert(0, str(pathlib.Path(__file__).parent))
from services.{service}.main import *
'''


def find_uv() -> str:
    """The uv that built this environment: the one on PATH if it answers, else the one that `make` fetched."""
    for candidate in (shutil.which("uv"), str(ROOT / ".uv" / "bin" / "uv")):
        if candidate and Path(candidate).exists():
            answer = subprocess.run([candidate, "--version"], capture_output=True)
            if answer.returncode == 0:
                return candidate
    raise FileNotFoundError("no uv that answers; `make setup` fetches one")


def build_environment(service: str) -> Path:
    """The interpreter of an environment with this service's extra alone, byte-compiled; kept, so the next is quick.

    uv links the files from its cache, takes out what the lock no longer names, and lets one process at a time work.
    """
    folder = BUILD / service
    command = [
        find_uv(), "sync", "--quiet", "--frozen", "--compile-bytecode", "--no-install-project",
        "--no-default-groups", "--extra", service, "--python", sys.executable,
    ]  # fmt: skip
    environment = {**os.environ, "UV_PROJECT_ENVIRONMENT": str(folder)}
    environment.pop("VIRTUAL_ENV", None)
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return folder / "bin" / "python"


def stage(service: str, folder: Path) -> Path:
    """The folder that would be deployed: the kernel, this service, and an entry point beside them."""
    leave_out = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "shared", folder / "shared", ignore=leave_out)
    shutil.copytree(ROOT / "services" / service, folder / "services" / service, ignore=leave_out)
    shutil.copy(ROOT / "services" / "__init__.py", folder / "services" / "__init__.py")
    (folder / "main.py").write_text(ENTRY_POINT.format(service=service))
    return folder


def imports_of(service: str) -> list[str]:
    """Top-level names of what the service's modules import anywhere: one sample does not reach every lazy import."""
    names: set[str] = set()
    for path in (ROOT / "services" / service).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names.update(alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.split(".")[0])
    return sorted(names - {"services", "shared"})


def ask(python: Path, staged: Path, target: str, requests: list[dict[str, Any]], settings: dict[str, str]) -> Any:
    """What the function answers to each request, in order, in a process that has only its own environment."""
    imports = imports_of(staged.name)
    question = {"staged": str(staged), "target": target, "requests": requests, "imports": imports}
    environment = {name: os.environ[name] for name in INHERITED if name in os.environ} | settings
    asked = subprocess.run(
        [python, "-I", PROBE], input=json.dumps(question), env=environment, cwd=staged, capture_output=True, text=True
    )
    assert asked.returncode == 0, asked.stderr
    *log, answer = asked.stdout.splitlines()
    return json.loads(answer) | {"log": "\n".join([*log, asked.stderr])}
