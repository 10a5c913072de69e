"""Any document of the standard, with every option there is, is accepted, and what is written of it reads back equal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from shared.domain.contract import parse_contract, write_contract
from tests.unit.domain.test_contract import standard, with_column

VALIDATOR = standard()
EXAMPLES = sorted((Path(__file__).parents[3] / "examples").rglob("*.odcs.yaml"))
FLAG = st.booleans()
SIZE = st.integers(0, 9)
NUMBER = st.integers(-9, 9) | st.sampled_from([0.5, -2.25, 1e300])
WORD = st.from_regex(r"[a-z][a-z0-9]{0,4}", fullmatch=True)
TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), max_size=8)
MOMENTS = {"date": "2020-01-31", "timestamp": "2020-01-31T12:00:00Z", "time": "12:30:00"}


def some(**options: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=options)


def ordered(low: str, high: str) -> st.SearchStrategy[dict[str, Any]]:
    return (
        st.tuples(SIZE, SIZE).map(sorted).flatmap(lambda pair: some(**{low: st.just(pair[0]), high: st.just(pair[1])}))
    )


def bounded(low: st.SearchStrategy[Any], high: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return some(minimum=low, maximum=high, exclusiveMinimum=low, exclusiveMaximum=high)


def joined(*parts: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.tuples(*parts).map(lambda found: {key: value for part in found for key, value in part.items()})


LOW, HIGH = st.integers(-99, -1) | st.just(-0.5), st.integers(1, 99) | st.just(0.5)
OPTIONS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "string": joined(
        ordered("minLength", "maxLength"),
        some(pattern=st.sampled_from(["^a+$", r"\d: #"]), format=st.sampled_from(["email", "uuid", "password", "x y"])),
    ),
    "integer": joined(
        bounded(LOW, HIGH), some(multipleOf=st.integers(1, 9), format=st.sampled_from(["i8", "u16", "i64", "i128"]))
    ),
    "number": joined(bounded(LOW, HIGH), some(multipleOf=st.just(0.5), format=st.sampled_from(["f32", "f64"]))),
    "boolean": st.just({}),
    **{
        kind: joined(
            bounded(st.just(text), st.just(text)),
            some(format=st.sampled_from(["%d.%m.%Y %H:%M", "yyyy-MM-dd HH:mm:ss"])),
            some(timezone=FLAG, defaultTimezone=st.just("Europe/Rome")) if kind != "date" else st.just({}),
        )
        for kind, text in MOMENTS.items()
    },
    "object": joined(ordered("minProperties", "maxProperties"), some(required=st.just(["a", "b"]))),
    "array": joined(ordered("minItems", "maxItems"), some(uniqueItems=FLAG)),
}
ENUMS: dict[str, list[Any]] = {
    "string": ["NO", "007", "1e5", ""], "integer": [1, 2], "number": [0.5, 2], "boolean": [True],
    **{kind: [text] for kind, text in MOMENTS.items()},
}  # fmt: skip
QUALITY = st.sampled_from(
    [
        {"metric": "nullValues", "mustBe": 0},
        {"metric": "nullValues", "mustBeLessThan": 5, "unit": "percent", "severity": "warning", "name": "few"},
        {"metric": "duplicateValues", "mustBe": 0},
        {"metric": "missingValues", "mustBeBetween": [0, 3], "arguments": {"missingValues": ["NA", None]}},
        {"type": "text", "description": "looks nice"},
        {"type": "sql", "query": "SELECT COUNT(*) FROM ${table}", "mustBe": 0, "dimension": "accuracy"},
        {"type": "custom", "engine": "soda", "implementation": "x: y"},
    ]
)
CUSTOM = st.sampled_from(
    [
        {"property": "severity", "value": "warning"},
        {"property": "theirs", "value": {"b": [1, None, "NO"]}},
        {"property": "unit", "value": "km"},
        {"property": "nullValues", "value": ["NA", ""]},
        {"property": "allowedRepairs", "value": []},
        {"property": "driftLimits", "value": {"enabled": False, "meanShift": 2}},
    ]
)


def typed(kind: str, inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """What a property of a kind says of its type and values, without its name."""
    found = some(
        logicalTypeOptions=OPTIONS.get(kind, st.just({})),
        required=FLAG,
        description=TEXT,
        classification=TEXT,
        tags=st.lists(TEXT, max_size=2, unique=True),
        physicalType=st.just("X(3)"),
        quality=st.lists(QUALITY, max_size=2),
        customProperties=st.lists(CUSTOM, max_size=2, unique_by=lambda each: str(each["property"])),
        **({"enum": st.just([{"value": value} for value in ENUMS[kind]])} if kind in ENUMS else {}),
    )
    parts: dict[str, st.SearchStrategy[Any]] = {"logicalType": st.just(kind)}
    if kind == "object":
        parts["properties"] = named(inner, 0)
    elif kind == "array":
        parts["items"] = inner
    elif kind == "map":
        parts["map"] = st.fixed_dictionaries({"key": inner, "value": inner})
    elif kind == "vector":
        kinds = st.sampled_from(["int8", "float32", "binary"])
        vector = some(elementType=kinds, normalized=FLAG, distanceMetric=st.just("cosine"))
        parts["logicalTypeOptions"] = vector.map(lambda options: {**options, "dimensions": 3})
    return joined(found, st.fixed_dictionaries(parts))


def named(inner: st.SearchStrategy[dict[str, Any]], least: int) -> st.SearchStrategy[list[dict[str, Any]]]:
    pairs = st.lists(st.tuples(WORD, inner), min_size=least, max_size=3, unique_by=lambda pair: pair[0])
    return pairs.map(lambda found: [{"name": name, **each} for name, each in found])


SINGLE = st.sampled_from(["string", "integer", "number", "boolean", *MOMENTS]).flatmap(
    lambda kind: typed(kind, st.nothing())
)
INNER = st.recursive(
    SINGLE,
    lambda inner: st.sampled_from(["object", "array", "map", "vector"]).flatmap(lambda kind: typed(kind, inner)),
    max_leaves=4,
)
COLUMN = joined(
    INNER,
    some(unique=FLAG, synonyms=st.just([{"synonym": "other"}]), physicalName=WORD.map(lambda name: f"P_{name}")),
)
DOCUMENT = st.fixed_dictionaries(
    {
        "apiVersion": st.just("v3.2.0"),
        "kind": st.just("DataContract"),
        "id": TEXT,
        "version": TEXT,
        "status": WORD,
        "schema": named(COLUMN, 1)
        .filter(lambda found: len({each.get("physicalName", each["name"]) for each in found}) == len(found))
        .map(lambda found: [{"name": "t", "properties": found}]),
    },
    optional={
        "slaProperties": st.lists(
            st.fixed_dictionaries(
                {
                    "property": st.sampled_from(["freshness", "latency", "retention"]),
                    "value": st.none() | FLAG | NUMBER | WORD,
                },
                optional={
                    "unit": st.sampled_from(["d", "m", "years"]),
                    "element": st.just("t.a"),
                    "valueExt": NUMBER | WORD,
                    "driver": st.just("regulatory"),
                    "scheduler": st.just("cron"),
                    "schedule": st.just("0 20 * * *"),
                    "description": TEXT,
                    "customProperties": st.just([{"property": "severity", "value": "error"}]),
                },
            ),
            max_size=2,
        ),
    },
)


@settings(deadline=None, max_examples=80, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(DOCUMENT)
def test_any_document_of_the_standard_is_accepted_and_kept(document: dict[str, Any]) -> None:
    text = json.dumps(document, indent=1, ensure_ascii=False)  # which is YAML, with "1e5" in quotes
    errors = [each.message for each in VALIDATOR.iter_errors(document)]
    assert not errors
    contract = parse_contract(text, "c.yaml")
    written = write_contract(contract)
    again = parse_contract(written, "d.yaml")
    assert again == contract
    assert [column.inside for column in again.columns] == [column.inside for column in contract.columns]
    assert write_contract(again) == written
    assert not list(VALIDATOR.iter_errors(yaml.safe_load(written)))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_are_kept(path: Path) -> None:
    contract = parse_contract(path.read_text(), path.name)
    assert parse_contract(write_contract(contract), "d.yaml") == contract


@pytest.mark.parametrize("flag", [True, False])
def test_the_flag_of_a_time_zone_is_kept_and_said_to_be_unchecked(flag: bool) -> None:
    contract = with_column(f"logicalType: timestamp\nlogicalTypeOptions: {{timezone: {str(flag).lower()}}}")
    assert contract.columns[0].has_timezone is flag
    assert f"timezone: {str(flag).lower()}" in write_contract(contract)
    assert contract.unsupported[0].what.startswith(f"timezone: {str(flag).lower()} is not checked")
    assert contract.unsupported[0].line == 10
