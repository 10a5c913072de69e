"""Objects of Cloud Storage as a source under the suite of the local ones."""

import itertools
from collections.abc import Callable

import pytest

from shared.adapters.gcp.object_store import bucket_of
from shared.adapters.gcp.source import GcsSource
from shared.domain.errors import ForeignFailure
from shared.ports.source import Source
from tests.conformance.source_suite import SourceSuite
from tests.emulators.running import PROJECT, Emulators

buckets = itertools.count(1)
Deliver = Callable[[str, bytes], str]


@pytest.fixture
def bucket(emulators: Emulators) -> str:
    name = f"landing-{next(buckets)}"
    bucket_of(PROJECT, name, f"http://{emulators.storage}").create()
    return name


@pytest.fixture
def deliver(emulators: Emulators, bucket: str) -> Deliver:
    def put(name: str, content: bytes) -> str:
        bucket_of(PROJECT, bucket, f"http://{emulators.storage}").blob(f"landing/{name}").upload_from_string(content)
        return f"gs://{bucket}/landing/{name}"

    return put


@pytest.fixture
def source(emulators: Emulators, bucket: str) -> GcsSource:
    return GcsSource(lambda name: bucket_of(PROJECT, name, f"http://{emulators.storage}"), f"gs://{bucket}")


class TestGcsSource(SourceSuite):
    """No known differences."""

    system = "gcs"

    @pytest.fixture
    def source(self, source: GcsSource) -> Source:  # type: ignore[override]
        return source

    @pytest.fixture
    def deliver(self, deliver: Deliver) -> Deliver:  # type: ignore[override]
        return deliver


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("landing/*.csv", ["a.csv", "b.csv"]),
        ("landing/", ["a.csv", "b.csv", "c.json"]),
        ("landing/[ab].*", ["a.csv", "b.csv"]),
        ("landing/[!a]*", ["b.csv", "c.json"]),
        ("landing/?.csv", ["a.csv", "b.csv"]),
        ("landing/**/*.csv", ["a.csv", "b.csv", "d.csv"]),
        ("landing/deep*/*.csv", ["d.csv"]),
        ("landing/none*", []),
    ],
)
def test_patterns(source: GcsSource, deliver: Deliver, bucket: str, pattern: str, names: list[str]) -> None:
    for name in ("a.csv", "b.csv", "c.json", "deep/d.csv"):
        deliver(name, b"x")
    for uri in (pattern, f"gs://{bucket}/{pattern}"):
        found = list(source.discover(uri))
        assert [each.name for each in found] == names
        assert all(each.uri.startswith(f"gs://{bucket}/landing/") for each in found), "the whole URI, however asked"


@pytest.mark.parametrize("uri", ["gs://", "gs://bucket", "gs:///a", ""])
def test_what_names_no_object(source: GcsSource, uri: str) -> None:
    with pytest.raises(ForeignFailure, match="gs"):
        list(source.discover(uri))


def test_no_bucket_is_the_sources_failure(source: GcsSource) -> None:
    with pytest.raises(ForeignFailure) as caught:
        list(source.discover("gs://no-such-bucket/*.csv"))
    assert (caught.value.system, caught.value.http_status) == ("gcs", 404)
