"""What the Parquet files of a job hold, from their footers, and their rows in staging tables of equal columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from shared.adapters.gcp.warehouse_schema import refused
from shared.adapters.table_shape import StoredColumn
from shared.domain.checks import check
from shared.domain.ids import derive
from shared.ports.object_store import ObjectStore

if TYPE_CHECKING:
    import pyarrow as pa

_READERS: Final = 8  # footers read at a time
_GLOB: Final = frozenset("*?[]{}\\")


class File(NamedTuple):
    """One file: its columns with BigQuery's types, how many rows, which columns have nulls, and least and greatest."""

    path: str
    uri: str
    generation: str
    bytes: int
    rows: int
    columns: tuple[tuple[str, str], ...]
    nulls: frozenset[str]  # case-folded names; those of which nothing is known are in it
    ranges: dict[str, tuple[Any, Any]]


class Staged(NamedTuple):
    """Files of equal columns, and the table that holds their rows."""

    table: str
    files: tuple[File, ...]

    @property
    def types(self) -> dict[str, str]:
        """The type of every column by case-folded name."""
        return {name.casefold(): sql_type for name, sql_type in self.files[0].columns}


def checked(path: str) -> str:
    """The path of a file inside the store; BigQuery reads a star in a URI as a pattern."""
    parts = path.split("/")
    check(bool(path) and ".." not in parts and parts[0] != "", "a file is named inside the store")
    check(not _GLOB.intersection(path), "a file's name has no wildcard")
    return path


def files_of(objects: ObjectStore, paths: Sequence[str]) -> list[File]:
    """The files, each asked for its footer; ``ForeignFailure`` (notFound) when one is missing."""
    for path in paths:
        checked(path)
    if len(paths) < 2:
        return [_file(objects, path) for path in paths]
    with ThreadPoolExecutor(_READERS) as readers:
        return list(readers.map(lambda path: _file(objects, path), paths))


def grouped(files: Sequence[File], place: Callable[[str], str]) -> list[Staged]:
    """The files in groups of equal columns, each with the staging table for just these files as they are now."""
    groups: dict[tuple[tuple[str, str], ...], list[File]] = {}
    for file in files:
        groups.setdefault(file.columns, []).append(file)
    return [
        Staged(place("s_" + derive(*(f"{file.uri}#{file.generation}" for file in group))), tuple(group))
        for group in groups.values()
    ]


def source(groups: Sequence[Staged], wanted: Sequence[StoredColumn]) -> str:
    """A SELECT of all the groups' rows with the columns and types ``wanted``; a column that a file lacks is null."""
    selects = [
        f"SELECT {', '.join(_cell(column, group.types.get(column.name.casefold())) for column in wanted)}"
        f" FROM `{group.table}`"
        for group in groups
    ]
    if not selects:
        selects.append(f"SELECT {', '.join(_cell(column, None) for column in wanted)} FROM (SELECT 1) WHERE FALSE")
    return "(" + " UNION ALL ".join(selects) + ")"


def _cell(column: StoredColumn, file_type: str | None) -> str:
    name = f"`{column.name}`"
    if file_type == column.sql_type:
        return name
    return f"CAST({name if file_type else 'NULL'} AS {column.sql_type}) AS {name}"


def _file(objects: ObjectStore, path: str) -> File:
    import pyarrow as pa
    import pyarrow.parquet as pq

    found = objects.stat(path)
    if found is None:
        raise refused("notFound", f"there is no file {path}")
    with objects.read(path) as stream:
        try:
            footer = pq.read_metadata(stream)
        except pa.ArrowInvalid as error:
            raise refused("invalid", f"{path} is not a Parquet file") from error
    schema = footer.schema.to_arrow_schema()
    nulls, ranges = _statistics(footer)
    return File(
        path=path,
        uri=objects.uri(path),
        generation=found.generation,
        bytes=found.bytes,
        rows=footer.num_rows,
        columns=tuple((field.name, _sql_type(field.type)) for field in schema),
        nulls=nulls,
        ranges=ranges,
    )


def _statistics(footer: Any) -> tuple[frozenset[str], dict[str, tuple[Any, Any]]]:
    """Columns that have nulls or may have some, and least and greatest of those of which both are known."""
    nulls: set[str] = set()
    ranges: dict[str, tuple[Any, Any]] = {}
    unknown: set[str] = set()
    for group in range(footer.num_row_groups):
        for index in range(footer.num_columns):
            column = footer.row_group(group).column(index)
            name = column.path_in_schema.casefold()
            known = column.statistics
            if known is None or not known.has_null_count or known.null_count:
                nulls.add(name)
            if known is None or not known.has_min_max:
                unknown.add(name)
                continue
            least, greatest = ranges.get(name, (known.min, known.max))
            ranges[name] = (min(least, known.min), max(greatest, known.max))
    return frozenset(nulls), {name: found for name, found in ranges.items() if name not in unknown}


def _sql_type(kind: pa.DataType) -> str:
    """The type that BigQuery gives a column of this one."""
    import pyarrow as pa

    types = pa.types
    tests: list[tuple[Callable[[Any], bool], str]] = [
        (types.is_integer, "INT64"),
        (types.is_floating, "FLOAT64"),
        (types.is_boolean, "BOOL"),
        (types.is_date, "DATE"),
        (types.is_time, "TIME"),
        (types.is_decimal, "NUMERIC"),
        (types.is_binary, "BYTES"),
    ]
    if types.is_timestamp(kind):
        return "TIMESTAMP" if kind.tz else "DATETIME"
    return next((name for test, name in tests if test(kind)), "STRING")
