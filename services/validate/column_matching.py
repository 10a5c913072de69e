"""Missing and unexpected columns: what each unexpected one holds, and which missing one it may be."""

from __future__ import annotations

import difflib
import re
import unicodedata
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from services.validate.casting import TextRules, cast_frame
from services.validate.column_checks import cell_rules, failing_cells
from services.validate.identities import keeps
from services.validate.profile import BatchProfile, rounded
from services.validate.recent_rows import NUMERIC

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    import polars as pl

    from services.validate.baseline import Baseline
    from services.validate.identities import Identity
    from services.validate.profile import ColumnProfile
    from services.validate.recent_rows import RecentRows
    from services.validate.staged_rows import Chunk
    from shared.domain.contract import Column, Contract

NAMES_SHOWN = 200
NAME_CHARACTERS = 200
COLUMNS_TRIED = 60  # of each kind; beyond that only names are compared
ROWS_TRIED = 4_096  # of a chunk, evenly spaced, when a column is tried as each missing one
ROWS_OF_IDENTITIES = 200  # the first of a delivery, in which identities are looked for
CANDIDATES_PER_COLUMN = 3  # by names, and as many by values
LEVELS_MIN = 3  # earlier batches from which on one can say what continues them
CANDIDATES_SHOWN = 60
GROWTH = 1.5  # how much farther than ever before the next step of a growing column may go
# A number, a date or a moment, which no column is called.
_DATUM = re.compile(r"\s*[-+]?\d[\d .,:/+-]*(T\d[\d:.]*Z?)?(__\d+)?\s*")
_MARKS = re.compile(r"[;,|\t]|\\x09")  # a tab in a name is shown as that
# From the narrowest: the first that all values fit is the column's type.
TYPES_TRIED = ("boolean", "integer", "number", "date", "timestamp", "time")


class Mismatch(NamedTuple):
    """Contract columns that did not come, and delivered ones that nobody expects."""

    missing: tuple[Column, ...]
    unexpected: tuple[str, ...]


def compare_columns(delivered: Sequence[str], contract: Contract, accepted: Iterable[str]) -> Mismatch:
    """By exact name; an accepted new column may be absent."""
    have, optional = set(delivered), set(accepted)
    missing = tuple(column for column in contract.columns if column.name not in have and column.name not in optional)
    known = set(contract.column_names)
    return Mismatch(missing, tuple(name for name in delivered if name not in known))


def columns_with_values(chunks: Iterable[Chunk], mismatch: Mismatch, rules: TextRules) -> tuple[str, ...]:
    """The unexpected columns in which at least one cell is not null."""
    import polars as pl

    words, found = list(rules.null_values), set[str]()
    for chunk in chunks:
        left = [name for name in mismatch.unexpected if name not in found]
        if not left:
            break
        texts = _texts(chunk.rows, left)
        known = chunk.rows.select(
            (pl.col(name).is_not_null() & ~pl.col(name).is_in(words) if name in texts else pl.col(name).is_not_null())
            .any()
            .alias(name)
            for name in left
        )
        found |= {name for name, some in known.row(0, named=True).items() if some}
    return tuple(name for name in mismatch.unexpected if name in found)


def _texts(rows: pl.DataFrame, names: Iterable[str]) -> dict[str, bool]:
    """Those of the columns that hold text, in order; a schema costs all columns each time it is asked for."""
    import polars as pl

    kinds = rows.schema
    return {name: True for name in names if kinds[name] == pl.String}


def learned_renames(
    delivered: Collection[str], contract: Contract, renamed: Mapping[str, str], learned: Iterable[Mapping[str, Any]]
) -> dict[str, str]:
    """What was learned of other names, where a contract column is missing and exactly one such name was delivered."""
    known = set(contract.column_names)
    missing = known - set(delivered) - set(renamed.values())
    options: dict[str, set[str]] = {}
    for each in learned:
        name, wanted = str(each["delivered"]), str(each["wanted"])
        if wanted in missing and name in delivered and name not in known and name not in renamed:
            options.setdefault(wanted, set()).add(name)
    return {names.pop(): wanted for wanted, names in options.items() if len(names) == 1}


def name_similarity(left: str, right: str) -> float:
    """0 … 1: letters in order, or words in any order, whichever is nearer."""
    one, two = _words(left), _words(right)
    if not one or not two:
        return 0.0
    letters = difflib.SequenceMatcher(None, "".join(one), "".join(two), autojunk=False).ratio()
    words = 2 * len(set(one) & set(two)) / (len(set(one)) + len(set(two)))
    return rounded(max(letters, words))


