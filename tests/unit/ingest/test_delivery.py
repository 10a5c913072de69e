"""Goal: bytes are safe before anything is said of them, and repetitions are told from news whatever the order."""

from __future__ import annotations

import functools
import io
import itertools
import os
import random
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Self

import pytest

from shared.domain.errors import ForeignFailure, StoreUnavailable
from shared.events.codec import decode, encode
from shared.events.types import BatchStaged, DeliveryArrived, DeliveryRegistered, Event, IncidentOpened
from shared.ports.source import Found, Source
from shared.ports.state_store import StateStore
from tests.unit.ingest.world import IngestWorld

X, Y, Z = b"a,b\n1,2\n", b"a,b\n3,4\n", b"a,b\n5,6\n"


# ── bytes ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_bytes_are_kept_as_they_came_and_everything_is_said_of_them(tmp_path: Path) -> None:
    world = IngestWorld(tmp_path)
    world.put("a.csv", X)
    arrived, registered, staged = world.take_in()
    assert isinstance(arrived, DeliveryArrived)
    assert isinstance(registered, DeliveryRegistered)
    assert isinstance(staged, BatchStaged)
    document = world.deliveries()["a.csv"]
    assert world.raw(document) == X
    assert registered.raw_path == document["raw_path"]
    assert (registered.bytes, staged.bytes, staged.rows, staged.attempt, staged.reading) == (len(X), len(X), 1, 1, 1)
    assert registered.batch_id == staged.batch_id == document["batch_id"]
    assert staged.seq == document["seq"]
    assert world.staged_rows(staged.parts) == 1
    assert world.take_in() == []


def test_raw_bytes_are_there_before_the_registration(tmp_path: Path) -> None:
    """The commit fails; the bytes are kept, nothing is registered, and the next try ends well."""
    world = IngestWorld(tmp_path)
    world.put("a.csv", X)
    (arrived,) = world.announced()

    class Full:
        def __getattr__(self, name: str) -> Any:
            return getattr(world.process.store, name)

        def commit(self, *_: object) -> None:
            raise StoreUnavailable("the disk is full")

    assert not world.deliver(arrived, replace(world.process, store=Full())).acknowledge
    assert len(list(world.process.objects.list("raw/"))) == 1
    assert (world.deliveries(), world.seen()) == ({}, [])
    assert world.deliver(arrived).outcome == "handled"
    assert len(list(world.process.objects.list("raw/"))) == 1
    assert world.deliver(arrived).outcome == "repeated"
    assert world.news() == ["a.csv"]


class Changed:
    """A source whose objects are something else when they are opened."""

    def __init__(self, inner: Source, opened: Callable[[str], BinaryIO]) -> None:
        self._inner, self.open = inner, opened

    def discover(self, uri: str) -> Any:
        return self._inner.discover(uri)


def with_source(world: IngestWorld, opened: Callable[[str], BinaryIO]) -> Any:
    inner = world.process.source("files")
    return replace(world.process, source=lambda kind: Changed(inner, opened))


def test_fewer_bytes_than_were_announced_are_the_sources_failure(tmp_path: Path) -> None:
    world = IngestWorld(tmp_path)
    world.put("a.csv", X)
    (arrived,) = world.announced()
    assert world.deliver(arrived, with_source(world, lambda uri: io.BytesIO(X[:-1]))).outcome == "foreign"
    (incident,) = world.incidents()
    assert (incident.origin, incident.reason, incident.uri) == ("source", "short_read", "landing/a.csv")
    assert (incident.pipeline, incident.service, incident.event_id) == ("things", "ingest", arrived.id)
    assert (list(world.process.objects.list("raw/")), world.deliveries()) == ([], {})


def test_a_source_that_vanishes_or_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    world = IngestWorld(tmp_path)
    path = world.put("a.csv", X)
    (arrived,) = world.announced()
    path.unlink()
    assert world.deliver(arrived).outcome == "foreign"

    class Broken:
        def __init__(self) -> None:
            self.pieces = [X[:4]]

        def read(self, size: int = -1) -> bytes:
            if self.pieces:
                return self.pieces.pop()
            raise ForeignFailure("gone", system="http", exception_type="ReadError")

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            return None

    again = arrived.model_copy(update={"id": "again"})
    assert world.deliver(again, with_source(world, lambda uri: Broken())).outcome == "foreign"  # type: ignore[arg-type,return-value]
    first, second = world.incidents()
    assert (first.exception_type, second.exception_type) == ("FileNotFoundError", "ReadError")
    assert first.fingerprint != second.fingerprint
    assert (list(world.process.objects.list("raw/")), world.deliveries()) == ([], {})


