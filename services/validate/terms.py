"""What an attempt is judged by: definitions, accepted columns, the reading, waivers, baseline and earlier attempts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from services.validate.baseline import BASELINE_MAX, Baseline, baseline_of
from services.validate.casting import TextRules
from services.validate.checkable import checkable
from services.validate.keys import upsert_columns
from services.validate.staged_rows import row_numbers
from shared.domain.contract import parse_contract
from shared.domain.pipeline import parse_pipeline
from shared.ports.state_store import Where

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    import polars as pl

    from shared.domain.contract import Column, Contract
    from shared.domain.pipeline import PipelineDefinition
    from shared.domain.reading import ReadingOptions
    from shared.events.types import BatchStaged
    from shared.ports.ports import Ports
    from shared.ports.state_store import Document

VERDICTS, PROFILES, CONTRACTS = "verdicts", "profiles", "contracts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Everything a verdict depends on besides the rows and the parent tables."""

    event: BatchStaged
    pipeline: PipelineDefinition
    pipeline_version: str
    contract: Contract  # with the accepted columns
    accepted: tuple[str, ...]  # "name:logicalType": new columns, and wider types of known ones
    optional: frozenset[str]  # accepted new columns, which a delivery may lack
    learned: tuple[Document, ...]  # other names of contract columns that were accepted for good
    rules: TextRules
    renamed: Mapping[str, str]  # delivered name: contract name
    baseline: Baseline
    arrived: int  # microseconds since 1970, 0 when that is not on record
    empty_before: bool  # the attempt has no row, and neither had an earlier batch
    earlier: tuple[Document, ...]  # verdicts of earlier attempts of this reading, oldest first
    contract_text: str = ""  # the contract's file
    incomplete: str = ""  # what ingest says of a delivery that it could not read, or not to its end

    @property
    def never_null(self) -> tuple[str, ...]:
        """Columns in which no null can be placed."""
        return upsert_columns(self.contract, self.pipeline)

    def may_be_absent(self, column: Column) -> bool:
        """True when a delivery may lack it: objects of JSON lack a key where other files have an empty cell."""
        options = _options(self.event)
        named = options is not None and options.format in ("jsonl", "json")
        return named and column.nullable and column.name not in self.never_null

    @property
    def whole(self) -> bool:
        """True when the attempt holds the whole batch: nothing else of the reading stands released."""
        return self.event.whole

    @property
    def contract_version(self) -> str:
        """``path@digest``."""
        return f"{self.pipeline.contract}@{self.contract.digest[:16]}"

    def waives(self, check: str, column: str = "") -> bool:
        """True when a person or remedy accepted the finding."""
        return check in self.event.waive or (bool(column) and f"{check}:{column}" in self.event.waive)

    @property
    def alternatives(self) -> list[Any]:
        """Other readings that the content suggests, as ingest gave them."""
        found = json.loads(self.event.alternatives_json or "[]")
        return found if isinstance(found, list) else []


def learned_of(ports: Ports, pipeline: str) -> Document:
    """What the pipeline accepted so far, in order: new columns and wider types, other names of contract columns.

    ``taken_back`` names the remedies that accepted something and were undone.
    """
    found = ports.state.get(CONTRACTS, pipeline) or {}
    return {"pipeline": pipeline} | {name: found.get(name, []) for name in ("columns", "renames", "taken_back")}


def with_accepted(known: list[Document], names: list[str], about: Mapping[str, Any]) -> list[Document]:
    """``known`` plus the columns in ``names``; a column accepted again takes its new type and remembers the old."""
    columns = {item["name"]: item for item in known}
    for item in names:
        name, _, logical_type = item.rpartition(":")
        before = columns.get(name, {}).get("logical_type", "")
        if name and before != logical_type:
            columns[name] = {"name": name, "logical_type": logical_type, "before": before, **about}
    return list(columns.values())


def without_accepted(known: list[Document], names: Collection[str]) -> list[Document]:
    """``known`` without the columns in ``names`` (a name, or ``name:logicalType``).

    One that was accepted with a narrower type before, and is taken back with its type, has that again.
    """
    left: list[Document] = []
    for item in known:
        typed = f"{item['name']}:{item['logical_type']}"
        if typed in names and item.get("before"):
            left.append({**item, "logical_type": item["before"], "before": ""})
        elif typed not in names and item["name"] not in names:
            left.append(item)
    return left


