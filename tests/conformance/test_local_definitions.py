"""Definition files in a folder under the suite, with links and replacements."""

from collections.abc import Callable
from pathlib import Path

import pytest

from shared.adapters.local.definitions import FolderDefinitions
from shared.domain.errors import DefinitionError, DefinitionMissing
from shared.ports.definitions import Definitions
from tests.conformance.definitions_suite import DefinitionsSuite


class TestFolderDefinitions(DefinitionsSuite):
    """No known differences."""

    @pytest.fixture
    def definitions(self, tmp_path: Path) -> Definitions:
        return FolderDefinitions(tmp_path)

    @pytest.fixture
    def place(self, tmp_path: Path) -> Callable[[str, bytes], None]:
        def put(path: str, content: bytes) -> None:
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_bytes(content)

        return put


def test_a_link_may_stay_inside_but_not_lead_out(tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / "contracts").mkdir(parents=True)
    (project / "contracts" / "a.yaml").write_text("a")
    (tmp_path / "secret.yaml").write_text("s")
    (project / "inside.yaml").symlink_to(project / "contracts" / "a.yaml")
    (project / "outside.yaml").symlink_to(tmp_path / "secret.yaml")
    definitions = FolderDefinitions(project)
    assert definitions.read("inside.yaml").text == "a"
    with pytest.raises(DefinitionError, match="leads out"):
        definitions.read("outside.yaml")


def test_a_file_in_the_place_of_another(tmp_path: Path) -> None:
    (tmp_path / "project" / "contracts").mkdir(parents=True)
    (tmp_path / "project" / "contracts" / "a.yaml").write_text("old")
    (tmp_path / "draft.yaml").write_text("draft")
    instead = {"contracts/a.yaml": tmp_path / "draft.yaml", "pipelines/new.yaml": tmp_path / "draft.yaml"}
    definitions = FolderDefinitions(tmp_path / "project", instead)
    assert definitions.read("./contracts/a.yaml").text == "draft"
    assert definitions.list("contracts") == ["contracts/a.yaml"]
    assert definitions.list("pipelines") == ["pipelines/new.yaml"]
    assert FolderDefinitions(tmp_path / "project").read("contracts/a.yaml").text == "old"
    (tmp_path / "draft.yaml").unlink()
    with pytest.raises(DefinitionMissing):
        definitions.read("contracts/a.yaml")