def test_one_object_announced_by_two_events_is_one_delivery(tmp_path: Path) -> None:
    world = IngestWorld(tmp_path)
    path = world.put("a.csv", X)
    (first,), (second,) = world.announced(), world.announced()
    assert first.id != second.id
    assert [type(each) for each in world.handle(first)] == [DeliveryRegistered, BatchStaged]
    path.write_bytes(Y)  # the second event's worker would fetch something else
    assert world.handle(second) == []
    assert world.raw(world.deliveries()["a.csv"]) == X


def test_two_workers_with_one_object_register_it_once_and_keep_its_bytes(tmp_path: Path) -> None:
    """While one worker is about to fetch, another fetches and registers; then the file changes under the first."""
    world = IngestWorld(tmp_path)
    path = world.put("a.csv", X)
    (first,), (second,) = world.announced(), world.announced()

    def opened(uri: str) -> BinaryIO:
        assert world.deliver(second).outcome == "handled"
        path.write_bytes(Y)
        return io.BytesIO(Y)

    assert world.deliver(first, with_source(world, opened)).outcome == "handled"
    document = world.deliveries()["a.csv"]
    assert world.raw(document) == X
    assert len([each for each in world.seen() if isinstance(each, DeliveryRegistered)]) == 1


def test_a_file_that_changes_is_another_delivery(tmp_path: Path) -> None:
    world = IngestWorld(tmp_path)
    world.put("a.csv", X)
    world.take_in()
    world.put("a.csv", Y)
    world.take_in()
    assert len(world.process.store.query("deliveries")) == 2
    assert len(list(world.process.objects.list("raw/"))) == 2


# ── repetitions ────────────────────────────────────────────────────────────────────────────────────────────────────


def expected_news(mode: str, duplicates: str, deliveries: list[tuple[str, bytes]]) -> list[str]:
    """Names of the deliveries, given in order, that are news."""
    news: list[str] = []
    for place, (name, content) in enumerate(deliveries):
        before = [earlier for _, earlier in (deliveries[:place] if mode == "append" else deliveries[:place][-1:])]
        if not content or duplicates == "load" or content not in before:
            news.append(name)
    return news


@pytest.mark.parametrize("mode", ["append", "upsert", "overwrite"])
@pytest.mark.parametrize("contents", ["XX", "XYX", "XXX", "XYXY", "XYYX", "EE", "XEX"])
def test_deliveries_one_after_the_other(tmp_path: Path, mode: str, contents: str) -> None:
    world = IngestWorld(tmp_path, mode)
    given = [(f"{place}.csv", {"X": X, "Y": Y, "E": b""}[each]) for place, each in enumerate(contents)]
    for name, content in given:
        world.put(name, content)
        world.take_in()
    assert world.news() == expected_news(mode, "discard", given)


@pytest.mark.parametrize("mode", ["upsert", "overwrite"])
@pytest.mark.parametrize("contents", ["XYX", "XXYX", "XYYX", "XYXZX", "XXX"])
def test_whatever_the_order_of_arrival_the_last_content_is_read_last(tmp_path: Path, mode: str, contents: str) -> None:
    """A late Y between two X makes the second X news. What counts is the content that the order ends with."""
    given = [(f"{place}.csv", {"X": X, "Y": Y, "Z": Z}[each]) for place, each in enumerate(contents)]
    orders = list(itertools.permutations(given))
    for number, order in enumerate(random.Random(3).sample(orders, min(len(orders), 14))):
        world = IngestWorld(tmp_path / str(number), mode)
        for name, content in order:
            world.put(name, content)
            world.take_in()
        read = [dict(given)[name] for name in world.news()]
        squeezed = [content for content, _ in itertools.groupby(content for _, content in given)]
        assert [content for content, _ in itertools.groupby(read)] == squeezed, [name for name, _ in order]
        world.process.close()


@pytest.mark.parametrize("duplicates", ["discard", "load", "hold"])
def test_what_is_done_with_a_repetition(tmp_path: Path, duplicates: str) -> None:
    world = IngestWorld(tmp_path, source=f", duplicates: {duplicates}")
    world.put("1.csv", X)
    world.put("2.csv", X)
    staged = [each for each in world.take_in() if isinstance(each, BatchStaged)]
    one, two = (world.deliveries()[name] for name in ("1.csv", "2.csv"))
    assert [each.problem for each in staged] == {"discard": [""], "load": ["", ""], "hold": ["", "duplicate"]}[
        duplicates
    ]
    assert two["duplicate_of"] == ("" if duplicates == "load" else one["batch_id"])


