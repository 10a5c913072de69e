"""Inside objects and arrays: known answers, the same rows as the oracle's in every chunking, and hostile cells."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from services.validate import nested_cells
from services.validate.nested_cells import NestedCells
from shared.domain.contract import Contract, parse_contract
from tests.oracles import nested_oracle
from tests.unit.validate.world import World

ORDER: dict[str, Any] = {
    "name": "order",
    "logicalType": "object",
    "logicalTypeOptions": {"required": ["code"]},
    "properties": [
        {"name": "id", "logicalType": "integer", "required": True, "logicalTypeOptions": {"minimum": 1}},
        {"name": "code", "logicalType": "string", "logicalTypeOptions": {"pattern": "^[A-Z]+$", "maxLength": 3}},
        {"name": "day", "logicalType": "date"},
        {"name": "paid", "logicalType": "boolean"},
        {"name": "note"},
        {"name": "price", "logicalType": "number", "logicalTypeOptions": {"maximum": 10}},
        {
            "name": "address",
            "logicalType": "object",
            "required": True,
            "properties": [{"name": "zip", "logicalType": "string", "enum": [{"value": "1"}, {"value": "2"}]}],
        },
        {
            "name": "lines",
            "logicalType": "array",
            "logicalTypeOptions": {"minItems": 1, "maxItems": 3, "uniqueItems": True},
            "items": {
                "logicalType": "object",
                "required": True,
                "properties": [
                    {"name": "sku", "logicalType": "string", "required": True},
                    {"name": "qty", "logicalType": "integer"},
                    {"name": "tags", "logicalType": "array", "items": {"logicalType": "string"}},
                ],
            },
        },
    ],
}
GOOD: dict[str, Any] = {
    "id": 1, "code": "AB", "day": "2024-02-29", "paid": True, "note": None, "price": 1.5,
    "address": {"zip": "1"}, "lines": [{"sku": "a", "qty": 1, "tags": ["x", None]}, {"sku": "b"}],
}  # fmt: skip
MAP: dict[str, Any] = {
    "name": "m",
    "logicalType": "map",
    "map": {
        "key": {"logicalType": "string", "logicalTypeOptions": {"maxLength": 2}},
        "value": {"logicalType": "integer", "required": True},
    },
}
VECTOR: dict[str, Any] = {"name": "v", "logicalType": "vector", "logicalTypeOptions": {"dimensions": 2}}
SIZED: dict[str, Any] = {
    "name": "o",
    "logicalType": "object",
    "logicalTypeOptions": {"minProperties": 1, "maxProperties": 2},
    "properties": [{"name": "a", "logicalType": "integer"}],
}
LIST: dict[str, Any] = {
    "name": "l",
    "logicalType": "array",
    "logicalTypeOptions": {"uniqueItems": True},
    "items": {"logicalType": "number"},
}
NOTED: dict[str, Any] = {
    "name": "n",
    "logicalType": "object",
    "logicalTypeOptions": {"required": ["note"]},
    "properties": [{"name": "note"}, {"name": "other", "required": True}],
}
PLAIN: dict[str, Any] = {
    "name": "p",
    "logicalType": "array",
    "logicalTypeOptions": {"minItems": 2, "uniqueItems": True},
}


def contract_of(*properties: dict[str, Any]) -> Contract:
    document = {
        "apiVersion": "v3.2.0", "kind": "DataContract", "id": "x", "version": "1", "status": "active",
        "schema": [{"name": "t", "properties": list(properties)}],
    }  # fmt: skip
    return parse_contract(yaml.safe_dump(document), "c.yaml")


def found(asked: dict[str, Any], cells: list[str | None]) -> list[set[tuple[str, str]]]:
    """What is broken in each cell, all judged as one chunk."""
    broken: list[set[tuple[str, str]]] = [set() for _ in cells]
    failures = NestedCells(contract_of(asked).columns).failures(
        pl.DataFrame({asked["name"]: pl.Series(cells, dtype=pl.String)})
    )
    for rule, mask in failures:
        for row in mask.arg_true():
            broken[row].add(rule.key)
    return broken


def changed(**values: Any) -> str:
    return json.dumps({**GOOD, **values})


def without(name: str) -> str:
    return json.dumps({key: value for key, value in GOOD.items() if key != name})


KNOWN: list[tuple[dict[str, Any], str, set[tuple[str, str]]]] = [
    (ORDER, json.dumps(GOOD), set()),
    (ORDER, json.dumps(GOOD, indent=2), set()),
    (ORDER, changed(more={"b": [1]}), set()),
    (ORDER, changed(id=0), {("range", "order.id")}),
    (ORDER, changed(id="1"), {("type", "order.id")}),
    (ORDER, changed(id=1.5), {("type", "order.id")}),
    (ORDER, changed(id=2.0), set()),
    (ORDER, changed(id=True), {("type", "order.id")}),
    (ORDER, changed(id=2**63), {("type", "order.id")}),
    (ORDER, changed(id=2**63 - 1), set()),
    (ORDER, changed(id=None), {("required", "order.id")}),
    (ORDER, without("id"), {("required", "order.id")}),
    (ORDER, changed(id=[1]), {("type", "order.id")}),
    (ORDER, changed(code=5), {("type", "order.code")}),
    (ORDER, changed(code=None), set()),
    (ORDER, without("code"), {("required", "order.code")}),
    (ORDER, changed(code=""), {("pattern", "order.code")}),
    (ORDER, changed(code="abcd"), {("pattern", "order.code"), ("length", "order.code")}),
    (ORDER, changed(code={"a": 1}), {("type", "order.code")}),
    (ORDER, changed(day="2023-02-29"), {("type", "order.day")}),
    (ORDER, changed(day="29.02.2024"), {("type", "order.day")}),
    (ORDER, changed(day=20240229), {("type", "order.day")}),
    (ORDER, changed(day=None), set()),
    (ORDER, changed(paid="true"), {("type", "order.paid")}),
    (ORDER, changed(paid=1), {("type", "order.paid")}),
    (ORDER, changed(paid=False), set()),
    (ORDER, without("note"), set()),
    (NOTED, '{"note": null}', {("required", "n.other")}),
    (NOTED, "{}", {("required", "n.note"), ("required", "n.other")}),
    (NOTED, '{"note": 5, "other": {}}', set()),
    (ORDER, changed(note=[{"x": 1}]), set()),
    (ORDER, changed(price=10.5), {("range", "order.price")}),
    (ORDER, changed(price=10), set()),
    (ORDER, changed(price=-(2**53) - 1), {("type", "order.price")}),  # no double holds it
    (ORDER, changed(price="1.5"), {("type", "order.price")}),
    (ORDER, changed(address=None), {("required", "order.address")}),
    (ORDER, without("address"), {("required", "order.address")}),
    (ORDER, changed(address="1"), {("type", "order.address")}),
    (ORDER, changed(address=[]), {("type", "order.address")}),
    (ORDER, changed(address={}), set()),
    (ORDER, changed(address={"zip": "3"}), {("enum", "order.address.zip")}),
    (ORDER, changed(address={"zip": 1}), {("type", "order.address.zip")}),
    (ORDER, changed(lines=None), set()),
    (ORDER, changed(lines=[]), {("length", "order.lines")}),
    (ORDER, changed(lines={}), {("type", "order.lines")}),
    (ORDER, changed(lines=[None]), {("required", "order.lines[]")}),
    (ORDER, changed(lines=[{}]), {("required", "order.lines[].sku")}),
    (ORDER, changed(lines=["a"]), {("type", "order.lines[]")}),
    (ORDER, changed(lines=[{"sku": "a"}, {"sku": "a"}]), {("unique_items", "order.lines")}),
    (ORDER, changed(lines=[{"sku": "a", "x": 1}, {"sku": "a", "x": 2}]), set()),
    (ORDER, changed(lines=[{"sku": "a", "qty": 1}, {"qty": 1.0, "sku": "a"}]), {("unique_items", "order.lines")}),
    (ORDER, changed(lines=[{"sku": each} for each in "abcd"]), {("length", "order.lines")}),
    (ORDER, changed(lines=[{"sku": "a", "qty": "1"}, {"sku": 5}]),
     {("type", "order.lines[].qty"), ("type", "order.lines[].sku")}),
    (ORDER, changed(lines=[{"sku": "a", "tags": "x"}]), {("type", "order.lines[].tags")}),
    (ORDER, changed(lines=[{"sku": "a", "tags": [1]}]), {("type", "order.lines[].tags[]")}),
    (ORDER, '{"id": 1, "id": 2,' + json.dumps(GOOD)[1:], {("type", "order")}),
    (ORDER, '{"note": 1,' + json.dumps(GOOD)[1:], set()),  # twice, but nothing is asked of its type
    (ORDER, '{"more": 1, "more": 2,' + json.dumps(GOOD)[1:], set()),
    (MAP, '{"a": 1, "bc": 2}', set()),
    (MAP, "{}", set()),
    (MAP, '{"abc": 1}', {("length", "m.* (key)")}),
    (MAP, '{"a": "1"}', {("type", "m.*")}),
    (MAP, '{"a": null}', {("required", "m.*")}),
    (MAP, '{"a": 1, "a": 2}', {("type", "m")}),
    (VECTOR, "[0.5, 1]", set()),
    (VECTOR, "[0.5]", {("length", "v")}),
    (VECTOR, "[0.5, null]", {("required", "v[]")}),
    (VECTOR, '[0.5, "1"]', {("type", "v[]")}),
    (SIZED, "{}", {("length", "o")}),
    (SIZED, '{"a": 1, "x": 2}', set()),
    (SIZED, '{"a": 1, "x": 2, "y": 3}', {("length", "o")}),
    (LIST, "[1, 2, 3]", set()),
    (LIST, "[1, 1.0]", {("unique_items", "l")}),
    (LIST, "[null, null]", {("unique_items", "l")}),
    (LIST, "[]", set()),
    (PLAIN, '[1, "1", true, [1], {"a": 1}]', set()),
    (PLAIN, "[1]", {("length", "p")}),
    (PLAIN, '[{"a": 1, "b": [2]}, {"b": [2.0], "a": 1}]', {("unique_items", "p")}),
    (PLAIN, '[1, true, 0, false, null, "null"]', set()),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "cell", "wanted"), KNOWN)
def test_known_answers(asked: dict[str, Any], cell: str, wanted: set[tuple[str, str]]) -> None:
    if str(2**53 + 1) not in cell:  # which plain Python holds
        assert nested_oracle.broken(cell, asked) == wanted
    assert found(asked, [cell]) == [wanted]
    if asked is ORDER:  # among others that are right, and one that the quick look stumbles over
        assert found(asked, [json.dumps(GOOD), cell, None, changed(id="x")]) == [
            set(), wanted, set(), {("type", "order.id")},
        ]  # fmt: skip


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 12)
    | st.sampled_from([0.5, 1.0, 11.25, 2**60, "1", "2", "A", "abcd", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abx"), inner, max_size=3),
    max_leaves=4,
)
LINE = st.fixed_dictionaries(
    {}, optional={"sku": st.sampled_from(["a", "b", None]) | JSON, "qty": st.sampled_from([1, 1.0, 2]), "tags": JSON}
)
CELL = st.one_of(
    st.just(GOOD),
    st.sampled_from(sorted(GOOD)).flatmap(lambda name: JSON.map(lambda value: {**GOOD, name: value})),
    st.lists(LINE | JSON, max_size=4).map(lambda lines: {**GOOD, "lines": lines}),
    st.fixed_dictionaries({}, optional=dict.fromkeys(GOOD, JSON)),
)


@settings(deadline=None, max_examples=200)
@given(st.lists(CELL, max_size=6))
def test_the_same_as_in_the_oracle(cells: list[dict[str, Any]]) -> None:
    texts: list[str | None] = [json.dumps(each) for each in cells]
    assert found(ORDER, texts) == [nested_oracle.broken(text, ORDER) for text in texts if text is not None]


@settings(deadline=None, max_examples=100)
@given(st.lists(st.lists(st.sampled_from([1, 1.0, 2, -0.0, 0, None, "1", 2**53, 2**53 - 1]), max_size=4), max_size=6))
def test_numbers_in_arrays_as_in_the_oracle(cells: list[list[Any]]) -> None:
    texts: list[str | None] = [json.dumps(each) for each in cells]
    assert found(LIST, texts) == [nested_oracle.broken(text, LIST) for text in texts if text is not None]


def test_the_thorough_look_alone_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the quick look, asked alone, doubts no row that is right."""
    cells: list[str | None] = [cell for asked, cell, _ in KNOWN if asked is ORDER]
    before = found(ORDER, cells)
    monkeypatch.setattr(nested_cells, "_doubted", lambda *_: None)
    assert found(ORDER, cells) == before == [wanted for asked, _, wanted in KNOWN if asked is ORDER]


