"""Each profile that validate describes leads to the cause it was made for."""

import json

import pytest

from services.classify.decision import diagnose
from services.classify.diagnosis import Diagnosis
from shared.domain.causes import CAUSES
from shared.domain.incident import Origin
from shared.events.types import IncidentOpened

_RENAMED = {
    "missing": "carrier",
    "delivered": "airline_code",
    "synonym": True,
    "name_similarity": 0.4,
    "fits_share": 1.0,
}
_ALIKE = {"missing": "dep_time", "delivered": "deptime", "synonym": False, "name_similarity": 0.93, "fits_share": 1.0}
_UNLIKE = {"missing": "dep_time", "delivered": "notes", "synonym": False, "name_similarity": 0.2, "fits_share": 0.1}
_GERMAN = {"format": "%d.%m.%Y", "share": 1.0, "in_range_share": 1.0}
_READING = [{"format": "csv", "delimiter": ";"}]


def diagnosis_of(
    check: str, evidence: dict[str, object], origin: str = Origin.VIOLATION, column: str = "c"
) -> Diagnosis:
    return diagnose(
        IncidentOpened(
            id="e", time=1, subject="s", correlation_id="c", fingerprint="f", origin=origin, check=check,
            column=column, evidence_json=json.dumps({"check": check, **evidence}),
        )
    )  # fmt: skip


def cell(hypotheses: dict[str, object], **more: object) -> dict[str, object]:
    return {"logical_type": "timestamp", "share_failed": 0.2, "rows_failed": 20, "hypotheses": hypotheses, **more}


