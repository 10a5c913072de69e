"""What was seen of an incident, in words: its evidence as sentences, without any cell's value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from shared.domain.incident import Origin
from shared.domain.masking import clean

Evidence = Mapping[str, Any]
NAMES_MAX: Final = 10
NAME_CHARACTERS_MAX: Final = 60
_PLAIN_MAX: Final = 15

_NUMBER_FORMATS: Final = {
    "decimal_comma": "a decimal comma",
    "thousands_comma": "commas between thousands",
    "thousands_point": "points between thousands and a decimal comma",
    "thousands_space": "spaces between thousands",
    "thousands_space_comma": "spaces between thousands and a decimal comma",
    "thousands_apostrophe": "apostrophes between thousands",
    "currency": "a currency",
    "percent": "a percent sign",
    "parentheses": "parentheses for minus",
    "trailing_minus": "the minus at the end",
}
# Shares that need no more than a sentence of their own.
_SHARES: Final = {
    "whitespace_share": "{share} of the failing cells fit once the spaces around them are taken off",
    "null_word_share": "{share} of the failing cells are words for nothing, such as NA or null",
    "number_ambiguous_share": "{share} of the failing cells fit a decimal comma and a thousands comma alike",
    "number_share": "{share} of the failing cells are numbers with a fraction or exponent",
    "integer_overflow_share": "{share} of the failing cells have too many digits for 64 bits",
    "near_match_share": "{share} of the failing cells are one letter away from exactly one allowed value",
    "leading_zeros_share": "{share} of the failing cells are allowed codes that lost the zeros in front of them",
    "other_prefix_share": "{share} of the failing cells are numbers of allowed keys behind another prefix",
    "letters_lost_share": "{share} of the failing cells have signs where letters were lost",
    "below_share": "{share} of the failing cells are below the range",
    "above_share": "{share} of the failing cells are above the range",
    "whole_share": "{share} of the failing cells are whole numbers",
    "identical_share": "{share} of the failing rows repeat another row in every cell",
    "conflicting_share": "{share} of the failing rows share a key with a row that differs",
    "earlier_share": "{share} of the failing rows have a key that passed in an earlier attempt",
    "minority_share": "{share} of the failing rows are not with their group's majority",
}
_TECHNICAL: Final = (
    ("system", "system"),
    ("exception_type", "exception"),
    ("http_status", "HTTP status"),
    ("grpc_status", "gRPC status"),
    ("sqlstate", "SQLSTATE"),
    ("reason", "reason"),
    ("exit_code", "exit code"),
    ("service", "service that could not go on"),
)


def share(value: object) -> str:
    """A share as percent, never rounded to nothing or to all."""
    number = float(value) if isinstance(value, int | float) else 0.0
    if 0 < number < 0.01:
        return "less than 1 %"
    if 0.99 < number < 1:
        return "more than 99 %"
    return f"{number:.0%}".replace("%", " %")


def sentences(incident: Mapping[str, Any], evidence: Evidence) -> list[str]:
    """Everything that was seen, the report itself first."""
    found = _report(incident, evidence)
    if incident.get("origin") not in (Origin.VIOLATION, Origin.DATASET):
        return [clean(each, 600) for each in [*found, *_plainly(evidence)]]
    hypotheses = evidence.get("hypotheses")
    places = [evidence, *([hypotheses] if isinstance(hypotheses, dict) else [])]
    for place in places:
        for name, sentence in _SHARES.items():
            if place.get(name):
                found.append(sentence.format(share=share(place[name])))
        for name, told in _TOLD.items():
            if place.get(name):
                found += told(place)
    return [clean(each, 600) for each in found]


def _report(incident: Mapping[str, Any], evidence: Evidence) -> list[str]:
    found = []
    if incident.get("message"):
        found.append(str(incident["message"]))
    technical = [f"{title} {incident[name]}" for name, title in _TECHNICAL if incident.get(name)]
    if technical:
        found.append(", ".join(technical))
    if evidence.get("row_first") and "metric" not in evidence:  # a rule on the whole batch names its own rows
        first, last = int(evidence["row_first"]), int(evidence.get("row_last", 0))
        rows = f"row {first:,}" if first == last else f"rows {first:,} to {last:,}"
        found.append(f"the failing cells stand in {rows}, {int(evidence.get('distinct_failed', 0)):,} different texts")
    baseline = evidence.get("baseline")
    if evidence.get("null_share"):
        before = f", {share(baseline.get('null_share'))} in earlier batches" if isinstance(baseline, dict) else ""
        found.append(f"{share(evidence['null_share'])} of the column is null{before}")
    if evidence.get("severity") == "warning":
        found.append("the contract calls it a warning: no row is held back")
    return found


def _rules(place: Evidence) -> list[str]:
    """Which rows each of the broken rules concerns."""
    return [f"{rule_named(each)}: {rows_named(each)}" for each in place["rules"] if each.get("rows")]


def rule_named(rule: Evidence) -> str:
    """A broken rule on the whole batch, by its name if it has one."""
    return f"the rule {rule['name']}" if rule.get("name") else f"the rule of {rule.get('expected', '')}"


def rows_named(rule: Evidence) -> str:
    """The rows that a broken rule concerns, as far as they are known."""
    rows, many = [f"{int(each):,}" for each in rule["rows"]], int(rule.get("rows_concerned", 0))
    more = f" and {many - len(rows):,} more" if many > len(rows) else ""
    return f"{'row' if len(rows) == 1 else 'rows'} {', '.join(rows)}{more}"


def _plainly(evidence: Evidence) -> list[str]:
    """What a stranger reported, field by field: nothing is known of its shape."""
    plain = [(name, value) for name, value in evidence.items() if isinstance(value, str | int | float) and value != ""]
    return [f"{name.replace('_', ' ')}: {value}" for name, value in plain[:_PLAIN_MAX]]


def _date_formats(place: Evidence) -> list[str]:
    return [
        f"{share(each.get('share'))} of the failing cells are dates written as {each.get('format')}"
        + (
            f", {share(each['in_range_share'])} within the days of the rows that pass"
            if "in_range_share" in each
            else ""
        )
        for each in place["date_formats"][:3]
    ]


def _number_formats(place: Evidence) -> list[str]:
    return [
        f"{share(each.get('share'))} of the failing cells are numbers with "
        f"{_NUMBER_FORMATS.get(str(each.get('format')), str(each.get('format')))}"
        for each in place["number_formats"][:3]
    ]


def _day_month(place: Evidence) -> list[str]:
    verdict = {"day_first": "the day stands first", "month_first": "the month stands first"}
    told = verdict.get(str(place["day_month"].get("verdict")), "")
    return [f"the column as a whole says that {told}"] if told else ["day and month cannot be told apart"]


def _normalised(place: Evidence) -> list[str]:
    any_share = place["normalised"].get("any")
    return [f"{share(any_share)} of the failing cells fit once case, spaces or Unicode form are evened out"] * bool(
        any_share
    )


def _as_type(place: Evidence) -> list[str]:
    return [
        f"{share(value)} of the failing cells would be of type {name}"
        for name, value in place["as_type_share"].items()
        if value
    ]


def _kinds(place: Evidence) -> list[str]:
    told = ", ".join(f"{count:,} with {name.replace('_', ' ')}" for name, count in place["kinds"].items())
    return [f"records that do not fit: {told}"]


def _parent(place: Evidence) -> list[str]:
    table = place["parent_table"]
    if place.get("parent_missing"):
        return [f"the table {table} that the rows refer to does not exist yet"]
    return [f"the table {table} that the rows refer to had {int(place.get('parent_keys', 0)):,} keys then"]


def _missing(place: Evidence) -> list[str]:
    return [f"the delivery lacks {_names(place['missing'], place.get('missing_count'))}"]


def _unexpected(place: Evidence) -> list[str]:
    told = [f"{_name(each.get('name'))} (looks like {each.get('logical_type')})" for each in place["unexpected"]]
    return [f"the delivery has columns that nobody knows: {_names(told, place.get('unexpected_count'))}"]


def _candidates(place: Evidence) -> list[str]:
    found = []
    for each in place["candidates"][:5]:
        synonym = (
            "a synonym in the contract" if each.get("synonym") else f"name {share(each.get('name_similarity'))} alike"
        )
        profile = f", profile {share(each['profile_similarity'])} alike" if "profile_similarity" in each else ""
        fits = f"{share(each.get('fits_share'))} of its values fit"
        found.append(
            f"{_name(each.get('delivered'))} could be {_name(each.get('missing'))}: {synonym}, {fits}{profile}"
        )
    return found


def _name(name: object) -> str:
    """A column's name, which may be a whole line of a file that was read wrongly."""
    return clean(str(name), NAME_CHARACTERS_MAX)


