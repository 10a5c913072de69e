"""JSON Schemas of the files users write, generated from the models: ``python -m shared.domain.schemas``."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel

from shared.domain.pipeline import PipelineDefinition
from shared.domain.policy import Policy

FOLDER = Path(__file__).resolve().parents[2] / "schemas"
MODELS: dict[str, type[BaseModel]] = {"pipeline": PipelineDefinition, "policy": Policy}


def schema_text(name: str) -> str:
    """The content of ``schemas/{name}.schema.json``."""
    schema = MODELS[name].model_json_schema(by_alias=True)
    headed = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Mendline {name} file",
        **{key: value for key, value in schema.items() if key != "title"},
    }
    return json.dumps(headed, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write every schema."""
    for name in MODELS:
        (FOLDER / f"{name}.schema.json").write_text(schema_text(name), encoding="utf-8")


if __name__ == "__main__":
    main()
