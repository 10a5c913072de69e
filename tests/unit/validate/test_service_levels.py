"""Service levels: known ages at the moment of arrival; what is late is told, and held when the contract says so."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from services.classify.dataset_findings import finding as diagnosis
from shared.domain.contract import parse_contract
from shared.domain.service_levels import service_levels
from shared.ports.state_store import Put
from tests.unit.validate.world import World

Make = Callable[..., World]

PROPERTIES = [
    {"name": "id", "logicalType": "integer"},
    {"name": "at", "logicalType": "timestamp"},
    {"name": "day", "logicalType": "date"},
]
HOLDS = {"customProperties": [{"property": "severity", "value": "error"}]}
ARRIVED = datetime(2026, 3, 10, 12, tzinfo=UTC)


def delivered(world: Make, levels: list[dict[str, Any]], cells: dict[str, list[Any]], **fields: Any) -> Any:
    made = world(PROPERTIES)
    made.contract["slaProperties"] = levels
    arrived = int(ARRIVED.timestamp() * 1_000_000)
    made.process.store.commit([Put("deliveries", "b1", {"batch_id": "b1", "registered_at": arrived})])
    rows = pl.DataFrame({"id": [str(each) for each in range(len(cells["at"]))], **cells})
    return made.judge(rows, **fields)


def level(name: str, value: Any, unit: str, element: str) -> dict[str, Any]:
    return {"property": name, "value": value, "unit": unit, "element": element}


def reported(result: Any) -> list[tuple[str, str, int]]:
    return [(check, column, result.evidence(check, column).get("observed", -1)) for check, column in result.incidents]


TWO = ["2026-03-08T12:00:00Z", "2026-03-10T02:00:00+02:00"]  # 48 and 12 hours before


@pytest.mark.parametrize(
    ("levels", "wanted"),
    [
        ([level("freshness", 12, "h", "things.at")], []),
        ([level("freshness", 11.9, "h", "things.at")], [("quality:freshness", "at", 12)]),
        ([level("freshness", 719, "min", "at")], [("quality:freshness", "at", 720)]),
        ([level("Freshness", 0, "d", "things.at")], [("quality:freshness", "at", 0)]),
        ([level("latency", 2, "d", "things.at")], []),
        ([level("latency", 47, "hours", "things.at")], [("quality:latency", "at", 48)]),
        # The ninth is over at midnight: twelve hours before.
        ([level("freshness", 12, "h", "things.day")], []),
        ([level("freshness", 11, "h", "things.day")], [("quality:freshness", "day", 12)]),
        ([level("latency", 1, "w", "things.at, things.day")], []),
        (
            [level("latency", 1, "d", "things.at, things.day")],
            [("quality:latency", "at", 2), ("quality:latency", "day", 1)],
        ),
    ],
)
def test_ages_are_measured_when_the_delivery_was_taken_in(
    world: Make, levels: list[dict[str, Any]], wanted: list[tuple[str, str, int]]
) -> None:
    result = delivered(world, levels, {"at": TWO, "day": ["2026-03-08", "2026-03-09"]})
    assert sorted(reported(result)) == sorted(wanted)
    assert result.validated.state == "released"
    assert result.validated.rows_passed == 2
    for check, column in result.incidents:
        assert diagnosis(check, column, result.evidence(check, column)).cause == "late_delivery"


def test_a_level_of_severity_error_holds_the_batch(world: Make) -> None:
    late, kept = ({**level("freshness", hours, "h", "things.at"), **HOLDS} for hours in (11, 12))
    days: list[Any] = [None, None]
    result = delivered(world, [late], {"at": TWO, "day": days})
    assert (result.validated.state, result.validated.rows_passed) == ("held", 0)
    assert result.evidence("quality:freshness", "at")["severity"] == "error"
    assert delivered(world, [kept], {"at": TWO, "day": days}).validated.state == "released"
    waived = delivered(world, [late], {"at": TWO, "day": days}, waive=["quality:freshness:at"])
    assert waived.validated.state == "released"


def test_columns_are_named_as_in_the_standard_or_as_in_the_data(world: Make) -> None:
    contract = parse_contract(
        """\
