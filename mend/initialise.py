"""Makes a pipeline and a contract out of data: samples the first deliveries, infers, writes two files."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from mend.key_inference import KEY_NAME
from shared.domain.contract import Contract
from shared.domain.definition_writing import yaml_text
from shared.domain.errors import DefinitionError, DefinitionMissing
from shared.domain.pipeline import PipelineDefinition, parse_pipeline
from shared.domain.reading import ReadingOptions
from shared.ports.source import Found, Source

if TYPE_CHECKING:
    import polars as pl

    from mend.inference import Inferred
    from mend.project import Progress

SAMPLES = 7
DATASET = "analytics"
UPSERT_ROWS_MIN = 200  # a key that is not named like one needs so many different rows behind it

Mode = Literal["append", "upsert", "overwrite"]

_ENDINGS = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".json", ".avro", ".parquet", ".pq")
_DATES = re.compile(r"(?:19|20)\d{2}[-_.]?(?:\d{2}(?:[-_.]?\d{2})?)?(?:[T_-]?\d{4,6})?|\d+$")
_MAGIC = re.compile(r"[*?\[]")


class Wanted(NamedTuple):
    """What the user asked for; "" = decide from the data."""

    place: str  # file, folder, glob or web address, as it was typed
    folder: Path  # of the project
    name: str = ""
    table: str = ""
    mode: Mode | None = None
    samples: int = SAMPLES
    force: bool = False


class Initialised(NamedTuple):
    """What was found and written."""

    pipeline: PipelineDefinition
    pipeline_file: Path
    contract: Contract
    contract_file: Path
    dialect: ReadingOptions
    deliveries: int  # that the source holds now
    read: list[str]  # names of those that the sample consists of
    rows: int
    null_values: tuple[str, ...]
    notes: tuple[str, ...]


def initialise(wanted: Wanted, source: Source, progress: Progress | None = None) -> Initialised:
    """Infer and write both files; nothing is loaded. ``DefinitionError`` when a file is there already."""
    from mend.inference import infer
    from mend.sampling import sample

    uri = source_uri(wanted.place, wanted.folder, source)
    found = list(source.discover(uri))
    if not found:
        raise DefinitionMissing(f"{wanted.place}: there is no file; name a file, a folder or a pattern in quotes")
    name = wanted.name or name_of(uri, found)
    files = _targets(wanted, name)
    taken = sample(source, found[: wanted.samples], progress)
    frames = [frame for frame in taken.frames if frame.width > 3]
    if not frames or not any(frame.height for frame in frames):
        raise DefinitionError(wanted.place, 0, 0, "the deliveries hold no rows", "name one that does")
    if _differ(frames):
        what = "the deliveries have different columns"
        raise DefinitionError(wanted.place, 0, 0, what, "name the files of one table at a time, as a pattern in quotes")
    table = wanted.table or f"{DATASET}.{_identifier(name)}"
    if progress:
        progress("inferring", 0, 0)
    inferred = infer(frames, name=name, table=table.rpartition(".")[2], decimal=taken.dialect.decimal)
    mode = wanted.mode or mode_for(inferred)
    text = pipeline_text(
        name, uri, taken.dialect, inferred, files[1].relative_to(wanted.folder).as_posix(), table, mode
    )
    pipeline = parse_pipeline(text, str(files[0]))
    notes = [*taken.notes, *inferred.notes]
    if inferred.contract.primary_key and mode == "append" and wanted.mode is None:
        notes.append("the key is a guess, so rows are appended; say --mode upsert if newer rows replace older ones")
    if taken.dialect.format == "csv" and not taken.dialect.header:
        notes.append("the files have no header line; the columns are named by their position")
    _write(files[1], inferred.text, wanted.force)
    _write(files[0], text, wanted.force)
    return Initialised(
        pipeline=pipeline,
        pipeline_file=files[0],
        contract=inferred.contract,
        contract_file=files[1],
        dialect=taken.dialect,
        deliveries=len(found),
        read=[each.name for each in taken.read],
        rows=inferred.rows,
        null_values=inferred.null_values,
        notes=tuple(notes),
    )


def inferred_from(place: str, name: str, samples: int, source: Source, progress: Progress | None = None) -> Inferred:
    """The contract that the first deliveries speak for; nothing is written. Errors as ``initialise``."""
    from mend.inference import infer
    from mend.sampling import sample

    uri = source_uri(place, Path(), source)
    found = list(source.discover(uri))
    if not found:
        raise DefinitionMissing(f"{place}: there is no file; name a file, a folder or a pattern in quotes")
    taken = sample(source, found[:samples], progress)
    frames = [frame for frame in taken.frames if frame.width > 3]
    if not frames or not any(frame.height for frame in frames):
        raise DefinitionError(place, 0, 0, "the deliveries hold no rows", "name one that does")
    wanted = name or name_of(uri, found)
    return infer(frames, name=wanted, table=_identifier(wanted), decimal=taken.dialect.decimal, alone=True)


def _differ(frames: Sequence[pl.DataFrame]) -> bool:
    """True when most deliveries share less than half of their columns with any other one: several tables."""
    headers = [frozenset(frame.columns[3:]) for frame in frames]
    alone = [
        header
        for at, header in enumerate(headers)
        if not any(2 * len(header & other) >= len(header) for other in headers[:at] + headers[at + 1 :])
    ]
    return len(headers) > 1 and 2 * len(alone) > len(headers)


def source_uri(place: str, folder: Path, source: Source) -> str:
    """The source as the pipeline names it: relative to the project folder if it lies in it, else absolute."""
    if "://" in place and not place.startswith("file://"):
        return place
    plain = place.removeprefix("file://")
    absolute = os.path.normpath(Path.cwd() / plain)
    if not _MAGIC.search(plain) and Path(absolute).is_dir():
        absolute = f"{absolute}/{_pattern_of([each.name for each in source.discover(absolute)])}"
    root = str(folder.resolve())
    for base in dict.fromkeys((root, os.path.normpath(Path.cwd() / folder))):
        if absolute.startswith(base.rstrip("/") + "/"):
            return absolute[len(base.rstrip("/")) + 1 :]
    return absolute


def _pattern_of(names: Sequence[str]) -> str:
    """A pattern for a folder's files: those with the ending that most of them have, compressed ones too."""
    endings = Counter(_ending(name) for name in names)
    ending = max(endings, key=lambda each: (endings[each], each), default="")
    if not ending:
        return "*"
    mine = [name.lower() for name in names if _ending(name) == ending]
    return f"*{ending}" if all(name.endswith(ending) for name in mine) else f"*{ending}*"


