"""Goal: a process has every port, built from its settings, and refuses what it does not know by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shared.domain.errors import DefinitionError
from shared.ports.channel import Notice
from shared.runtime import wiring
from shared.runtime.service import Service
from shared.runtime.settings import load
from shared.runtime.unit_of_work import UnitOfWork
from tests.support.local_ports import make_process


@pytest.mark.parametrize("kind", ["files", "push"])
def test_sources_that_are_known(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a.csv").write_bytes(b"x")
    assert [found.name for found in make_process(tmp_path).source(kind).discover("a.csv")] == ["a.csv"]


@pytest.mark.parametrize("kind", ["sql", "rest", "", "Files", "../files"])
def test_a_source_that_is_not(tmp_path: Path, kind: str) -> None:
    with pytest.raises(DefinitionError, match="there is no source") as caught:
        make_process(tmp_path).source(kind)
    assert "files" in caught.value.hint


def test_a_handlers_ports_have_its_state_and_the_deployments_limits(tmp_path: Path) -> None:
    process = make_process(tmp_path, rows_per_part=17)
    service = Service(name="box", handlers={}, collections=("things",))
    state = UnitOfWork(process.store, "box", service.collections)
    ports = process.ports(service, state)
    assert ports.state is state
    assert (ports.limits.rows_per_part, ports.limits.listing_page) == (17, 90)
    ports.progress("a step", 1, 2)


def test_building_a_process_opens_no_warehouse(tmp_path: Path) -> None:
    process = make_process(tmp_path)
    assert not (tmp_path / "store" / "warehouse.duckdb").exists()
    process.close()


def test_a_named_definition_may_lie_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "elsewhere.yaml").write_text("x: 1")
    settings = load({}, root=str(tmp_path / "store"), project=str(tmp_path / "project"))
    process = wiring.build(settings, definition_files={"pipelines/p.yaml": tmp_path / "elsewhere.yaml"})
    assert process.definitions.read("pipelines/p.yaml").text == "x: 1"


def test_channels_go_by_their_names(tmp_path: Path) -> None:
    process = make_process(tmp_path)
    assert {"console", "teams"} <= set(process.channels)
    assert all(channel.name == name for name, channel in process.channels.items())


def test_what_a_channel_tells_people_to_type_names_the_store(tmp_path: Path) -> None:
    process = make_process(tmp_path)
    told = Notice("k", "t", "Begin with: mend explain i0123456789ab", "info", command="mend undo r0123456789ab")
    process.channels["jsonl"].send(told)
    line = json.loads((tmp_path / "store" / "notices.jsonl").read_text())
    root = process.settings.root
    assert line["summary"] == f"Begin with: mend explain i0123456789ab --root {root}"
    assert line["command"] == f"mend undo r0123456789ab --root {root}"
