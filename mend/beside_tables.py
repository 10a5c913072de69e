"""Tables that a contract compares its data with, given to a trial as files: ``--table orders=orders.csv``."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from shared.domain.errors import DefinitionMissing
from shared.ports.warehouse import BATCH_COLUMN, ROW_COLUMN, SEQ_COLUMN, Layout, LoadJob, TableColumn

if TYPE_CHECKING:
    import polars as pl

    from shared.domain.contract import Contract
    from shared.ports.warehouse import LogicalType
    from shared.runtime.wiring import Process

BATCH: Final = "given"
_PARQUET: Final = (".parquet", ".pq")


def given_tables(given: Sequence[str], contract: Contract, path: str) -> dict[str, Path]:
    """``name=FILE`` by name; ``DefinitionMissing`` when it is written otherwise or the file is not there.

    So it is when the contract names no such table: nothing would be compared with it.
    """
    found: dict[str, Path] = {}
    named = _named(contract, path) if given else set()
    for each in given:
        name, _, file = each.partition("=")
        if not name or not file:
            raise DefinitionMissing(
                f"{each}: name a table as the contract does, and its file: --table orders=orders.csv"
            )
        if not Path(file).is_file():
            raise DefinitionMissing(f"{file}: there is no such file for the table {name}")
        if name not in named:
            others = f"those that it names are {', '.join(sorted(named))}" if named else "it names none"
            raise DefinitionMissing(f"{path} compares nothing with a table {name}; {others}")
        found[name] = Path(file)
    return found


def _named(contract: Contract, path: str) -> set[str]:
    """The tables that the contract compares its data with, by the names that it has for them."""
    from services.validate.sql_rules import other_tables

    read = {table for tables in other_tables(contract, path).values() for table in tables}
    return {each.table for each in contract.references} | read


def judged_alone(contract: Contract, path: str, tables: Collection[str]) -> Contract:
    """The contract without what compares it with tables that are not among ``tables``."""
    from services.validate.sql_rules import other_tables

    beside = other_tables(contract, path)
    return replace(
        contract,
        references=tuple(each for each in contract.references if each.table in tables),
        quality=tuple(each for each in contract.quality if set(beside.get(each, ())) <= set(tables)),
    )


def not_compared(contract: Contract, path: str, tables: Collection[str]) -> Iterator[str]:
    """What ``judged_alone`` leaves out, in sentences."""
    from services.validate.sql_rules import other_tables

    for each in contract.references:
        if each.table not in tables:
            what = f"{', '.join(each.columns)}: the keys of {each.table} are in a warehouse; mend run looks there"
            yield f"{what}, or name a file: {_how(each.table)}"
    for rule, read in other_tables(contract, path).items():
        for table in [table for table in read if table not in tables][:1]:
            name = f" ({rule.name})" if rule.name else ""
            where = f"{rule.column}: " if rule.column else ""
            what = f"{where}the query{name} reads {table}, which is in a warehouse; mend run looks there"
            yield f"{what}, or name a file: {_how(table)}"


def _how(table: str) -> str:
    return f"--table {table}=FILE"


def load_tables(process: Process, dataset: str, tables: Mapping[str, Path], contract: Contract) -> None:
    """Put the files into the trial's own warehouse, those without a dataset into ``dataset``."""
    import polars as pl

    for number, (name, file) in enumerate(tables.items()):
        table = name if "." in name else f"{dataset}.{name}"
        try:
            rows = _read(file, _known(contract, name))
        except (OSError, pl.exceptions.PolarsError) as error:
            raise DefinitionMissing(
                f"{file}: cannot be read as the table {name}; name a CSV or Parquet file"
            ) from error
        columns = tuple(TableColumn(each, _logical_type(kind)) for each, kind in rows.schema.items())
        stored = f"beside/{number}.parquet"
        ours = {BATCH_COLUMN: pl.lit(BATCH), SEQ_COLUMN: pl.lit(BATCH)}
        counted = pl.int_range(1, rows.height + 1, dtype=pl.Int64).alias(ROW_COLUMN)
        with process.objects.write(stored) as stream:
            rows.with_columns(counted, **ours).write_parquet(stream)
        process.warehouse.ensure(table, columns, Layout())
        process.warehouse.run(LoadJob(f"given-{number}", table, "overwrite", (stored,), columns, (), BATCH, BATCH))


def _known(contract: Contract, table: str) -> dict[str, LogicalType]:
    """What type columns of a table should have: that of the one which refers to it, else of the one named alike."""
    of_name = {each.name: each.logical_type for each in contract.columns}
    referring = {
        parent: of_name[child]
        for each in contract.references
        if each.table == table
        for child, parent in zip(each.columns, each.parent_columns, strict=True)
        if child in of_name
    }
    return {**of_name, **referring}


def _read(file: Path, known: Mapping[str, LogicalType]) -> pl.DataFrame:
    """The rows with types that a table has; nested values are left out, and so are our columns of an exported table."""
    import polars as pl

    from mend.csv_columns import typed_csv

    rows = pl.read_parquet(file) if file.suffix.lower() in _PARQUET else typed_csv(file, known)
    rows = rows.drop(name for name in rows.columns if name.startswith("_mend_"))
    kept = rows.select(name for name, kind in rows.schema.items() if not kind.is_nested() and kind != pl.Null)
    return kept.select(_stored(pl.col(name), kind) for name, kind in kept.schema.items())


def _stored(column: pl.Expr, kind: Any) -> pl.Expr:
    import polars as pl

    if isinstance(kind, pl.Datetime) and kind.time_zone is None:
        column = column.dt.replace_time_zone("UTC")
    stored: dict[LogicalType, Any] = {
        "integer": pl.Int64(),
        "number": pl.Float64(),
        "boolean": pl.Boolean(),
        "date": pl.Date(),
        "timestamp": pl.Datetime("us", "UTC"),
        "time": pl.Time(),
    }
    return column.cast(stored.get(_logical_type(kind), pl.String()))


def _logical_type(kind: Any) -> LogicalType:
    import polars as pl

    if kind.is_integer():
        return "integer"
    if kind.is_numeric():
        return "number"
    known: list[tuple[Any, LogicalType]] = [
        (pl.Boolean, "boolean"), (pl.Date, "date"), (pl.Datetime, "timestamp"), (pl.Time, "time"),
    ]  # fmt: skip
    return next((name for each, name in known if kind == each), "string")