def gather_terms(event: BatchStaged, ports: Ports) -> Terms:
    """Read what the attempt is judged by, and keep the columns that it accepts."""
    found = ports.definitions.read(f"pipelines/{event.pipeline}.yaml")
    pipeline = parse_pipeline(found.text, found.path)
    text = ports.definitions.read(pipeline.contract)
    stated = parse_contract(text.text, text.path, pipeline.destination.table)
    document = learned_of(ports, event.pipeline)
    known = document["columns"]
    columns = with_accepted(known, list(event.accept_columns), {"seq": event.seq, "batch_id": event.batch_id})
    if columns != known:
        ports.state.put(CONTRACTS, event.pipeline, {**document, "columns": columns})
    accepted = tuple(f"{item['name']}:{item['logical_type']}" for item in columns)
    return Terms(
        event=event,
        pipeline=pipeline,
        pipeline_version=f"{found.path}@{found.version}",
        contract=checkable(stated.with_columns(accepted), text.path, pipeline.destination.dataset),
        accepted=accepted,
        optional=frozenset(item["name"] for item in columns) - set(stated.column_names),
        learned=tuple(document["renames"]),
        rules=TextRules(tuple(pipeline.source.null_values), _decimal(event)),
        renamed=json.loads(event.rename_json) if event.rename_json else {},
        baseline=baseline_before(event, ports),
        arrived=_arrived(event, ports),
        empty_before=_empty_before(event, ports),
        earlier=_earlier(event, ports),
        contract_text=text.text,
        incomplete=_incomplete(event, ports),
    )


def _decimal(event: BatchStaged) -> str:
    options = _options(event)
    return options.decimal if options else "."


def _options(event: BatchStaged) -> ReadingOptions | None:
    """How the delivery was read; None when rows were staged otherwise."""
    if not event.reading_options_json:
        return None
    from shared.domain.reading import ReadingOptions

    return ReadingOptions.from_json(event.reading_options_json)


def baseline_before(event: BatchStaged, ports: Ports) -> Baseline:
    """What the batch is compared with: the newest batches before it that stand."""
    where = (Where("pipeline", "==", event.pipeline), Where("seq", "<", event.seq))
    found = ports.state.query(PROFILES, where, order_by="seq", descending=True, limit=BASELINE_MAX + 1)
    others = [item for item in found if item.data["batch_id"] != event.batch_id][:BASELINE_MAX]
    return baseline_of((each.key, each.data) for each in others)


def _arrived(event: BatchStaged, ports: Ports) -> int:
    delivery = ports.state.get("deliveries", event.batch_id) or {}
    return int(delivery.get("registered_at") or 0)


def _incomplete(event: BatchStaged, ports: Ports) -> str:
    if not event.problem:
        return ""
    readings = (ports.state.get("deliveries", event.batch_id) or {}).get("readings") or [{}]
    return str(readings[-1].get("reason", "")) if readings[-1].get("problem") == event.problem else ""


def _empty_before(event: BatchStaged, ports: Ports) -> bool:
    where = (Where("pipeline", "==", event.pipeline), Where("rows", "==", 0))
    found = ports.state.query(VERDICTS, where, limit=event.attempt + 1) if not event.rows else ()
    return any(each.data["batch_id"] != event.batch_id for each in found)


def _earlier(event: BatchStaged, ports: Ports) -> tuple[Document, ...]:
    documents = (ports.state.get(VERDICTS, f"{event.batch_id}:{number}") for number in range(1, event.attempt))
    return tuple(item for item in documents if item is not None and item["reading"] == event.reading)


def released_rows(terms: Terms, ports: Ports) -> Iterator[pl.DataFrame]:
    """Typed rows whose place is still an earlier attempt of this reading; rows that came back later are not there."""
    import polars as pl

    releasing = [document for document in terms.earlier if document["passed_parts"]]
    if not releasing:
        return
    later = row_numbers(ports.objects, terms.event.parts)
    for document in reversed(terms.earlier):
        for path in document["passed_parts"]:
            with ports.objects.read(path) as stream:
                rows = pl.read_parquet(stream)
            yield _as_contract(rows.filter(~pl.col("_mend_row").is_in(later.implode())), terms.contract)
        later = pl.concat([later, row_numbers(ports.objects, document["parts"])])


def _as_contract(rows: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """With the contract's columns in its order, null where a column was accepted only since."""
    import polars as pl

    from services.validate.casting import polars_type

    def column(name: str, logical_type: str) -> pl.Expr:
        wanted = polars_type(logical_type)
        return (
            pl.col(name).cast(wanted, strict=False) if name in rows.columns else pl.lit(None, dtype=wanted).alias(name)
        )

    return rows.select("_mend_row", *(column(item.name, item.logical_type) for item in contract.columns))
