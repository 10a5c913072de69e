"""Goal: a deployment that is told is kept once and opens nothing; one that says nothing is an incident."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from services.ingest import signals
from shared.ports.state_store import Document
from tests.unit.ingest.world import IngestWorld

TOLD = {"kind": "deployment", "system": "Orders-API", "resource": "checkout", "version": "2.4.1", "by": "ada"}


@pytest.fixture
def world(tmp_path: Path) -> IngestWorld:
    return IngestWorld(tmp_path)


def kept(world: IngestWorld) -> list[Document]:
    return [each.data for each in world.process.store.query("deployments", order_by="at")]


def told(world: IngestWorld, address: str = "", **fields: Any) -> str:
    return world.signal(json.dumps({**TOLD, **fields}).encode(), address).outcome


def test_it_is_kept_and_opens_no_incident(world: IngestWorld) -> None:
    assert told(world, pipelines=["orders", "refunds", "orders"]) == "handled"
    (found,) = kept(world)
    assert found.pop("at") > 1
    assert found == {
        "system": "orders-api", "resource": "checkout", "version": "2.4.1", "by": "ada",
        "pipelines": ["orders", "refunds"],
    }  # fmt: skip
    assert world.seen() == []


def test_the_address_says_the_kind_too(world: IngestWorld) -> None:
    assert told(world, "deployment", kind=None) == "handled"
    assert len(kept(world)) == 1
    assert signals.kind_of({"system": "x", "message": "deployment failed"}) == "generic"


def test_what_names_its_moment_is_one_however_often_it_is_told(world: IngestWorld) -> None:
    for by in ("ada", "grace"):
        told(world, at="2020-03-01T10:00:00+02:00", by=by)
    told(world, at="2020-03-01T08:00:01")
    assert [each["at"] for each in kept(world)] == [1_583_049_600_000_000, 1_583_049_601_000_000]
    assert kept(world)[0]["by"] == "ada", "who told it first"


def test_a_moment_to_come_counts_as_now(world: IngestWorld) -> None:
    told(world, at="2920-03-01T10:00:00Z")
    told(world)
    assert len(kept(world)) == 2
    assert all(0 < each["at"] <= world.process.clock.now() for each in kept(world))


def test_told_again_a_moment_to_come_stays_where_it_was(world: IngestWorld) -> None:
    told(world, at="2920-03-01T10:00:00Z")
    before = kept(world)
    world.process.clock.sleep(60)
    told(world, at="2920-03-01T10:00:00Z", by="grace")
    assert kept(world) == before


@pytest.mark.parametrize(
    "fields",
    [
        {"system": ""}, {"system": 1.5, "pipelines": [{}]}, {"at": "yesterday"}, {"at": 7}, {"at": "9-1-1"},
        {"at": 1_801_051_231_200}, {"at": "1801051231200"}, {"at": 20200301}, {"at": ["2020-03-01"]},
        {"at": "20200301T10:00:00-05:00"},
    ],
)  # fmt: skip
def test_one_that_does_not_say_of_what_it_is_or_when_is_malformed(world: IngestWorld, fields: dict[str, Any]) -> None:
    assert told(world, **fields) == "terminal"
    assert kept(world) == []
    assert [each.exception_type for each in world.incidents()] == ["MalformedEvent"]
