"""What a contract claims of the inside of JSON cells: which names there are, of what type, and which always.

Types are those of JSON. Objects with many names, or with names that are data themselves, are maps: nothing is claimed
of their inside. Names that stand in few of the objects are not declared; the contract allows them all the same.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

from mend.column_claims import ISO_MOMENTS, REQUIRED_ROWS_MIN, claimed, is_real_date
from mend.column_sample import ColumnSample
from shared.domain.contract_nested import KEPT_AS, LEVELS_MAX
from shared.domain.contract_writing import property_of

if TYPE_CHECKING:
    import polars as pl

    from shared.domain.contract import LogicalType

CELLS_MAX: Final = 5_000  # looked into, spread over the sample
BYTES_MAX: Final = 20_000_000  # of them
VALUES_MAX: Final = 50_000  # of one place
NAMES_MAX: Final = 50
SHARE_MIN: Final = 0.05
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_ -]{0,62}")
_WHOLE: Final = re.compile(r"-?(?:0|[1-9]\d{0,17})")


class _Number(str):
    """A number, as it is written."""

    __slots__ = ()


_DECODER: Final = json.JSONDecoder(parse_float=_Number, parse_int=_Number)


def nested(cells: pl.Series) -> str:
    """The inside of an object's or array's cells as ``Column.nested`` has it; "" where nothing is claimed."""
    some = cells.gather_every(max(1, len(cells) // CELLS_MAX))
    some = some.filter(some.str.len_bytes().cum_sum() <= BYTES_MAX)
    try:
        values = [_DECODER.decode(cell.strip(" \t\r\n")) for cell in some]
    except (ValueError, RecursionError):
        return ""
    inside = _inside(values, 1)
    return json.dumps(inside, ensure_ascii=False) if inside else ""


def _inside(values: Sequence[Any], level: int) -> dict[str, Any]:
    """``properties`` of objects, ``items`` of arrays."""
    if level > LEVELS_MAX or not values:
        return {}
    if isinstance(values[0], list):
        items = _claims("[]", [item for value in values for item in value][:VALUES_MAX], level)
        return {"items": {key: said for key, said in items.items() if key != "name"}} if "logicalType" in items else {}
    counts = Counter(name for value in values for name in value)
    if len(counts) > NAMES_MAX or not all(map(_NAME.fullmatch, counts)):
        return {}
    often = [name for name, times in counts.items() if times >= SHARE_MIN * len(values)]
    found = [_claims(name, [value.get(name) for value in values], level) for name in often]
    return {"properties": found} if found else {}


def _claims(name: str, values: list[Any], level: int) -> dict[str, Any]:
    """One property; without a type where its values have several, or none."""
    present = [value for value in values if value is not None]
    kind = _kind(present)
    if kind == "" or kind in KEPT_AS.values():
        required = len(present) == len(values) >= REQUIRED_ROWS_MIN
        said = {"name": name, "logicalType": kind, "required": required}
        return {key: each for key, each in said.items() if each} | (_inside(present, level + 1) if kind else {})
    return property_of(claimed(_sample(name, kind, present, len(values)), (), set()))


def _kind(present: list[Any]) -> LogicalType | Literal[""]:
    """The one JSON type of all values."""
    kinds = {type(value) for value in present}
    if len(kinds) != 1:
        return ""
    kind = kinds.pop()
    if kind is _Number:
        return "integer" if all(map(_WHOLE.fullmatch, present)) else "number"
    named: dict[type, LogicalType] = {dict: "object", list: "array", bool: "boolean", str: "string"}
    return named[kind]


def _sample(name: str, kind: LogicalType, present: list[Any], rows: int) -> ColumnSample:
    """A place's values as if they were a column's; dates and times are texts in JSON."""
    import polars as pl

    texts = [str(value) for value in present]
    known = pl.Series(name, texts, dtype=pl.String)
    if kind == "string":
        kind = next((moment for moment, shape in ISO_MOMENTS if _all_are(known, moment, shape)), kind)
    values = known.extend_constant(None, rows - len(known))
    return ColumnSample(name=name, position=0, values=values, rows=rows, logical_type=kind, known=known)


def _all_are(texts: pl.Series, moment: LogicalType, shape: str) -> bool:
    """Whether all have the shape, and days that there are."""
    if not texts.str.contains(shape).all():
        return False
    return moment == "time" or is_real_date(texts)