def _ending(name: str) -> str:
    lowered = name.lower().removesuffix(".gz")
    return next((ending for ending in _ENDINGS if lowered.endswith(ending)), "")


def name_of(uri: str, found: Sequence[Found]) -> str:
    """A pipeline's name: what the files' names have in common without dates, else the folder's name."""
    stems = [_stem(each.name) for each in found]
    shared = _DATES.sub("", _beginning(stems))
    folder = "" if "://" in uri else uri.rstrip("/").rpartition("/")[0].rpartition("/")[2]
    for candidate, shortest in ((shared, 2), (folder, 2), (stems[0], 1)):
        name = re.sub(r"[^a-z0-9_-]+", "-", candidate.lower()).strip("-_")[:63].strip("-_")
        if len(name) >= shortest and not _MAGIC.search(candidate):
            return name
    return "deliveries"


def _identifier(name: str) -> str:
    """The name as a table's."""
    plain = re.sub(r"[^a-z0-9_]", "_", name)
    return f"t_{plain}" if plain[0].isdigit() else plain


def _beginning(words: Sequence[str]) -> str:
    """What all words begin with."""
    first, last = min(words), max(words)
    same = next((at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first))
    return first[:same]


def _stem(name: str) -> str:
    return name.removesuffix(".gz").rsplit(".", 1)[0]


def mode_for(inferred: Inferred) -> Mode:
    """Upsert where the key is surely one: named like one, or unique in many rows; append otherwise."""
    key = inferred.contract.primary_key
    named = len(key) == 1 and bool(KEY_NAME.search(key[0]))
    return "upsert" if key and (named or inferred.rows >= UPSERT_ROWS_MIN) else "append"


def pipeline_text(
    name: str, uri: str, dialect: ReadingOptions, inferred: Inferred, contract: str, table: str, mode: Mode
) -> str:
    """The pipeline file. The dialect is written down, so that a later change of it is noticed and healed."""
    spoken: dict[str, Any] = {"format": dialect.format}
    if dialect.format == "csv":
        names = ("encoding", "delimiter", "quote", "header", "decimal")
        spoken |= {each: getattr(dialect, each) for each in names}
        unusual = dialect.model_dump(include={"escape", "skip_lines"}, exclude_defaults=True)
        spoken |= unusual
    elif dialect.format in ("jsonl", "json"):
        spoken["encoding"] = dialect.encoding
    source: dict[str, Any] = {"kind": "files", "uri": uri, "format": spoken}
    if dialect.format not in ("avro", "parquet"):
        source["null_values"] = list(inferred.null_values)
    head = "# What moves from where to where. `mend check` says what is wrong here, `mend run` runs it.\n"
    return head + yaml_text(
        {
            "pipeline": name,
            "source": source,
            "contract": contract,
            "destination": {"table": table, "mode": mode},
            "healing": {"mode": "guarded"},
        }
    )


def _targets(wanted: Wanted, name: str) -> tuple[Path, Path]:
    """Where the files go; refused when one is there, before any work is done."""
    pipeline = wanted.folder / "pipelines" / f"{name}.yaml"
    contract = wanted.folder / "contracts" / f"{name}.odcs.yaml"
    for file in (pipeline, contract):
        if file.exists() and not wanted.force:
            hint = "choose another name with --name, or overwrite it with --force"
            raise DefinitionError(str(file), 0, 0, "is there already", hint)
    return pipeline, contract


def _write(file: Path, text: str, force: bool) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("w" if force else "x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError as error:
        raise DefinitionError(str(file), 0, 0, "is there already", "choose another name with --name") from error
    except OSError as error:
        raise DefinitionError(str(file), 0, 0, f"cannot be written: {error.strerror}", "choose --project") from error
