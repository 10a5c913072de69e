"""rename_columns: a delivered column becomes the contract column it is, where names and values agree on the same one.

A wrong heal is worse than none. By itself it renames only what the contract calls a synonym, what differs in case and
separators alone, and what names and values both say; everything else is a question to a person, whose answer holds for
the pipeline from then on.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

from services.remediate import precedents
from services.remediate.plans import Case, Fit, Plan, Played
from shared.domain.remedy import Tier

NAME_SIMILARITY_MIN = 0.6
NAME_ALONE_MIN = 0.85  # without values to compare, names must be nearly the same
CONTAINED = 0.85  # as similar are names when all words of one stand in the other
FITS_SHARE_MIN = 0.95
VALUES_MIN = 0.5
LEAD_MIN = 0.1  # by how much the best candidate must beat the next one
CHOICES_MAX = 3  # of one column, when a person has rejected the first
SURE = 0.95
DOUBTFUL = 0.5


class Pick(NamedTuple):
    """The delivered column that a missing one may be."""

    delivered: str
    sure: float
    by_values: bool = False  # it alone keeps what the missing column kept to
    why: str = ""


class Match(NamedTuple):
    """Delivered name → contract name for missing columns, and how sure that is."""

    rename: dict[str, str]
    confidence: float
    by_values: bool
    doubts: tuple[str, ...]


class _RenameColumns(Played):
    def plan(self, case: Case) -> Plan | None:
        """One delivered column for every missing one; a doubtful choice lowers the plan's confidence."""
        finding = case.finding
        if finding.check != "missing_columns" or case.healing is None:
            return None
        missing = [str(each) for each in finding.evidence("missing") or []]
        candidates = [each for each in finding.evidence("candidates") or [] if isinstance(each, dict)]
        if not missing or int(finding.evidence("missing_count") or len(missing)) > len(missing):
            return None
        question = ", ".join(sorted(missing))
        known = precedents.question_of(case.ports.state, finding.pipeline, self.name, question)
        rejected = [each.rename for each in known.in_state("rejected")]
        found = match(missing, candidates, rejected, precedents.learned_renames(case.ports.state, finding))
        earlier = _earlier(known, precedents.delivered_names(finding))
        if earlier is not None and not _better(found, earlier):
            found = Match(earlier.rename, DOUBTFUL, False, ())
        return _plan(case, missing, found, question) if found is not None else None


def _plan(case: Case, missing: list[str], found: Match, question: str) -> Plan | None:
    rename = dict(sorted(found.rename.items()))
    if len(rename) < len(missing) or case.healing is None:
        return None
    pairs = ", ".join(f"{delivered} → {wanted}" for delivered, wanted in list(rename.items())[:10])
    doubt = "; the match is doubtful" if found.confidence < 0.8 else ""
    doubt += f": {'; '.join(found.doubts[:5])}" if doubt and found.doubts else ""
    return Plan(
        action="columns",
        sentence=f"Take delivered columns for contract columns: {pairs}{doubt}",
        rows=case.healing.rows_total(),
        columns=tuple(sorted(rename.values())),
        p_cause=0.95 if found.confidence >= SURE else 0.0,
        confidence=found.confidence,
        rename=rename,
        signature=", ".join(f"{delivered} → {wanted}" for delivered, wanted in rename.items()),
        question=question,
        decided_by_values=found.by_values,
    )


def _earlier(known: precedents.Question, delivered: Collection[str]) -> precedents.Answer | None:
    """What was decided about the same columns, else what is being asked, if this delivery has those columns too."""
    for answer in (*known.in_state("standing"), *known.in_state("asked")):
        if answer.rename and set(answer.rename) <= set(delivered):
            return answer
    return None


def _better(found: Match | None, earlier: precedents.Answer) -> bool:
    """True when this delivery's own evidence counts for more than what was said before."""
    if found is None or found.rename == earlier.rename:
        return found is not None
    return found.by_values or (found.confidence >= SURE and earlier.state == "asked")


