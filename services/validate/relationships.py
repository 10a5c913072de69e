"""Foreign keys against the warehouse's parent tables, whose keys are kept as a snapshot beside the verdict."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING, NamedTuple

from services.validate.casting import polars_type
from services.validate.findings import Failure, Rule
from shared.domain import paths

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl

    from shared.domain.contract import Contract, Reference
    from shared.domain.pipeline import PipelineDefinition
    from shared.ports.ports import Ports


class Parent(NamedTuple):
    """One foreign key with its parent's keys, named and typed as the child's columns; no keys = no such table."""

    rule: Rule
    table: str
    parent_columns: tuple[str, ...]
    keys: pl.DataFrame | None
    snapshot: str  # path in the object store, "" without a table


def load_parents(
    contract: Contract,
    pipeline: PipelineDefinition,
    ports: Ports,
    own_keys: Callable[[tuple[str, ...]], pl.DataFrame],
) -> list[Parent]:
    """Read the keys of every parent table. A table that refers to itself has the attempt's own keys too."""
    parents = []
    for reference in contract.references:
        table = reference.qualified(pipeline.destination.dataset)
        keys = _parent_keys(reference, table, contract, ports)
        if table == pipeline.destination.table:
            keys = _with_own(keys, own_keys(reference.parent_columns), reference)
        snapshot = "" if keys is None else _write_snapshot(keys, table, reference, ports)
        rule = parent_rule(reference, known=keys is not None)
        parents.append(Parent(rule, table, reference.parent_columns, keys, snapshot))
    return parents


def parent_rule(reference: Reference, *, known: bool) -> Rule:
    """The rule that a foreign key refers to a row of a table, which is ``known`` or does not exist yet.

    It is named as the contract names it.
    """
    table = reference.table
    written = f"{table} ({', '.join(reference.parent_columns)})"
    what = f"there is no row in {written} with this key" if known else f"the table {table} does not exist yet"
    return Rule("relationship", reference.columns, what, reference.severity)


def _parent_keys(reference: Reference, table: str, contract: Contract, ports: Ports) -> pl.DataFrame | None:
    import polars as pl

    found = ports.warehouse.keys(table, reference.parent_columns)
    if found is None:
        return None
    keys = pl.DataFrame(pl.from_arrow(found))
    typed = []
    for child, parent in zip(reference.columns, reference.parent_columns, strict=True):
        column = contract.column(child)
        wanted = polars_type(column.logical_type if column else "string")
        typed.append(_comparable(keys[parent], wanted).alias(child))
    return pl.DataFrame(typed).drop_nulls().unique().sort(reference.columns)


def _comparable(keys: pl.Series, wanted: pl.DataType) -> pl.Series:
    import polars as pl

    if keys.dtype == wanted:
        return keys
    if isinstance(wanted, pl.Datetime) and isinstance(keys.dtype, pl.Datetime) and keys.dtype.time_zone is None:
        return keys.dt.cast_time_unit("us").dt.replace_time_zone("UTC")
    return keys.cast(wanted, strict=False)


def _with_own(keys: pl.DataFrame | None, own: pl.DataFrame, reference: Reference) -> pl.DataFrame:
    import polars as pl

    renamed = own.select(
        pl.col(parent).alias(child) for child, parent in zip(reference.columns, reference.parent_columns, strict=True)
    ).drop_nulls()
    both = renamed if keys is None else pl.concat([keys, renamed.cast(dict(keys.schema), strict=False)])  # type: ignore[arg-type]
    return both.drop_nulls().unique().sort(reference.columns)


def _write_snapshot(keys: pl.DataFrame, table: str, reference: Reference, ports: Ports) -> str:
    """Content-addressed, so that equal keys are kept once."""
    buffer = io.BytesIO()
    keys.rename(dict(zip(reference.columns, reference.parent_columns, strict=True))).write_parquet(buffer)
    content = buffer.getvalue()
    path = paths.snapshot(table, hashlib.sha256(content).hexdigest()[:32])
    if ports.objects.stat(path) is None:
        with ports.objects.write(path) as stream:
            stream.write(content)
    return path


def orphans(typed: pl.DataFrame, parents: list[Parent]) -> list[Failure]:
    """The rows of a chunk whose key has no parent; a key with a null refers to nothing."""
    import polars as pl

    failures = []
    for parent in parents:
        columns = parent.rule.columns
        whole = pl.all_horizontal([pl.col(name).is_not_null() for name in columns])
        if parent.keys is None:
            mask = typed.select(whole.alias("mask")).to_series()
        elif len(columns) == 1:
            known = parent.keys[columns[0]].implode()
            mask = typed.select((whole & ~pl.col(columns[0]).is_in(known)).fill_null(False).alias("mask")).to_series()
        else:
            keyed = typed.select(*columns).with_row_index("_mend_place").filter(whole)
            places = keyed.join(parent.keys, on=list(columns), how="anti")["_mend_place"]
            mask = pl.repeat(False, typed.height, dtype=pl.Boolean, eager=True).scatter(places, True)
        if mask.any():
            failures.append(Failure(parent.rule, mask))
    return failures
