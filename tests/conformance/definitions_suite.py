"""What every place of definition files does."""

import hashlib
from collections.abc import Callable

import pytest

from shared.domain.errors import DefinitionError, DefinitionMissing
from shared.ports.definitions import Definitions


class DefinitionsSuite:
    """Subclasses supply ``definitions`` and ``place``, which puts a file where the adapter finds it at once."""

    @pytest.fixture
    def definitions(self) -> Definitions:
        raise NotImplementedError

    @pytest.fixture
    def place(self) -> Callable[[str, bytes], None]:
        raise NotImplementedError

    def test_text_and_version(self, definitions: Definitions, place: Callable[[str, bytes], None]) -> None:
        content = "pipeline: flüge\n".encode()
        place("pipelines/flights.yaml", content)
        found = definitions.read("pipelines/flights.yaml")
        assert found.path == "pipelines/flights.yaml"
        assert found.text == "pipeline: flüge\n"
        assert found.version == hashlib.sha256(content).hexdigest()[:12]

    def test_a_change_is_seen(self, definitions: Definitions, place: Callable[[str, bytes], None]) -> None:
        place("policy.yaml", b"a: 1\n")
        first = definitions.read("policy.yaml")
        place("policy.yaml", b"a: 2\n")
        second = definitions.read("policy.yaml")
        assert (first.text, second.text) == ("a: 1\n", "a: 2\n")
        assert first.version != second.version

    def test_a_byte_order_mark_is_no_text(self, definitions: Definitions, place: Callable[[str, bytes], None]) -> None:
        place("policy.yaml", b"\xef\xbb\xbfa: 1\n")
        assert definitions.read("policy.yaml").text == "a: 1\n"

    def test_any_kind_of_file(self, definitions: Definitions, place: Callable[[str, bytes], None]) -> None:
        place("transforms/flights.sql", b"SELECT 1")
        assert definitions.read("transforms/flights.sql").text == "SELECT 1"

    @pytest.mark.parametrize("path", ["pipelines/none.yaml", "none/none.yaml", "policy.yaml/x", "pipelines"])
    def test_missing(self, definitions: Definitions, place: Callable[[str, bytes], None], path: str) -> None:
        place("policy.yaml", b"")
        place("pipelines/a.yaml", b"")
        with pytest.raises(DefinitionMissing, match=path):
            definitions.read(path)

    @pytest.mark.parametrize("path", ["../x.yaml", "/etc/passwd", "a/../../x.yaml", "..", "a\0b"])
    def test_no_way_out(self, definitions: Definitions, path: str) -> None:
        with pytest.raises(DefinitionError):
            definitions.read(path)
        with pytest.raises(DefinitionError):
            definitions.list(path)

    def test_not_text(self, definitions: Definitions, place: Callable[[str, bytes], None]) -> None:
        place("policy.yaml", "a: 1\né: ".encode() + b"\xff\xfe")
        with pytest.raises(DefinitionError) as caught:
            definitions.read("policy.yaml")
        assert (caught.value.path, caught.value.line, caught.value.column) == ("policy.yaml", 2, 4)
        assert caught.value.hint

    def test_too_large(self, definitions: Definitions, place: Callable[[str, bytes], None]) -> None:
        place("policy.yaml", b"#" * 1_000_000)
        assert len(definitions.read("policy.yaml").text) == 1_000_000
        place("policy.yaml", b"#" * 1_000_001)
        with pytest.raises(DefinitionError, match="1 MB"):
            definitions.read("policy.yaml")

    def test_list(self, definitions: Definitions, place: Callable[[str, bytes], None]) -> None:
        for name in ("b.yaml", "a.yml", "c.sql", "d.yaml.bak", ".e.yaml", "deeper/f.yaml", "B.yaml"):
            place(f"pipelines/{name}", b"")
        place("policy.yaml", b"")
        assert definitions.list("pipelines") == ["pipelines/B.yaml", "pipelines/a.yml", "pipelines/b.yaml"]
        assert definitions.list("pipelines/") == definitions.list("pipelines")
        assert definitions.list("pipelines/deeper") == ["pipelines/deeper/f.yaml"]
        assert definitions.list("") == definitions.list(".") == ["policy.yaml"]
        assert definitions.list("none") == definitions.list("policy.yaml") == []
        for path in definitions.list("pipelines"):
            assert definitions.read(path).path == path
