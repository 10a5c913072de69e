"""Cloud Storage as an object store under the suite of the local one, with the emulator from PyPI.

The emulator knows no preconditions. That a reader is tied to its generation is asked of a server that records requests.
"""

import itertools
from collections.abc import Callable

import pytest

from shared.adapters.gcp.object_store import CHUNK_BYTES, GcsObjectStore, bucket_of
from shared.domain.errors import Conflict, InvariantBroken, ObjectsUnavailable
from shared.ports.object_store import ObjectStore
from tests.conformance.object_store_suite import ObjectStoreSuite, content_of, put
from tests.emulators.http_server import Answer, Asked, Recorder
from tests.emulators.running import PROJECT, Emulators

buckets = itertools.count(1)


@pytest.fixture
def bucket(emulators: Emulators) -> str:
    name = f"objects-{next(buckets)}"
    bucket_of(PROJECT, name, f"http://{emulators.storage}").create()
    return name


@pytest.fixture
def store(emulators: Emulators, bucket: str) -> ObjectStore:
    return GcsObjectStore(bucket_of(PROJECT, bucket, f"http://{emulators.storage}"))


class TestGcsObjectStore(ObjectStoreSuite):
    """A bucket of its own for each test."""

    @pytest.fixture
    def open_store(self, emulators: Emulators, bucket: str) -> Callable[[], ObjectStore]:
        return lambda: GcsObjectStore(bucket_of(PROJECT, bucket, f"http://{emulators.storage}"))


def test_a_large_object_goes_and_comes_in_chunks(store: ObjectStore) -> None:
    content = bytes(range(256)) * (CHUNK_BYTES // 256 * 2 + 1_000)
    with store.write("a/large") as stream:
        for start in range(0, len(content), 1_000_000):
            stream.write(content[start : start + 1_000_000])
    with store.read("a/large") as stream:
        assert stream.read(10) == content[:10]
        stream.seek(CHUNK_BYTES - 5)
        assert stream.read(10) == content[CHUNK_BYTES - 5 : CHUNK_BYTES + 5]
        assert stream.read() == content[CHUNK_BYTES + 5 :]


def test_an_upload_given_up_after_its_first_chunk_leaves_nothing(store: ObjectStore) -> None:
    def write() -> None:
        with store.write("a/large") as stream:
            stream.write(b"x" * (CHUNK_BYTES * 2 + 1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()
    assert store.stat("a/large") is None


def test_uris_are_what_bigquery_reads(store: ObjectStore, bucket: str) -> None:
    assert store.uri("loaded/b1/part.parquet") == f"gs://{bucket}/loaded/b1/part.parquet"
    with pytest.raises(InvariantBroken):
        store.uri("a/\n")


def test_a_reader_asks_for_the_generation_that_it_opened() -> None:
    replaced = False

    def answer(asked: Asked) -> Answer:
        if "alt=media" not in asked.path:
            return Answer(200, {"name": "a", "bucket": "b", "generation": "77", "size": "3", "metageneration": "1"})
        return Answer(412, {"error": {"code": 412, "message": "no"}}) if replaced else Answer(206, b"abc")

    with Recorder(answer) as server:
        reading = GcsObjectStore(bucket_of(PROJECT, "b", server.url))
        assert content_of(reading, "a") == b"abc"
        replaced = True
        with reading.read("a") as stream, pytest.raises(Conflict, match="object a"):
            stream.read()
    downloads = [request for request in server.requests if "alt=media" in request.path]
    assert len(downloads) == 2
    assert all("ifGenerationMatch=77" in request.path for request in downloads)


@pytest.mark.parametrize("status", [401, 403, 429, 503])
def test_what_the_service_says_becomes_ours(status: int) -> None:
    with Recorder(lambda asked: Answer(status, {"error": {"code": status, "message": "no"}})) as server:
        store = GcsObjectStore(bucket_of(PROJECT, "b", server.url), retry_seconds=0.2)
        uses: list[Callable[[], object]] = [
            *(
                lambda: store.stat("a"),
                lambda: list(store.list("")),
                lambda: store.delete("a"),
                lambda: put(store, "a"),
            ),
        ]
        for use in uses:
            with pytest.raises(ObjectsUnavailable):
                use()


def test_nobody_there() -> None:
    store = GcsObjectStore(bucket_of(PROJECT, "no-such-bucket", "http://127.0.0.1:1"), retry_seconds=0.2)
    with pytest.raises(ObjectsUnavailable):
        next(store.list("a"), None)
