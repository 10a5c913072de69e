"""A pipeline file: a declared movement of one dataset from a source, under a contract, to a table."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

from shared.domain.reading import ReadingOptions
from shared.domain.remedy import Mode

BATCH_ROWS_MAX = 50_000_000
PIPELINE_NAME = r"[a-z0-9_-]{1,63}"

_TABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,127}\.[A-Za-z_][A-Za-z0-9_]{0,1023}\Z")
_COLUMN = re.compile(r"[^\W\d][\w ]{0,299}\Z")
_DURATION = re.compile(r"(\d{1,6})\s*(s|m|h|d|w)\Z")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_CRON_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_CRON_FIELDS = ("minute", "hour", "day", "month", "weekday")
_CRON_NAMES = {
    3: ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    4: ["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
}


def duration_seconds(text: str) -> int:
    """Seconds of ``90s``, ``30m``, ``2h``, ``7d``, ``1w``; raises ``ValueError``."""
    found = _DURATION.match(text)
    if found is None:
        raise ValueError(f'"{text}" is no duration | write a number and s, m, h, d or w, such as 2h')
    return int(found.group(1)) * _SECONDS[found.group(2)]


def _listed(value: Any) -> Any:
    """A single text where a list may stand is a list of one."""
    return (value,) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]


class Definition(BaseModel):
    """Base of all parts of user files: frozen, strict about types, refusing unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _tuples(cls, value: Any) -> Any:
        """Strict tuples accept no YAML lists, so lists become tuples first."""
        if isinstance(value, dict):
            return {key: tuple(item) if isinstance(item, list) else item for key, item in value.items()}
        return value


def _named_format(value: Any) -> Any:
    """``format: csv`` is short for ``format: {format: csv}``."""
    return {"format": value} if isinstance(value, str) and value != "auto" else value


class Source(Definition):
    """Where deliveries come from."""

    kind: str = Field(default="files", pattern=r"^[a-z][a-z0-9_-]{0,39}$", description="files, push, or a plugin's")
    uri: str = Field(default="", description="path or glob for kind files: landing/flights/*.csv, gs://bucket/x/*.gz")
    order: Literal["name", "arrival"] = Field(default="name", description="what decides which delivery is newer")
    format: Annotated[
        Annotated[Literal["auto"], Tag("auto")] | Annotated[ReadingOptions, Tag("dialect")],
        Discriminator(lambda value: "auto" if value == "auto" else "dialect"),
        BeforeValidator(_named_format),
    ] = Field(default="auto", description="auto, csv, jsonl, json, avro, parquet, or the dialect")
    null_values: tuple[str, ...] = Field(default=("",), description="cell texts that mean null")
    duplicates: Literal["discard", "load", "hold"] = "discard"
    batch_rows_max: int = Field(default=BATCH_ROWS_MAX, ge=1, description="a larger batch is held")
    options: dict[str, str | int | float | bool] = Field(default_factory=dict, description="a plugin source's own")

    @model_validator(mode="after")
    def _located(self) -> Source:
        if self.kind == "files" and not self.uri:
            raise ValueError('"source" of kind files needs a "uri" | such as uri: landing/flights/*.csv')
        return self

    @property
    def declared(self) -> ReadingOptions | None:
        """The declared reading (``model_fields_set`` says which keys were written); None for ``auto``."""
        return None if self.format == "auto" else self.format


class Destination(Definition):
    """The table that rows go to."""

    table: str = Field(description="dataset.table")
    mode: Literal["append", "upsert", "overwrite"] = "append"
    partition_by: str = Field(default="", max_length=300)
    cluster_by: Names = Field(default=(), max_length=4)
    key: Names = Field(default=(), description="of an upsert; by default the contract's primary key")

    @field_validator("table")
    @classmethod
    def _table_name(cls, value: str) -> str:
        if _TABLE.match(value) is None:
            raise ValueError(f'"{value}" is no table name | write dataset.table, letters, digits and _')
        return value

    @field_validator("cluster_by", "key")
    @classmethod
    def _no_repeats(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) != len(value):
            raise ValueError("a column is named twice | name it once")
        return value

    @property
    def dataset(self) -> str:
        """The dataset, which references without one belong to."""
        return self.table.partition(".")[0]


