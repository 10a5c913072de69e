"""The JSON Schemas that editors complete from are those of the models."""

from __future__ import annotations

import json

import jsonschema
import pytest
import yaml

from shared.domain.schemas import FOLDER, MODELS, schema_text
from tests.unit.domain.test_pipeline import GOOD


@pytest.mark.parametrize("name", sorted(MODELS))
def test_the_file_is_current(name: str) -> None:
    written = (FOLDER / f"{name}.schema.json").read_text(encoding="utf-8")
    assert written == schema_text(name), "run: python -m shared.domain.schemas"


@pytest.mark.parametrize("name", sorted(MODELS))
def test_it_is_a_schema_without_unknown_keys(name: str) -> None:
    schema = json.loads(schema_text(name))
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["additionalProperties"] is False


def test_it_accepts_the_example() -> None:
    jsonschema.validate(yaml.safe_load(GOOD), json.loads(schema_text("pipeline")))
