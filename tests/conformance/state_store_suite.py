"""What every state store does: documents, filters, atomic commits, versions that never come back."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from shared.domain.errors import Conflict, InvariantBroken, LimitExceeded
from shared.ports.state_store import Delete, Expect, Put, StateStore, Where

DOCUMENT: dict[str, Any] = {
    "text": "héllo \u2028 'x' \"y\" \\ 🙂",
    "empty": "",
    "int": 2**63 - 1,
    "least": -(2**63),
    "float": 0.1,
    "whole_float": 2.0,
    "true": True,
    "false": False,
    "none": None,
    "list": [1, "two", None, {"three": [3.5]}],
    "map": {"a b": {"c.d": 1}, "": 0},
}


class StateStoreSuite:
    """Subclasses supply the fixture ``open_store``, which opens the same store each time it is called."""

    @pytest.fixture
    def open_store(self) -> Callable[[], StateStore]:
        raise NotImplementedError

    @pytest.fixture
    def store(self, open_store: Callable[[], StateStore]) -> StateStore:
        return open_store()

    # ── documents ──

    def test_a_document_comes_back_as_it_was(self, store: StateStore, open_store: Callable[[], StateStore]) -> None:
        store.commit([Put("things", "k", DOCUMENT)])
        for reader in (store, open_store()):
            stored = reader.get("things", "k")
            assert stored is not None
            assert (stored.key, stored.data) == ("k", DOCUMENT)
            assert isinstance(stored.data["whole_float"], float)
            assert stored.data["true"] is True
            assert isinstance(stored.data["int"], int)

    @pytest.mark.parametrize("key", ["a", "a:1", "a b", "ü/ö", "__x__", ".", "..", "%2F", "receipt|x|y", "k" * 700])
    def test_any_text_is_a_key(self, store: StateStore, key: str) -> None:
        store.commit([Put("things", key, {"n": 1})])
        stored = store.get("things", key)
        assert stored is not None
        assert stored.key == key
        assert [each.key for each in store.query("things")] == [key]

    def test_absent_is_none(self, store: StateStore) -> None:
        assert store.get("things", "k") is None
        store.commit([Put("things", "k", {})])
        assert store.get("others", "k") is None
        assert store.get("things", "K") is None
        stored = store.get("things", "k")
        assert stored is not None
        assert stored.data == {}

    def test_what_was_read_is_a_copy(self, store: StateStore) -> None:
        given = {"list": [1]}
        store.commit([Put("things", "k", given)])
        given["list"].append(2)
        first = store.get("things", "k")
        assert first is not None
        first.data["list"].append(3)
        again = store.get("things", "k")
        assert again is not None
        assert again.data == {"list": [1]}

    def test_put_replaces_the_whole_document(self, store: StateStore) -> None:
        store.commit([Put("things", "k", {"a": 1, "b": 2})])
        store.commit([Put("things", "k", {"b": 3})])
        stored = store.get("things", "k")
        assert stored is not None
        assert stored.data == {"b": 3}

    def test_delete(self, store: StateStore) -> None:
        store.commit([Put("things", "k", {})])
        store.commit([Delete("things", "k")])
        store.commit([Delete("things", "k")])
        assert store.get("things", "k") is None
        assert store.query("things") == []

    # ── versions and preconditions ──

    def test_every_write_has_a_new_version(self, store: StateStore) -> None:
        versions = []
        for _ in range(3):
            store.commit([Put("things", "k", {"same": 1})])
            stored = store.get("things", "k")
            assert stored is not None
            versions.append(stored.version)
        assert len(set(versions)) == 3
        assert 0 not in versions

    def test_a_version_is_never_used_again(self, store: StateStore, open_store: Callable[[], StateStore]) -> None:
        store.commit([Put("things", "k", {"n": 1})])
        old = store.get("things", "k")
        assert old is not None
        store.commit([Delete("things", "k")])
        open_store().commit([Put("things", "k", {"n": 1})])
        with pytest.raises(Conflict):
            store.commit([Put("things", "k", {"n": 2})], [Expect("things", "k", old.version)])

    def test_expectations(self, store: StateStore) -> None:
        store.commit([Put("things", "k", {"n": 1})], [Expect("things", "k", 0)])
        with pytest.raises(Conflict):
            store.commit([Put("things", "k", {"n": 2})], [Expect("things", "k", 0)])
        stored = store.get("things", "k")
        assert stored is not None
        store.commit([Put("things", "k", {"n": 3})], [Expect("things", "k", stored.version)])
        with pytest.raises(Conflict):
            store.commit([Delete("things", "k")], [Expect("things", "k", stored.version)])
        with pytest.raises(Conflict):
            store.commit([], [Expect("things", "absent", stored.version)])
        store.commit([], [Expect("things", "absent", 0)])
        after = store.get("things", "k")
        assert after is not None
        assert after.data == {"n": 3}

    def test_one_broken_expectation_takes_everything_back(self, store: StateStore) -> None:
        store.commit([Put("things", "old", {"n": 1})])
        with pytest.raises(Conflict):
            store.commit(
                [Put("things", "new", {}), Delete("things", "old"), Put("others", "x", {})],
                [Expect("things", "new", 0), Expect("others", "x", 12_345)],
            )
        assert [each.key for each in store.query("things")] == ["old"]
        assert store.query("others") == []

    def test_an_unwritten_document_can_be_expected(self, store: StateStore) -> None:
        store.commit([Put("things", "read", {"n": 1})])
        read = store.get("things", "read")
        assert read is not None
        store.commit([Put("things", "read", {"n": 2})])
        with pytest.raises(Conflict):
            store.commit([Put("things", "written", {})], [Expect("things", "read", read.version)])
        assert store.get("things", "written") is None

    def test_threads_that_conflict_lose_no_update(self, open_store: Callable[[], StateStore]) -> None:
        open_store().commit([Put("things", "counter", {"n": 0})])
        conflicts, unexpected = [], []

        def count() -> None:
            store = open_store()
            for _ in range(25):
                while True:
                    stored = store.get("things", "counter")
                    if stored is None:
                        unexpected.append("gone")
                        return
                    try:
                        store.commit(
                            [Put("things", "counter", {"n": stored.data["n"] + 1})],
                            [Expect("things", "counter", stored.version)],
                        )
                        break
                    except Conflict:
                        conflicts.append(1)

        threads = [threading.Thread(target=count) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        stored = open_store().get("things", "counter")
        assert stored is not None
        assert not unexpected
        assert stored.data == {"n": 100}

    def test_one_of_many_creates(self, open_store: Callable[[], StateStore]) -> None:
        won = []

        def create(name: int) -> None:
            try:
                open_store().commit([Put("things", "k", {"by": name})], [Expect("things", "k", 0)])
                won.append(name)
            except Conflict:
                pass

        threads = [threading.Thread(target=create, args=(name,)) for name in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        stored = open_store().get("things", "k")
        assert stored is not None
        assert won == [stored.data["by"]]

    # ── queries ──

    @pytest.fixture
    def filled(self, store: StateStore) -> StateStore:
        store.commit(
            [
                Put("things", "a", {"n": 1, "s": "x", "b": True}),
                Put("things", "b", {"n": 2, "s": "y", "b": False}),
                Put("things", "c", {"n": 2.5, "s": "ü", "b": None}),
                Put("things", "d", {"n": "2", "s": "Z"}),
                Put("things", "e", {"s": "", "l": [1], "b": 1}),
                Put("thing", "f", {"n": 2}),
            ]
        )
        return store

    @pytest.mark.parametrize(
        ("where", "keys"),
        [
            ([Where("n", "==", 2)], "b"),
            ([Where("n", "==", 2.0)], "b"),
            ([Where("n", "==", "2")], "d"),
            ([Where("n", "<", 2)], "a"),
            ([Where("n", "<=", 2)], "ab"),
            ([Where("n", ">", 1)], "bc"),
            ([Where("n", ">=", 2)], "bc"),
            ([Where("n", ">", "")], "d"),
            ([Where("n", "in", [1, 2.5, "2", "no"])], "acd"),
            ([Where("n", "in", [])], ""),
            ([Where("b", "in", [True, None])], "ac"),
            ([Where("b", "in", [1, "' OR 1=1 --"])], "e"),
            ([Where("s", "in", ["ü", 'x"]', "x", "x"])], "ac"),
            ([Where("s", "in", ["ü", "y"]), Where("n", "==", 2)], "b"),
            ([Where("n", ">", 1), Where("s", "==", "y")], "b"),
            ([Where("n", ">", 1), Where("n", "<", 2.4)], "b"),
            ([Where("b", "==", True)], "a"),
            ([Where("b", "==", False)], "b"),
            ([Where("b", "==", None)], "c"),
            ([Where("b", "==", 1)], "e"),
            ([Where("s", "==", "ü")], "c"),
            ([Where("s", ">", "Z")], "abc"),
            ([Where("s", "==", "' OR 1=1 --")], ""),
            ([Where("absent", "==", None)], ""),
            ([Where("absent", "<", 9)], ""),
            ([], "abcde"),
        ],
    )
    def test_filters(self, filled: StateStore, where: list[Where], keys: str) -> None:
        for _ in range(2):  # an adapter may index what it was asked for once
            assert "".join(each.key for each in filled.query("things", where)) == keys

    @pytest.mark.parametrize(
        ("field", "wanted", "others", "keys"),
        [("n", [1, 2.5], list(range(100, 2_098)), "ac"), ("s", ["x", "Z"], [f"{n}" for n in range(1_998)], "ad")],
    )
    def test_one_of_two_thousand_values(
        self, filled: StateStore, field: str, wanted: list[Any], others: list[Any], keys: str
    ) -> None:
        where = [Where(field, "in", [*others[:999], *wanted, *others[999:]])]
        assert "".join(each.key for each in filled.query("things", where)) == keys

    def test_order_and_limit(self, filled: StateStore) -> None:
        def keys(**how: Any) -> str:
            return "".join(each.key for each in filled.query("things", **how))

        numbers = [Where("n", ">", 0)]
        assert keys(where=numbers, order_by="n") == "abc"
        assert keys(where=numbers, order_by="n", descending=True) == "cba"
        assert keys(order_by="s") == "edabc", "by code point, the empty text first"
        assert keys(order_by="l") == "e", "a document without the field is left out"
        assert keys(descending=True, limit=2) == "ed"
        assert keys(limit=0) == ""
        filled.commit([Put("things", key, {"n": 7}) for key in ("y", "x", "z")])
        assert keys(where=[Where("n", "==", 7)], order_by="n") == "xyz", "equal ones by key"

    def test_a_query_sees_the_last_commit(self, store: StateStore, open_store: Callable[[], StateStore]) -> None:
        where = [Where("wake_at", ">", 0)]
        assert store.query("healings", where, order_by="wake_at") == []
        open_store().commit([Put("healings", "k", {"wake_at": 5})])
        [found] = store.query("healings", where, order_by="wake_at")
        assert found == store.get("healings", "k")
        open_store().commit([Put("healings", "k", {"wake_at": 0})])
        assert store.query("healings", where, order_by="wake_at") == []

    def test_a_thousand_unless_more_are_asked_for(self, store: StateStore) -> None:
        for start in range(0, 1_200, 400):
            store.commit([Put("many", f"{n:05d}", {"n": n}) for n in range(start, start + 400)])
        assert len(store.query("many")) == 1_000
        assert len(store.query("many", limit=5_000)) == 1_200

    # ── limits ──

    def test_writes_of_one_commit(self, store: StateStore) -> None:
        most = store.limits.writes_per_commit_max
        store.commit([Put("things", f"{n}", {}) for n in range(most)])
        with pytest.raises(LimitExceeded):
            store.commit([Put("others", f"{n}", {}) for n in range(most + 1)])
        assert store.query("others") == []

    def test_bytes_of_one_document(self, store: StateStore) -> None:
        store.commit([Put("things", "k", {"t": "é" * (store.limits.document_bytes_max // 2 - 500)})])
        with pytest.raises(LimitExceeded):
            store.commit([Put("things", "l", {"t": "é" * (store.limits.document_bytes_max // 2 + 1)})])
        assert store.get("things", "l") is None

    def test_bytes_of_one_commit(self, store: StateStore) -> None:
        text = "x" * (store.limits.document_bytes_max - 1_000)
        count = store.limits.commit_bytes_max // len(text) + 1
        with pytest.raises(LimitExceeded):
            store.commit([Put("things", f"{n}", {"t": text}) for n in range(count)])
        assert store.query("things") == []

    def test_bytes_of_a_key(self, store: StateStore) -> None:
        with pytest.raises(LimitExceeded):
            store.commit([Put("things", "é" * (store.limits.key_bytes_max // 2 + 1), {})])

    @pytest.mark.parametrize(
        "value",
        [2**63, -(2**63) - 1, float("nan"), float("inf"), b"bytes", {1: 2}, {"deep": {2: 3}}, object(), "\ud800"],
    )
    def test_what_is_not_like_json_is_refused(self, store: StateStore, value: Any) -> None:
        with pytest.raises(InvariantBroken):
            store.commit([Put("things", "good", {}), Put("things", "k", {"v": [value]})])
        assert store.query("things") == []
