"""Types for the columns of a CSV file that stands for a table: those that lose nothing of how a cell is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shared.domain.contract import Column

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import polars as pl

    from shared.domain.contract import LogicalType

# What a type writes itself: 0010 and +1 are codes, 03/04/2024 may be two days. In this order; else it is text.
_SHAPES: Final[tuple[tuple[LogicalType, str], ...]] = (
    ("integer", r"^(?:0|-?[1-9][0-9]*)$"),
    ("number", r"^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?$"),
    ("boolean", r"^(?i:true|false)$"),
    ("date", r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"),
    ("timestamp", r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]+(?:Z|[+-][0-9]{2}:?[0-9]{2})?$"),
    ("time", r"^[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?$"),
)


def typed_csv(file: Path, known: Mapping[str, LogicalType]) -> pl.DataFrame:
    """The file's rows; a column that is ``known`` has that type if all of its cells have it."""
    import polars as pl

    texts = pl.read_csv(file, infer_schema=False)
    return texts.select(_typed(cells, known.get(cells.name)) for cells in texts.get_columns())


def _typed(cells: pl.Series, known: LogicalType | None) -> pl.Series:
    if known is not None:
        found = _cast(cells, known)
        if found is not None:
            return found
    written = cells.drop_nulls()
    written = written.filter(written != "")
    for kind, shape in _SHAPES:
        if written.len() and written.str.contains(shape).all():
            found = _cast(cells, kind)
            if found is not None:
                return found
    return cells


def _cast(cells: pl.Series, kind: LogicalType) -> pl.Series | None:
    """The cells in the type as a pipeline reads them; None unless all have it."""
    from services.validate.casting import TextRules, cast_frame

    if kind == "string":
        return cells
    cast = cast_frame(cells.to_frame(), [Column(name=cells.name, logical_type=kind)], TextRules())
    return None if cast.failed else cast.frame.to_series()
