"""A contract: what the data of one table must be, read from and written as plain ODCS v3.

``parse_contract`` is strict: a wrong type, a rule that contradicts itself or a key that the standard's tools refuse is
a ``DefinitionError`` with line and suggestion. A rule of the standard that Mendline does not check, and a key that only
its tools let pass, stand in ``Contract.unsupported``, never skipped in silence. Importing this module loads neither the
standard's schema nor an engine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal, TypeAlias, cast, get_args

LogicalType: TypeAlias = Literal[
    "string", "integer", "number", "boolean", "date", "timestamp", "time", "object", "array"
]
LOGICAL_TYPES: tuple[LogicalType, ...] = get_args(LogicalType)
Scalar: TypeAlias = str | int | float | bool
Bound: TypeAlias = int | float | str  # text for dates and times (ISO 8601)


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftLimits:
    """How far a column's profile may move from the pipeline's own before it is an incident; None = the default."""

    enabled: bool = True
    mean_shift_max: float | None = None  # in robust standard deviations
    spread_ratio_max: float | None = None
    null_share_change_max: float | None = None
    ks_max: float | None = None  # distance of Kolmogorov and Smirnov, 0 … 1
    psi_max: float | None = None  # population stability index
    new_categories: bool | None = None  # False: none may come; True: any may
    vanished_categories: bool | None = None
    row_count_change_max: float | None = None  # of a table: 0.3 allows 30 % more or fewer rows than usual


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column and every check on it. Absent numbers are None, absent texts "", absent lists ()."""

    name: str  # the name in the data and the table: physicalName, else name
    logical_type: LogicalType = "string"
    logical_name: str = ""  # the standard's `name` when it differs from `name` here
    physical_type: str = ""
    description: str = ""
    required: bool = False
    unique: bool = False
    primary_key_position: int = 0  # 1 … n within the primary key, 0 outside it
    enum: tuple[Scalar, ...] = ()  # in the column's own type; dates and times as ISO text
    pattern: str = ""  # searched, not anchored
    min_length: int | None = None
    max_length: int | None = None
    minimum: Bound | None = None
    maximum: Bound | None = None
    exclusive_minimum: Bound | None = None
    exclusive_maximum: Bound | None = None
    multiple_of: int | float | None = None
    format: str = ""  # as written; see `strptime_format`
    timezone: str = ""  # of timestamps written without one; "" = UTC
    has_timezone: bool | None = None  # the standard's `timezone`: whether the timestamps have one of their own; kept
    synonyms: tuple[str, ...] = ()
    classification: str = ""
    tags: tuple[str, ...] = ()
    unit: str = ""  # customProperties from here on
    null_values: tuple[str, ...] | None = None  # None: the pipeline's
    allowed_repairs: tuple[str, ...] | None = None  # remedy names; None: all, (): none
    drift_limits: DriftLimits | None = None
    nested: str = ""  # JSON of properties, items, options … of an object or array, as written
    inside: Inside | None = field(default=None, compare=False)  # what of it is checked; follows from `nested`
    custom: tuple[tuple[str, str], ...] = ()  # other customProperties: name, JSON

    @property
    def nullable(self) -> bool:
        """True when a null is no violation: neither required nor part of the primary key."""
        return not self.required and self.primary_key_position == 0

    def widened(self, logical_type: LogicalType) -> Column:
        """The column with a wider type. Rules that speak of the old type's values alone go when it becomes text."""
        if logical_type != "string":
            return replace(self, logical_type=logical_type, physical_type="", format="")
        return replace(
            self, logical_type=logical_type, physical_type="", format="", timezone="", has_timezone=None, enum=(),
            multiple_of=None, nested="", inside=None,
            minimum=None, maximum=None, exclusive_minimum=None, exclusive_maximum=None,
        )  # fmt: skip

    @property
    def strptime_format(self) -> str:
        """``format`` of a date, time or timestamp column as a strptime pattern, "" when none is declared."""
        if not self.format or self.logical_type not in ("date", "timestamp", "time"):
            return ""
        from shared.domain.contract_formats import strptime_pattern

        return strptime_pattern(self.format)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """What is asked of the inside of an object (properties, or keys and values of a map) or an array (items)."""

    properties: tuple[Column, ...] = ()
    untyped: tuple[str, ...] = ()  # names of properties that may be of any type
    items: Column | None = None
    keys: Column | None = None  # of a map, as texts
    values: Column | None = None
    size_min: int | None = None  # properties or items
    size_max: int | None = None
    required: tuple[str, ...] = ()  # names that must be there, be it with null
    unique: bool = False  # no item twice


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key: every non-null value of ``columns`` must stand in ``table``'s ``parent_columns``."""

    columns: tuple[str, ...]
    table: str
    parent_columns: tuple[str, ...]
    severity: Literal["error", "warning"] = "error"  # customProperty: a warning is reported and quarantines nothing

    def qualified(self, dataset: str) -> str:
        """The parent table with its dataset, which is ``dataset`` unless the contract names one."""
        return self.table if "." in self.table else f"{dataset}.{self.table}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionalDependency:
    """Rows that agree in ``determinants`` must agree in ``dependents``."""

    determinants: tuple[str, ...]
    dependents: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowCountRule:
    """How many rows a batch must have, inclusive."""

    name: str = ""
    minimum: int | None = None
    maximum: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsupportedRule:
    """A rule of the standard that is kept and said, but not checked."""

    column: str  # "" = the whole table
    what: str  # one sentence for people
    raw: str = ""  # JSON of a quality rule, so that writing the contract keeps it
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomCheck:
    """A rule that a check of an installed package decides (``type: custom``, ``engine: mendline``)."""

    column: str  # "" = the whole row
    name: str  # under which the package announces it
    arguments: str = "{}"  # JSON object, as the contract gives it
    explanation: str = ""
    severity: Literal["error", "warning"] = "error"
    dimension: str = ""
    raw: str = ""  # JSON of the quality rule, so that writing the contract keeps it
    line: int = field(default=0, compare=False)