def _words(name: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode() or name
    return re.findall(r"[a-z]+|[0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", plain).lower())


class ColumnTrial:
    """Looks through all rows at the unexpected columns: of which type they are, and whether they fit a missing one."""

    def __init__(
        self,
        mismatch: Mismatch,
        rules: TextRules,
        contract: Contract,
        baseline: Baseline,
        recent: RecentRows,
        aliases: Mapping[str, Sequence[str]],
    ) -> None:
        """``aliases``: other names under which a contract column came before."""
        self._mismatch = mismatch
        self._rules = rules
        self._contract = contract
        self._baseline = baseline
        self._recent = recent
        self._aliases = aliases
        self._kept: dict[tuple[str, str], dict[str, Any]] = {}
        self._tried = mismatch.unexpected[:COLUMNS_TRIED]
        self._rows = 0
        self._own_name = False  # some column holds its own name as a value
        self._nulls: dict[str, int] = {}
        self._as_type: dict[tuple[str, str], int] = {}
        self._sampled: dict[str, int] = {}
        self._fits: dict[tuple[str, str], int] = {}
        self._profiles: dict[str, BatchProfile] = {}  # by missing column; of the delivered ones as that

    def add(self, chunk: Chunk) -> None:
        """Take in a chunk's rows."""
        rows = chunk.rows.filter(~chunk.raw)
        if not self._rows:
            self._look_for_identities(rows.head(ROWS_OF_IDENTITIES), whole=rows.height <= ROWS_OF_IDENTITIES)
        self._rows += rows.height
        cells = self._cells(rows)
        values = _value_counts(cells)
        for name, count in values.items():
            self._count(self._nulls, name, rows.height - count)
        self._count_types(cells, values)
        sample = cells.gather_every(max(1, rows.height // ROWS_TRIED))
        for name, count in _value_counts(sample).items():
            self._count(self._sampled, name, count)
        for column in self._mismatch.missing[:COLUMNS_TRIED]:
            self._try(sample, column)

    def _cells(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The unexpected columns, null where their text means that."""
        import polars as pl

        texts = _texts(rows, self._tried)
        if texts and rows.height:
            same = rows.select((pl.col(name) == name).any() for name in texts).row(0)
            self._own_name = self._own_name or any(same)
        words = list(self._rules.null_values)
        cleared = [pl.when(~pl.col(name).is_in(words)).then(pl.col(name)).alias(name) for name in texts]
        return rows.select(self._tried).with_columns(cleared)

    def _count(self, counts: dict[Any, int], key: Any, number: int) -> None:
        counts[key] = counts.get(key, 0) + number

    def _count_types(self, cells: pl.DataFrame, values: Mapping[str, int]) -> None:
        """How many cells fit each type. Text that is all whole numbers is of no type that needs other marks."""
        left = [name for name, count in values.items() if count]
        whole: list[str] = []
        for kind in ("integer", *(kind for kind in TYPES_TRIED if kind != "integer")):
            tried = [name for name in left if name not in whole]
            for name, count in _typed_counts(cells.select(tried), kind, self._rules).items():
                self._count(self._as_type, (name, kind), count)
            if kind == "integer":
                fitting = [name for name in left if self._as_type[name, kind] >= self._rows - self._nulls[name]]
                whole = list(_texts(cells, fitting))
        for name in whole:
            self._count(self._as_type, (name, "number"), values[name])
            self._count(self._as_type, (name, "boolean"), int(cells[name].is_in(["0", "1"]).sum()))

    def _try(self, cells: pl.DataFrame, column: Column) -> None:
        """Whether the unexpected columns fit a missing one."""
        like = _as(column, cells.columns)
        cast = cast_frame(cells, like, self._rules)
        wrong = dict(cast.failed)
        for failure in failing_cells(cast.frame, cell_rules(like, ()), {}):
            name = failure.rule.column
            wrong[name] = wrong[name] | failure.mask if name in wrong else failure.mask
        for name, count in _value_counts(cells).items():
            failed = int(wrong[name].sum()) if name in wrong else 0
            self._count(self._fits, (column.name, name), count - failed)
        if column.logical_type in NUMERIC and self._baseline.profiles:
            self._profiles.setdefault(column.name, BatchProfile()).add(cast.frame)

    def no_header(self, delivered: int) -> bool:
        """True when a record seems to stand where the names should be: its cells are values and are told to nobody."""
        names = self._mismatch.unexpected
        if len(names) < delivered or not self._mismatch.missing:
            return False  # at least one name is the contract's
        known = {_plain(word) for column in self._contract.columns for word in (column.name, *column.synonyms)}
        if not known.isdisjoint(_plain(name) for name in names):
            return False
        allowed = {str(value) for column in self._contract.columns for value in column.enum}
        pieces = [piece for name in names for piece in (name, *_MARKS.split(name))]
        return self._own_name or any(_DATUM.fullmatch(piece) or piece in allowed for piece in pieces)

    def unexpected(self) -> list[dict[str, Any]]:
        """Type profile of each unexpected column."""
        return [self._described(name) for name in self._mismatch.unexpected[:NAMES_SHOWN]]

    def _described(self, name: str) -> dict[str, Any]:
        if name not in self._nulls or not self._rows:
            return {"name": name[:NAME_CHARACTERS], "logical_type": "string", "null_share": 0.0, "shares": {}}
        values = self._rows - self._nulls[name]
        shares = {kind: rounded(self._as_type.get((name, kind), 0) / values) for kind in TYPES_TRIED if values}
        fitting = [kind for kind, share in shares.items() if share == 1.0 and not _only_digits(kind, shares)]
        return {
            "name": name[:NAME_CHARACTERS],
            "logical_type": fitting[0] if fitting else "string",
            "null_share": rounded(self._nulls[name] / self._rows),
            "shares": {kind: share for kind, share in shares.items() if share},
        }

    def _look_for_identities(self, rows: pl.DataFrame, *, whole: bool) -> None:
        """Which unexpected column keeps what a missing one kept to in the last batches, as its first rows show."""
        missing = [column for column in self._mismatch.missing[:COLUMNS_TRIED] if column.logical_type in NUMERIC]
        known = {column.name: self._recent.identities(column.name) for column in missing}
        if not any(known.values()):
            return
        before = self._recent.last if whole and rows.height == 1 else {}
        tried = {column.name: self._numbers(rows, _as(column, self._tried)) for column in missing}
        here = [each for each in self._contract.columns if each.logical_type in NUMERIC and each.name in rows.columns]
        values = {name: [cells] for name, cells in self._numbers(rows, here).items()}
        for column in missing:
            for name, cells in tried[column.name].items():
                others = {
                    lost: [other for stranger, other in series.items() if stranger != name]
                    for lost, series in tried.items()
                    if lost != column.name
                }
                self._note_identities(column, name, known[column.name], cells, {**values, **others}, before)

    def _note_identities(
        self,
        column: Column,
        name: str,
        known: Sequence[Identity],
        cells: pl.Series,
        values: Mapping[str, list[pl.Series]],
        before: Mapping[str, float],
    ) -> None:
        told = [(identity, keeps(identity, cells, values, before)) for identity in known]
        kept = [identity.said for identity, held in told if held]
        broken = sum(1 for _, held in told if held is False)
        if kept or broken:
            self._kept[column.name, name] = {"kept": len(kept), "broken": broken, "such_as": kept[:1]}

    def _numbers(self, rows: pl.DataFrame, columns: Sequence[Column]) -> dict[str, pl.Series]:
        import polars as pl

        frame = cast_frame(rows, columns, self._rules).frame
        return {name: frame[name].cast(pl.Float64, strict=False) for name in frame.columns}

    def candidates(self) -> list[dict[str, Any]]:
        """Which unexpected column may be which missing one, best first."""
        found: list[dict[str, Any]] = []
        for column in self._mismatch.missing[:COLUMNS_TRIED]:
            own = [self._candidate(column, name) for name in self._tried]
            named = sorted(own, key=_rank, reverse=True)[:CANDIDATES_PER_COLUMN]
            valued = [item for item in sorted(own, key=_value_rank, reverse=True) if _value_rank(item)[0] > 0]
            found += named + [item for item in valued[:CANDIDATES_PER_COLUMN] if item not in named]
        found.sort(key=_rank, reverse=True)
        return found[:CANDIDATES_SHOWN]

    def _candidate(self, column: Column, name: str) -> dict[str, Any]:
        synonyms = {_plain(word) for word in (*column.synonyms, column.logical_name) if word}
        names = (column.name, *column.synonyms, *self._aliases.get(column.name, ()))
        values = self._sampled.get(name, 0)
        item: dict[str, Any] = {
            "missing": column.name[:NAME_CHARACTERS],
            "delivered": name[:NAME_CHARACTERS],
            "logical_type": column.logical_type,
            "synonym": _plain(name) in synonyms,
            "name_similarity": max(name_similarity(name, word) for word in names),
            "name_contained": any(_contained(name, word) for word in names),
            "fits_share": rounded(self._fits.get((column.name, name), 0) / values) if values else 0.0,
            "null_share": rounded(self._nulls.get(name, 0) / self._rows) if self._rows else 0.0,
            "null_allowed": column.nullable,
        }
        profile = self._profiles.get(column.name, BatchProfile())
        similar = _profile_similarity(profile.document().get(name, {}), self._baseline, column.name)
        item |= {} if similar is None else {"profile_similarity": similar}
        continued = _continues(profile.columns.get(name), self._recent, column)
        item |= {} if continued is None else {"continues": continued}
        kept = self._kept.get((column.name, name))
        return item if kept is None else item | {"identities": kept}


def _contained(one: str, other: str) -> bool:
    """True when all words of one name stand in the other."""
    left, right = set(_words(one)), set(_words(other))
    return bool(left and right) and (left <= right or right <= left)


def _as(column: Column, names: Iterable[str]) -> list[Column]:
    """The column under other names, and nullable."""
    return [replace(column, name=name, required=False, primary_key_position=0) for name in names]


def _value_counts(cells: pl.DataFrame) -> dict[str, int]:
    """Cells that are not null."""
    return {name: cells.height - nulls for name, nulls in cells.null_count().row(0, named=True).items()}


def _typed_counts(cells: pl.DataFrame, kind: str, rules: TextRules) -> dict[str, int]:
    """Cells that are of the type."""
    from shared.domain.contract import Column

    if not cells.width:
        return {}
    columns = [Column(name=name, logical_type=kind) for name in cells.columns]  # type: ignore[arg-type]
    failed = cast_frame(cells, columns, rules._replace(null_values=())).failed
    return {
        name: count - (int(failed[name].sum()) if name in failed else 0) for name, count in _value_counts(cells).items()
    }


def _only_digits(kind: str, shares: Mapping[str, float]) -> bool:
    """0 and 1 are numbers before they are truth values."""
    return kind == "boolean" and shares.get("integer", 0.0) == 1.0


def _plain(name: str) -> str:
    return "".join(_words(name)) or name


def _rank(item: Mapping[str, Any]) -> tuple[float, str, str]:
    likeness = 0.5 * float(item["name_similarity"]) + 0.3 * float(item["fits_share"])
    likeness += 0.2 * float(item.get("profile_similarity", 0.5)) + (1.0 if item["synonym"] else 0.0)
    return likeness, str(item["missing"]), str(item["delivered"])


def _value_rank(item: Mapping[str, Any]) -> tuple[float, str]:
    """How well its values speak for a candidate; 0 when there is nothing to compare them with."""
    told = max(float(item.get("profile_similarity", 0.0)), float(item.get("continues", 0.0)))
    identities = item.get("identities", {})
    if identities:
        told = told * 0.3 if identities["broken"] else 1.0 + told
    return told * float(item["fits_share"]), str(item["delivered"])


def _profile_similarity(facts: Mapping[str, Any], baseline: Baseline, column: str) -> float | None:
    """1 when mean and spread are the last batches' medians, falling with their ratio; None when unknown."""
    from statistics import median

    from services.validate.recent_rows import BATCHES_MAX

    means, spreads = baseline.facts(column, "mean")[:BATCHES_MAX], baseline.facts(column, "spread")[:BATCHES_MAX]
    if "mean" not in facts or not means or not spreads:
        return None
    width = max(median(spreads), 1e-9)
    distance = abs(facts["mean"] - median(means)) / width
    ratio = min(facts["spread"], width) / max(facts["spread"], width)
    return rounded(ratio / (1 + distance))


def _continues(known: ColumnProfile | None, recent: RecentRows, column: Column) -> float | None:
    """1 when the column's level is no farther from the last batch's than that ever was from the one before it."""
    levels = recent.levels(column.name) if column.logical_type in NUMERIC else []
    if known is None or not known.values or len(levels) < LEVELS_MIN:
        return None
    widest = GROWTH * max(abs(after - before) for before, after in pairwise(levels))
    distance = abs(known.mean - levels[-1])
    usual = max(widest, 0.01 * abs(levels[-1]), 1e-9)
    return rounded(min(1.0, usual / distance)) if distance else 1.0
