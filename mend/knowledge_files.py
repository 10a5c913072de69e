"""Entries of the knowledge base as files: CSV, Markdown and JSON both ways, and XLSX to read.

A table has one entry a row. ``title`` and ``text`` (or a name that means the same) are needed; columns of other names
become lines of the text ("Resolution: …"), so that a team's own list of incidents can be taken as it is. Markdown has
one entry under each heading of the first level. A file is checked whole before any of it counts.
"""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from mend.knowledge import Entry, as_document
from mend.output import shown
from shared.domain.causes import CAUSES
from shared.domain.errors import DefinitionError
from shared.domain.knowledge import TEXT_CHARACTERS_MAX, TITLE_CHARACTERS_MAX, KnowledgeKind
from shared.domain.masking import visible

FILE_BYTES_MAX: Final = 20_000_000
UNPACKED_BYTES_MAX: Final = 100_000_000  # a small archive can hold a sheet that fills the memory
ENTRIES_MAX: Final = 5_000
_NAMES: Final = {
    "title": ("title", "name", "summary", "subject", "incident"),
    "text": ("text", "body", "description", "content", "details"),
    "kind": ("kind",),
    "cause": ("cause",),
    "pipeline": ("pipeline",),
}
_FROM_EXPORTS: Final = frozenset({"id", "by", "at", "version", "source", "learned"})
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "|")  # what a spreadsheet takes for a formula
_HEADING: Final = re.compile(r"^#\s+(.+?)\s*#*$")
_FENCE: Final = re.compile(r"^\s{0,3}(```|~~~)")
_FIELD: Final = re.compile(r"^(kind|cause|pipeline):\s*(\S.*)$")
_EXPORTED: Final = ("kind", "title", "text", "cause", "pipeline", "id", "version", "by", "at", "source", "learned")


class Draft(NamedTuple):
    """An entry as it is to be kept."""

    kind: str
    title: str
    text: str
    cause: str = ""
    pipeline: str = ""


def drafted(draft: Draft, place: str, line: int = 0) -> Draft:
    """The draft in plain lines, if it can be kept; ``DefinitionError`` with the place if not."""
    title = " ".join(visible(draft.title).split())
    text = visible(draft.text.replace("\r\n", "\n").replace("\r", "\n")).strip()
    kind, cause = draft.kind.strip().casefold().replace(" ", "_").replace("-", "_"), draft.cause.strip()
    problem, hint = "", ""
    if kind not in set(KnowledgeKind):
        problem = f"there is no kind {shown(kind, 60)}" if kind else "the kind is missing"
        hint = f"one of {', '.join(KnowledgeKind)}: in the file or as --kind"
    elif not title or not text:
        problem, hint = f"the {'text' if title else 'title'} is missing", "an entry has a title and a text"
    elif len(title) > TITLE_CHARACTERS_MAX or len(text) > TEXT_CHARACTERS_MAX:
        problem = f"a title of {len(title):,} or a text of {len(text):,} characters is too long"
        hint = f"at most {TITLE_CHARACTERS_MAX} and {TEXT_CHARACTERS_MAX:,}: split it into several entries"
    elif cause and cause not in CAUSES:
        problem, hint = f"there is no cause {shown(cause, 60)}", "mend taxonomy lists them"
    if problem:
        raise DefinitionError(place, line, 0, problem, hint)
    return Draft(kind, title, text, cause, shown(draft.pipeline.strip(), 200))


def read(file: Path, kind: str = "") -> list[Draft]:
    """The entries of a file; ``kind`` is that of entries that do not say theirs."""
    readers: dict[str, Callable[[Path, str], Iterator[Draft]]] = {
        ".csv": _of_csv,
        ".xlsx": _of_xlsx,
        ".md": _of_markdown,
        ".markdown": _of_markdown,
        ".json": _of_json,
    }
    reader = readers.get(file.suffix.lower())
    if reader is None:
        raise DefinitionError(str(file), 0, 0, "is no file of entries", "end its name in .csv, .xlsx, .md or .json")
    found = list(reader(file, kind))
    if not found:
        raise DefinitionError(str(file), 0, 0, "holds no entry", "a row, or a heading of the first level, for each")
    return found


