"""Our own walk over a JSON Schema: every unknown key is found, and each finding says where and what to do.

It knows the keywords that the contract standard's schema uses. Three differences from a plain validator are deliberate.
A condition on an absent key is false (the standard's schema would otherwise ask every untyped column for a ``map``). Of
several alternatives the one that the value comes nearest to is reported. And a key that ``unevaluatedProperties`` alone
forbids is found but tolerated: the field's tools do not look at that keyword, and their users' files hold such keys.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeAlias

from shared.domain.definition_file import Path, shape_of, suggestion

Schema: TypeAlias = Mapping[str, Any]

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
    "array": (list,),
    "object": (dict,),
}
_TYPE_WORDS = {
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "null": "nothing",
    "array": "a list",
    "object": "a mapping",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that the schema refuses; ``tolerated`` when it is only to be said."""

    path: Path
    message: str
    hint: str = ""
    tolerated: bool = False


@dataclass(slots=True)
class _Judged:
    """What a walk over one value found, and which of its keys some schema knew."""

    findings: list[Finding] = field(default_factory=list)
    known: set[str] = field(default_factory=set)

    def add(self, other: _Judged) -> None:
        self.findings += other.findings
        self.known |= other.known

    @property
    def refused(self) -> list[Finding]:
        """The findings that are not tolerated."""
        return [each for each in self.findings if not each.tolerated]


class SchemaWalk:
    """Judges plain values by one JSON Schema document."""

    def __init__(self, root: Schema) -> None:
        self._root = root

    def findings(self, value: Any, definition: str = "") -> list[Finding]:
        """Everything the schema (or one of its ``$defs``) refuses or only tolerates in ``value``."""
        schema = self._root if not definition else self._root["$defs"][definition]
        return self._judge(schema, value, ()).findings

    def _judge(self, schema: Schema, value: Any, path: Path) -> _Judged:
        judged = _Judged()
        if "$ref" in schema:
            judged.add(self._judge(self._resolve(schema["$ref"]), value, path))
        if "type" in schema and not _is_type(value, schema["type"]):
            judged.findings.append(_wrong_type(value, schema["type"], path))
            return judged
        judged.findings += _scalar_findings(schema, value, path)
        for part in schema.get("allOf", ()):
            judged.add(self._judge(part, value, path))
        for keyword in ("oneOf", "anyOf"):
            if keyword in schema:
                judged.add(self._nearest(schema[keyword], value, path, exactly_one=keyword == "oneOf"))
        if "not" in schema and not self._judge(schema["not"], value, path).refused:
            keys = ", ".join(f'"{key}"' for key in schema["not"].get("required", ()))
            judged.findings.append(Finding(path, f"{keys or 'this'} cannot stand here", "take it out"))
        if "if" in schema:
            branch = "then" if self._holds(schema["if"], value) else "else"
            if branch in schema:
                judged.add(self._judge(schema[branch], value, path))
        if isinstance(value, dict):
            self._judge_object(schema, value, path, judged)
        elif isinstance(value, list):
            self._judge_list(schema, value, path, judged)
        return judged

    def _judge_object(self, schema: Schema, value: dict[str, Any], path: Path, judged: _Judged) -> None:
        properties: Mapping[str, Schema] = schema.get("properties", {})
        judged.known |= properties.keys()
        for key, below in properties.items():
            if key in value:
                judged.findings += self._judge(below, value[key], (*path, key)).findings
        for key in schema.get("required", ()):
            if key not in value:
                judged.findings.append(Finding(path, f'the key "{key}" is missing', "add it"))
        closed = schema.get("additionalProperties") is False
        if closed or schema.get("unevaluatedProperties") is False:
            known = set(properties) if closed else judged.known
            for key in value:
                if key not in known:
                    hint = suggestion(key, known)
                    judged.findings.append(Finding((*path, key), f'unknown key "{key}"', hint, not closed))

    def _judge_list(self, schema: Schema, value: list[Any], path: Path, judged: _Judged) -> None:
        if "items" in schema:
            for index, item in enumerate(value):
                judged.findings += self._judge(schema["items"], item, (*path, index)).findings
        if len(value) < schema.get("minItems", 0):
            judged.findings.append(Finding(path, f"fewer than {schema['minItems']} entries", "add one"))
        if "maxItems" in schema and len(value) > schema["maxItems"]:
            judged.findings.append(Finding(path, f"more than {schema['maxItems']} entries", "take one out"))
        if schema.get("uniqueItems"):
            seen: set[str] = set()
            for index, item in enumerate(value):
                text = repr(item)
                if text in seen:
                    judged.findings.append(Finding((*path, index), "this entry stands here twice", "keep one"))
                    break
                seen.add(text)

    def _nearest(self, branches: Sequence[Schema], value: Any, path: Path, *, exactly_one: bool) -> _Judged:
        """The first branch that fits, or the one whose complaints lie deepest in the value."""
        judgements = [self._judge(branch, value, path) for branch in branches]
        fitting = [judged for judged in judgements if not judged.refused]
        if len(fitting) > 1 and exactly_one:
            named = [set(branch.get("required", ())) & set(value) for branch in branches if isinstance(value, dict)]
            keys = sorted({key for keys in named for key in keys})
            if len(keys) > 1:
                listed = ", ".join(f'"{key}"' for key in keys)
                known = {key for judged in fitting for key in judged.known}
                return _Judged([Finding(path, f"only one of {listed} can stand here", "keep one of them")], known)
        if fitting:
            best = fitting[0]
            for judged in fitting[1:]:
                best.known |= judged.known
            return best
        wanted = sorted({key for branch in branches for key in branch.get("required", ())})
        if isinstance(value, dict) and len(wanted) > 1 and not any(key in value for key in wanted):
            known = {key for judged in judgements for key in judged.known}
            listed = ", ".join(wanted)
            return _Judged([Finding(path, "one of the keys of its kind is missing", f"add one of {listed}")], known)
        return max(judgements, key=lambda judged: (max(len(f.path) for f in judged.refused), -len(judged.refused)))

    def _holds(self, condition: Schema, value: Any) -> bool:
        """An ``if``: like validation, but a condition on an absent key is false."""
        if "anyOf" in condition:
            return any(self._holds(part, value) for part in condition["anyOf"])
        if not isinstance(value, dict):
            return False
        if any(key not in value for key in condition.get("required", ())):
            return False
        return all(
            key in value and not self._judge(below, value[key], ()).refused
            for key, below in condition.get("properties", {}).items()
        )

    def _resolve(self, reference: str) -> Schema:
        target: Any = self._root
        for step in reference.removeprefix("#/").split("/"):
            target = target[step]
        return target  # type: ignore[no-any-return]


