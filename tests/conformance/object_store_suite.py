"""What every object store does: whole objects under names, or none."""

import threading
from collections.abc import Callable

import pytest

from shared.domain.errors import InvariantBroken
from shared.ports.object_store import ObjectStore

CONTENT = bytes(range(256)) * 40


def put(store: ObjectStore, path: str, content: bytes = b"x") -> None:
    with store.write(path) as stream:
        stream.write(content)


def content_of(store: ObjectStore, path: str) -> bytes:
    with store.read(path) as stream:
        return stream.read()


class ObjectStoreSuite:
    """Subclasses supply the fixture ``open_store``, which opens the same store each time it is called."""

    @pytest.fixture
    def open_store(self) -> Callable[[], ObjectStore]:
        raise NotImplementedError

    @pytest.fixture
    def store(self, open_store: Callable[[], ObjectStore]) -> ObjectStore:
        return open_store()

    def test_bytes_come_back(self, store: ObjectStore, open_store: Callable[[], ObjectStore]) -> None:
        put(store, "raw/p/b1/Flights 2013.csv", CONTENT)
        put(store, "empty", b"")
        assert content_of(open_store(), "raw/p/b1/Flights 2013.csv") == CONTENT
        assert content_of(store, "empty") == b""

    def test_streams_can_be_written_in_pieces_and_sought_in(self, store: ObjectStore) -> None:
        with store.write("a/b") as stream:
            for start in range(0, len(CONTENT), 1_000):
                stream.write(CONTENT[start : start + 1_000])
        with store.read("a/b") as stream:
            stream.seek(-3, 2)
            assert stream.read() == CONTENT[-3:]
            stream.seek(5)
            assert stream.read(4) == CONTENT[5:9]

    def test_absent(self, store: ObjectStore) -> None:
        put(store, "a/b/c")
        for path in ("a/b/d", "a/b", "a/b/c/d", "z"):
            assert store.stat(path) is None
            with pytest.raises(FileNotFoundError):
                store.read(path)
            store.delete(path)
        assert content_of(store, "a/b/c") == b"x"

    def test_nothing_is_there_before_the_end(self, store: ObjectStore) -> None:
        with store.write("a/b") as stream:
            stream.write(CONTENT)
            stream.flush()
            assert store.stat("a/b") is None
            assert list(store.list("")) == []
        assert store.stat("a/b") is not None

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, ConnectionResetError])
    def test_an_exception_leaves_nothing(self, store: ObjectStore, error: type[BaseException]) -> None:
        def write(path: str) -> None:
            with store.write(path) as stream:
                stream.write(CONTENT)
                raise error

        with pytest.raises(error):
            write("new")
        put(store, "old", b"as it was")
        with pytest.raises(error):
            write("old")
        assert [each.path for each in store.list("")] == ["old"]
        assert content_of(store, "old") == b"as it was"

    def test_a_reader_keeps_what_it_opened(self, store: ObjectStore) -> None:
        put(store, "a", b"old" * 1_000)
        with store.read("a") as stream:
            assert stream.read(3) == b"old"
            put(store, "a", b"new" * 1_000)
            assert stream.read(3) == b"old"
        assert content_of(store, "a") == b"new" * 1_000

    def test_stat(self, store: ObjectStore) -> None:
        put(store, "a/b", b"12345")
        first = store.stat("a/b")
        assert first is not None
        assert (first.path, first.bytes) == ("a/b", 5)
        assert store.stat("a/b") == first
        put(store, "a/b", b"12345")
        second = store.stat("a/b")
        assert second is not None
        assert second.generation != first.generation, "the same bytes, written again, are another generation"
        assert list(store.list("a/b")) == [second]

    def test_list_goes_by_the_characters_of_the_path(self, store: ObjectStore) -> None:
        paths = ["a", "a!b", "a-/c", "a/b", "a/b!", "a/b-c", "a0", "a/c/d/e", "b/1", "b/10", "b/2", "ä/x", "B"]
        paths.remove("a")  # where "a" is an object there are no objects below it
        for path in paths:
            put(store, path)
        for prefix in ("", "a", "a/", "a/b", "a/c/d", "a/c/d/", "b/1", "ä", "nothing", "a/nothing/"):
            expected = sorted(path for path in paths if path.startswith(prefix))
            assert [each.path for each in store.list(prefix)] == expected, prefix

    def test_delete(self, store: ObjectStore) -> None:
        put(store, "a/b")
        put(store, "a/c")
        store.delete("a/b")
        store.delete("a/b")
        assert [each.path for each in store.list("")] == ["a/c"]

    def test_uris_differ_and_name_the_path(self, store: ObjectStore) -> None:
        assert store.uri("a/b.parquet").endswith("/a/b.parquet")
        assert store.uri("a/b") != store.uri("a/c")

    @pytest.mark.parametrize(
        "path", ["", "/etc/passwd", "../x", "a/../../x", "a/..", "a//b", "a/./b", "./a", "a/", "a\\..\\b", "a\0b"]
    )
    def test_paths_that_lead_elsewhere_are_refused(self, store: ObjectStore, path: str) -> None:
        with pytest.raises(InvariantBroken):
            store.read(path)
        with pytest.raises(InvariantBroken):
            put(store, path)
        with pytest.raises(InvariantBroken):
            store.stat(path)
        with pytest.raises(InvariantBroken):
            store.delete(path)
        with pytest.raises(InvariantBroken):
            store.uri(path)

    def test_writers_of_one_path_do_not_mix(self, open_store: Callable[[], ObjectStore]) -> None:
        """Two deliveries of one event write the same path at once; either's content may win, whole."""
        contents = [bytes([n]) * 200_000 for n in range(4)]

        def write(content: bytes) -> None:
            for _ in range(5):
                put(open_store(), "staged/b1/part", content)

        threads = [threading.Thread(target=write, args=(content,)) for content in contents]
        for thread in threads:
            thread.start()
        seen = set()
        while any(thread.is_alive() for thread in threads):
            if open_store().stat("staged/b1/part") is not None:
                seen.add(content_of(open_store(), "staged/b1/part"))
        for thread in threads:
            thread.join()
        seen.add(content_of(open_store(), "staged/b1/part"))
        assert seen <= set(contents)
