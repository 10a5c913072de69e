"""What every source does: names what is there with a generation, gives its bytes, and fails as itself."""

from collections.abc import Callable

import pytest

from shared.domain.errors import ForeignFailure
from shared.ports.source import Source

CONTENT = b"a,b\n1,2\r\n\x00\xff" * 50_000


class SourceSuite:
    """Subclasses supply ``source`` and ``deliver``, which puts content at a name and returns its URI."""

    system = ""

    @pytest.fixture
    def source(self) -> Source:
        raise NotImplementedError

    @pytest.fixture
    def deliver(self) -> Callable[[str, bytes], str]:
        raise NotImplementedError

    def test_bytes_come_as_they_are(self, source: Source, deliver: Callable[[str, bytes], str]) -> None:
        uri = deliver("flights.csv", CONTENT)
        (found,) = source.discover(uri)
        assert (found.uri, found.name, found.bytes) == (uri, "flights.csv", len(CONTENT))
        assert found.generation
        with source.open(uri) as stream:
            assert stream.read(3) == CONTENT[:3]
            assert stream.read() == CONTENT[3:]
            assert stream.read() == b""

    def test_an_empty_object_is_an_object(self, source: Source, deliver: Callable[[str, bytes], str]) -> None:
        uri = deliver("empty.csv", b"")
        assert [found.bytes for found in source.discover(uri)] == [0]
        with source.open(uri) as stream:
            assert stream.read() == b""

    def test_generation_changes_with_content(self, source: Source, deliver: Callable[[str, bytes], str]) -> None:
        uri = deliver("a.csv", b"1")
        first = next(source.discover(uri)).generation
        assert next(source.discover(uri)).generation == first
        deliver("a.csv", b"2, and longer")
        assert next(source.discover(uri)).generation != first

    def test_what_is_gone_is_a_failure(self, source: Source, deliver: Callable[[str, bytes], str]) -> None:
        uri = deliver("a.csv", b"1").replace("a.csv", "b.csv")
        for use in (lambda: list(source.discover(uri)), lambda: source.open(uri)):
            with pytest.raises(ForeignFailure) as caught:
                use()
            assert caught.value.system == self.system
            assert caught.value.exception_type
