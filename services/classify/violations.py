"""What a violation's profile says of its cause: rows and cells that break their contract.

Confidence is the share of failing cells that the hypothesis explains, lessened where another explains nearly as many.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from services.classify.diagnosis import Diagnosis, Evidence, diagnosed

EXPLAINS = 0.95  # share of failing cells from which on a hypothesis is taken as the cause
MOST = 0.5  # share from which on it is the best guess for a mixture
PLAIN = 0.8  # for checks whose name is the cause
_CODES_MIN = 3  # different codes of one column that lost their zeros
GUESS = 0.5  # for what is left when no hypothesis fits

Profile = Mapping[str, Any]


def number(place: Profile, name: str) -> float:
    """A number of the profile; 0 when it is absent or no number."""
    value = place.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0


def mapping(place: Profile, name: str) -> Mapping[str, Any]:
    """A mapping of the profile; empty when absent."""
    value = place.get(name)
    return value if isinstance(value, dict) else {}


def listed(place: Profile, name: str) -> list[Mapping[str, Any]]:
    """A list of mappings of the profile; empty when absent."""
    value = place.get(name)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def explained(share: float, rival: float = 0.0) -> float:
    """Confidence in a hypothesis that explains ``share`` of the failing cells, when the next explains ``rival``."""
    return share * (0.95 - 0.35 * min(rival, share))


def seen(field: str, value: object, weight: float) -> Evidence:
    """A piece of evidence from the profile."""
    shown = f"{value:.4g}" if isinstance(value, float) else str(value)
    return Evidence("profile", field, shown[:200], round(min(max(weight, 0.0), 1.0), 3))


def _percent(share: float) -> str:
    return f"{share:.0%}" if share in (0.0, 1.0) or 0.01 <= share < 0.995 else f"{share:.2%}"


def violation(check: str, column: str, profile: Profile) -> Diagnosis:
    """The cause of a violation."""
    judge = _JUDGES.get(check)
    where = f" in {column}" if column else ""
    if judge is None:
        return diagnosed("rule_broken", GUESS, f"Rows break the rule {check}{where}.", [seen("check", check, GUESS)])
    return judge(where, profile)


def _type(where: str, profile: Profile) -> Diagnosis:
    guesses = mapping(profile, "hypotheses")
    logical_type = str(profile.get("logical_type", ""))
    fitting = sorted(_type_hypotheses(guesses, logical_type), key=lambda each: -each[1])
    if not fitting or fitting[0][1] < MOST:
        return _type_left(where, profile, fitting[0] if fitting else None)
    cause, share, told, field, value = fitting[0]
    rival = next((each[1] for each in fitting[1:] if each[0] != cause), 0.0)
    if cause == "date_format_changed" and str(mapping(guesses, "day_month").get("verdict", "")) == "ambiguous":
        rival = max(rival, share * 0.5)
        told += "; whether day or month comes first cannot be told from the column"
    ambiguous = number(guesses, "number_ambiguous_share")
    if cause == "number_format_changed" and ambiguous >= EXPLAINS:
        rival = max(rival, 0.8 * share)
        told += "; every number could be meant in two ways"
    explanation = f"{_percent(share)} of the cells that are no {logical_type}{where} {told}."
    return diagnosed(cause, explained(share, rival), explanation, [seen(field, value, share)])


def _type_hypotheses(guesses: Profile, logical_type: str) -> list[tuple[str, float, str, str, object]]:
    """(cause, share explained, what is told, field, value)."""
    found: list[tuple[str, float, str, str, object]] = []
    for each in listed(guesses, "date_formats")[:1]:
        share = number(each, "share") * (0.5 + 0.5 * number(each, "in_range_share") if "in_range_share" in each else 1)
        found.append(
            ("date_format_changed", share, f"parse as {each.get('format')}", "date_formats", each.get("format"))
        )
    epoch = mapping(guesses, "epoch_share")
    for unit in ("seconds", "milliseconds"):
        if number(epoch, unit):
            share = number(epoch, unit)
            found.append(("date_format_changed", share, f"are {unit} since 1970", "epoch_share", unit))
    for each in listed(guesses, "number_formats")[:1]:
        shown = str(each.get("format"))
        told = f"are numbers written with {shown.replace('_', ' ')}"
        found.append(("number_format_changed", number(each, "share"), told, "number_formats", shown))
    spaces, nulls = number(guesses, "whitespace_share"), number(guesses, "null_word_share")
    found.append(
        ("value_not_normalised", spaces, "fit once the spaces around them are taken off", "whitespace", spaces)
    )
    found.append(("null_burst", nulls, "are words for a missing value", "null_word_share", nulls))
    wider = number(guesses, "number_share")
    found.append(("type_wider", wider, "are numbers with a fraction or exponent", "number_share", wider))
    overflow = number(guesses, "integer_overflow_share")
    found.append(("type_wider", overflow, "have too many digits for an integer", "integer_overflow_share", overflow))
    return [each for each in found if each[1] > 0]


def _type_left(where: str, profile: Profile, best: tuple[str, float, str, str, object] | None) -> Diagnosis:
    """No hypothesis explains most cells: another type, or cells that are simply wrong."""
    failed = number(profile, "share_failed")
    evidence = [seen("share_failed", failed, failed)]
    if best is not None:
        evidence.append(seen(best[3], best[4], best[1]))
    kinds = mapping(mapping(profile, "hypotheses"), "as_type_share")
    as_type, share = max(((str(key), number(kinds, key)) for key in kinds), key=lambda each: each[1], default=("", 0.0))
    if share >= EXPLAINS and failed >= MOST:
        told = (
            f"{_percent(share)} of the failing cells{where} are of type {as_type}, in {_percent(failed)} of the rows."
        )
        return diagnosed(
            "type_changed", explained(share) * 0.9, told, [*evidence, seen("as_type_share", as_type, share)]
        )
    if failed >= 0.9:
        told = f"{_percent(failed)} of the cells{where} are not of their type, and no known format fits them."
        return diagnosed("type_changed", failed * 0.65, told, evidence)
    told = f"{_percent(failed)} of the cells{where} are not of their type, and no known format fits them."
    return diagnosed("pattern_broken", GUESS, told, evidence)


def _required(where: str, profile: Profile) -> Diagnosis:
    share, usual = number(profile, "null_share"), number(mapping(profile, "baseline"), "null_share")
    told = f"Required values are missing{where} ({_percent(share)} of the rows; {_percent(usual)} in earlier batches)."
    if "baseline" not in profile:
        told = f"Required values are missing{where} ({_percent(share)} of the rows)."
    together = mapping(profile, "hypotheses").get("columns_null_together")
    evidence = [seen("null_share", share, 0.9)]
    if isinstance(together, list) and together:
        told = f"{told[:-1]}, in the same rows as {len(together)} other columns."
        evidence.append(seen("columns_null_together", len(together), 0.5))
    return diagnosed("null_burst", 0.9, told, evidence)


def _zeros_lost(where: str, profile: Profile) -> Diagnosis | None:
    """Codes that spreadsheets took for numbers. One that is mistyped may look so, several do not."""
    share, different = number(mapping(profile, "hypotheses"), "leading_zeros_share"), number(profile, "distinct_failed")
    if share < EXPLAINS or different < _CODES_MIN:
        return None
    told = f"{_percent(share)} of the failing values{where} are allowed ones that lost the zeros in front of them."
    return diagnosed("leading_zeros_lost", explained(share), told, [seen("leading_zeros_share", share, share)])


def _letters_lost(where: str, profile: Profile, rival: float) -> Diagnosis | None:
    """Signs that stand where letters were lost; unless what is left of the values still names what was meant."""
    share = number(mapping(profile, "hypotheses"), "letters_lost_share")
    if share < MOST or rival >= MOST:
        return None
    told = f"{_percent(share)} of the failing values{where} have replacement signs or question marks inside words."
    return diagnosed("encoding_broken", explained(share, rival), told, [seen("letters_lost_share", share, share)])


def _other_keys(where: str, table: str, profile: Profile) -> Diagnosis | None:
    """Numbers that are a parent's behind another prefix: of most rows at once, since a few may be so by chance."""
    share, different = number(mapping(profile, "hypotheses"), "other_prefix_share"), number(profile, "distinct_failed")
    if share < EXPLAINS or different < _CODES_MIN or number(profile, "share_failed") < MOST:
        return None
    told = f"{_percent(share)} of the keys{where} that {table} lacks are numbers of its keys behind another prefix."
    return diagnosed("key_mismatch", explained(share) * 0.9, told, [seen("other_prefix_share", share, share)])


