"""What columns an Avro schema has: their Arrow types, and how values as the library gives them become those.

Values are taken as they are written, since the library's own logical types round decimals and fail on dates that Python
has not. Columns keep their types as those of Parquet do. Texts become: what no column type can say exactly (times of
day, decimals of more than 38 digits, durations), and, as JSON, what has a map, a decimal or more than one type inside.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from services.ingest.avro_container import AvroDamaged
from shared.domain.reading import escaped_text

if TYPE_CHECKING:
    import pyarrow as pa

DEPTH_MAX: Final = 64
TYPES_MAX: Final = 20_000
DIGITS_MAX: Final = 38  # of a column of decimals
_LOGICAL: Final = "mend.logical"  # under other names the library passes them over
_DECIMAL: Final = "mend.decimal"
_KEPT: Final = ("type", "name", "namespace", "symbols", "size", "items", "values")
_SINGLES: Final = ("null", "boolean", "int", "long", "float", "double", "bytes", "string", "enum", "fixed")
# What Python type the values of a type have; within a union they tell which one it is.
_PYTHON: Final = {
    "null": type(None), "boolean": bool, "int": int, "long": int, "float": float, "double": float, "bytes": bytes,
    "fixed": bytes, "string": str, "enum": str, "record": dict, "map": dict, "array": list,
}  # fmt: skip
_NO_SCHEMA: Final = "an Avro file whose schema is none"
_TIMESTAMPS: Final = {"millis": "ms", "micros": "us", "nanos": "ns"}
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MIDNIGHT: Final = 86_400 * 10**6

Turn = Callable[[Any], Any]


class AvroColumn(NamedTuple):
    """A field of the records. ``turn`` makes a value that is not null one of ``kind``; None: it is one."""

    name: str
    kind: pa.DataType
    turn: Turn | None


def plain_schema(schema: Any, depth: int = 0) -> Any:
    """The schema without logical types, defaults and words, as the library is to read it."""
    if depth > DEPTH_MAX:
        raise AvroDamaged("unreadable", f"an Avro schema of more than {DEPTH_MAX} levels")
    if isinstance(schema, list):
        return [plain_schema(each, depth + 1) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: schema[key] for key in _KEPT if key in schema}
    for key in ("type", "items", "values"):
        if key in made:
            made[key] = plain_schema(made[key], depth + 1)
    if "fields" in schema:
        made["fields"] = [
            {"name": name, "type": plain_schema(kind, depth + 1)} for name, kind in _fields(schema["fields"])
        ]
    if isinstance(logical := schema.get("logicalType"), str):
        made[_LOGICAL] = logical
        made[_DECIMAL] = [schema.get("precision"), schema.get("scale", 0)]
    return made


def _fields(fields: Any) -> list[tuple[str, Any]]:
    """Names and types, the names all different."""
    listed = fields if isinstance(fields, list) else [None]
    named = [(str(each.get("name") or ""), each.get("type")) for each in listed if isinstance(each, dict)]
    if len({name for name, _ in named if name and name.isprintable()}) < len(listed):
        raise AvroDamaged("unreadable", _NO_SCHEMA)
    return named


def columns_of(plain: Any) -> list[AvroColumn]:
    """The columns of the records that a plain schema describes; ``AvroDamaged`` when it describes none."""
    import fastavro
    from fastavro.schema import SchemaParseException, UnknownType

    named: dict[str, Any] = {}
    try:
        parsed = fastavro.parse_schema(plain, named_schemas=named)
    except (SchemaParseException, UnknownType, ValueError, LookupError, TypeError, AttributeError):
        raise AvroDamaged("unreadable", _NO_SCHEMA) from None
    if not isinstance(parsed, dict) or parsed.get("type") != "record" or not parsed.get("fields"):
        raise AvroDamaged("unreadable", "an Avro file whose objects are no records, so that there are no columns")
    types = _Types(named)
    return [types.column(each["name"], each["type"]) for each in parsed["fields"]]


class _Types:
    """Looks through the types of one schema; ``named`` are those that have a name."""

    def __init__(self, named: dict[str, Any]) -> None:
        self._named = named
        self._within: list[str] = []
        self._seen = 0

    def column(self, name: str, schema: Any) -> AvroColumn:
        import pyarrow as pa

        self._refuse_endless(schema)
        branches = self._branches(schema)
        if len(branches) == 1 and (turned := self._decimal_or_text(branches[0])):
            return AvroColumn(name, *turned)
        kind = self._kind(schema)
        if kind is not None:
            return AvroColumn(name, kind, None)
        return AvroColumn(name, pa.string(), partial(self._text, schema))

    def _refuse_endless(self, schema: Any) -> int:
        """The least bytes that a value takes. What contains itself, or lists of nothing, would never end."""
        self._seen += 1
        if self._seen > TYPES_MAX:
            raise AvroDamaged("unreadable", f"an Avro schema of more than {TYPES_MAX:,} types")
        if isinstance(schema, list):
            return min((1 + self._refuse_endless(each) for each in schema), default=1)
        known = self._resolved(schema)
        name = str(known.get("name", ""))
        if name and name in self._within:
            raise AvroDamaged("unreadable", "an Avro schema with a type that contains itself")
        self._within.append(name)
        least = 1
        kind = known["type"]
        if kind == "record":
            least = sum(self._refuse_endless(each["type"]) for each in known["fields"])
        elif kind == "array" and not self._refuse_endless(known["items"]):
            raise AvroDamaged("unreadable", "an Avro schema with arrays of nothing")
        elif kind == "map":
            self._refuse_endless(known["values"])
        elif kind in ("null", "fixed"):
            least = int(known.get("size", 0))
        self._within.pop()
        return least

    def _resolved(self, schema: Any) -> dict[str, Any]:
        """The type itself, wherever it is described."""
        while True:
            known: dict[str, Any] = self._named.get(schema, {"type": schema}) if isinstance(schema, str) else schema
            if isinstance(inner := known["type"], dict) or (isinstance(inner, str) and inner in self._named):
                schema = inner
            else:
                return dict(known)

    def _branches(self, schema: Any) -> list[dict[str, Any]]:
        """What a value may be besides null."""
        listed = schema if isinstance(schema, list) else [schema]
        return [known for known in map(self._resolved, listed) if known["type"] != "null"]

    def _decimal_or_text(self, known: dict[str, Any]) -> tuple[pa.DataType, Turn] | None:
        """Of a single value that is another one than it is written as."""
        import pyarrow as pa

        kind, logical = known["type"], known.get(_LOGICAL, "")
        if scale := _scale(known):
            if scale[0] <= DIGITS_MAX:
                return pa.decimal128(DIGITS_MAX, scale[1]), partial(_decimal, scale=scale[1])
            return pa.string(), lambda value: format(_decimal(value, scale[1]), "f")
        if kind in ("int", "long") and logical in ("time-millis", "time-micros"):
            return pa.string(), partial(_time, factor=1000 if logical == "time-millis" else 1)
        if kind == "fixed" and known["size"] == 12 and logical == "duration":
            return pa.string(), _duration
        if kind == "fixed" and known["size"] == 16 and logical == "uuid":
            return pa.string(), _uuid
        return None

    def _kind(self, schema: Any) -> pa.DataType | None:
        """The type that takes values as they are; None when there is none."""
        import pyarrow as pa

        branches = self._branches(schema)
        if not branches:
            return pa.null()
        known = branches[0]
        if len(branches) > 1 or (known["type"] in _SINGLES and self._decimal_or_text(known)):
            return None
        if known["type"] == "array":
            inner = self._kind(known["items"])
            return None if inner is None else pa.list_(inner)
        if known["type"] == "record":
            fields = [(each["name"], self._kind(each["type"])) for each in known["fields"]]
            return None if not fields or any(kind is None for _, kind in fields) else pa.struct(fields)
        return _single(known)

    def _text(self, schema: Any, value: Any) -> str:
        """As JSON lines are staged: texts as they are, all others as JSON."""
        made = self._json_value(schema, value)
        return made if isinstance(made, str) else json.dumps(made, ensure_ascii=False)

    def _json_value(self, schema: Any, value: Any) -> Any:
        alike = [known for known in self._branches(schema) if isinstance(value, _PYTHON.get(known["type"], object))]
        # Of two records nothing says which one it is.
        known: dict[str, Any] = alike[0] if len(alike) == 1 else {"type": ""}
        if isinstance(value, dict) and known["type"] == "record":
            fields = {each["name"]: each["type"] for each in known["fields"]}
            return {name: self._json_value(fields[name], each) for name, each in value.items()}
        if isinstance(value, dict):
            return {name: self._json_value(known.get("values", []), each) for name, each in value.items()}
        if isinstance(value, list):
            return [self._json_value(known.get("items", []), each) for each in value]
        if value is None:
            return None
        turned = self._decimal_or_text(known)
        return _spoken(turned[1](value) if turned else value, known)


def _single(known: dict[str, Any]) -> pa.DataType | None:
    """The type of a column of single values."""
    import pyarrow as pa

    kind, logical = known["type"], str(known.get(_LOGICAL, ""))
    if kind == "int" and logical == "date":
        return pa.date32()
    local = logical.startswith("local-timestamp-")
    unit = _TIMESTAMPS.get(logical.removeprefix("local-").removeprefix("timestamp-")) if "timestamp-" in logical else ""
    if kind == "long" and unit:
        return pa.timestamp(unit) if local else pa.timestamp(unit, "UTC")
    return {
        "boolean": pa.bool_(), "int": pa.int32(), "long": pa.int64(), "float": pa.float32(), "double": pa.float64(),
        "bytes": pa.binary(), "fixed": pa.binary(), "string": pa.string(), "enum": pa.string(),
    }.get(kind)  # fmt: skip


def _scale(known: dict[str, Any]) -> tuple[int, int] | None:
    """Precision and scale of a decimal; None where the standard has it taken as bytes."""
    if known.get(_LOGICAL) != "decimal" or known["type"] not in ("bytes", "fixed"):
        return None
    precision, scale = known[_DECIMAL]
    sound = isinstance(precision, int) and isinstance(scale, int) and 0 <= scale <= precision <= 1_000 and precision > 0
    return (precision, scale) if sound else None


def _decimal(value: bytes, scale: int) -> Decimal:
    """The exact number; ``ValueError`` for one of thousands of digits, which Python does not write out."""
    whole = int.from_bytes(value, "big", signed=True)
    return Decimal((int(whole < 0), tuple(map(int, str(abs(whole)))), -scale))


def _time(value: int, factor: int) -> str:
    """A time of day in ISO 8601; what is beyond a day stays the number that it is."""
    if not 0 <= value * factor < _MIDNIGHT:
        return str(value)
    return (_EPOCH + dt.timedelta(microseconds=value * factor)).time().isoformat()


def _duration(value: bytes) -> str:
    months, days, milliseconds = (int.from_bytes(value[at : at + 4], "little") for at in (0, 4, 8))
    return f"P{months}M{days}DT{milliseconds // 1000}.{milliseconds % 1000:03d}S"


def _uuid(value: bytes) -> str:
    digits = value.hex()
    return "-".join(digits[start:end] for start, end in ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32)))


def _spoken(value: Any, known: dict[str, Any]) -> Any:
    """A single value as JSON says it."""
    kind = _single(known) if known["type"] in ("int", "long") else None
    if isinstance(value, Decimal):
        return float(value) if Decimal(repr(float(value))) == value else format(value, "f")
    if isinstance(value, bytes):
        return escaped_text(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if kind is not None and kind not in ("int32", "int64"):
        import pyarrow as pa

        return str(pa.scalar(value, kind).cast(pa.string()).as_py()).replace(" ", "T", 1)
    return value
