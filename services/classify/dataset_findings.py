"""What a finding about a whole attempt says of its cause: columns, completeness, row count, drift, score."""

from __future__ import annotations

from collections.abc import Callable

from services.classify.diagnosis import Diagnosis, Evidence, diagnosed
from services.classify.violations import (
    GUESS,
    MOST,
    PLAIN,
    Profile,
    explained,
    listed,
    mapping,
    number,
    seen,
    unit_ratio,
)

_LIKE = 0.6  # similarity of names from which on two columns look alike
_FITS = 0.95
_CONTAINED = 0.8  # as similar are names when all words of one stand in the other

_PROBLEMS = {
    "truncated": ("truncated_delivery", "The delivery ends before it is complete."),
    "empty": ("empty_delivery", "The delivery holds no record."),
    "corrupt": ("unreadable_delivery", "The bytes are damaged; their own checksum or structure says so."),
    "unreadable": ("unreadable_delivery", "The bytes are of no format that can be read."),
    "encoding": (
        "wrong_dialect",
        "It was read in an encoding of single bytes, and every character beyond ASCII in it is written as UTF-8.",
    ),
}


def finding(check: str, column: str, profile: Profile) -> Diagnosis:
    """The cause of a dataset finding."""
    judge = _JUDGES.get(check.partition(":")[0])
    if judge is None:
        evidence = [seen("check", check, GUESS)]
        return diagnosed("rule_broken", GUESS, f"The batch breaks the rule {check}.", evidence)
    return judge(column, profile)


def _delivery_complete(_column: str, profile: Profile) -> Diagnosis:
    problem = str(profile.get("problem", ""))
    readings = len(listed(profile, "alternatives"))
    cause, told = _PROBLEMS.get(problem, ("unreadable_delivery", f"The delivery is not complete ({problem})."))
    confidence = 0.95 if problem in _PROBLEMS else GUESS
    if cause == "unreadable_delivery" and readings and problem != "corrupt":
        told = "The bytes cannot be read as declared, and the content suggests another way of reading."
        return diagnosed(
            "wrong_dialect", 0.8, told, [seen("problem", problem, 0.8), seen("alternatives", readings, 0.8)]
        )
    return diagnosed(cause, confidence, told, [seen("problem", problem, confidence)])


def _likeness(candidate: Profile) -> float:
    """How surely a delivered column is a missing one under another name.

    A synonym in the contract is a person's word (0.95). Without one a name that looks alike and values that fit carry
    it; a profile like that of earlier batches adds to it, a different one takes away.
    """
    name, fits = number(candidate, "name_similarity"), number(candidate, "fits_share")
    if candidate.get("synonym") is True:
        return 0.95 if fits >= MOST else 0.7
    name = max(name, _CONTAINED) if candidate.get("name_contained") is True else name
    if fits < _FITS:
        return 0.3 * name
    return min(0.9, 0.55 * name + 0.35 * _values(candidate) + 0.1)


def _values(candidate: Profile) -> float:
    """How well the values continue those of earlier batches, 0 … 1; 0.5 when there was nothing to compare with."""
    told = [number(candidate, name) for name in ("profile_similarity", "continues") if name in candidate]
    kept = mapping(candidate, "identities")
    if kept:
        return 0.1 if number(kept, "broken") else 1.0
    return max(told, default=0.5)


