"""Checks what users write before anything runs: pipelines, their contracts, their transforms, the policy."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from mend.query_trial import no_rows, query_errors
from services.remediate.registry import usable
from services.validate.checkable import checkable
from services.validate.sql_rules import other_tables
from shared.domain.contract import Contract, parse_contract
from shared.domain.contract_reading import table_names
from shared.domain.definition_file import Document, parse_document, suggestion
from shared.domain.definition_file import Path as Place
from shared.domain.errors import DefinitionError, DefinitionMissing, ForeignFailure, MendError, TerminalError
from shared.domain.masking import clean
from shared.domain.pipeline import PipelineDefinition, parse_pipeline
from shared.domain.policy import parse_policy
from shared.domain.service_levels import service_levels
from shared.ports.definitions import Definitions
from shared.ports.source import Source
from shared.ports.sql_engine import SqlEngine
from shared.runtime import plugins

POLICY = "policy.yaml"
SOURCE_KINDS = ("files", "push")
ENDINGS = (".yaml", ".yml")


class Problem(NamedTuple):
    """One thing that is wrong, or that is worth knowing, and where; line and column count from 1, 0 = unknown."""

    file: str
    line: int
    column: int
    message: str
    hint: str = ""

    @property
    def place(self) -> str:
        """``file:line:column`` as editors and terminals understand it."""
        return ":".join([self.file, *(str(number) for number in (self.line, self.column) if number)])


class Surroundings(NamedTuple):
    """What the files are checked against."""

    definitions: Definitions
    sql: SqlEngine
    source: Source
    channels: tuple[str, ...]


@dataclass(slots=True)
class Checked:
    """What was found."""

    files: list[str] = field(default_factory=list)
    errors: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def error(self, found: Problem) -> None:
        """Note an error, once."""
        if found not in self.errors:
            self.errors.append(found)

    def warn(self, found: Problem) -> None:
        """Note what is worth knowing, once."""
        if found not in self.warnings:
            self.warnings.append(found)


class _Pipeline(NamedTuple):
    path: str
    document: Document
    definition: PipelineDefinition

    def problem(self, place: Place, message: str, hint: str = "") -> Problem:
        return Problem(self.path, *self.document.position(place), message, hint)


def files_of(folder: Path, definitions: Definitions) -> list[str]:
    """Every definition file of a project folder, relative to it."""
    found = [*definitions.list("pipelines"), *definitions.list("contracts")]
    return [*found, POLICY] if (folder / POLICY).is_file() else found


def check_files(files: Iterable[str], around: Surroundings) -> Checked:
    """Check files of the project folder; what a pipeline refers to is checked with it."""
    checked = Checked()
    pipelines: list[_Pipeline] = []
    wanted = list(dict.fromkeys(files))
    for path in wanted:
        try:
            _check_one(path, around, checked, pipelines)
        except (DefinitionError, DefinitionMissing) as error:
            checked.error(_problem_of(error, path))
    known = _tables_of_project(around.definitions, pipelines)
    for pipeline in pipelines:
        _check_pipeline(pipeline, around, known, checked)
    _check_names(pipelines, checked)
    return checked


def refuse_wrong(pipeline: PipelineDefinition, path: str, definitions: Definitions) -> list[Problem]:
    """Raise what is wrong in the files that a pipeline stands on, before a run touches anything.

    What its contract says and nothing checks is returned: a run that passes it over must say so.
    """
    try:
        text = definitions.read(pipeline.contract).text
    except DefinitionMissing as error:
        known = definitions.list("contracts")
        near = suggestion(pipeline.contract, known) if known else "mend init DATA writes one"
        raise DefinitionMissing(f"{error}, but {path} names it as its contract ({near})") from error
    checked = Checked()
    contract = checkable(parse_contract(text, pipeline.contract, pipeline.destination.table), pipeline.contract)
    _warn_unchecked(pipeline.contract, [contract], checked)
    if pipeline.transform_path:
        definitions.read(pipeline.transform_path)
    with suppress(DefinitionMissing):
        policy = definitions.read(POLICY)
        parse_policy(policy.text, policy.path)
    return checked.warnings


def _check_one(path: str, around: Surroundings, checked: Checked, pipelines: list[_Pipeline]) -> None:
    """Read one file as what its content says it is."""
    checked.files.append(path)
    text = around.definitions.read(path).text
    if posixpath.basename(path) in (POLICY, "policy.yml"):
        for error in usable(parse_policy(text, path))[1]:
            checked.error(_problem_of(error, path))
        return
    document = parse_document(text, path)
    keys = set(document.root.entries or {})
    if {"apiVersion", "kind", "schema"} & keys and "pipeline" not in keys:
        tables = table_names(text, path) or ("",)
        read = [parse_contract(text, path, table) for table in tables]
        contracts = [checkable(each, path) for each in read if each.columns]
        for each in read:
            if not each.columns:
                checked.warn(Problem(path, 0, 0, f"{each.table} has no columns: nothing of it can be checked"))
        _warn_unchecked(path, contracts, checked)
        for contract in contracts:
            for error in query_errors(contract, path, around.sql):
                checked.error(_problem_of(error, path))
        return
    pipelines.append(_Pipeline(path, document, parse_pipeline(text, path)))


def _warn_unchecked(path: str, contracts: list[Contract], checked: Checked) -> None:
    """What is checked of none of the tables that the contract describes."""
    for rule in (rule for contract in contracts for rule in contract.unsupported):
        about = f'column "{rule.column}": ' if rule.column else ""
        checked.warn(Problem(path, rule.line, 0, f"{about}{clean(rule.what)}", "it stays in the contract, unchecked"))
    first, *others = [service_levels(contract)[1] for contract in contracts] or [[]]
    for promised, why in first:
        if any(promised not in dict(each) for each in others):
            continue
        what = clean(f"slaProperties: {promised.property} {promised.value} {promised.unit}".strip())
        checked.warn(Problem(path, 0, 0, f"{what}: {why}", "it stays in the contract, unchecked"))


def _problem_of(error: MendError, path: str) -> Problem:
    if isinstance(error, DefinitionError):
        return Problem(error.path or path, error.line, error.column, error.message, error.hint)
    return Problem(path, 0, 0, str(error))


# ── one pipeline with everything that it refers to ──


def _check_pipeline(pipeline: _Pipeline, around: Surroundings, known: Mapping[str, str], checked: Checked) -> None:
    definition = pipeline.definition
    contract = _contract(pipeline, around.definitions, checked)
    if contract is not None:
        _check_queries(pipeline, contract, around, known, checked)
    columns = contract.column_names if contract is not None else None
    if definition.transform and contract is not None:
        columns = _transformed(pipeline, contract, around, checked)
    if columns is not None:
        _check_columns(pipeline, columns, checked)
    if contract is not None:
        _check_key(pipeline, contract, checked)
        _check_references(pipeline, contract, known, checked)
    _check_channels(pipeline, around.channels, checked)
    _check_source(pipeline, around.source, checked)


def _contract(pipeline: _Pipeline, definitions: Definitions, checked: Checked) -> Contract | None:
    path = pipeline.definition.contract
    try:
        text = definitions.read(path).text
    except (DefinitionError, DefinitionMissing) as error:
        what = error.message if isinstance(error, DefinitionError) else "there is no such file"
        near = suggestion(path, definitions.list("contracts"))
        checked.error(pipeline.problem(("contract",), f"contract {path}: {what}", near))
        return None
    if path not in checked.files:
        checked.files.append(path)
    try:
        destination = pipeline.definition.destination
        contract = checkable(parse_contract(text, path, destination.table), path, destination.dataset)
    except DefinitionError as error:
        checked.error(_problem_of(error, path))
        return None
    _warn_unchecked(path, [contract], checked)
    for check in contract.custom_checks:
        try:
            plugins.load(plugins.CHECKS, check.name, place=(path, check.line))
        except DefinitionError as error:
            checked.error(_problem_of(error, path))
    return contract


def _transformed(
    pipeline: _Pipeline, contract: Contract, around: Surroundings, checked: Checked
) -> tuple[str, ...] | None:
    """The columns that the transform makes, tried out on no rows; None when it cannot run."""
    from services.load.transform import prepare
    from shared.ports.warehouse import ROW_COLUMN

    path = pipeline.definition.transform_path
    try:
        text = around.definitions.read(path).text if path else pipeline.definition.transform
        if path and path not in checked.files:
            checked.files.append(path)
        made = around.sql.select(prepare(text, path or pipeline.path), no_rows(contract))
    except DefinitionMissing as error:
        checked.error(pipeline.problem(("transform",), str(error)))
    except DefinitionError as error:
        inside = path and error.path == path
        line, column = (error.line, error.column) if inside else pipeline.document.position(("transform",))
        where = path if inside else pipeline.path
        checked.error(Problem(where, line, column, error.message, error.hint))
    except TerminalError as error:
        hint = "the contract's columns are " + ", ".join(contract.column_names[:20])
        checked.error(pipeline.problem(("transform",), str(error), hint))
    else:
        return tuple(name for name in made.column_names if name != ROW_COLUMN)
    return None


def _check_columns(pipeline: _Pipeline, columns: tuple[str, ...], checked: Checked) -> None:
    """The columns that the destination names are in the table."""
    destination = pipeline.definition.destination
    named: list[tuple[Place, str]] = [(("destination", "key"), name) for name in destination.key]
    named += [(("destination", "cluster_by"), name) for name in destination.cluster_by]
    if destination.partition_by:
        named.append((("destination", "partition_by"), destination.partition_by))
    for place, name in named:
        if name not in columns:
            checked.error(
                pipeline.problem(place, f'{place[1]} names "{name}", which the table lacks', suggestion(name, columns))
            )


def _check_key(pipeline: _Pipeline, contract: Contract, checked: Checked) -> None:
    destination = pipeline.definition.destination
    if destination.mode == "upsert" and not destination.key and not contract.primary_key:
        hint = "mark the key's columns with primaryKey: true in the contract, or name them in destination.key"
        checked.error(pipeline.problem(("destination", "mode"), "mode upsert needs a key", hint))
    unlike = set(destination.key) ^ set(contract.primary_key) if destination.key and contract.primary_key else set()
    if unlike:
        shown = ", ".join(contract.primary_key)
        checked.warn(
            pipeline.problem(("destination", "key"), f"the key is not the contract's primary key ({shown})", "")
        )
    partition = contract.column(destination.partition_by) if destination.partition_by else None
    if partition is not None and partition.logical_type not in ("date", "timestamp", "integer"):
        what = (
            f'"{partition.name}" is a {partition.logical_type}; BigQuery partitions by dates, timestamps and integers'
        )
        checked.warn(pipeline.problem(("destination", "partition_by"), what, "choose another column for the cloud"))


def _check_references(pipeline: _Pipeline, contract: Contract, known: Mapping[str, str], checked: Checked) -> None:
    """A parent table that no pipeline of the project loads must come from elsewhere."""
    dataset = pipeline.definition.destination.dataset
    for reference in contract.references:
        parent = reference.qualified(dataset)
        if parent not in known:
            what = f"{', '.join(reference.columns)} refers to {parent}, which no pipeline of this project loads"
            hint = "rows wait in quarantine until that table exists; " + suggestion(parent, known)
            checked.warn(Problem(pipeline.definition.contract, 0, 0, what, hint))


def _check_queries(
    pipeline: _Pipeline, contract: Contract, around: Surroundings, known: Mapping[str, str], checked: Checked
) -> None:
    """Queries of quality rules are tried on no rows; a table that no pipeline loads must come from elsewhere."""
    path, dataset = pipeline.definition.contract, pipeline.definition.destination.dataset
    beside = other_tables(contract, path, dataset)
    contracts = _contracts_of({table for read in beside.values() for table in read}, known, around.definitions)
    for error in query_errors(contract, path, around.sql, contracts, dataset):
        checked.error(_problem_of(error, path))
    for rule, read in beside.items():
        for table in read:
            if table not in known:
                what = f"the query of a quality rule reads {table}, which no pipeline of this project loads"
                hint = "batches are held until that table exists; " + suggestion(table, known)
                checked.warn(Problem(path, rule.line, 0, what, hint))


def _contracts_of(tables: Iterable[str], known: Mapping[str, str], definitions: Definitions) -> dict[str, Contract]:
    """The contracts of tables that pipelines load as they are; what cannot be read has been reported."""
    found = {}
    for table in tables:
        if table in known:
            try:
                loader = parse_pipeline(definitions.read(known[table]).text, known[table])
                if not loader.transform and not loader.transform_path:
                    found[table] = parse_contract(definitions.read(loader.contract).text, loader.contract, table)
            except MendError:
                continue
    return found


def _check_channels(pipeline: _Pipeline, channels: tuple[str, ...], checked: Checked) -> None:
    for number, name in enumerate(pipeline.definition.alerts.channels):
        if name not in channels:
            place: Place = ("alerts", "channels", number)
            checked.error(pipeline.problem(place, f'there is no channel "{name}"', suggestion(name, channels)))


def _check_source(pipeline: _Pipeline, source: Source, checked: Checked) -> None:
    declared = pipeline.definition.source
    if declared.kind not in SOURCE_KINDS:
        hint = suggestion(declared.kind, SOURCE_KINDS)
        checked.warn(pipeline.problem(("source", "kind"), f'"{declared.kind}" must be a plugin\'s source', hint))
    if declared.kind != "files" or "://" in declared.uri:
        return  # the web is not asked for a check of files
    try:
        found = next(source.discover(declared.uri), None)
    except ForeignFailure as error:
        checked.warn(pipeline.problem(("source", "uri"), f"the source cannot be read now: {error.message}"))
        return
    if found is None:
        checked.warn(pipeline.problem(("source", "uri"), "the source holds no file now", "paths start at the project"))


# ── the project as a whole ──


def _tables_of_project(definitions: Definitions, pipelines: list[_Pipeline]) -> dict[str, str]:
    """Destination tables with the pipeline that loads each; files that cannot be read have been reported."""
    found = {each.definition.destination.table: each.path for each in pipelines}
    for path in definitions.list("pipelines"):
        try:
            table = parse_pipeline(definitions.read(path).text, path).destination.table
        except MendError:
            continue
        found.setdefault(table, path)
    return found


def _check_names(pipelines: list[_Pipeline], checked: Checked) -> None:
    """A pipeline is found by its file's name, and is one."""
    first: dict[str, str] = {}
    for each in pipelines:
        name = each.definition.pipeline
        if name in first:
            what = f'{first[name]} is called "{name}" too'
            checked.error(each.problem(("pipeline",), what, "give each pipeline a name of its own"))
        first.setdefault(name, each.path)
        if posixpath.dirname(each.path) == "pipelines" and posixpath.splitext(posixpath.basename(each.path))[0] != name:
            what = f'the pipeline is called "{name}", and its file {posixpath.basename(each.path)}'
            checked.warn(each.problem(("pipeline",), what, f"rename the file to {name}.yaml: schedules look for that"))