Metric: TypeAlias = Literal["nullValues", "missingValues", "invalidValues", "duplicateValues", "rowCount", "sql"]
Comparison: TypeAlias = Literal[
    "mustBe",
    "mustNotBe",
    "mustBeGreaterThan",
    "mustBeGreaterOrEqualTo",
    "mustBeLessThan",
    "mustBeLessOrEqualTo",
    "mustBeBetween",
    "mustNotBeBetween",
]
COMPARISONS: tuple[Comparison, ...] = get_args(Comparison)


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityRule:
    """A library metric or a query with a threshold on what it gives for a batch. Ranges include both their ends."""

    metric: Metric
    columns: tuple[str, ...] = ()  # one, or the combination that is counted as duplicate; () = the whole table
    comparison: Comparison
    low: float
    high: float = 0.0  # of a range
    percent: bool = False  # of the batch's rows, instead of their number
    valid_values: tuple[Scalar, ...] = ()
    pattern: str = ""
    missing_values: tuple[Scalar, ...] = ()  # besides null
    query: str = ""  # of the metric sql, with its placeholders
    severity: Literal["error", "warning"] = "error"  # a warning is reported and lets the batch pass
    dimension: str = ""
    name: str = ""
    raw: str = ""  # JSON of the quality rule, so that writing the contract keeps it
    line: int = field(default=0, compare=False)

    @property
    def column(self) -> str:
        """The columns as one name; "" for the whole table."""
        return ",".join(self.columns)

    def keeps(self, observed: float) -> bool:
        """True when the rule allows what was observed."""
        low, high = self.low, self.high
        kept = {
            "mustBe": observed == low,
            "mustNotBe": observed != low,
            "mustBeGreaterThan": observed > low,
            "mustBeGreaterOrEqualTo": observed >= low,
            "mustBeLessThan": observed < low,
            "mustBeLessOrEqualTo": observed <= low,
            "mustBeBetween": low <= observed <= high,
            "mustNotBeBetween": not low <= observed <= high,
        }
        return kept[self.comparison]

    @property
    def expected(self) -> str:
        """The comparison for people, such as ``less than 5 %``."""
        words = {
            "mustBe": f"exactly {self.low:g}",
            "mustNotBe": f"anything but {self.low:g}",
            "mustBeGreaterThan": f"more than {self.low:g}",
            "mustBeGreaterOrEqualTo": f"at least {self.low:g}",
            "mustBeLessThan": f"less than {self.low:g}",
            "mustBeLessOrEqualTo": f"at most {self.low:g}",
            "mustBeBetween": f"{self.low:g} to {self.high:g}",
            "mustNotBeBetween": f"anything outside {self.low:g} to {self.high:g}",
        }
        unit = "%" if self.percent else "" if self.metric == "sql" else "rows"
        return f"{words[self.comparison]} {unit}".rstrip()


