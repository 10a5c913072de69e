"""Definition files in a bucket under the suite of the local ones, with the emulator from PyPI."""

import itertools
from collections.abc import Callable

import pytest

from shared.adapters.gcp.definitions import BucketDefinitions
from shared.adapters.gcp.object_store import bucket_of
from shared.domain.errors import DefinitionMissing, ObjectsUnavailable
from shared.ports.definitions import Definitions
from tests.conformance.definitions_suite import DefinitionsSuite
from tests.conformance.turned_clock import TurnedClock
from tests.emulators.running import PROJECT, Emulators

buckets = itertools.count(1)
Place = Callable[[str, bytes], None]


@pytest.fixture
def bucket(emulators: Emulators) -> str:
    name = f"definitions-{next(buckets)}"
    bucket_of(PROJECT, name, f"http://{emulators.storage}").create()
    return name


@pytest.fixture
def place(emulators: Emulators, bucket: str) -> Place:
    """Puts a file both where a prefix hides it and where it does not."""
    placing = bucket_of(PROJECT, bucket, f"http://{emulators.storage}")

    def put(path: str, content: bytes) -> None:
        for name in (path, f"projects/shop/{path}"):
            placing.blob(name).upload_from_string(content)

    return put


class TestBucketDefinitions(DefinitionsSuite):
    """Nothing remembered: the files are seen as they are."""

    @pytest.fixture
    def place(self, place: Place) -> Place:  # type: ignore[override]
        return place

    @pytest.fixture(params=["", "projects/shop"])
    def definitions(self, emulators: Emulators, bucket: str, request: pytest.FixtureRequest) -> Definitions:  # type: ignore[override]
        at = bucket_of(PROJECT, bucket, f"http://{emulators.storage}")
        return BucketDefinitions(at, TurnedClock(), prefix=request.param, cache_seconds=0.0)


def test_a_file_is_remembered_for_a_while(emulators: Emulators, bucket: str, place: Place) -> None:
    clock = TurnedClock()
    definitions = BucketDefinitions(
        bucket_of(PROJECT, bucket, f"http://{emulators.storage}"), clock, cache_seconds=10.0
    )
    place("policy.yaml", b"a: 1\n")
    assert definitions.read("policy.yaml").text == "a: 1\n"
    place("policy.yaml", b"a: 2\n")
    clock.sleep(9.0)
    assert definitions.read("./policy.yaml").text == "a: 1\n"
    clock.sleep(1.0)
    assert definitions.read("policy.yaml").text == "a: 2\n"
    bucket_of(PROJECT, bucket, f"http://{emulators.storage}").blob("policy.yaml").delete()
    clock.sleep(10.0)
    with pytest.raises(DefinitionMissing):
        definitions.read("policy.yaml")


def test_no_bucket(emulators: Emulators) -> None:
    definitions = BucketDefinitions(bucket_of(PROJECT, "absent", f"http://{emulators.storage}"), TurnedClock())
    with pytest.raises(ObjectsUnavailable):
        definitions.list("pipelines")
