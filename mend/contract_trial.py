"""Judges data by a contract alone, in a store of its own that is gone afterwards: nothing is loaded or healed.

The same ingest and validate services do it that do it in a pipeline, so that both come to the same verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from mend.broken_rules import broken_of, broken_rules, finding_told, held_for
from mend.failing_file import FailingFile
from mend.trial_files import NAME, TrialFiles, text_of
from services.validate.failing_rows import FailingRows
from services.validate.release import VIOLATIONS
from shared.domain.checks import check
from shared.domain.contract import Contract
from shared.domain.errors import DefinitionError, DefinitionMissing, ForeignFailure
from shared.domain.personal_data import PersonalColumns
from shared.domain.reading import ROW

if TYPE_CHECKING:
    import polars as pl

    from mend.project import Progress
    from services.validate.judging import Verdict
    from shared.ports.source import Found, Source
    from shared.ports.warehouse import Warehouse
    from shared.runtime.wiring import Process

ROWS_SHOWN = 20
ROWS_IN_MEMORY = 1 << 31
RETRIES_SECONDS = 4.0  # longer than what nobody foresaw waits before it is tried again; after the third time it is said
TABLE = "table:"  # before the name of a table in the warehouse
PARQUET_ENDINGS = (".parquet", ".pq")
Engine = Literal["auto", "memory", "streamed", "staged", "warehouse"]
SAME_CONTENT = "the same content as "
_SERVICES = ("ingest", "validate", "classify")  # the last keeps what an error said


@dataclass(slots=True)
class Tried:
    """One delivery under the contract; ``rows`` are its failing ones with every reason, as far as they are shown."""

    input: str
    state: str  # passed | failed | held | unreadable
    rows_read: int = 0
    rows_failed: int = 0
    score: float = 0.0
    dimensions: dict[str, float] = field(default_factory=dict)
    held_for: str = ""
    whole: list[str] = field(default_factory=list)  # what is wrong with the delivery as a whole, held for it or not
    broken: list[dict[str, Any]] = field(default_factory=list)  # every broken rule on the whole batch, with its rows
    checks: list[dict[str, Any]] = field(default_factory=list)  # check, column, rows, explanation
    rows: list[dict[str, Any]] = field(default_factory=list)
    query: str = ""  # of a table: GoogleSQL that finds the failing rows

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def trial(
    contract_file: Path,
    contract: Contract,
    data: str,
    *,
    rows_shown: int = ROWS_SHOWN,
    values: bool = False,
    reading: str = "",
    engine: Engine = "auto",
    failing: Path | None = None,
    tables: Mapping[str, Path] | None = None,
    progress: Progress | None = None,
) -> list[Tried]:
    """Judge every delivery that ``data`` (a file, folder, pattern or address) names, by name.

    ``reading`` says how they are read, as a pipeline's ``format`` does; without it that is seen from the bytes.
    Parquet files are judged where they lie, whole or in pieces as ``engine`` says; others are staged as a pipeline's.
    ``failing`` is a file that gets the number of every failing row, with each check and column. ``tables`` are files of
    tables that the contract compares the data with, by their names in it; what it compares with others is not judged.
    ``DefinitionMissing`` when there is none.
    """
    from mend.beside_tables import load_tables
    from mend.initialise import source_uri
    from shared.runtime import settings, wiring
    from shared.runtime.logs import EventLog

    uri = source_uri(data, Path("/"), wiring.source_of(settings.load()))
    uri = uri if "://" in uri or uri.startswith("/") else f"/{uri}"
    with TemporaryDirectory(prefix="mend-contract-") as name:
        folder = Path(name)
        files = TrialFiles(folder, contract_file, contract)
        files.write(uri, reading, beside=tables or {})
        # Here nothing is mended: a delivery that cannot be read would keep the later ones waiting.
        given = settings.load(
            root=str(folder / "store"), project=name, backend="local", wait_seconds=0.0, settle_seconds=0.0
        )
        there = _look(wiring.source_of(given), uri, data)
        process = wiring.build(given, log=EventLog(), definition_files=files.given, progress=progress)
        try:
            _refuse_wrong(contract, str(contract_file), process)
            load_tables(process, NAME, tables or {}, contract)
            personal = PersonalColumns(contract)
            look = _Look(process, personal, rows_shown, values)
            with FailingFile(failing) as file:
                if not reading and (told := _in_place(look, there, engine, file)):
                    return told
            _run(process)
            with FailingFile(failing) as file:
                told = _tried(look, file)
            for each in told:
                each.whole = [files.placed(message) for message in each.whole]
            return told
        except DefinitionError as error:
            raise files.own(error) from error
        finally:
            process.close()


def _refuse_wrong(contract: Contract, path: str, process: Process) -> None:
    """Raise what is wrong with queries and checks before any row is looked at."""
    from mend.query_trial import query_errors
    from shared.runtime import plugins

    for error in query_errors(contract, path, process.sql):
        raise error
    for rule in contract.custom_checks:
        plugins.load(plugins.CHECKS, rule.name, place=(path, rule.line))


def _run(process: Process) -> None:
    """Have the services read and judge what is there."""
    from mend.runner import due
    from mend.services import every_service

    worker = process.worker([each for each in every_service() if each.name in _SERVICES])
    process.bus.publish(_messages(due(process, NAME, "", "mend contract test")))
    worker.run_until_idle(0.0)
    if _unexplained(process):
        worker.run_until_idle(RETRIES_SECONDS)


def _look(source: Source, uri: str, data: str) -> list[Found]:
    try:
        there = list(source.discover(uri))
    except ForeignFailure as error:
        raise DefinitionMissing(f"{data}: {error.message}; name a file, a folder or a pattern in quotes") from error
    if not there:
        raise DefinitionMissing(f"{data}: there is no file; name a file, a folder or a pattern in quotes")
    return there


@dataclass(frozen=True, slots=True)
class _Look:
    """How failing rows are shown."""

    process: Process
    personal: PersonalColumns
    rows_shown: int = 0
    values: bool = False


def _in_place(look: _Look, there: list[Found], engine: Engine, file: FailingFile) -> list[Tried] | None:
    """The verdicts on files that can be judged where they lie; None when one of them cannot."""
    other = next((each.name for each in there if not each.name.lower().endswith(PARQUET_ENDINGS)), "")
    if engine in ("memory", "streamed") and other:
        raise DefinitionMissing(f"{other} is no Parquet file, which is judged {engine}; leave --engine out")
    if engine == "staged" or other:
        return None
    import polars as pl

    from mend.contract_in_place import judged, opened

    process = look.process
    deliveries = opened(there, _rows_max(engine, process))
    told: list[Tried] = []
    named: dict[str, FailingRows] = {}
    for each in deliveries or ():
        if each.same_as:
            told.append(Tried(each.found.name, "passed", held_for=f"{SAME_CONTENT}{each.same_as}"))
            continue
        sink = FailingRows(look.rows_shown, process.objects if file.path else None, f"failing/{len(told)}")
        try:
            verdict = judged(process, NAME, each, sink)
        except pl.exceptions.PolarsError:
            return None  # a damaged file: ingest says what is wrong with it
        told.append(_of_judgement(look, each.found.name, verdict, sink))
        named[each.found.name] = sink
    for name, sink in named.items():
        file.add(name, sink.named())
    return _like_the_first(told) or None


def _like_the_first(tried: list[Tried]) -> list[Tried]:
    """A delivery of the same bytes as an earlier one has its state, and is told to be that."""
    states = {each.input: each.state for each in tried}
    for each in tried:
        if each.held_for.startswith(SAME_CONTENT):
            each.state = states.get(each.held_for.removeprefix(SAME_CONTENT), each.state)
    return tried


def table_trial(
    contract_file: Path, contract: Contract, table: str, warehouse: Warehouse, *, engine: Engine = "auto"
) -> list[Tried]:
    """Judge a table (``dataset.table``) of a warehouse as it is now.

    Large ones are judged in the warehouse, unless the contract asks for what that cannot do in the same way; others are
    copied to a file first. ``DefinitionMissing`` when there is no such table.
    """
    from mend.contract_in_place import judged, opened, terms_of
    from mend.contract_table import ROWS_PUSHED, InTheWarehouse, spooled, told
    from shared.ports.source import Found
    from shared.runtime import settings, wiring
    from shared.runtime.logs import EventLog

    described = warehouse.describe(table)
    if described is None:
        raise DefinitionMissing(f"{table}: there is no such table in the warehouse; mend status names the pipelines")
    with TemporaryDirectory(prefix="mend-contract-") as name:
        folder = Path(name)
        files = TrialFiles(folder, contract_file, contract)
        files.write("nothing/*", "", table)
        given = settings.load(root=str(folder / "store"), project=name, backend="local")
        process = wiring.build(given, log=EventLog(), definition_files=files.given)
        found = Found(f"{folder / 'table.parquet'}", table, "", 0, 0)
        try:
            terms, _ = terms_of(process, NAME, found, described.rows, warehouse)
            place = InTheWarehouse(warehouse, described, terms)
            why = "" if engine in ("memory", "streamed") else place.unpushable
            if engine == "warehouse" and why:
                raise DefinitionMissing(f"{table} cannot be judged in the warehouse: {why}; leave --engine out")
            if not why and (engine == "warehouse" or (engine == "auto" and described.rows > ROWS_PUSHED)):
                return [Tried(**told(place, table, process.clock.now()))]
            spooled(warehouse, described, folder / "table.parquet")
            deliveries = opened([found], _rows_max(engine, process))
            check(deliveries is not None, "the copy of a table is a Parquet file")
            sink = FailingRows(0)
            verdict = judged(process, NAME, (deliveries or [])[0], sink, warehouse)
            return [_of_judgement(_Look(process, PersonalColumns(contract)), table, verdict, sink)]
        except DefinitionError as error:
            raise files.own(error) from error
        finally:
            process.close()


def _rows_max(engine: Engine, process: Process) -> int:
    """Rows of a piece; 0: by size."""
    return {"memory": ROWS_IN_MEMORY, "streamed": process.settings.rows_per_part}.get(engine, 0)


def _of_judgement(look: _Look, name: str, verdict: Verdict, sink: FailingRows) -> Tried:
    from mend.quarantine import reasons_told, rows_in

    reason = verdict.decision.reason
    document = {
        "state": str(verdict.decision.state),
        "rows": verdict.rows,
        "score": verdict.score,
        "dimensions": verdict.dimensions,
        "reason": reason.check if reason else "",
        "findings": [finding_told(finding) for finding in verdict.dataset],
    }
    broken = broken_rules((finding.check, finding.column, finding.evidence) for finding in verdict.dataset)
    frames = ((1, frame) for frame in sink.shown())
    shown = rows_in(frames, look.rows_shown, values=look.values, personal=look.personal)
    return _of_verdict(name, document, sink.rows, reasons_told(sink.reasons), shown, broken)


def _messages(event: Any) -> Any:
    from shared.runtime.handling import messages_of

    return messages_of("mend", [event])


def _tried(look: _Look, file: FailingFile) -> list[Tried]:
    """What the documents and the quarantine say of every delivery."""
    import polars as pl

    from mend.places import quarantine_frames
    from mend.quarantine import reasons_of, rows_in, violations_in

    process = look.process
    deliveries = process.store.query("deliveries", order_by="name", limit=100_000)
    names = {stored.key: str(stored.data["name"]) for stored in deliveries}
    found: list[Tried] = []
    for stored in deliveries:
        verdict = process.store.get("verdicts", f"{stored.key}:1")
        if verdict is None:
            first = str(stored.data.get("duplicate_of") or "")
            told = Tried(str(stored.data["name"]), "unreadable", held_for=names.get(first, first))
            if told.held_for:
                told.state, told.held_for = "passed", f"{SAME_CONTENT}{told.held_for}"
            else:
                told.whole = _errors(process, stored.key)
            found.append(told)
            continue
        name = str(stored.data["name"])
        rows, reasons = reasons_of(process.objects, stored.key, None)
        held = str(verdict.data["reason"])
        frames = _failing_themselves(quarantine_frames(process.objects, stored.key, None), held)
        shown = rows_in(frames, look.rows_shown, values=look.values, personal=look.personal)
        found.append(_of_verdict(name, verdict.data, rows, reasons, shown, broken_of(process, stored.key)))
        if file.path:
            frames = quarantine_frames(process.objects, stored.key, None, [VIOLATIONS])
            file.add(
                name, (violations_in(frame).select(pl.col(ROW).alias("row"), "check", "column") for _, frame in frames)
            )
    return _like_the_first(found)


def _failing_themselves(frames: Iterable[tuple[int, pl.DataFrame]], held: str) -> Iterator[tuple[int, pl.DataFrame]]:
    """The rows that break a rule, without those that only wait because the whole is held."""
    import polars as pl

    own = pl.col(VIOLATIONS).list.eval(pl.element().struct.field("check") != held).list.any()
    return ((attempt, frame.filter(own) if held else frame) for attempt, frame in frames)


def _of_verdict(
    name: str,
    document: Mapping[str, Any],
    rows: int,
    reasons: list[dict[str, Any]],
    shown: list[dict[str, Any]],
    broken: list[dict[str, Any]],
) -> Tried:
    held = document["state"] in ("held", "rejected")
    return Tried(
        name,
        "held" if held else "failed" if rows else "passed",
        rows_read=int(document["rows"]),
        rows_failed=rows,
        score=float(document["score"]),
        dimensions=dict(document["dimensions"]),
        held_for=held_for(str(document["reason"]), document["findings"]) if held else "",
        whole=[str(each["message"]) for each in document["findings"] if each.get("message")],
        broken=sorted(broken, key=lambda each: (each["check"], each["column"])),
        checks=reasons,
        rows=shown,
    )


def _unexplained(process: Process) -> bool:
    """True when a delivery has neither a verdict nor anything that says why."""
    deliveries = process.store.query("deliveries", limit=100_000)
    return any(
        process.store.get("verdicts", f"{each.key}:1") is None
        and not each.data.get("duplicate_of")
        and not _errors(process, each.key)
        for each in deliveries
    )


def _errors(process: Process, batch_id: str) -> list[str]:
    """Why a delivery has no verdict."""
    from shared.ports.state_store import Where

    found = process.store.query("incidents", (Where("batch_id", "==", batch_id),), limit=10)
    return [str(each.data["message"]) for each in found if each.data.get("message")]


def contract_in(file: Path | None) -> Path:
    """The contract to use: the one that is named, or the only one here; ``DefinitionMissing`` otherwise."""
    if file is not None:
        if not file.is_file():
            raise DefinitionMissing(f"{file}: there is no such contract; make one: mend contract infer DATA")
        return file
    patterns = ("*.odcs.yaml", "datacontract.yaml", "contracts/*.odcs.yaml")
    here = sorted({found for pattern in patterns for found in Path().glob(pattern)})
    if len(here) != 1:
        what = "there is no contract here" if not here else f"there are {len(here)} contracts here"
        raise DefinitionMissing(f"{what}; name one: mend contract test DATA --contract FILE")
    return here[0]


def read_contract_file(file: Path, table: str = "", *, exactly: bool = False) -> Contract:
    """The contract in a file; ``DefinitionError`` with its position when something is wrong in it.

    ``table`` chooses one of several that it describes; with ``exactly`` it must be there, even if there is only one.
    """
    from shared.domain.contract import parse_contract
    from shared.domain.definition_file import suggestion

    contract = parse_contract(text_of(file), str(file), table)
    names = {contract.table, contract.table.rpartition(".")[2], contract.logical_table} - {""}
    if exactly and table.casefold() not in {name.casefold() for name in names}:
        raise DefinitionMissing(f"{file}: it describes no table {table}; {suggestion(table, names)}")
    return contract


def judged_contract(file: Path, table: str = "", *, exactly: bool = False) -> Contract:
    """The same as it is judged: what cannot be checked here is among what is said of it."""
    from services.validate.checkable import checkable

    return checkable(read_contract_file(file, table, exactly=exactly), str(file))