def match(
    missing: list[str],
    candidates: list[dict[str, Any]],
    rejected: Collection[dict[str, str]] = (),
    learned: dict[str, str] | None = None,
) -> Match | None:
    """The likeliest delivered column for each missing one, surest first; None when that is one too few.

    ``rejected`` are whole answers that a person refused: the next likely one is looked for.
    """
    options = {
        column: _picks([each for each in candidates if each.get("missing") == column], (learned or {}).get(column, ""))
        for column in missing
    }
    for turn in range(CHOICES_MAX):
        found = _assign(options, turn)
        if found is None or found.rename not in rejected:
            return found
    return None


def _assign(options: dict[str, list[Pick]], turn: int) -> Match | None:
    """Each delivered column is taken once; ``turn`` moves the least sure column to its next candidates."""
    order = sorted(options, key=lambda column: (-options[column][0].sure if options[column] else 1.0, column))
    rename: dict[str, str] = {}
    taken: list[Pick] = []
    for place, column in enumerate(order):
        free = [pick for pick in options[column] if pick.delivered not in rename]
        skipped = turn if place == len(order) - 1 else 0
        if len(free) <= skipped:
            return None
        pick = free[skipped]
        if pick.delivered != options[column][0].delivered:
            pick = pick._replace(sure=min(pick.sure, DOUBTFUL), by_values=False)
        rename[pick.delivered] = column
        taken.append(pick)
    doubtful = [pick for pick in taken if pick.sure < SURE]
    return Match(
        rename,
        min((pick.sure for pick in taken), default=0.0),
        all(pick.by_values for pick in doubtful),
        tuple(pick.why for pick in doubtful if pick.why),
    )


def _picks(candidates: list[dict[str, Any]], learned: str) -> list[Pick]:
    """What one missing column may be, likeliest first."""
    synonyms = sorted({str(each["delivered"]) for each in candidates if each.get("synonym")})
    told = [learned] if learned else synonyms
    contradicted = [each for each in candidates if str(each["delivered"]) in told and _broken(each)]
    if told:
        sure = 0.99 if len(told) == 1 and not (learned and contradicted) else 0.4
        others = [pick for pick in _compared(candidates) if pick.delivered not in told]
        return [*(Pick(name, sure) for name in told), *others]
    return _compared(candidates)


def _compared(candidates: list[dict[str, Any]]) -> list[Pick]:
    ranked = sorted(candidates, key=lambda each: (-score(each), str(each["delivered"])))
    ranked = [each for each in ranked if score(each) >= 0.4 or _kept(each)]
    if not ranked:
        return []
    named = max(ranked, key=lambda each: (name_similarity(each), score(each)))
    keeping = [each for each in ranked if _kept(each)]
    best = keeping[0] if len(keeping) == 1 else ranked[0]
    sure, why = _certainty(best, named, [each for each in ranked if each is not best])
    first = Pick(str(best["delivered"]), sure, len(keeping) == 1, why)
    return [first, *(Pick(str(each["delivered"]), DOUBTFUL) for each in ranked if each is not best)]


def _certainty(best: dict[str, Any], named: dict[str, Any], others: list[dict[str, Any]]) -> tuple[float, str]:
    """How sure the best candidate is, and what speaks against it."""
    missing, delivered = str(best["missing"]), str(best["delivered"])
    fits = float(best.get("fits_share", 0)) >= FITS_SHARE_MIN and _nulls_fit(best)
    values = value_score(best)
    same = _same_letters(missing, delivered)
    if same and fits and (values is None or values >= 0.2):
        return 0.98, ""
    if not fits:
        return DOUBTFUL, f"not all cells of {delivered} fit {missing}"
    if named is not best:
        values_say = f"the values speak for {delivered}{_said(best)}"
        return DOUBTFUL, f"the name {named['delivered']} is more like {missing}, but {values_say}"
    if values is None:
        return _by_name_alone(best, others)
    if values < VALUES_MIN:
        return DOUBTFUL, f"the values of {delivered} do not continue those of {missing}"
    if name_similarity(best) < NAME_SIMILARITY_MIN:
        return DOUBTFUL, f"the names {delivered} and {missing} are not alike"
    for each in others:
        rival = value_score(each) or 0.0
        fitting = float(each.get("fits_share", 0)) >= FITS_SHARE_MIN
        alike = name_similarity(each) >= name_similarity(best) - LEAD_MIN and rival >= VALUES_MIN
        if fitting and not _kept(best) and (alike or rival > values + LEAD_MIN):
            return DOUBTFUL, f"the values of {each['delivered']} would do for {missing} as well"
    return SURE, ""


