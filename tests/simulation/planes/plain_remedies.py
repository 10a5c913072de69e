"""The playbook's plans over lists: which texts fail, and what they become; names, tiers and fits are the product's."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from functools import lru_cache
from typing import Any, NamedTuple

from services.remediate.attempt import CellChange, Discard
from services.remediate.plans import Case, Plan
from services.remediate.playbook import convert_unit as units
from services.remediate.playbook import parse_dates as dates
from services.remediate.playbook import snap_to_allowed as snapping
from services.remediate.playbook.cells import allowed
from services.remediate.playbook.normalise_text import _INVISIBLE, _NULL_WORDS, _TYPES
from services.remediate.quarantine import MARKS
from services.remediate.records import Remedy
from services.remediate.work import Work
from shared.domain import paths
from shared.domain.contract import Column
from tests.simulation.planes import plain_quarantine, rows_file
from tests.simulation.planes.plain_cells import as_number
from tests.simulation.planes.plain_evidence import day_in
from tests.simulation.planes.rows_file import Rows

Mapping_ = dict[str, tuple[str, float]]  # old: new, confidence

_UNSEEN = re.compile(_INVISIBLE)
_SPACES = re.compile(r"\s+")
_FORMS = {kind: re.compile(pattern) for kind, pattern in _TYPES.items()}


def failing_texts(case: Case, remedy: str) -> tuple[Column, str, Counter[str]] | None:
    """The column, its staged name and its distinct failing texts with their rows."""
    column = case.contract_column()
    if column is None or case.quarantine is None or not allowed(column, remedy):
        return None
    staged = case.staged_name(column.name)
    if plain_quarantine.columns(case.quarantine).get(staged) != "string":
        return None
    values = plain_quarantine.values(case.quarantine, column.name, staged)
    return (column, staged, values) if values else None


def plan_of_mapping(
    case: Case,
    remedy: str,
    column: Column,
    staged: str,
    mapping: Mapping_,
    sentence: str,
    details: dict[str, object],
    p_cause: float,
) -> Plan | None:
    """A plan that replaces texts in rows with a violation on the column; None when nothing is left to change."""
    mapping = {old: new for old, new in mapping.items() if new[0] != old}
    if not mapping or case.quarantine is None or case.healing is None:
        return None
    change = CellChange(remedy=remedy, column=column.name, staged=staged, mapping=mapping)  # type: ignore[arg-type]
    before = plain_quarantine.tried(case.ports.objects, case.healing)
    frames = plain_quarantine.frames(case.quarantine)
    rows = sum(len(plain_quarantine.changed_cells(frame, change, before)) for frame in frames)
    if rows == 0:
        return None
    told = details.get("formats")
    formats = [str(each) for each in told] if isinstance(told, list) else []
    return Plan(
        action="cells",
        sentence=sentence.format(rows=f"{rows:,}", values=f"{len(mapping):,}", column=column.name),
        rows=rows,
        rows_changed=rows,
        columns=(column.name,),
        p_cause=p_cause,
        confidence=min(confidence for _, confidence in mapping.values()),
        changes=(change,),
        details={**details, "distinct_texts": len(mapping)},
        signature=f"{column.name}: {', '.join(formats)}" if formats else "",
    )


# ── text ──


@lru_cache(maxsize=8_192)
def clean(text: str) -> str:
    """NFKC, no invisible characters, no spaces around, single spaces inside."""
    return _SPACES.sub(" ", _UNSEEN.sub("", unicodedata.normalize("NFKC", text))).strip()


@lru_cache(maxsize=8_192)
def fold(text: str) -> str:
    """What stays of a text when case, spaces and punctuation do not count, except what makes another number."""
    marked = re.sub(r"^[\W_]*[-\u2212][\W_]*(?=\d)", "\0\0", clean(text).lower())
    marked = re.sub(r"(?<=\d)[^\w\0]+(?=\d)", "\0", marked)
    return "".join(each for each in marked if each == "\0" or unicodedata.category(each)[0] in "LN")


def fold_to(text: str, known: list[str]) -> str | None:
    """The one allowed value that differs by case, spaces or punctuation only; no simulated text is broken."""
    folded = fold(text)
    found = [value for value in known if fold(value) == folded] if folded else []
    return found[0] if len(found) == 1 else None


def allowed_values(case: Case, column: Column) -> list[str] | None:
    """Distinct allowed texts, sorted; None when they are not known."""
    if case.finding.check == "relationship" or not column.enum:
        return _parent_keys(case, column)
    return sorted({str(value) for value in column.enum})


def _parent_keys(case: Case, column: Column) -> list[str] | None:
    if case.contract is None or case.healing is None or case.quarantine is None or case.quarantine.base is None:
        return None
    dataset = case.definition.destination.dataset if case.definition else ""
    for reference in case.contract.references:
        if reference.columns != (column.name,):
            continue
        folder = f"snapshots/{paths.safe_name(reference.qualified(dataset))}/"
        for path in case.quarantine.base.snapshots:
            if path.startswith(folder):
                return sorted({str(row[0]) for row in rows_file.read(case.ports.objects, path).rows})
    return None


def normalise_text(self: Any, case: Case) -> Plan | None:
    """Clean texts that then fit: an allowed value, or the type."""
    found = failing_texts(case, self.name)
    if found is None:
        return None
    column, staged, values = found
    known = allowed_values(case, column)
    if known is None and case.finding.check != "type":
        return None
    mapping: Mapping_ = {}
    for text in values:
        new = fold_to(text, known) if known is not None else None
        if new is None and case.finding.check == "type":
            new = _fitting(column, text)
        if new is not None:
            mapping[text] = (new, 0.97)
    sentence = "Clean spaces, case and Unicode form of {values} texts in {column}, {rows} rows"
    return plan_of_mapping(case, self.name, column, staged, mapping, sentence, {}, 0.97)


def _fitting(column: Column, text: str) -> str | None:
    cleaned = clean(text)
    form = _FORMS.get(column.logical_type)
    if form.search(cleaned) if form is not None else cleaned == "":
        return cleaned
    return "" if column.nullable and cleaned.lower() in _NULL_WORDS else None


def snap_to_allowed(self: Any, case: Case) -> Plan | None:
    """The unique nearest allowed values."""
    found = failing_texts(case, self.name)
    if found is None:
        return None
    column, staged, values = found
    known = allowed_values(case, column)
    if not known:
        return None
    lowered = [clean(value).lower() for value in known]

    def dense(edits: int) -> float:
        return snapping.density(lowered, edits)

    mapping: Mapping_ = {}
    for text in values:
        folded = fold_to(text, known)
        nearest = snapping._nearest(clean(text).lower(), lowered, dense) if folded is None else None
        if folded is not None:
            mapping[text] = (folded, 0.97)
        elif nearest is not None:
            mapping[text] = (known[nearest], 0.95)
    sentence = "Write the nearest allowed value for {values} misspelled texts in {column}, {rows} rows"
    return plan_of_mapping(case, self.name, column, staged, mapping, sentence, {"allowed": len(known)}, 0.92)


# ── dates ──


class _Read(NamedTuple):
    format: str
    parsed: dict[str, str]
    rows: int


def parse_dates(self: Any, case: Case) -> Plan | None:
    """One format, or up to three, that the failing texts of the column are written in."""
    found = failing_texts(case, self.name)
    if found is None or found[0].logical_type != "date":
        return None
    column, staged, values = found
    chosen, confidence = choose(values, dates._verdict(case))
    if not chosen:
        return None
    new: dict[str, str] = {}
    for read in reversed(chosen):
        new |= read.parsed
    formats = [read.format for read in chosen]
    doubt = "; day and month could be the other way round" if confidence < 0.6 else ""
    sentence = f"Read {{column}} as {', '.join(formats)} and write it as ISO in {{rows}} rows{doubt}"
    explained = sum(values[text] for text in new) / sum(values.values())
    sure = 0.95 if explained >= 0.5 and not dates._out_of_range(case) else 0.0
    mapping = {old: (text, confidence) for old, text in new.items()}
    return plan_of_mapping(case, self.name, column, staged, mapping, sentence, {"formats": formats}, sure)


def choose(values: Counter[str], verdict: str) -> tuple[list[_Read], float]:
    """The formats for a column's failing texts, most frequent first, and how sure that is."""
    total = sum(values.values())
    left = set(values)
    chosen: list[_Read] = []
    confidence = 1.0
    while len(chosen) < dates.FORMATS_PER_COLUMN_MAX and left:
        reads = [_read(values, left, each) for each in dates._candidates("date")]
        reads = [read for read in reads if read.parsed and read.rows >= max(1, dates.SHARE_MIN * total)]
        if not reads:
            break
        best = max(reads, key=lambda read: read.rows)
        pick, sure = _settle(best, reads, verdict)
        chosen.append(pick)
        confidence = min(confidence, sure)
        left -= set(pick.parsed)
    return chosen, confidence