class Meanwhile:
    """A store at whose nth use something else happens first."""

    def __init__(self, inner: StateStore, number: int, happen: Callable[[], object]) -> None:
        self._inner, self.left, self._happen = inner, number, happen

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in ("get", "query", "commit"):
            return found

        def call(*arguments: Any, **named: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                self._happen()
            return found(*arguments, **named)

        return call


def all_of_it(world: IngestWorld, *events: Event) -> None:
    """Deliver the events, and what was announced because of them."""
    queue = list(events) or world.seen()
    while queue:
        for event in queue:
            if isinstance(event, DeliveryArrived):
                world.deliver(event)
        queue = world.seen()


@pytest.mark.parametrize("mode", ["append", "upsert", "overwrite"])
def test_two_workers_take_in_neighbours_at_once(tmp_path: Path, mode: str) -> None:
    """The second worker does everything of its own between any read of the first one and its commit."""
    for turned, number in itertools.product((False, True), range(1, 12)):
        world = IngestWorld(tmp_path / f"{turned}{number}", mode)
        world.put("1.csv", X)
        world.take_in()
        world.seen()
        world.put("2.csv", Y)
        world.put("3.csv", X)
        pair = world.announced()
        first, second = reversed(pair) if turned else pair
        store = Meanwhile(world.process.store, number, functools.partial(all_of_it, world, second))
        # Two processes cannot be inside the one transaction of a laptop's store; the cloud has no such transaction.
        world.deliver(first, replace(world.process, store=store, together=nullcontext))
        if store.left > 0:
            world.deliver(second)
        all_of_it(world)
        expected = ["1.csv", "2.csv"] + ([] if mode == "append" else ["3.csv"])
        assert world.news() == expected, f"{mode}, turned {turned}, at read {number}"
        world.process.close()


def test_random_arrivals_in_random_order_of_events(tmp_path: Path) -> None:
    """Several files at once, their events handled in any order: the news is as if they had come in order."""
    chance = random.Random(7)
    for number in range(12):
        mode = chance.choice(["upsert", "overwrite"])
        world = IngestWorld(tmp_path / str(number), mode)
        given = [(f"{place}.csv", chance.choice([X, Y])) for place in range(6)]
        for name, content in given:
            world.put(name, content)

        def shuffled(events: list[Event]) -> list[Event]:
            chance.shuffle(events)
            return events

        world.take_in(shuffled)
        read = [dict(given)[name] for name in world.news()]
        squeezed = [content for content, _ in itertools.groupby(content for _, content in given)]
        assert [content for content, _ in itertools.groupby(read)] == squeezed
        world.process.close()


# ── names ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "name",
    [
        "with space.csv",
        "ünï.csv",
        "a\nb.csv",
        "a\tb.csv",
        "'quoted'.csv",
        "x" * 251 + ".csv",
        "🙂.csv",
        "-rf.csv",
        "$(x).csv",
    ],
)
def test_strange_names(tmp_path: Path, name: str) -> None:
    world = IngestWorld(tmp_path)
    world.put(name, X)
    emitted = world.take_in()
    assert [type(each) for each in emitted] == [DeliveryArrived, DeliveryRegistered, BatchStaged]
    for event in emitted:
        assert decode(encode(event, "/test").data, encode(event, "/test").attributes) == event
    document = world.deliveries()[name]
    assert (world.raw(document), document["raw_path"].count("/")) == (X, 3)


def test_equal_names_in_two_folders(tmp_path: Path) -> None:
    world = IngestWorld(tmp_path, uri="landing/*/*.csv")
    world.put("one/a.csv", X, arrived=5)
    world.put("two/a.csv", Y, arrived=5)
    world.take_in()
    found = world.process.store.query("deliveries")
    assert len({stored.data["seq"] for stored in found}) == len(found) == 2
    assert len(list(world.process.objects.list("raw/"))) == 2


def test_a_name_that_is_not_text_stops_nothing(tmp_path: Path) -> None:
    world = IngestWorld(tmp_path)
    world.put("good.csv", X)
    os.close(os.open(f"{tmp_path}/landing/bad".encode() + b"\xff.csv", os.O_CREAT | os.O_WRONLY))
    world.take_in()
    assert len(world.deliveries()) == 2


@pytest.mark.parametrize(("uri", "why"), [("bad\udcff.csv", "not UTF-8"), ("x" * 5_000, "more than 4,000 characters")])
def test_an_address_that_no_event_can_carry_is_said_and_the_others_come_in(tmp_path: Path, uri: str, why: str) -> None:
    class Listing:
        def discover(self, _: str) -> list[Found]:
            return [Found(uri, uri, "g", 1, 1), Found("good.csv", "good.csv", "g", 1, 1)]

    world = IngestWorld(tmp_path)
    for _ in range(2):
        given = replace(world.process, source=lambda kind: Listing())  # type: ignore[arg-type,return-value]
        assert world.deliver(world.due(), given).outcome == "handled"
    events = world.seen()
    first, second = (each for each in events if isinstance(each, IncidentOpened))
    assert why in first.message
    assert "rename" in first.message
    assert (first.fingerprint, first.id != second.id) == (second.fingerprint, True)
    assert {each.name for each in events if isinstance(each, DeliveryArrived)} == {"good.csv"}