def _allowed(where: str, profile: Profile) -> Diagnosis:
    guesses = mapping(profile, "hypotheses")
    normal, near = number(mapping(guesses, "normalised"), "any"), number(guesses, "near_match_share")
    if found := _zeros_lost(where, profile):
        return found
    if normal >= MOST and normal >= near:
        told = f"{_percent(normal)} of the values{where} are allowed ones but for case, spaces or Unicode form."
        return diagnosed("value_not_normalised", explained(normal), told, [seen("normalised", normal, normal)])
    if found := _letters_lost(where, profile, max(normal, near)):
        return found
    both = min(1.0, normal + near)
    if near >= MOST or both >= EXPLAINS:
        told = f"{_percent(near)} of the values{where} are one letter away from exactly one allowed value."
        confidence = explained(max(near, both * 0.85)) * 0.95
        return diagnosed("value_misspelled", confidence, told, [seen("near_match_share", near, near)])
    told = f"{_percent(1 - both)} of the failing values{where} are not allowed and near none that is."
    return diagnosed("value_unknown", explained(1 - both), told, [seen("near_match_share", near, 1 - both)])


def _relationship(where: str, profile: Profile) -> Diagnosis:
    guesses = mapping(profile, "hypotheses")
    table = str(guesses.get("parent_table", "the parent table"))
    if guesses.get("parent_missing") is True:
        told = f"{table}, which rows refer to{where}, does not exist yet."
        return diagnosed("parent_missing", 0.95, told, [seen("parent_missing", table, 0.95)])
    if found := _zeros_lost(where, profile):
        return found
    normal, near = number(mapping(guesses, "normalised"), "any"), number(guesses, "near_match_share")
    if normal >= MOST:
        told = f"{_percent(normal)} of the keys{where} are keys of {table} but for case, spaces or Unicode form."
        return diagnosed("value_not_normalised", explained(normal), told, [seen("normalised", normal, normal)])
    if found := _other_keys(where, table, profile):
        return found
    if near >= MOST:
        told = f"{_percent(near)} of the keys{where} are one letter away from exactly one key of {table}."
        return diagnosed("value_misspelled", explained(near) * 0.9, told, [seen("near_match_share", near, near)])
    if found := _letters_lost(where, profile, max(normal, near)):
        return found
    told = f"Rows refer to keys{where} that {table} lacks."
    rival = max(normal, near)
    return diagnosed("orphan_rows", explained(1 - rival), told, [seen("parent_table", table, 1 - rival)])