def _read(values: Counter[str], left: set[str], layout: str) -> _Read:
    parsed = {text: day.isoformat() for text in values if text in left and (day := day_in(text, layout)) is not None}
    return _Read(layout, parsed, sum(values[text] for text in parsed))


def _settle(best: _Read, reads: list[_Read], verdict: str) -> tuple[_Read, float]:
    twin = next((read for read in reads if dates._is_twin(best.format, read.format)), None)
    if twin is None:
        return best, 0.98
    only_best, only_twin = set(best.parsed) - set(twin.parsed), set(twin.parsed) - set(best.parsed)
    if only_best and only_twin:
        return best, 0.5
    if only_best or only_twin:
        return (best if only_best else twin), 0.98
    if best.parsed == twin.parsed:
        return best, 0.95
    if verdict:
        return (best if dates._order(best.format) == verdict else twin), 0.95
    return best, 0.5


# ── units ──


def convert_unit(self: Any, case: Case) -> Plan | None:
    """Divide the column in all rows of a held batch."""
    column = case.contract_column()
    told = [each for each in case.finding.evidence("unit_ratio") or [] if isinstance(each, dict)]
    if column is None or not told or case.healing is None or case.quarantine is None or not case.healing.held():
        return None
    best, staged = told[0], case.staged_name(column.name)
    factor = float(best.get("factor", 0))
    known = plain_quarantine.columns(case.quarantine).get(staged) == "string"
    if factor <= 0 or not known or column.logical_type not in ("integer", "number"):
        return None
    if float(best.get("mean_error", 0)) > units.ERROR_MAX or not allowed(column, self.name):
        return None
    texts: set[str] = set()
    for frame in plain_quarantine.frames(case.quarantine):
        place = frame.place(staged)
        texts.update(row[place] for row in frame.rows if row[place] is not None)
    mapping = {text: (new, 0.9) for text in sorted(texts) if (new := _converted(text, factor, column)) is not None}
    if not mapping:
        return None
    change = CellChange(
        remedy=self.name,
        column=column.name,
        staged=staged,
        mapping=mapping,  # type: ignore[arg-type]
        all_rows=True,
    )
    rows = case.healing.rows_total()
    return Plan(
        action="cells",
        sentence=f"Convert {column.name} from {units._unit(best, 'to')} to {units._unit(best, 'from')}: "
        f"divide by {factor:g}",
        rows=rows,
        rows_changed=rows,
        columns=(column.name,),
        confidence=0.9,
        changes=(change,),
        details={"factor": factor, "choices": len(told)},
        signature=f"{column.name} ÷ {factor:g}",
    )