class OnViolation(Definition):
    """What happens to rows and batches that break the contract."""

    rows: Literal["quarantine", "reject_batch"] = "quarantine"
    score_below: float = Field(default=0, ge=0, le=100, description="hold the batch below this quality score")


class Healing(Definition):
    """How far remedies may go by themselves; caps hold for guarded remedies in guarded mode."""

    mode: Mode = Field(default=Mode.GUARDED, strict=False, description="observe, propose, guarded or autonomous")
    rows_share_max: float = Field(default=0.25, ge=0, le=1, description="largest share of a batch one remedy changes")
    rows_max: int = Field(default=1_000_000, ge=0, description="most rows one remedy changes")
    cost_max: float = Field(default=1.0, ge=0, description="most a remedy may cost, in US dollars")
    attempts_max: int = Field(default=8, ge=1, le=50, description="attempts of one batch before a person is asked")


class Alerts(Definition):
    """Who hears of it, and how old the newest data may be."""

    channels: Names = ("console",)
    freshness: str = Field(default="", description="such as 2h; empty: not watched")

    @field_validator("freshness")
    @classmethod
    def _is_duration(cls, value: str) -> str:
        if value:
            duration_seconds(value)
        return value

    @property
    def freshness_seconds(self) -> int:
        """Freshness in seconds, 0 when not watched."""
        return duration_seconds(self.freshness) if self.freshness else 0


class PipelineDefinition(Definition):
    """One pipeline file."""

    pipeline: str = Field(pattern=f"^{PIPELINE_NAME}$", description="lower case letters, digits, _ and -; at most 63")
    description: str = ""
    source: Source
    contract: str = Field(min_length=1, description="path of the ODCS file, from the project folder")
    destination: Destination
    transform: str = Field(default="", description="GoogleSQL over table batch, one row per row; or a .sql file's path")
    on_violation: OnViolation = OnViolation()
    healing: Healing = Healing()
    schedule: str = Field(default="", description="cron: minute hour day month weekday (UTC)")
    alerts: Alerts = Alerts()

    @field_validator("schedule")
    @classmethod
    def _is_cron(cls, value: str) -> str:
        if value:
            check_cron(value)
        return value

    @property
    def transform_path(self) -> str:
        """Path of the transform's file when ``transform`` names one, else ""."""
        text = self.transform.strip()
        return text if text.endswith(".sql") and not re.search(r"\s", text) else ""


def check_cron(text: str) -> None:
    """Raise ``ValueError`` unless ``text`` is a five-field cron line."""
    fields = text.split()
    if len(fields) != 5:
        raise ValueError(f'"schedule" has {len(fields)} fields | write five: minute hour day month weekday')
    for index, entry in enumerate(fields):
        for part in entry.lower().split(","):
            _check_cron_part(part, index)


def _check_cron_part(part: str, index: int) -> None:
    low, high = _CRON_RANGES[index]
    field, names = _CRON_FIELDS[index], _CRON_NAMES.get(index, [])
    span, slash, step = part.partition("/")
    wrong = ValueError(f'"schedule": "{part}" is no {field} | {low} to {high}, *, a-b, */n or a list with commas')
    if slash and not (step.isascii() and step.isdigit() and 0 < int(step[:4]) <= high):
        raise wrong
    if span == "*":
        return
    ends = span.split("-")
    if len(ends) > 2:
        raise wrong
    numbers = []
    for end in ends:
        if end in names:
            numbers.append(names.index(end) + (1 if index == 3 else 0))
        elif end.isascii() and end.isdigit() and low <= int(end[:4]) <= high:
            numbers.append(int(end))
        else:
            raise wrong
    if len(numbers) == 2 and numbers[0] > numbers[1] and not (index == 4 and numbers[1] == 0):
        raise wrong


@lru_cache(maxsize=32)
def parse_pipeline(text: str, path: str) -> PipelineDefinition:
    """Read a pipeline file; raises ``DefinitionError`` with the position of the first wrong place."""
    from shared.domain.definition_file import parse_document
    from shared.domain.definition_model import read_model

    return read_model(parse_document(text, path), PipelineDefinition)