def _names(names: list[str], count: object) -> str:
    shown = ", ".join(_name(each) for each in names[:NAMES_MAX])
    more = (int(count) if isinstance(count, int) else len(names)) - min(len(names), NAMES_MAX)
    return f"{shown} and {more:,} more" if more > 0 else shown


def _alternatives(place: Evidence) -> list[str]:
    return [f"the content suggests {len(place['alternatives'])} other ways of reading"]


def _score(place: Evidence) -> list[str]:
    parts = ", ".join(f"{name} {value:.1f}" for name, value in place.get("dimensions", {}).items())
    return [f"the batch scores {place['score']:.1f} of 100, {place.get('score_below', 0):g} are asked for ({parts})"]


_MOVED: Final = {
    "mean": "the mean moved by {effect:.3g} of the column's spread",
    "spread": "the spread is another by a factor of {effect:.3g}",
    "nulls": "the share of nulls changed by {effect:.0%}",
    "quantiles": "its values are distributed otherwise (KS distance {effect:.2f})",
    "categories": "the mix of categories is another (PSI {effect:.2f})",
    "new_categories": "{effect:.0%} of the values are of categories that never were before",
    "vanished_categories": "categories that held {effect:.0%} of the values are gone",
    "order": "the values no longer come in order",
    "distinct": "the number of different values is another by a factor of {effect:.3g}",
    "rows": "the number of rows is {effect:.0%} off the usual one",
}