VIOLATIONS = [
    ("type", cell({"date_formats": [_GERMAN]}), "date_format_changed"),
    ("type", cell({"epoch_share": {"seconds": 0.99, "milliseconds": 0.0}}), "date_format_changed"),
    ("type", cell({"number_formats": [{"format": "decimal_comma", "share": 1.0}]}), "number_format_changed"),
    ("type", cell({"whitespace_share": 1.0}), "value_not_normalised"),
    ("type", cell({"null_word_share": 1.0}), "null_burst"),
    ("type", cell({"number_share": 1.0}), "type_wider"),
    ("type", cell({"integer_overflow_share": 1.0}), "type_wider"),
    ("type", cell({"as_type_share": {"integer": 1.0}}, share_failed=1.0), "type_changed"),
    ("type", cell({}, share_failed=1.0), "type_changed"),
    ("type", cell({}, share_failed=0.01), "pattern_broken"),
    ("required", cell({}, null_share=0.3, baseline={"batches": 5, "null_share": 0.0}), "null_burst"),
    ("enum", cell({"normalised": {"any": 1.0}, "near_match_share": 0.0}), "value_not_normalised"),
    ("enum", cell({"normalised": {"any": 0.0}, "near_match_share": 1.0}), "value_misspelled"),
    ("enum", cell({"normalised": {"any": 0.0}, "near_match_share": 0.0}), "value_unknown"),
    ("relationship", cell({"parent_missing": True, "parent_table": "t.x"}), "parent_missing"),
    ("relationship", cell({"parent_missing": False, "near_match_share": 0.9}), "value_misspelled"),
    ("relationship", cell({"parent_missing": False, "parent_table": "t.x"}), "orphan_rows"),
    ("pattern", cell({"normalised": {"any": 1.0}}), "value_not_normalised"),
    ("pattern", cell({}), "pattern_broken"),
    ("length", cell({"normalised": {"strip": 1.0}}), "value_not_normalised"),
    ("length", cell({}), "out_of_range"),
    ("range", cell({"below_share": 0.0, "above_share": 1.0}), "out_of_range"),
    (
        "range",
        cell({"unit_ratio": [{"factor": 1.609, "from": "mi", "to": "km", "mean_error": 0.01, "spread_error": 0.02}]}),
        "unit_changed",
    ),
    ("primary_key", cell({"groups": 2, "identical_share": 1.0, "conflicting_share": 0.0}), "duplicate_rows"),
    ("unique", cell({"groups": 2, "identical_share": 0.0, "conflicting_share": 1.0}), "conflicting_keys"),
    ("primary_key", cell({"groups": 2, "earlier_share": 1.0}), "conflicting_keys"),
    ("well_formed", cell({"kinds": {"too_few_fields": 3}}, share_failed=0.01), "ragged_rows"),
    ("well_formed", cell({"kinds": {}, "alternatives_count": 1}, share_failed=0.99), "wrong_dialect"),
    ("functional_dependency", cell({}), "rule_broken"),
    ("multiple_of", cell({}), "out_of_range"),
    ("something_new", cell({}), "rule_broken"),
    ("enum", cell({"leading_zeros_share": 1.0, "near_match_share": 1.0}, distinct_failed=3), "leading_zeros_lost"),
    ("enum", cell({"leading_zeros_share": 1.0, "near_match_share": 1.0}, distinct_failed=2), "value_misspelled"),
    ("enum", cell({"leading_zeros_share": 0.9, "near_match_share": 1.0}, distinct_failed=9), "value_misspelled"),
    ("relationship", cell({"leading_zeros_share": 0.99}, distinct_failed=40), "leading_zeros_lost"),
    ("relationship", cell({"leading_zeros_share": 0.5}, distinct_failed=40), "orphan_rows"),
    ("relationship", cell({"other_prefix_share": 0.97}, distinct_failed=40, share_failed=0.9), "key_mismatch"),
    ("relationship", cell({"other_prefix_share": 0.97}, distinct_failed=40, share_failed=0.2), "orphan_rows"),
    ("relationship", cell({"other_prefix_share": 0.97}, distinct_failed=2, share_failed=0.9), "orphan_rows"),
    ("relationship", cell({"other_prefix_share": 0.9}, distinct_failed=40, share_failed=0.9), "orphan_rows"),
    ("relationship", cell({"letters_lost_share": 0.9}), "encoding_broken"),
    ("enum", cell({"letters_lost_share": 0.9, "near_match_share": 0.4}), "encoding_broken"),
    ("enum", cell({"letters_lost_share": 1.0, "near_match_share": 1.0}), "value_misspelled"),  # what is left names it
    ("enum", cell({"letters_lost_share": 0.4}), "value_unknown"),
    ("pattern", cell({"letters_lost_share": 0.9}), "encoding_broken"),
]  # fmt: skip
DATASET = [
    ("delivery_complete", {"problem": "truncated", "alternatives": []}, "truncated_delivery"),
    ("delivery_complete", {"problem": "empty"}, "empty_delivery"),
    ("delivery_complete", {"problem": "corrupt"}, "unreadable_delivery"),
    ("delivery_complete", {"problem": "unreadable", "alternatives": _READING}, "wrong_dialect"),
    ("missing_columns", {"missing": ["carrier"], "missing_count": 1, "candidates": [_RENAMED]}, "column_renamed"),
    ("missing_columns", {"missing": ["dep_time"], "missing_count": 1, "candidates": [_ALIKE]}, "column_renamed"),
    ("missing_columns", {"missing": ["dep_time"], "missing_count": 1, "candidates": [_UNLIKE]}, "column_missing"),
    (
        "missing_columns",
        {"missing": ["a", "b"], "missing_count": 2, "matched_count": 0, "delivered_count": 1, "alternatives": _READING},
        "wrong_dialect",
    ),
    (
        "unexpected_columns",
        {"unexpected": [{"name": "tail"}], "unexpected_count": 1, "missing_count": 0},
        "column_added",
    ),
    (
        "unexpected_columns",
        {"unexpected": [{"name": "deptime"}], "unexpected_count": 1, "missing_count": 1, "candidates": [_ALIKE]},
        "column_renamed",
    ),
    ("row_count", {"rows": 3, "minimum": 10, "maximum": 0}, "row_count_off"),
    ("row_count", {"rows": 0, "minimum": 10, "maximum": 0}, "empty_delivery"),
    ("shift", {"reasons": ["mean"], "mean_shift": 9.0, "baseline_batches": 10}, "distribution_shifted"),
    ("shift", {"reasons": ["nulls"], "baseline_batches": 10}, "null_burst"),
    ("shift", {"reasons": ["quantiles"], "baseline_batches": 10}, "distribution_shifted"),
    ("shift", {"reasons": ["categories", "new_categories"], "baseline_batches": 10}, "distribution_shifted"),
    ("shift", {"reasons": ["new_categories", "vanished_categories"], "baseline_batches": 9}, "category_drift"),
    ("shift", {"reasons": ["order"], "baseline_batches": 10}, "unknown"),
    ("shift", {"reasons": ["distinct", "order"], "baseline_batches": 10}, "unknown"),
    ("shift", {"reasons": ["rows"], "rows": 10, "usual_rows": 100, "vanished": []}, "row_count_off"),
    ("shift", {"reasons": ["rows"], "rows": 300, "usual_rows": 100, "vanished": ["shop"]}, "row_count_off"),
    ("shift", {"reasons": ["rows"], "rows": 10, "usual_rows": 100, "vanished": ["shop"]}, "partial_delivery"),
    ("shift", {"reasons": ["rows"], "rows": 0, "usual_rows": 100}, "empty_delivery"),
    ("shift", {"reasons": 7, "effects": "no list", "vanished": 3}, "distribution_shifted"),
    (
        "shift",
        {"reasons": ["mean"], "unit_ratio": [{"from": "mi", "to": "km", "mean_error": 0.01, "spread_error": 0.01}]},
        "unit_changed",
    ),
    ("score", {"score": 71.0, "score_below": 80.0, "dimensions": {"validity": 60.0}}, "score_low"),
]


