"""rename_columns: a delivered column becomes the contract column it is: synonyms first, then name and content."""

from __future__ import annotations

from typing import Any

from services.remediate.plans import Case, Fit, Plan, Played
from shared.domain.remedy import Tier

NAME_SIMILARITY_MIN = 0.6
FITS_SHARE_MIN = 0.95
PROFILE_SIMILARITY_MIN = 0.5
LEAD_MIN = 0.1  # by how much the best candidate must beat the next one


class _RenameColumns(Played):
    def plan(self, case: Case) -> Plan | None:
        """One delivered column for every missing one; a doubtful choice lowers the plan's confidence."""
        if case.finding.check != "missing_columns" or case.healing is None:
            return None
        missing = [str(each) for each in case.finding.evidence("missing") or []]
        candidates = [each for each in case.finding.evidence("candidates") or [] if isinstance(each, dict)]
        if not missing or int(case.finding.evidence("missing_count") or len(missing)) > len(missing):
            return None
        rename, confidence = match(missing, candidates)
        if len(rename) < len(missing):
            return None
        pairs = ", ".join(f"{delivered} → {wanted}" for delivered, wanted in sorted(rename.items())[:10])
        doubt = "; the match is doubtful" if confidence < 0.8 else ""
        return Plan(
            action="columns",
            sentence=f"Take delivered columns for contract columns: {pairs}{doubt}",
            rows=case.healing.rows_total(),
            columns=tuple(sorted(rename.values())),
            p_cause=0.95 if confidence >= 0.95 and all(_told(each, rename, candidates) for each in missing) else 0.0,
            confidence=confidence,
            rename=dict(sorted(rename.items())),
        )


def match(missing: list[str], candidates: list[dict[str, Any]]) -> tuple[dict[str, str], float]:
    """Delivered name → contract name for each missing column that has a candidate, and the least certainty."""
    rename: dict[str, str] = {}
    confidence = 1.0
    for column in missing:
        mine = [each for each in candidates if each.get("missing") == column]
        picked = _pick(mine)
        if picked is None:
            continue
        delivered, sure = picked
        rivals = {
            str(each["missing"]) for each in candidates if each.get("delivered") == delivered and _plausible(each)
        }
        if delivered in rename:
            return {}, 0.0  # two contract columns want the same delivered one
        if rivals - {column} and sure < 0.97:
            sure = min(sure, 0.5)
        rename[delivered] = column
        confidence = min(confidence, sure)
    return rename, confidence


def _told(column: str, rename: dict[str, str], candidates: list[dict[str, Any]]) -> bool:
    """True when the contract or the name itself says so: a synonym, or all words of one name stand in the other."""
    for each in candidates:
        if each.get("missing") == column and rename.get(str(each.get("delivered"))) == column:
            one, other = set(_letters(column).split()), set(_letters(str(each["delivered"])).split())
            return bool(each.get("synonym")) or one <= other or other <= one
    return False


def _pick(candidates: list[dict[str, Any]]) -> tuple[str, float] | None:
    synonyms = sorted({str(each["delivered"]) for each in candidates if each.get("synonym")})
    if len(synonyms) == 1:
        return synonyms[0], 0.99
    if synonyms:
        return synonyms[0], 0.4
    ranked = sorted(candidates, key=lambda each: (-score(each), str(each["delivered"])))
    if not ranked or score(ranked[0]) < 0.4:
        return None
    best = ranked[0]
    lead = score(best) - (score(ranked[1]) if len(ranked) > 1 else 0.0)
    if (
        _same_letters(str(best["missing"]), str(best["delivered"]))
        and float(best.get("fits_share", 0)) >= FITS_SHARE_MIN
    ):
        return str(best["delivered"]), 0.98
    return str(best["delivered"]), 0.95 if _plausible(best) and lead >= LEAD_MIN else 0.5


def _plausible(candidate: dict[str, Any]) -> bool:
    nulls = bool(candidate.get("null_allowed", True)) or float(candidate.get("null_share", 0)) == 0
    return (
        nulls
        and name_similarity(candidate) >= NAME_SIMILARITY_MIN
        and float(candidate.get("fits_share", 0)) >= FITS_SHARE_MIN
        and float(candidate.get("profile_similarity", 1)) >= PROFILE_SIMILARITY_MIN
    )


def score(candidate: dict[str, Any]) -> float:
    """Name and content together, 0 … 1."""
    content = float(candidate.get("fits_share", 0)) * float(candidate.get("profile_similarity", 1))
    return 0.5 * name_similarity(candidate) + 0.5 * content


def name_similarity(candidate: dict[str, Any]) -> float:
    """How alike the names are: letters, and words in any order."""
    from rapidfuzz import fuzz

    missing, delivered = _letters(str(candidate["missing"])), _letters(str(candidate["delivered"]))
    alike = max(fuzz.ratio(missing, delivered), fuzz.token_sort_ratio(missing, delivered)) / 100
    return max(float(candidate.get("name_similarity", 0)), alike)


def _letters(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").replace(".", " ").split())


def _same_letters(one: str, other: str) -> bool:
    return _letters(one).replace(" ", "") == _letters(other).replace(" ", "")


RENAME_COLUMNS = _RenameColumns(
    name="rename_columns",
    tier=Tier.GUARDED,
    stage="columns",
    fits={
        "column_renamed": Fit(
            28, 2, "The contract names the synonym, or name and content agree and no other column's do."
        ),
        "column_missing": Fit(1, 3, "A missing column seldom hides under a name that nothing suggests."),
        "unknown": Fit(2, 2, "Worth a look when columns are missing."),
    },
)