def _converted(text: str, factor: float, column: Column) -> str | None:
    number = as_number(text)
    if number is None:
        return None
    digits = 1 if column.logical_type == "integer" else 10**9
    rounded = math.copysign(math.floor(abs(number / factor) * digits + 0.5) / digits, number)
    return str(int(rounded)) if digits == 1 else repr(rounded)


# ── rows ──


def deduplicate(self: Any, case: Case) -> Plan | None:
    """Keep one row of each group whose rows are equal in every cell; groups that differ are not touched."""
    names = case.finding.columns
    if case.quarantine is None or case.contract is None or not names:
        return None
    known = [case.contract.column(each) for each in names]
    if any(each is not None and not allowed(each, self.name) for each in known):
        return None
    keys, label = [case.staged_name(each) for each in names], ",".join(names)
    groups: dict[tuple[Any, ...], list[tuple[int, tuple[Any, ...]]]] = {}
    for frame in plain_quarantine.frames(case.quarantine):
        if not set(keys) <= set(frame.columns):
            return None
        places = [frame.place(each) for each in keys]
        cells = [place for place, name in enumerate(frame.columns) if name not in MARKS]
        for row in frame.rows:
            if any(each["check"] == case.finding.check and each["column"] == label for each in row[-1]):
                member = (row[0], tuple(row[place] for place in cells))
                groups.setdefault(tuple(row[place] for place in places), []).append(member)
    equal = [each for each in groups.values() if len(each) > 1 and len({content for _, content in each}) == 1]
    drop = sorted(
        (number, min(each)[0], f"duplicate of row {min(each)[0]}")
        for each in equal
        for number, _ in each
        if number != min(each)[0]
    )
    if not drop:
        return None
    return Plan(
        action="discard",
        sentence=f"Keep the first of equal rows and discard {len(drop):,} repetitions",
        rows=sum(len(each) for each in equal),
        rows_changed=len(drop),
        columns=tuple(names),
        p_cause=0.97,
        discards=(Discard(remedy=self.name, columns=tuple(names), rows=drop),),  # type: ignore[arg-type]
        details={"groups": len(equal)},
    )


def never(self: Any, case: Case) -> Plan | None:
    """No plain world plants what this remedy heals."""
    return None


def write_diff(work: Work, plan: Plan, record: Remedy) -> str:
    """The proposed texts as a file beside the repairs; "" when no cell would change."""
    if not plan.changes or not record.batch_id:
        return ""
    path = f"repairs/{record.batch_id}/proposed/{record.remedy_id}.parquet"
    rows = []
    for change in plan.changes:
        mapping: Mapping_ = change.mapping  # type: ignore[assignment]
        rows += [[change.column, old, new, confidence] for old, (new, confidence) in mapping.items()]
    types = ["string", "string", "string", "number"]
    rows_file.write(work.ports.objects, path, Rows(["column", "old", "new", "confidence"], types, rows))
    return path