@dataclass(frozen=True, slots=True, kw_only=True)
class SlaProperty:
    """One promise of ``slaProperties``, such as freshness."""

    property: str
    value: str
    unit: str = ""
    element: str = ""
    severity: Literal["error", "warning"] = "warning"  # customProperty: with error a promise not kept holds the batch
    more: str = ""  # JSON of the other keys, such as valueExt: kept, not checked


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """What one table's data must be. Equality ignores ``digest``."""

    id: str
    version: str
    table: str  # physicalName, else name, of the schema object
    columns: tuple[Column, ...]
    logical_table: str = ""  # the schema object's name when it differs from `table`
    name: str = ""
    status: str = "active"
    description: str = ""
    unique_groups: tuple[tuple[str, ...], ...] = ()  # unique combinations of several columns besides the primary key
    references: tuple[Reference, ...] = ()
    row_counts: tuple[RowCountRule, ...] = ()
    functional_dependencies: tuple[FunctionalDependency, ...] = ()
    custom_checks: tuple[CustomCheck, ...] = ()
    quality: tuple[QualityRule, ...] = ()
    unsupported: tuple[UnsupportedRule, ...] = ()
    sla: tuple[SlaProperty, ...] = ()
    drift_limits: DriftLimits | None = None  # of the table as a whole
    score_weights: tuple[tuple[str, float], ...] = ()  # by dimension; 1 where none is stated
    tags: tuple[str, ...] = ()
    custom: tuple[tuple[str, str], ...] = ()
    digest: str = field(default="", compare=False)  # SHA-256 of the text (and of columns accepted since)

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names in contract order."""
        return tuple(column.name for column in self.columns)

    @property
    def primary_key(self) -> tuple[str, ...]:
        """Columns of the primary key in its order; () without one."""
        members = sorted((c.primary_key_position, c.name) for c in self.columns if c.primary_key_position)
        return tuple(name for _, name in members)

    @property
    def unique_keys(self) -> tuple[tuple[str, ...], ...]:
        """Every combination that must be unique: primary key, unique columns, composite groups; no repeats."""
        keys = [self.primary_key, *((c.name,) for c in self.columns if c.unique), *self.unique_groups]
        return tuple(dict.fromkeys(key for key in keys if key))

    def column(self, name: str) -> Column | None:
        """The column of that exact name."""
        return next((column for column in self.columns if column.name == name), None)

    def with_columns(self, accepted: Iterable[str | Column]) -> Contract:
        """The contract plus what was accepted since (``"name:logicalType"`` or ``Column``): new columns, and wider
        types of known ones. A known column with the same or a narrower type is skipped."""
        columns = {column.name: column for column in self.columns}
        grown: list[str] = []
        for item in accepted:
            column = item if isinstance(item, Column) else accepted_column(item)
            known = columns.get(column.name)
            if known is not None and not is_wider(column.logical_type, known.logical_type):
                continue
            columns[column.name] = column if known is None else known.widened(column.logical_type)
            grown.append(f"{column.name}:{column.logical_type}")
        if not grown:
            return self
        digest = hashlib.sha256("\n".join([self.digest, *grown]).encode()).hexdigest()
        return replace(self, columns=tuple(columns.values()), digest=digest)


def is_wider(new: LogicalType, old: LogicalType) -> bool:
    """True when every value of type ``old`` is also one of type ``new``: text takes everything."""
    return (old, new) in (("integer", "number"), ("date", "timestamp")) or (new == "string" and old != "string")


def accepted_column(item: str) -> Column:
    """A column from ``name:logicalType``; the name itself may contain colons."""
    from shared.domain.checks import check

    name, _, logical_type = item.rpartition(":")
    check(bool(name) and logical_type in LOGICAL_TYPES, "an accepted column is written name:logicalType")
    return Column(name=name, logical_type=cast(LogicalType, logical_type))


@lru_cache(maxsize=32)
def parse_contract(text: str, path: str, table: str = "") -> Contract:
    """Read a contract strictly. Of several schema objects, ``table`` (a destination, ``dataset.table``) chooses one.

    Raises ``DefinitionError`` with the position of the first wrong place.
    """
    from shared.domain.contract_reading import read_contract

    return read_contract(text, path, table)


def write_contract(contract: Contract) -> str:
    """The contract as ODCS YAML, which parses back equal. Parts of a file that Mendline does not use are not kept."""
    from shared.domain.contract_writing import contract_yaml

    return contract_yaml(contract)
