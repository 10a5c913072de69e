"""The house rules hold in every file; a failure lists each offence with what to do instead."""

import importlib.util
import tomllib
from collections.abc import Callable
from pathlib import PurePosixPath

import pytest

from tests.tidy import rules
from tests.tidy.tree import PYTHON_FOLDERS, ROOT, Source, product_files, python_files, text_files

EVERY_MODULE = [
    rules.short_module,
    rules.short_functions,
    rules.opens_with_a_sentence,
    rules.telling_names,
]
EVERY_PRODUCT_MODULE = [
    rules.short_entry_point,
    rules.no_print,
    rules.no_broad_except,
    rules.no_assert,
    rules.no_clock_no_chance,
]
EVERY_TEXT = [rules.finished, rules.no_machine_path, rules.links_lead_somewhere]

Rule = Callable[[Source], list[str]]


def _report(offences: list[str]) -> str:
    return "\n" + "\n".join(offences)


@pytest.mark.parametrize("rule", EVERY_MODULE, ids=lambda rule: rule.__name__)
def test_modules(rule: Rule) -> None:
    offences = [offence for source in python_files() for offence in rule(source)]
    assert not offences, _report(offences)


@pytest.mark.parametrize("rule", EVERY_PRODUCT_MODULE, ids=lambda rule: rule.__name__)
def test_product_modules(rule: Rule) -> None:
    offences = [offence for source in product_files() for offence in rule(source)]
    assert not offences, _report(offences)


@pytest.mark.parametrize("rule", EVERY_TEXT, ids=lambda rule: rule.__name__)
def test_texts(rule: Rule) -> None:
    offences = [offence for source in text_files() for offence in rule(source)]
    assert not offences, _report(offences)


def test_every_package_folder_is_a_package() -> None:
    """import-linter does not look into a folder without `__init__.py`, so its rules would not hold there."""
    folders = {
        folder
        for source in python_files()
        if source.folder in PYTHON_FOLDERS
        for folder in PurePosixPath(source.path).parents
        if str(folder) != "."
    }
    missing = sorted(str(folder) for folder in folders if not (ROOT / folder / "__init__.py").is_file())
    assert not missing, _report([f"{folder}/: add an __init__.py that says what the folder is" for folder in missing])


def test_every_make_target_has_help() -> None:
    offences = rules.targets_have_help(Source("Makefile", (ROOT / "Makefile").read_text()))
    assert not offences, _report(offences)


def test_pandas_is_nowhere() -> None:
    """It adds half a second and 60 MB to a cold start; whoever needs it lives in an environment of their own."""
    locked = {package["name"] for package in tomllib.loads((ROOT / "uv.lock").read_text())["package"]}
    assert "pandas" not in locked, "an extra pulls in pandas; `uv tree --invert --package pandas` names it"
    assert importlib.util.find_spec("pandas") is None, (
        "pandas is installed; `uv sync --frozen` removes what is not locked"
    )


def test_the_lock_is_of_this_project_file() -> None:
    """`uv sync --frozen` believes the lock, so a forgotten `uv lock` would go unnoticed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    [ours] = [package for package in lock["package"] if package["name"] == project["project"]["name"]]
    declared = project["project"]["optional-dependencies"]
    assert sorted(ours["metadata"]["provides-extras"]) == sorted(declared), "run `uv lock`"
    written = {_name(line) for line in project["project"]["dependencies"]}
    written |= {_name(line) for lines in declared.values() for line in lines}
    locked = {requirement["name"] for requirement in ours["metadata"]["requires-dist"]}
    assert locked == written, "run `uv lock`"


def _name(requirement: str) -> str:
    """The distribution's name in a requirement line."""
    letters = requirement
    for mark in "[<>=!~; ":
        letters = letters.split(mark)[0]
    return letters.lower()


def test_every_service_has_its_own_extra() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    services = {
        source.path.split("/")[1]
        for source in python_files()
        if source.path.count("/") > 1 and source.folder == "services"
    }
    missing = sorted(services - set(extras))
    assert not missing, f"add an extra of the same name to pyproject.toml (it may be empty): {missing}"
