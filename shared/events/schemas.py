"""Avro schemas generated from the event models: ``python -m shared.events.schemas [FOLDER]`` writes them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, get_args, get_origin

from shared.events.types import EVENT_TYPES, Event

_PRIMITIVES: dict[type, str] = {str: "string", int: "long", float: "double", bool: "boolean"}
# What a reader takes for a field that was not written yet: without one Avro refuses every schema that has grown.
_ABSENT: dict[str, Any] = {"string": "", "long": 0, "double": 0.0, "boolean": False}


def avro_schema(model: type[Event]) -> dict[str, Any]:
    """The Avro record of an event type: every payload has every field, none is a union, since Avro's JSON tags unions.

    Nothing is said in it that does not bind: other words in a docstring would be another revision of the schema.
    """
    fields = []
    for name, field in model.model_fields.items():
        avro = _avro_type(field.annotation)
        fields.append({"name": name, "type": avro, "default": [] if isinstance(avro, dict) else _ABSENT[avro]})
    record = "".join(word.capitalize() for word in model.TYPE.replace(".", "_").split("_"))
    return {"type": "record", "name": record, "namespace": "mendline.events", "fields": fields}


def _avro_type(annotation: Any) -> Any:
    if get_origin(annotation) is list:
        return {"type": "array", "items": _avro_type(_bare(get_args(annotation)[0]))}
    return _PRIMITIVES[_bare(annotation)]


def _bare(annotation: Any) -> Any:
    return get_args(annotation)[0] if hasattr(annotation, "__metadata__") else annotation


def file_name(model: type[Event]) -> str:
    """Where the schema of an event type lies in ``schemas/events``."""
    return f"{model.TYPE}.avsc"


def render(model: type[Event]) -> str:
    """The schema file's text."""
    return json.dumps(avro_schema(model), indent=2) + "\n"


def write(folder: Path) -> list[Path]:
    """Write every schema; files of types that are gone are removed."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {folder / file_name(model): render(model) for model in EVENT_TYPES.values()}
    for stale in set(folder.glob("*.avsc")) - set(wanted):
        stale.unlink()
    for path, text in wanted.items():
        path.write_text(text, encoding="utf-8")
    return sorted(wanted)


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "schemas/events"))