def _columns(_column: str, profile: Profile) -> Diagnosis:
    missing, unexpected = number(profile, "missing_count"), number(profile, "unexpected_count")
    readings, matched = len(listed(profile, "alternatives")), number(profile, "matched_count")
    evidence = [seen("missing_count", int(missing), PLAIN), seen("unexpected_count", int(unexpected), PLAIN)]
    pairs = _pairs(listed(profile, "candidates"))
    delivered = number(profile, "delivered_count")
    if missing and readings and not pairs and (matched == 0 or delivered <= 1):
        told = "No contract column is in what was read, and the content suggests another way of reading."
        return diagnosed("wrong_dialect", 0.9, told, [*evidence, seen("alternatives", readings, 0.9)])
    if missing and pairs:
        weakest = min(pairs.values())
        shown = ", ".join(f"{lost} (now {now})" for lost, now in sorted(pairs)[:5])
        told = f"{len(pairs)} of {int(missing)} missing columns look renamed: {shown}."
        share = min(1.0, len(pairs) / missing)
        evidence += [seen("candidates", f"{lost} ← {now}", weight) for (lost, now), weight in sorted(pairs.items())]
        return diagnosed("column_renamed", weakest * (0.6 + 0.4 * share), told, evidence)
    if missing and readings and matched * 2 < matched + missing:
        told = "Most contract columns are missing, and the content suggests another way of reading."
        return diagnosed("wrong_dialect", 0.7, told, [*evidence, seen("alternatives", readings, 0.7)])
    if missing and profile.get("no_header") is True:
        told = "The delivery has no header: a record stands where the names of the columns should be."
        return diagnosed("column_missing", 0.85, told, evidence)
    if missing:
        names = profile.get("missing")
        shown = ", ".join(str(name) for name in names[:5]) if isinstance(names, list) else str(int(missing))
        told = f"Columns are missing, and nothing in the delivery looks like them: {shown}."
        return diagnosed("column_missing", 0.85, told, evidence)
    names = [str(each.get("name")) for each in listed(profile, "unexpected")]
    told = f"The delivery has columns that the contract does not know: {', '.join(names[:5])}."
    return diagnosed("column_added", 0.95, told, evidence)


def _pairs(candidates: list[Profile]) -> dict[tuple[str, str], float]:
    """The best pair for each missing column, each delivered column used once."""
    ranked = sorted(((_likeness(each), each) for each in candidates), key=lambda pair: (-pair[0], str(pair[1])))
    found: dict[tuple[str, str], float] = {}
    taken: set[str] = set()
    for weight, each in ranked:
        lost, now = str(each.get("missing")), str(each.get("delivered"))
        alike = each.get("synonym") is True or number(each, "name_similarity") >= _LIKE or weight >= _LIKE
        if alike and weight >= MOST - 0.1 and f"-{lost}" not in taken and f"+{now}" not in taken:
            found[(lost, now)] = weight
            taken |= {f"-{lost}", f"+{now}"}
    return found


def _unexpected(column: str, profile: Profile) -> Diagnosis:
    if number(profile, "missing_count"):
        return _columns(column, profile)
    names = [str(each.get("name")) for each in listed(profile, "unexpected")]
    told = f"The delivery has columns that the contract does not know: {', '.join(names[:5])}."
    return diagnosed(
        "column_added", 0.95, told, [seen("unexpected_count", int(number(profile, "unexpected_count")), 0.95)]
    )


def _row_count(_column: str, profile: Profile) -> Diagnosis:
    rows, least, most = (int(number(profile, name)) for name in ("rows", "minimum", "maximum"))
    bounds = f"at least {least:,}" if not most else f"at most {most:,}" if not least else f"{least:,} to {most:,}"
    told = f"The delivery has {rows:,} rows; {bounds} are expected."
    if rows == 0:
        return diagnosed("empty_delivery", 0.9, told, [seen("rows", rows, 0.9)])
    return diagnosed("row_count_off", 0.9, told, [seen("rows", rows, 0.9)])


def _shift(column: str, profile: Profile) -> Diagnosis:
    found = unit_ratio(profile)
    if found is not None and found[1] >= MOST:
        told = f"The numbers in {column} are what they were in another unit ({found[0]})."
        return diagnosed("unit_changed", explained(found[1]), told, [seen("unit_ratio", found[0], found[1])])
    reasons = {str(each) for each in said} if isinstance(said := profile.get("reasons"), list) else set()
    return _rows_moved(profile) if "rows" in reasons else _moved(column, reasons, profile)


def _seen_of_shift(profile: Profile) -> tuple[float, list[Evidence]]:
    """How sure a finding of drift makes, which grows with the batches before, and what it was seen by."""
    batches = number(profile, "baseline_batches")
    confidence = PLAIN if batches >= 8 else 0.65
    evidence = [seen("baseline_batches", batches, 0.5)]
    if "mean_shift" in profile:
        evidence.append(seen("mean_shift", number(profile, "mean_shift"), confidence))
    effects = [(str(each.get("reason")), number(each, "effect")) for each in listed(profile, "effects")]
    return confidence, evidence + [seen(reason, effect, confidence) for reason, effect in effects[:5]]


