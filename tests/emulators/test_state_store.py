"""Firestore as a state store under the suite of the local one, with Google's emulator."""

import itertools
from collections.abc import Callable

import pytest

from shared.adapters.gcp.documents import name_of
from shared.adapters.gcp.state_store import FirestoreStateStore
from shared.domain.errors import Conflict, InvariantBroken, LimitExceeded
from shared.ports.state_store import Delete, Expect, Put, StateStore, StoreLimits, Where
from tests.conformance.state_store_suite import StateStoreSuite
from tests.emulators.running import Emulators

projects = itertools.count(1)


@pytest.fixture
def project() -> str:
    """A project that no other test writes to: the emulator makes it by being asked."""
    return f"state-{next(projects)}"


class TestFirestoreStateStore(StateStoreSuite):
    """Opened several times, as by several functions."""

    @pytest.fixture
    def open_store(self, emulators: Emulators, project: str) -> Callable[[], StateStore]:
        return lambda: FirestoreStateStore(project, emulator=emulators.firestore)


@pytest.fixture
def store(emulators: Emulators, project: str) -> FirestoreStateStore:
    return FirestoreStateStore(project, emulator=emulators.firestore)


def test_nothing_is_deleted_that_was_not_expected(store: FirestoreStateStore) -> None:
    """A deletion cannot demand by itself that there is no document: that takes a transaction."""
    store.commit([Put("things", "k", {"n": 1})])
    with pytest.raises(Conflict):
        store.commit([Delete("things", "k")], [Expect("things", "k", 0)])
    store.commit([Delete("things", "other")], [Expect("things", "other", 0)])
    assert store.get("things", "k") is not None


def test_more_values_than_one_query_takes(store: FirestoreStateStore) -> None:
    store.commit([Put("things", f"{n:03}", {"n": n, "e": n % 2}) for n in range(100)])
    store.commit([Put("things", "none", {"n": None, "e": 0})])
    asked: list[int | None] = [*range(0, 100, 2), None]
    found = store.query("things", [Where("n", "in", asked), Where("e", "==", 0)])
    assert [each.key for each in found] == [*(f"{n:03}" for n in range(0, 100, 2)), "none"]
    assert [each.key for each in store.query("things", [Where("n", "in", asked)], limit=3)] == ["000", "002", "004"]


def test_what_has_expired_is_not_shown(emulators: Emulators, project: str) -> None:
    """Firestore removes it within a day; the emulator never does."""
    time = [1_700_000_000_000_000]
    store = FirestoreStateStore(
        project,
        emulator=emulators.firestore,
        lives_seconds=lambda collection, data: 60 if collection == "receipts" and not data.get("kept") else 0,
        now=lambda: time[0],
    )
    store.commit([Put("receipts", "a", {"at": 1}), Put("receipts", "b", {"kept": True}), Put("things", "c", {})])
    assert len(store.query("receipts")) == 2
    time[0] += 60_000_000
    assert store.get("receipts", "a") is None
    assert [each.key for each in store.query("receipts")] == ["b"]
    assert store.get("things", "c") is not None


def test_a_list_in_a_list_and_long_texts_come_back(store: FirestoreStateStore) -> None:
    document = {"matrix": [[1, 2], [], [[3.0]]], "long": "ü" * 100_000, "": 1, "__x__": 2}
    store.commit([Put("things", "k", document)])
    stored = store.get("things", "k")
    assert stored is not None
    assert stored.data == document
    with pytest.raises(InvariantBroken):
        store.query("things", [Where("long", "==", "ü" * 100_000)])


@pytest.mark.parametrize("name", ["a b", "a'b", "a.b", "", "1a", "a/b"])
def test_names_that_lead_elsewhere_are_refused(store: FirestoreStateStore, name: str) -> None:
    with pytest.raises(InvariantBroken):
        store.query(name)
    with pytest.raises(InvariantBroken):
        store.query("things", [Where(name, "==", 1)])
    with pytest.raises(InvariantBroken):
        store.commit([Put(name, "k", {})])


def test_names_of_documents() -> None:
    limits = StoreLimits()
    assert [name_of(key, limits) for key in ("a/b", "a%2Fb", ".", "..", "__a__", "...")] == [
        *("a%2Fb", "a%252Fb", "%2E", "%2E.", "%5F_a__", "..."),
    ]
    with pytest.raises(LimitExceeded):
        name_of("/" * 600, limits)