def text_of(file: Path) -> str:
    """A text file, bounded."""
    try:
        with file.open("rb") as stream:
            content = stream.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise DefinitionError(str(file), 0, 0, f"cannot be read: {error.strerror}", "name a file") from error
    if len(content) > FILE_BYTES_MAX:
        raise DefinitionError(str(file), 0, 0, f"has more than {FILE_BYTES_MAX:,} bytes", "split it into several files")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DefinitionError(str(file), 0, 0, "is not UTF-8 text", "save it as UTF-8") from error


def _of_csv(file: Path, kind: str) -> Iterator[Draft]:
    text = text_of(file)
    csv.field_size_limit(FILE_BYTES_MAX)
    head = text.split("\n", 1)[0]
    delimiter = max(",;\t|", key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise DefinitionError(str(file), reader.line_num, 0, f"is no CSV: {error}", "check its quotes") from error
    yield from _of_rows(file, kind, rows)


def _of_xlsx(file: Path, kind: str) -> Iterator[Draft]:
    try:
        import python_calamine
    except ImportError as error:
        hint = "pip install 'mendline[xlsx]', or save it as CSV"
        raise DefinitionError(str(file), 0, 0, "XLSX needs the library python-calamine", hint) from error
    try:
        with zipfile.ZipFile(file) as archive:
            size = sum(part.file_size for part in archive.infolist())
        if size > UNPACKED_BYTES_MAX:
            raise DefinitionError(str(file), 0, 0, f"unpacks to more than {UNPACKED_BYTES_MAX:,} bytes", "split it")
        with python_calamine.load_workbook(str(file)) as workbook:
            rows = workbook.get_sheet_by_index(0).to_python(nrows=ENTRIES_MAX + 2)
    except FileNotFoundError as error:
        raise DefinitionError(str(file), 0, 0, "cannot be read: there is no such file", "name a file") from error
    except (OSError, zipfile.BadZipFile, python_calamine.CalamineError) as error:
        raise DefinitionError(str(file), 0, 0, "cannot be read as XLSX", "save it anew, or as CSV") from error
    yield from _of_rows(file, kind, [(number, [_shown(cell) for cell in row]) for number, row in enumerate(rows, 1)])


def _shown(cell: object) -> str:
    """A cell as people see it: a whole number without its fraction."""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def _of_rows(file: Path, kind: str, rows: Sequence[tuple[int, list[str]]]) -> Iterator[Draft]:
    filled = [(line, row) for line, row in rows if any(cell.strip() for cell in row)]
    if not filled:
        return
    if len(filled) > ENTRIES_MAX + 1:
        raise DefinitionError(str(file), 0, 0, f"has more than {ENTRIES_MAX:,} rows", "split it into several files")
    header = [" ".join(cell.split()) for cell in filled[0][1]]
    places = _places(header)
    if "title" not in places:
        hint = f"one of {', '.join(_NAMES['title'])}; a text is {', '.join(_NAMES['text'])}"
        raise DefinitionError(str(file), filled[0][0], 0, "no column is the title", hint)
    for line, row in filled[1:]:
        cells = [_unmarked(cell) for cell in row] + [""] * (len(header) - len(row))
        told = {name: cells[place] for name, place in places.items()}
        others = [
            f"{name}: {cells[place]}"
            for place, name in enumerate(header)
            if place not in places.values() and name and name.casefold() not in _FROM_EXPORTS and cells[place].strip()
        ]
        text = "\n".join(each for each in [told.get("text", "").strip(), *others] if each)
        draft = Draft(told.get("kind", "").strip() or kind, told["title"], text, told.get("cause", ""))
        yield drafted(draft._replace(pipeline=told.get("pipeline", "")), str(file), line)


def _places(header: Sequence[str]) -> dict[str, int]:
    folded = [name.casefold() for name in header]
    found = {}
    for wanted, names in _NAMES.items():
        place = next((folded.index(name) for name in names if name in folded), None)
        if place is not None:
            found[wanted] = place
    return found


def _of_markdown(file: Path, kind: str) -> Iterator[Draft]:
    """One entry under each heading of the first level; headings inside fenced code are text."""
    parts: list[tuple[int, str, list[str]]] = []
    fenced = ""
    for number, line in enumerate(text_of(file).splitlines(), 1):
        fence = _FENCE.match(line)
        if fence:
            fenced = "" if fenced == fence.group(1) else (fenced or fence.group(1))
        heading = None if fenced else _HEADING.match(line)
        if heading:
            parts.append((number, heading.group(1), []))
        elif parts:
            parts[-1][2].append(line)
    for number, title, lines in parts:
        yield _section(file, kind, number, title, lines)


def _section(file: Path, kind: str, number: int, title: str, lines: list[str]) -> Draft:
    """The lines "kind: …" right under the heading say what it is; the first empty line after them ends that."""
    told = {"kind": kind, "cause": "", "pipeline": ""}
    rest, seen = list(lines), False
    while rest:
        field = _FIELD.match(rest[0])
        if field:
            told[field.group(1)], seen = field.group(2).strip(), True
        elif rest[0].strip() or seen:
            break
        rest.pop(0)
    return drafted(Draft(told["kind"], title, "\n".join(rest), told["cause"], told["pipeline"]), str(file), number)


def _of_json(file: Path, kind: str) -> Iterator[Draft]:
    """What `write` makes: an object with a list of entries."""
    try:
        told = json.loads(text_of(file))
    except (ValueError, RecursionError) as error:
        raise DefinitionError(str(file), getattr(error, "lineno", 0), 0, "is no JSON", "name a JSON file") from error
    found = told.get("entries") if isinstance(told, dict) else None
    if not isinstance(found, list) or len(found) > ENTRIES_MAX:
        hint = 'write {"entries": [{"kind": …, "title": …, "text": …}]}'
        raise DefinitionError(str(file), 0, 0, f"holds no list of at most {ENTRIES_MAX:,} entries", hint)
    for number, each in enumerate(found, 1):
        fields = each if isinstance(each, dict) else {}
        texts = {name: str(fields.get(name) or "") for name in Draft._fields}
        draft = Draft(**texts)
        yield drafted(draft._replace(kind=draft.kind or kind), f"{file}, entry {number}")


def _unmarked(cell: str) -> str:
    return cell[1:] if cell[:1] == "'" and cell[1:2] in _FORMULA else cell


def _marked(cell: str) -> str:
    """The cell so that a spreadsheet shows it instead of running it."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def write(file: Path, known: Sequence[Entry]) -> None:
    """Write entries as CSV, Markdown or JSON, by the file's ending; what is there already is never replaced."""
    writers = {".csv": _as_csv, ".md": _as_markdown, ".json": _as_json}
    writer = writers.get(file.suffix.lower())
    if writer is None:
        raise DefinitionError(str(file), 0, 0, "is no file for entries", "end its name in .csv, .md or .json")
    text = writer(known)
    try:
        with file.open("x", encoding="utf-8", newline="") as stream:
            stream.write(text)
    except FileExistsError as error:
        raise DefinitionError(str(file), 0, 0, "is there already", "choose another name") from error
    except OSError as error:
        raise DefinitionError(str(file), 0, 0, f"cannot be written: {error.strerror}", "choose a place") from error


def _as_csv(known: Sequence[Entry]) -> str:
    out = io.StringIO(newline="")
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(_EXPORTED)
    for each in known:
        told = as_document(each)
        rows.writerow([_marked(str(told[name])) for name in _EXPORTED])
    return out.getvalue()


def _as_markdown(known: Sequence[Entry]) -> str:
    return "\n".join(_as_section(each) for each in known)


def _as_section(entry: Entry) -> str:
    fields = [f"{name}: {getattr(entry, name)}" for name in ("kind", "cause", "pipeline") if getattr(entry, name)]
    return "\n".join([f"# {entry.title}", "", *fields, "", _below_headings(entry.text), ""])


def _below_headings(text: str) -> str:
    """A text that holds a heading of the first level has it set as text, so that it stays one entry."""
    lines, fenced = [], ""
    for line in text.splitlines():
        fence = _FENCE.match(line)
        if fence:
            fenced = "" if fenced == fence.group(1) else (fenced or fence.group(1))
        lines.append(f"#{line}" if not fenced and _HEADING.match(line) else line)
    return "\n".join(lines) + (f"\n{fenced}" if fenced else "")


def _as_json(known: Sequence[Entry]) -> str:
    return json.dumps({"entries": [as_document(each) for each in known]}, ensure_ascii=False, indent=1) + "\n"