def _is_type(value: Any, names: str | list[str]) -> bool:
    for name in [names] if isinstance(names, str) else names:
        if isinstance(value, bool):
            if name == "boolean":
                return True
        elif isinstance(value, _TYPES[name]) or (name == "integer" and isinstance(value, float) and value.is_integer()):
            return True
    return False


def _wrong_type(value: Any, names: str | list[str], path: Path) -> Finding:
    listed = [names] if isinstance(names, str) else names
    wanted = " or ".join(_TYPE_WORDS[name] for name in listed)
    hint = ""
    if listed == ["string"] and isinstance(value, (int, float, bool)):
        hint = "quote it"
    elif listed == ["boolean"]:
        hint = "write true or false"
    elif listed == ["array"]:
        hint = "begin each entry with a dash"
    last = path[-1] if path else "the file"
    name = f"entry {last + 1}" if isinstance(last, int) else f'"{last}"'
    return Finding(path, f"{name} must be {wanted}, found {shape_of(value)}", hint)


def _scalar_findings(schema: Schema, value: Any, path: Path) -> list[Finding]:
    name = next((f'"{step}"' for step in reversed(path) if isinstance(step, str)), "this")
    if "enum" in schema and value not in schema["enum"]:
        known = [str(item) for item in schema["enum"]]
        return [Finding(path, f'{name} cannot be "{value}"', suggestion(str(value), known))]
    if "const" in schema and value != schema["const"]:
        return [Finding(path, f'{name} must be "{schema["const"]}"')]
    if isinstance(value, str) and "pattern" in schema and _pattern(schema["pattern"]).search(value) is None:
        return [Finding(path, f"{name} is written wrongly", f"it must match {schema['pattern']}")]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if "minimum" in schema and value < schema["minimum"]:
            return [Finding(path, f"{name} is less than {schema['minimum']}")]
        if "exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]:
            return [Finding(path, f"{name} must be more than {schema['exclusiveMinimum']}")]
    return []


@lru_cache(maxsize=64)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text)
