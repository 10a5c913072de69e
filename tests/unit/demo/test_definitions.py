"""Goal: the definitions are what a user could have written: our readers and the standard's schema both take them."""

import json
from pathlib import Path

import jsonschema
import open_data_contract_standard
import pytest
import yaml

from mend.demo.project import DEFINITIONS, definition_paths, write_definitions
from shared.domain.contract import parse_contract
from shared.domain.pipeline import parse_pipeline
from shared.domain.policy import parse_policy

CONTRACTS = [name for name in definition_paths() if name.startswith("contracts/")]
PIPELINES = [name for name in definition_paths() if name.startswith("pipelines/")]


def _text(name: str) -> str:
    return (DEFINITIONS / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CONTRACTS)
def test_contracts_are_plain_odcs(name: str) -> None:
    schema = Path(open_data_contract_standard.__file__).parent / "schema.json"
    jsonschema.Draft201909Validator(json.loads(schema.read_text())).validate(yaml.safe_load(_text(name)))
    contract = parse_contract(_text(name), name)
    assert contract.primary_key
    assert contract.unsupported == ()


@pytest.mark.parametrize("name", PIPELINES)
def test_pipelines_name_what_exists(name: str) -> None:
    pipeline = parse_pipeline(_text(name), name)
    assert pipeline.contract in CONTRACTS
    contract = parse_contract(_text(pipeline.contract), pipeline.contract, pipeline.destination.table)
    assert pipeline.destination.table == f"travel.{contract.table}"
    tables = {f"travel.{Path(other).stem}" for other in PIPELINES}
    assert {reference.qualified("travel") for reference in contract.references} <= tables


def test_a_person_decides_about_units() -> None:
    assert parse_policy(_text("policy.yaml"), "policy.yaml").action("convert_unit", "flights") == "propose"


def test_a_project_is_laid_out(tmp_path: Path) -> None:
    written = write_definitions(tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in written] == definition_paths()
    assert write_definitions(tmp_path) == written