def _by_name_alone(best: dict[str, Any], others: list[dict[str, Any]]) -> tuple[float, str]:
    """Without earlier values: numbers need nearly the same name, what only fits the column's rules a like one."""
    numeric = best.get("logical_type") in ("integer", "number")
    alike = name_similarity(best)
    lead = alike - max((name_similarity(each) for each in others if _fits(each)), default=0.0)
    if alike >= (NAME_ALONE_MIN + 0.01 if numeric else NAME_SIMILARITY_MIN) and lead >= LEAD_MIN:
        return SURE, ""
    what = "there are no earlier values to compare with" if numeric else "other columns would do as well"
    return DOUBTFUL, f"{best['delivered']} for {best['missing']} rests on the name alone; {what}"


def _fits(candidate: dict[str, Any]) -> bool:
    return float(candidate.get("fits_share", 0)) >= FITS_SHARE_MIN


def _nulls_fit(candidate: dict[str, Any]) -> bool:
    return bool(candidate.get("null_allowed", True)) or float(candidate.get("null_share", 0)) == 0


def _kept(candidate: dict[str, Any]) -> bool:
    """True when it keeps every identity that the missing column kept."""
    told = candidate.get("identities") or {}
    return bool(told.get("kept")) and not told.get("broken")


def _broken(candidate: dict[str, Any]) -> bool:
    return bool((candidate.get("identities") or {}).get("broken"))


def _said(candidate: dict[str, Any]) -> str:
    told = (candidate.get("identities") or {}).get("such_as") or []
    return f" ({told[0]})" if told else ""


def value_score(candidate: dict[str, Any]) -> float | None:
    """How well the values continue those of earlier batches, 0 … 1; None when there was nothing to compare with."""
    told = [float(candidate[name]) for name in ("profile_similarity", "continues") if name in candidate]
    if _kept(candidate):
        return 1.0
    if _broken(candidate):
        return 0.3 * max(told, default=0.0)
    return max(told, default=None)


def score(candidate: dict[str, Any]) -> float:
    """Name and content together, 0 … 1."""
    values = value_score(candidate)
    content = float(candidate.get("fits_share", 0)) * (1.0 if values is None else values)
    return 0.5 * name_similarity(candidate) + 0.5 * content


def name_similarity(candidate: dict[str, Any]) -> float:
    """How alike the names are: letters, words in any order, and words that all stand in the other name."""
    from rapidfuzz import fuzz

    missing, delivered = _letters(str(candidate["missing"])), _letters(str(candidate["delivered"]))
    alike = max(fuzz.ratio(missing, delivered), fuzz.token_sort_ratio(missing, delivered)) / 100
    one, other = set(missing.split()), set(delivered.split())
    contained = CONTAINED if one <= other or other <= one or candidate.get("name_contained") else 0.0
    return max(float(candidate.get("name_similarity", 0)), alike, contained)


def _letters(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").replace(".", " ").split())


def _same_letters(one: str, other: str) -> bool:
    return _letters(one).replace(" ", "") == _letters(other).replace(" ", "")


RENAME_COLUMNS = _RenameColumns(
    name="rename_columns",
    tier=Tier.GUARDED,
    stage="columns",
    times_max=CHOICES_MAX,
    fits={
        "column_renamed": Fit(
            28, 2, "The contract names the synonym, or name and content agree and no other column's do."
        ),
        "column_missing": Fit(1, 3, "A missing column seldom hides under a name that nothing suggests."),
        "unknown": Fit(2, 2, "Worth a look when columns are missing."),
    },
)
