"""Goal: what a package announces is found and used. Method: a package laid out in a folder, with its metadata."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.domain.errors import DefinitionError
from shared.runtime import plugins
from tests.support.local_ports import make_process

MODULE = """
class Tape:
    def __init__(self, project, secrets):
        self.project = project

    def discover(self, uri):
        return iter(())


class Pager:
    name = "pager"

    def __init__(self, secrets):
        pass

    def send(self, notice):
        pass
"""
POINTS = """[mendline.sources]
tape = tape_package:Tape
broken = tape_package:Missing

[mendline.channels]
pager = tape_package:Pager
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "installed"
    info = folder / "tape_package-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "tape_package.py").write_text(MODULE, encoding="utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tape-package\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(POINTS, encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))


def test_a_source_and_a_channel_of_a_package_are_used(package: None, tmp_path: Path) -> None:
    process = make_process(tmp_path)
    assert type(process.source("tape")).__name__ == "Tape"
    assert process.channels["pager"].name == "pager"
    assert process.source("files") is process.source("push")


def test_an_unknown_kind_names_those_there_are(package: None, tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match=r"no source “disk”.*broken, files, push, tape"):
        make_process(tmp_path).source("disk")


def test_one_that_cannot_be_loaded_says_whose_it_is(package: None, tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match=r"cannot be loaded.*tape_package:Missing"):
        make_process(tmp_path).source("broken")


def test_nothing_is_announced_without_a_package() -> None:
    assert plugins.announced("mendline.nothing") == {}