def _moved(column: str, reasons: set[str], profile: Profile) -> Diagnosis:
    confidence, evidence = _seen_of_shift(profile)
    batches = int(number(profile, "baseline_batches"))
    if reasons == {"nulls"}:
        told = f"{column} is empty far more often than in earlier deliveries."
        return diagnosed("null_burst", confidence, told, evidence)
    if {"new_categories", "vanished_categories"} <= reasons:
        told = f"Categories of {column} are gone that every earlier delivery had, and others came."
        return diagnosed("category_drift", confidence, told, evidence)
    shown = " and ".join(sorted(each.replace("_", " ") for each in reasons))
    if reasons and reasons <= {"order", "distinct"}:
        # Rows come in another order, or repeat, for many reasons, and nothing here says which.
        told = f"The values of {column} are of another kind than in {batches} earlier deliveries ({shown})."
        return diagnosed("unknown", confidence, told, evidence)
    told = f"{column} left the range of {batches} earlier deliveries ({shown})."
    return diagnosed("distribution_shifted", confidence, told, evidence)


def _rows_moved(profile: Profile) -> Diagnosis:
    """Fewer rows that also lack a category are a part of a delivery."""
    confidence, evidence = _seen_of_shift(profile)
    rows, usual = int(number(profile, "rows")), number(profile, "usual_rows")
    told = f"The delivery has {rows:,} rows where {usual:,.0f} are usual"
    if not rows:
        return diagnosed("empty_delivery", confidence, f"{told}.", evidence)
    lacking = [str(name) for name in vanished] if isinstance(vanished := profile.get("vanished"), list) else []
    if rows < usual and lacking:
        told += f", and lacks categories of {', '.join(lacking[:5])} that never lacked before."
        return diagnosed("partial_delivery", confidence, told, evidence)
    return diagnosed("row_count_off", confidence, f"{told}.", evidence)


def _score(_column: str, profile: Profile) -> Diagnosis:
    score, least = number(profile, "score"), number(profile, "score_below")
    dimensions = mapping(profile, "dimensions")
    worst = min(dimensions, key=lambda name: number(dimensions, name), default="")
    told = f"The batch scores {score:.1f}, below {least:.1f}"
    told += f"; {worst} is worst." if worst else "."
    return diagnosed("score_low", 0.95, told, [seen("score", score, 0.95)])


def _quality(column: str, profile: Profile) -> Diagnosis:
    metric, observed = str(profile.get("metric", "")), number(profile, "observed")
    if metric == "sql" and profile.get("unanswered"):
        told = f"The query of a quality rule cannot be asked: {profile['unanswered']}."
        return diagnosed("rule_broken", 0.9, told, [seen("tables", str(profile.get("tables", "")), 0.9)])
    if metric == "sql":
        told = f"The query of a quality rule does not give what the contract wants: {profile.get('expected', '')}."
        return diagnosed("rule_broken", 0.9, told, [seen("sql", observed, 0.9)])
    if metric in ("freshness", "latency"):
        end = "newest" if metric == "freshness" else "oldest"
        told = f"The {end} row by {column} was older than the contract promises ({profile.get('expected', '')})."
        if profile.get("observed") is None:
            told = f"No row has a time in {column}: whether it is {profile.get('expected', '')} old nobody can tell."
        return diagnosed("late_delivery", 0.9, told, [seen(metric, observed, 0.9)])
    unit = " %" if profile.get("unit") == "percent" else " rows"
    where = f" of {column}" if column else ""
    told = f"{metric}{where} is {observed:,.6g}{unit}; the contract wants {profile.get('expected', '')}."
    return diagnosed("rule_broken", 0.9, told, [seen(metric or "quality", observed, 0.9)])


_JUDGES: dict[str, Callable[[str, Profile], Diagnosis]] = {
    "delivery_complete": _delivery_complete,
    "missing_columns": _columns,
    "unexpected_columns": _unexpected,
    "row_count": _row_count,
    "shift": _shift,
    "quality": _quality,
    "score": _score,
}
