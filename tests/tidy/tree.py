"""The files of this repository as the house rules see them: those under version control and those about to be."""

import ast
import subprocess
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("shared", "services", "mend")
PYTHON_FOLDERS = (*PRODUCT, "tests", "benchmarks", "infra")
NOT_OURS = {".git", ".venv", ".uv", "build", "demo-run", "envs", "__pycache__"}


@dataclass(frozen=True)
class Source:
    """One text file: its path relative to the repository, and what stands in it."""

    path: str
    text: str

    @property
    def folder(self) -> str:
        """The top-level folder, or "" for a file that lies in the root."""
        return self.path.split("/")[0] if "/" in self.path else ""

    @cached_property
    def tree(self) -> ast.Module:
        """The parsed module."""
        return ast.parse(self.text, self.path)


def _listed() -> list[str]:
    """What git knows or would take; the folder itself where the code came without its history."""
    git = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listing = subprocess.run(git, capture_output=True, text=True) if (ROOT / ".git").exists() else None
    if listing is not None and listing.returncode == 0:
        return sorted({path for path in listing.stdout.split("\0") if path})
    found = (path.relative_to(ROOT) for path in ROOT.rglob("*"))
    return sorted(str(path) for path in found if not NOT_OURS.intersection(path.parts))


@lru_cache
def text_files() -> tuple[Source, ...]:
    """Every text file, in path order; binary files are left out."""
    sources = []
    for path in _listed():
        if not (ROOT / path).is_file():
            continue
        content = (ROOT / path).read_bytes()
        if b"\0" not in content:
            sources.append(Source(path, content.decode("utf-8", "replace")))
    return tuple(sources)


def python_files() -> list[Source]:
    """Every Python module of ours."""
    return [source for source in text_files() if source.path.endswith(".py")]


def product_files() -> list[Source]:
    """Every Python module that ships."""
    return [source for source in python_files() if source.folder in PRODUCT]
