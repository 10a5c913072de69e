"""The import rules hold, each is able to fail, and the domain stays with the standard library and its models."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tidy.tree import ROOT, product_files

LINT = [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--config", str(ROOT / "pyproject.toml")]
DOMAIN_MAY_IMPORT = {"shared", "pydantic", "pydantic_core", "yaml", "open_data_contract_standard"}
PACKAGES = [
    "shared", "shared.domain", "shared.events", "shared.ports", "shared.adapters", "shared.adapters.local",
    "shared.runtime", "services", "services.validate", "services.load", "mend",
]  # fmt: skip

# contract, module, a line that breaks it
FORBIDDEN = [
    ("services-apart", "services.load.handlers", "from services.validate import drift"),
    ("kernel-below", "shared.runtime.service", "import services.load"),
    ("kernel-below", "shared.domain.batch", "def f():\n    import mend"),
    ("services-below", "services.load.handlers", "import mend"),
    ("kernel-layers", "shared.domain.batch", "import shared.events"),
    ("kernel-layers", "shared.events.types", "import shared.ports"),
    ("kernel-layers", "shared.ports.clock", "import shared.adapters.local"),
    ("kernel-layers", "shared.adapters.local.clock", "import shared.runtime"),
    ("vendors-in-adapters", "services.load.handlers", "def f():\n    import duckdb"),
    ("vendors-in-adapters", "services.load.handlers", "from google.cloud import bigquery"),
    ("vendors-in-adapters", "shared.runtime.wiring", "import sqlite3"),
    ("vendors-in-adapters", "mend.run", "import httpx"),
    ("wiring-alone", "shared.runtime.service", "import shared.adapters.local"),
    ("wiring-alone", "mend.run", "from shared.adapters.local import clock"),
    ("engines-above", "shared.domain.batch", "import polars"),
    ("engines-above", "shared.runtime.service", "def f():\n    import pyarrow.parquet"),
    ("framework-at-the-edge", "services.load.handlers", "import functions_framework"),
]
ALLOWED = [
    ("services-apart", "services.load.handlers", "import services.load.transform"),
    ("kernel-layers", "shared.runtime.service", "import shared.domain"),
    ("vendors-in-adapters", "shared.adapters.local.clock", "import sqlite3, httpx"),
    ("wiring-alone", "shared.runtime.wiring", "def f():\n    from shared.adapters.local import clock"),
    ("engines-above", "services.load.handlers", "import polars, pyarrow"),
    ("framework-at-the-edge", "services.load.main", "import functions_framework"),
]


def test_the_import_rules_hold() -> None:
    outcome = subprocess.run([*LINT, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def _lint_a_small_tree(folder: Path, contract: str, module: str, line: str) -> subprocess.CompletedProcess[str]:
    """Our contracts on a tree that has the layout and this one line."""
    for package in PACKAGES:
        (folder / package.replace(".", "/")).mkdir()
        (folder / package.replace(".", "/") / "__init__.py").touch()
    for name in ("services.load.transform", "services.validate.drift", "shared.adapters.local.clock", module):
        (folder / f"{name.replace('.', '/')}.py").touch()
    (folder / f"{module.replace('.', '/')}.py").write_text(f"{line}\n")
    return subprocess.run([*LINT, "--no-cache", "--contract", contract], cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize(("contract", "module", "line"), FORBIDDEN)
def test_rule_bites(tmp_path: Path, contract: str, module: str, line: str) -> None:
    outcome = _lint_a_small_tree(tmp_path, contract, module, line)
    assert outcome.returncode == 1, outcome.stdout + outcome.stderr
    assert "0 kept, 1 broken" in outcome.stdout, outcome.stdout + outcome.stderr


@pytest.mark.parametrize(("contract", "module", "line"), ALLOWED)
def test_rule_lets_pass(tmp_path: Path, contract: str, module: str, line: str) -> None:
    outcome = _lint_a_small_tree(tmp_path, contract, module, line)
    assert "1 kept, 0 broken" in outcome.stdout, outcome.stdout + outcome.stderr


def test_the_domain_needs_only_its_models() -> None:
    """A list of what is allowed, because a list of what is forbidden never names the next library."""
    foreign = []
    for source in product_files():
        if not source.path.startswith("shared/domain/"):
            continue
        for node in ast.walk(source.tree):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            roots = {name.split(".")[0] for name in names} - DOMAIN_MAY_IMPORT - sys.stdlib_module_names
            foreign += [f"{source.path}:{node.lineno}: {root}" for root in sorted(roots)]
    assert not foreign, f"pass the result in, or move the module up a layer: {foreign}"