def _pattern(where: str, profile: Profile) -> Diagnosis:
    normal = number(mapping(mapping(profile, "hypotheses"), "normalised"), "any")
    if normal >= MOST:
        told = f"{_percent(normal)} of the values{where} have the form but for case, spaces or Unicode form."
        return diagnosed("value_not_normalised", explained(normal), told, [seen("normalised", normal, normal)])
    if found := _letters_lost(where, profile, normal):
        return found
    told = f"Values{where} do not have the form that the contract demands."
    return diagnosed("pattern_broken", PLAIN, told, [seen("normalised", normal, 1 - normal)])


def _length(where: str, profile: Profile) -> Diagnosis:
    spaces = number(mapping(mapping(profile, "hypotheses"), "normalised"), "strip")
    if spaces >= MOST:
        told = f"{_percent(spaces)} of the values{where} have the right length without the spaces around them."
        return diagnosed("value_not_normalised", explained(spaces), told, [seen("normalised", spaces, spaces)])
    told = f"Values{where} are shorter or longer than allowed."
    return diagnosed("out_of_range", PLAIN, told, [seen("length_max", number(profile, "length_max"), PLAIN)])


def unit_ratio(place: Profile) -> tuple[str, float] | None:
    """The change of units that the column's numbers fit best, and how well (0 … 1)."""
    for each in listed(place, "unit_ratio")[:1]:
        wrong = max(number(each, "mean_error"), number(each, "spread_error"))
        return f"{each.get('from')} → {each.get('to')}", max(0.0, 1 - 4 * wrong)
    return None