@pytest.mark.parametrize(("check", "evidence", "cause"), VIOLATIONS)
def test_violations(check: str, evidence: dict[str, object], cause: str) -> None:
    found = diagnosis_of(check, evidence)
    assert found.cause == cause
    assert 0 < found.confidence < 1
    assert found.evidence


@pytest.mark.parametrize(("check", "evidence", "cause"), DATASET)
def test_dataset_findings(check: str, evidence: dict[str, object], cause: str) -> None:
    found = diagnosis_of(check, evidence, Origin.DATASET)
    assert found.cause == cause
    assert 0 < found.confidence < 1


def test_a_plain_hypothesis_reaches_what_a_guarded_remedy_needs() -> None:
    for check, evidence, cause in (VIOLATIONS[0], VIOLATIONS[2], VIOLATIONS[11], VIOLATIONS[12], VIOLATIONS[23]):
        assert diagnosis_of(check, evidence).confidence >= 0.85, cause
    assert diagnosis_of("missing_columns", DATASET[4][1], Origin.DATASET).confidence >= 0.9


def test_rival_hypotheses_take_confidence_away() -> None:
    formats = [{"format": "%d.%m.%Y", "share": 1.0}]
    clear = diagnosis_of("type", cell({"date_formats": formats}))
    torn = diagnosis_of("type", cell({"date_formats": formats, "day_month": {"verdict": "ambiguous"}}))
    assert torn.cause == clear.cause
    assert torn.confidence < clear.confidence


@pytest.mark.parametrize(
    "evidence", ["", "no json", "[]", '{"hypotheses": 3}', '{"hypotheses": {"date_formats": [1]}}']
)
@pytest.mark.parametrize("check", [*sorted({check for check, _, _ in (*VIOLATIONS, *DATASET)})])
def test_evidence_of_another_shape_is_survived(check: str, evidence: str) -> None:
    for origin in (Origin.VIOLATION, Origin.DATASET):
        opened = IncidentOpened(
            id="e", time=1, subject="s", correlation_id="c", fingerprint="f", origin=origin, check=check, column="c",
            evidence_json=evidence,
        )  # fmt: skip
        assert diagnose(opened).cause in CAUSES