apiVersion: v3.1.0
kind: DataContract
id: x
version: "1"
schema:
  - name: orders
    physicalName: shop.t_orders
    properties:
      - {name: ordered, physicalName: TS_1, logicalType: timestamp}
      - {name: TS_2, physicalName: x, logicalType: date}
      - {name: y, physicalName: TS_2, logicalType: date}
slaProperties:
  - {property: freshness, value: 2, unit: y, element: "orders.ordered, TS_1, shop.t_orders.TS_1, orders.TS_2, y"}
  - {property: latency, value: 1, unit: years, element: t_orders.ordered, valueExt: 2, schedule: daily}
""",
        "c",
    )
    levels, unchecked = service_levels(contract)
    assert [each.column for each in levels] == ["TS_1", "TS_1", "TS_1", "x", "TS_2", "TS_1"]
    assert {each.seconds for each in levels} == {2 * 31_557_600, 31_557_600}
    assert [(promised.property, why.partition(" is")[0]) for promised, why in unchecked] == [
        ("latency", "its valueExt"),
        ("latency", "its schedule"),
    ]


def test_cells_without_a_time_and_waivers_count_for_nothing(world: Make) -> None:
    late = [level("freshness", 1, "h", "things.at")]
    days: list[Any] = [None, None]
    untyped = delivered(world, late, {"at": [None, "soon"], "day": days})
    assert "quality:freshness" not in {check for check, _ in untyped.incidents}
    assert reported(delivered(world, late, {"at": TWO, "day": days}, waive=["quality:freshness:at"])) == []
    assert reported(delivered(world, late, {"at": TWO, "day": days}, whole=False)) == []
    assert len(reported(delivered(world, late, {"at": TWO, "day": days}))) == 1


@pytest.mark.parametrize(
    ("levels", "why"),
    [
        (level("availability", 99.9, "percent", ""), "no delivery can show it"),
        (level("freshness", "soon", "h", "things.at"), "no number"),
        (level("freshness", 1, "fortnight", "things.at"), "its unit"),
        (level("freshness", 1, "m", "things.at"), "minutes or months"),
        (level("freshness", 1, "Months", "things.at"), "no fixed time"),
        (level("frequency", 1, "d", "things.at"), "alerts: freshness"),
        (level("freshness", -1, "h", "things.at"), "no duration"),
        (level("freshness", 1, "h", "things.id"), "names no column"),
        (level("freshness", 1, "h", "things.nothing"), "names no column"),
        (level("latency", 1, "h", ""), "names no column"),
        (level("latency", 1, "h", "elsewhere.at"), "another object"),
    ],
)
def test_what_cannot_be_checked_is_said(world: Make, levels: dict[str, Any], why: str) -> None:
    import yaml

    made = world(PROPERTIES)
    made.contract["slaProperties"] = [levels]
    checked, ((_, told),) = service_levels(parse_contract(yaml.safe_dump(made.contract), "c"))
    assert checked == []
    assert why in told


@pytest.mark.parametrize(("more", "held"), [(HOLDS, True), ({}, False)])
def test_a_level_that_holds_is_not_kept_by_rows_without_a_time(world: Make, more: dict[str, Any], held: bool) -> None:
    cells = {"at": [None, None], "day": ["2026-03-09"] * 2}
    result = delivered(world, [level("freshness", 12, "h", "things.at") | more], cells)
    assert (result.held is not None) == held
    if held:
        incident = result.incidents["quality:freshness", "at"]
        assert "no row has a time" in incident.message
        assert (
            "nobody can tell"
            in diagnosis("quality:freshness", "at", result.evidence("quality:freshness", "at")).explanation
        )
    empty = delivered(world, [level("freshness", 12, "h", "things.at") | more], {"at": [], "day": []})
    assert ("quality:freshness", "at") not in empty.incidents


def test_levels_are_about_the_element_that_is_said_for_all() -> None:
    text = """
apiVersion: v3.0.2
kind: DataContract
id: t
version: 1.0.0
status: active
schema: [{name: t, properties: [{name: at, logicalType: timestamp}, {name: day, logicalType: date}]}]
slaDefaultElement: t.at
slaProperties: [{property: freshness, value: 1, unit: d}, {property: latency, value: 1, unit: d, element: t.day}]
"""
    levels, unchecked = service_levels(parse_contract(text, "t.yaml"))
    assert ([each.column for each in levels], unchecked) == (["at", "day"], [])