def _range(where: str, profile: Profile) -> Diagnosis:
    guesses = mapping(profile, "hypotheses")
    found = unit_ratio(guesses)
    if found is not None and found[1] >= MOST:
        told = f"The numbers{where} are what they were in another unit ({found[0]})."
        return diagnosed("unit_changed", explained(found[1]) * 0.9, told, [seen("unit_ratio", found[0], found[1])])
    below, above = number(guesses, "below_share"), number(guesses, "above_share")
    told = f"Values{where} lie outside the allowed range ({_percent(below)} below, {_percent(above)} above)."
    return diagnosed("out_of_range", 0.85, told, [seen("below_share", below, 0.85), seen("above_share", above, 0.85)])


def _unique(where: str, profile: Profile) -> Diagnosis:
    guesses = mapping(profile, "hypotheses")
    same, other = number(guesses, "identical_share"), number(guesses, "conflicting_share")
    earlier = number(guesses, "earlier_share")
    evidence = [seen("identical_share", same, same), seen("conflicting_share", other, other)]
    if earlier:
        evidence.append(seen("earlier_share", earlier, earlier))
    if same > max(other, earlier):
        told = f"Rows occur more than once{where}; {_percent(same)} of the failing ones are equal in every cell."
        return diagnosed("duplicate_rows", explained(same, other), told, evidence)
    told = f"Rows share a key{where} and differ in other cells ({_percent(max(other, earlier))} of the failing ones)."
    return diagnosed("conflicting_keys", explained(max(other, earlier, MOST), same), told, evidence)


def _well_formed(where: str, profile: Profile) -> Diagnosis:
    guesses = mapping(profile, "hypotheses")
    share, readings = number(profile, "share_failed"), number(guesses, "alternatives_count")
    kinds = ", ".join(sorted(str(kind).replace("_", " ") for kind in mapping(guesses, "kinds"))[:6])
    evidence = [seen("share_failed", share, share), seen("kinds", kinds, PLAIN)]
    if readings and share >= MOST:
        told = (
            f"{_percent(share)} of the records do not fit ({kinds}), and the content suggests another way of reading."
        )
        return diagnosed("wrong_dialect", explained(share), told, [*evidence, seen("alternatives", readings, share)])
    told = f"{_percent(share)} of the records do not fit ({kinds})."
    return diagnosed("ragged_rows", 0.9 * (1 - 0.3 * share), told, evidence)


def _plain(cause: str, told: str) -> Callable[[str, Profile], Diagnosis]:
    def judge(where: str, profile: Profile) -> Diagnosis:
        failed = number(profile, "rows_failed")
        return diagnosed(cause, PLAIN, told.format(where=where), [seen("rows_failed", int(failed), PLAIN)])

    return judge


_JUDGES: dict[str, Callable[[str, Profile], Diagnosis]] = {
    "type": _type,
    "required": _required,
    "enum": _allowed,
    "relationship": _relationship,
    "pattern": _pattern,
    "format": _pattern,
    "length": _length,
    "range": _range,
    "unique": _unique,
    "primary_key": _unique,
    "well_formed": _well_formed,
    "multiple_of": _plain("out_of_range", "Values{where} are not multiples of what the contract says."),
    "unique_items": _plain("rule_broken", "Lists{where} have an item twice."),
    "unique_inside": _plain("rule_broken", "Values{where} stand in the batch more than once."),
    "functional_dependency": _plain("rule_broken", "Rows{where} that should agree in other columns do not."),
    "more": _plain("rule_broken", "More checks failed than are reported one by one."),
}
