"""A document as Firestore keeps it: its JSON text, and beside it the top-level fields that queries ask for.

The text brings back what was written, to the last bit: Firestore itself refuses a list in a list and an empty field
name, and turns 2.0 into 2. It is not indexed; fields inside it would be, one index entry each, up to 40,000 a document.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from shared.domain.checks import check
from shared.domain.errors import InvariantBroken, LimitExceeded
from shared.ports.state_store import StoreLimits

if TYPE_CHECKING:
    from google.cloud.firestore_v1.types import Document, Value

TEXT: Final = "json"
FIELDS: Final = "f"
NONCE: Final = "n"
EXPIRES: Final = "expire_at"
INDEXED_BYTES_MAX: Final = 1_500  # Firestore indexes no more of a text
NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_RESERVED: Final = re.compile(r"__.*__|\.{1,2}")
_KEY_BYTES_MAX: Final = 1_500
_NESTING_MAX: Final = 20
_JSON: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def name_of(key: str, limits: StoreLimits) -> str:
    """The key as a document's name: without a slash, and none of the names that Firestore keeps for itself."""
    check(key != "", "a document has a key")
    name = key.replace("%", "%25").replace("/", "%2F")
    if _RESERVED.fullmatch(name):
        name = f"%{ord(name[0]):02X}{name[1:]}"
    if len(key.encode()) > limits.key_bytes_max or len(name.encode()) > _KEY_BYTES_MAX:
        raise LimitExceeded(f"{key[:100]}…: the key has more than {limits.key_bytes_max} bytes")
    return name


def key_of(document: Document) -> str:
    """The key of a document."""
    return unquote(document.name.rpartition("/")[2], errors="strict")


def text_of(document: Document) -> str:
    """The JSON text of a document."""
    return str(document.fields[TEXT].string_value)


def version_of(document: Document) -> int:
    """Microseconds of the last change, the finest that Firestore tells apart."""
    changed = document.update_time.timestamp_pb()
    return int(changed.seconds * 1_000_000 + changed.nanos // 1_000)


def encoded(data: Mapping[str, Any], place: str) -> str:
    """The document as JSON text that reads back as the same document; ``InvariantBroken`` if it is not like JSON."""
    document = dict(data)
    _check(document, place, 0)
    text = _JSON.encode(document)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvariantBroken(f"{place}: text with half a surrogate pair; clean it before it becomes state") from error
    return text


def fields_of(data: Mapping[str, Any], text: str, nonce: int, expires_at: int) -> dict[str, Any]:
    """The fields of the stored document, as values of Firestore's protocol.

    ``nonce`` differs from write to write: Firestore leaves a document's version alone when nothing in it changes.
    """
    from google.cloud.firestore_v1.types import MapValue, Value

    known = {
        name: value_of(value) for name, value in data.items() if NAME.fullmatch(name) and not _RESERVED.match(name)
    }
    fields: dict[str, Any] = {
        TEXT: Value(string_value=text),
        FIELDS: Value(map_value=MapValue(fields=known)),
        NONCE: Value(integer_value=nonce),
    }
    if expires_at:
        fields[EXPIRES] = Value(timestamp_value={"seconds": expires_at // 1_000_000})
    return fields


def value_of(value: Any) -> Value:
    """A value to ask for. A list or a mapping only says that there is one; a long text is cut as an index would."""
    from google.cloud.firestore_v1.types import ArrayValue, MapValue, Value

    if value is None:
        return Value(null_value=0)
    if isinstance(value, bool):
        return Value(boolean_value=value)
    if isinstance(value, int):
        return Value(integer_value=value)
    if isinstance(value, float):
        return Value(double_value=value)
    if isinstance(value, str):
        return Value(string_value=value.encode()[:INDEXED_BYTES_MAX].decode(errors="ignore"))
    return Value(map_value=MapValue()) if isinstance(value, Mapping) else Value(array_value=ArrayValue())


def _check(value: Any, place: str, depth: int) -> None:
    if value is None or isinstance(value, bool | str):
        return
    if isinstance(value, int):
        check(-(2**63) <= value < 2**63, f"{place}: a whole number has at most 64 bits")
    elif isinstance(value, float):
        check(value - value == 0.0, f"{place}: a number is finite")
    elif isinstance(value, dict):
        check(depth < _NESTING_MAX, f"{place}: at most {_NESTING_MAX} levels of nesting")
        for key, each in value.items():
            check(isinstance(key, str), f"{place}: a field's name is text")
            _check(each, place, depth + 1)
    else:
        cannot = f"{place}: {type(value).__name__} cannot be stored; give text, a number, a list or a mapping"
        check(isinstance(value, list | tuple), cannot)
        check(depth < _NESTING_MAX, f"{place}: at most {_NESTING_MAX} levels of nesting")
        for each in value:
            _check(each, place, depth + 1)
