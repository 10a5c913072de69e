"""How far a diagnosis is relied on that rests on what a message says: anybody can write words."""

import json

import pytest

from services.remediate.records import GUESS_RELIED_ON_MAX, WORDS_RELIED_ON_MAX, Finding
from shared.domain.incident import ACTING_CONFIDENCE
from shared.domain.policy import Thresholds


def finding(confidence: float, *sources: str) -> Finding:
    because = [{"source": each, "field": "f", "value": "v", "weight": 0.9} for each in sources]
    told = json.dumps({"diagnosis": {"because": because}})
    return Finding(incident_id="i", confidence=confidence, evidence_json=told)


def test_a_guess_is_below_every_mode_and_sure_words_below_guarded() -> None:
    limits = Thresholds()
    assert GUESS_RELIED_ON_MAX < limits.autonomous <= WORDS_RELIED_ON_MAX < limits.guarded


@pytest.mark.parametrize(
    ("confidence", "sources", "relied_on"),
    [
        (0.98, ("words",), WORDS_RELIED_ON_MAX),
        (ACTING_CONFIDENCE, ("words",), WORDS_RELIED_ON_MAX),
        (ACTING_CONFIDENCE - 0.01, ("words",), GUESS_RELIED_ON_MAX),
        (0.7, ("words", "person"), GUESS_RELIED_ON_MAX),
        (0.3, ("words",), 0.3),
        (0.7, ("event", "words"), 0.7),
        (0.98, ("profile",), 0.98),
    ],
)
def test_words_count_less_and_guesses_less_still(confidence: float, sources: tuple[str, ...], relied_on: float) -> None:
    assert finding(confidence, *sources).p_cause == relied_on
