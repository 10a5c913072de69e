"""Goal: an object that has landed makes the pipelines due that wait for it, whatever is wrong with others' files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shared.events.types import SourceDue
from tests.unit.ingest.world import IngestWorld

URI = "gs://landing/shop/a.csv"


@pytest.fixture
def world(tmp_path: Path) -> IngestWorld:
    return IngestWorld(tmp_path, uri="shop/*.csv")


def told(world: IngestWorld, uri: str) -> list[SourceDue]:
    assert world.request(json.dumps({"uri": uri, "by": "storage"}).encode()).outcome == "handled"
    return [each for each in world.seen() if isinstance(each, SourceDue)]


def due(world: IngestWorld, uri: str = URI) -> list[tuple[str, str]]:
    return [(each.pipeline, each.uri) for each in told(world, uri)]


def test_those_whose_source_it_belongs_to(world: IngestWorld) -> None:
    assert due(world) == [("things", URI)]


def test_nobody_waits_for_an_object_of_ours(world: IngestWorld) -> None:
    assert due(world, "gs://landing/raw/a.csv") == []


def test_a_copy_under_another_name_is_no_pipeline(world: IngestWorld) -> None:
    text = (world.folder / "pipelines" / "things.yaml").read_text()
    for name in ("things_backup.yaml", "things.yml", "My copy.yaml"):
        (world.folder / "pipelines" / name).write_text(text)
    assert due(world) == [("things", URI)]


@pytest.mark.parametrize("content", [b"pipeline: [", b"pipeline: broken\nsource: 5\n", b"\xff\xfe\x00"])
def test_a_file_that_cannot_be_read_keeps_no_other_from_its_object(world: IngestWorld, content: bytes) -> None:
    """It might be waiting, too: it is due as a whole, which says what is wrong with it."""
    (world.folder / "pipelines" / "broken.yaml").write_bytes(content)
    (world.folder / "pipelines" / "no pipeline's name.yaml").write_bytes(content)
    asked, other = told(world, URI)
    assert [(each.pipeline, each.uri) for each in (asked, other)] == [("broken", ""), ("things", URI)]
    assert world.deliver(asked).outcome == "terminal"
    (incident,) = world.incidents()
    assert "pipelines/broken.yaml" in incident.message