def test_rows_that_are_right_are_not_looked_at_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    thorough = nested_cells.NestedWalk.look
    monkeypatch.setattr(
        nested_cells.NestedWalk,
        "look",
        lambda self, rows, cells: (looked.extend(rows), thorough(self, rows, cells))[1],
    )
    good = json.dumps(GOOD)
    assert found(ORDER, [good] * 50) == [set()] * 50
    assert looked == []
    assert found(ORDER, [good] * 50 + [changed(price=11)])[-1] == {("range", "order.price")}
    assert looked == [50]
    monkeypatch.setattr(nested_cells, "SLICE_ROWS", 10)
    looked.clear()
    assert found(ORDER, [good] * 25 + [changed(id="x")] + [good] * 25)[25] == {("type", "order.id")}
    assert looked == list(range(20, 30))


# ── hostile cells ──


@pytest.mark.parametrize(
    ("asked", "cell", "wanted"),
    [
        (PLAIN, json.dumps(list(range(100_001))), {("length", "p")}),
        (LIST, json.dumps([1] * 100_001), {("length", "l"), ("unique_items", "l")}),
        (MAP, json.dumps({str(each): 1 for each in range(100_001)}), {("length", "m"), ("length", "m.* (key)")}),
        (ORDER, changed(code="\ud800"), {("type", "order.code")}),
        (MAP, '{"\\ud800": 1}', {("type", "m.* (key)")}),
        (MAP, '{"a": 1e999999}', {("type", "m.*")}),
        (PLAIN, '[1e99999999999999999999, 1e99999999999999999998]', set()),
        (PLAIN, "[" * 100_000, {("type", "p")}),
        (ORDER, '{"id": 1', {("type", "order")}),
        (ORDER, "\x00", {("type", "order")}),
        (ORDER, f'{{"note": 0, "code": "A", "address": {{}}, "id": {"9" * 5_000}}}', {("type", "order.id")}),
    ],
)  # fmt: skip
def test_hostile_cells_are_violations(asked: dict[str, Any], cell: str, wanted: set[tuple[str, str]]) -> None:
    assert found(asked, [cell]) == [wanted]


def test_a_cell_that_is_nested_too_deep_is_no_json(world: Callable[..., World]) -> None:
    deep = '{"id": 1, "x": ' + "[" * 5_000 + "]" * 5_000 + "}"
    result = world([{**ORDER, "logicalTypeOptions": {}}]).judge(pl.DataFrame({"order": [deep, json.dumps(GOOD), "[]"]}))
    assert result.reasons == {("type", "order"): {1, 3}}
