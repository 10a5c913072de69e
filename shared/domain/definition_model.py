"""Turns a parsed definition file into a pydantic model, and pydantic's complaints into places in the file."""

from __future__ import annotations

import re
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from shared.domain.definition_file import Document, Path, shape, step_into, suggestion
from shared.domain.errors import DefinitionError

ModelT = TypeVar("ModelT", bound=BaseModel)


def read_model(document: Document, model: type[ModelT]) -> ModelT:
    """Validate a document against a pydantic model; the first wrong place is the error, with a suggestion."""
    try:
        return model.model_validate(document.root.plain())
    except ValidationError as error:
        raise _model_error(document, error, model) from None


_MUST_BE = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping (key: value)",
    "bool_type": "true or false",
}


def _model_error(document: Document, error: ValidationError, model: type[BaseModel]) -> DefinitionError:
    found = error.errors(include_url=False)
    unknown_first = [item for item in found if item["type"] == "extra_forbidden"] or found
    item = min(unknown_first, key=lambda each: document.position(_real_path(document, each["loc"])))
    path, kind = _real_path(document, item["loc"]), item["type"]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    node, name = document.node(path), _name(item["loc"])
    if kind == "extra_forbidden":
        return document.error(path, f"unknown key {name}{more}", suggestion(name.strip('"'), _fields(model, path[:-1])))
    if kind == "missing":
        wanted = document.position(_real_path(document, item["loc"][:-1]))
        return DefinitionError(document.path, *wanted, f"the key {name} is missing{more}", "add it")
    if kind in ("literal_error", "enum"):
        expected = re.findall(r"'([^']*)'", str(item.get("ctx", {}).get("expected", "")))
        shown = f'"{node.text}"' if node.text else shape(node)
        return document.error(path, f"{name} cannot be {shown}{more}", suggestion(node.text, expected))
    if kind in _MUST_BE:
        hint = "quote it" if kind == "string_type" and node.items is None and node.entries is None else ""
        return document.error(path, f"{name} must be {_MUST_BE[kind]}, found {shape(node)}{more}", hint)
    sentence, _, hint = item["msg"].removeprefix("Value error, ").partition(" | ")
    if kind == "string_pattern_mismatch":
        sentence, hint = (
            f"{name} is written wrongly",
            _description(model, path) or f"it must match {item['ctx']['pattern']}",
        )
    elif kind != "value_error":
        sentence = f"{name}: {sentence[:1].lower()}{sentence[1:]}"
    return document.error(path, sentence + more, hint)


def _name(loc: tuple[int | str, ...]) -> str:
    """What a location is called in a message."""
    if not loc:
        return "the file"
    last = loc[-1]
    if isinstance(last, int):
        return f"entry {last + 1} of {_name(loc[:-1])}"
    return f'"{last}"'


def _real_path(document: Document, loc: tuple[int | str, ...]) -> Path:
    """A pydantic location without the steps that name a union's branch instead of a place in the file."""
    node = document.root
    path: list[int | str] = []
    for step in loc:
        below = step_into(node, step)
        if below is not None:
            path.append(step)
            node = below
    return tuple(path)


def _fields(model: type[BaseModel], path: Path) -> list[str]:
    """Names, as users write them, of the fields that a model has at a place."""
    current = _model_at(model, path)
    return [] if current is None else [info.alias or name for name, info in current.model_fields.items()]


def _description(model: type[BaseModel], path: Path) -> str:
    current = _model_at(model, path[:-1])
    field = None if current is None or not path else current.model_fields.get(str(path[-1]))
    return "" if field is None else field.description or ""


def _model_at(model: type[BaseModel], path: Path) -> type[BaseModel] | None:
    current: type[BaseModel] | None = model
    for step in path:
        if isinstance(step, str):
            field = None if current is None else current.model_fields.get(step)
            current = None if field is None else _model_in(field.annotation)
    return current


def _model_in(annotation: object) -> type[BaseModel] | None:
    """The first model class inside an annotation such as ``X | None`` or ``tuple[X, ...]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in getattr(annotation, "__args__", ()):
        found = _model_in(part)
        if found is not None:
            return found
    return None