def _shift(place: Evidence) -> list[str]:
    batches = int(place.get("baseline_batches", 0))
    told = place.get("effects")
    effects = [each for each in told if isinstance(each, dict)] if isinstance(told, list) else []
    found = []
    for each in effects:
        words = _MOVED.get(str(each.get("reason")), "").format(effect=float(each.get("effect", 0)))
        if words:
            usual = f"{float(each.get('noise', 0)):.2g} is usual, {float(each.get('limit', 0)):.3g} the limit"
            found.append(f"compared with {batches} earlier batches {words} ({usual})".replace("%", " %"))
    return found or [f"compared with {batches} earlier batches its {', '.join(map(str, place['reasons']))} moved"]


def _units(place: Evidence) -> list[str]:
    best = place["unit_ratio"][0]
    return [
        f"the numbers are {best.get('factor'):.4g} times what they were, as from {best.get('from')} to {best.get('to')}"
    ]


def _groups(place: Evidence) -> list[str]:
    if not isinstance(place["groups"], list):
        return [f"{int(place['groups']):,} groups of rows"]
    told = [f"{each.get('check')} {each.get('column')}".strip() for each in place["groups"]]
    return [f"further findings: {_names(told, len(told))}"]


def _rule(place: Evidence) -> list[str]:
    most = f"{int(place['maximum']):,}" if place.get("maximum") else "any number of"
    return [f"the rule {place['rule']} asks for {int(place.get('minimum', 0)):,} to {most} rows"]


_TOLD: Final[dict[str, Callable[[Evidence], list[str]]]] = {
    "date_formats": _date_formats,
    "number_formats": _number_formats,
    "day_month": _day_month,
    "normalised": _normalised,
    "as_type_share": _as_type,
    "kinds": _kinds,
    "parent_table": _parent,
    "missing": _missing,
    "unexpected": _unexpected,
    "candidates": _candidates,
    "alternatives": _alternatives,
    "score": _score,
    "reasons": _shift,
    "unit_ratio": _units,
    "groups": _groups,
    "columns_null_together": lambda place: [f"null in the same rows as {_names(place['columns_null_together'], None)}"],
    "epoch_share": lambda place: [
        f"{share(value)} of the failing cells are {name} since 1970"
        for name, value in place["epoch_share"].items()
        if value
    ],
    "problem": lambda place: [f"the delivery as a whole is {place['problem']}"],
    "rule": _rule,
    "rules": _rules,
}
