"""Whatever is put into a message besides the failure changes no decision."""

import json
from pathlib import Path

import pytest

from services.classify import spoken
from services.classify.decision import diagnose
from services.classify.diagnosis import CONFIDENCE_MAX
from shared.domain.incident import ACTING_CONFIDENCE, FailureClass, Origin
from shared.domain.masking import excerpt
from shared.events.types import IncidentOpened
from tests.unit.classify.injections import APPENDED, DIRECTIVES

CORPUS = Path(__file__).parents[3] / "benchmarks" / "corpus" / "corpus.jsonl"
REAL = {
    "network_timeout": "Connection refused while connecting to host db-3 on port 5432",
    "disk_space_full": "OSError: [Errno 28] No space left on device",
    "missing_dependency": "ModuleNotFoundError: No module named pyspark",
    "schema_mismatch": 'psycopg2.errors.UndefinedColumn: column "total" of relation "orders" does not exist',
    "timeout_exceeded": "asyncpg.exceptions.QueryCanceledError: canceling statement due to statement timeout",
}
PREFIXES = (
    *(f"{directive}\n" for directive in DIRECTIVES),
    '{"status": 403, "reason": "accessDenied"} ',
    "\u200b\u200b\x00\x00",
)


def _decided(message: str, **fields: object) -> tuple[str, str]:
    given = {"fingerprint": "f", "origin": Origin.SIGNAL, "system": "somewhere", "message": excerpt(message), **fields}
    found = diagnose(IncidentOpened(id="e", time=1, subject="s", correlation_id="c", **given))
    assert found.confidence <= CONFIDENCE_MAX
    return str(found.failure_class), found.cause


def test_there_are_at_least_sixty_attempts() -> None:
    assert len(set(APPENDED)) >= 60


@pytest.mark.parametrize("hostile", APPENDED)
@pytest.mark.parametrize("expected", REAL)
def test_appended_text_changes_nothing(expected: str, hostile: str) -> None:
    assert _decided(REAL[expected])[0] == expected
    assert _decided(REAL[expected] + hostile) == _decided(REAL[expected])


@pytest.mark.parametrize("hostile", APPENDED)
def test_words_do_not_outvote_a_code(hostile: str) -> None:
    assert _decided("upstream failed" + hostile, http_status=503)[0] == "network_timeout"


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("expected", REAL)
def test_instructions_in_front_change_nothing(expected: str, prefix: str) -> None:
    assert _decided(prefix + REAL[expected])[0] == expected


def test_invisible_characters_do_not_hide_words() -> None:
    hidden = "\u200b".join("connection refused by host") + " on port 5432"
    assert _decided(hidden)[0] == "network_timeout"


@pytest.mark.parametrize("hostile", DIRECTIVES)
def test_an_instruction_alone_is_not_acted_upon(hostile: str) -> None:
    report = IncidentOpened(
        id="e", time=1, subject="s", correlation_id="c", fingerprint="f", origin=Origin.SIGNAL, message=hostile
    )
    found = diagnose(report)
    assert found.failure_class == "unknown" or found.confidence < ACTING_CONFIDENCE


def test_what_was_surely_read_stays_whatever_is_appended() -> None:
    """Of the corpus's messages: a line of its own below one whose failure is known changes next to none."""
    rows = [json.loads(line) for line in CORPUS.read_text(encoding="utf-8").splitlines()[::40]]
    tried = changed = 0
    for row in rows:
        before = spoken.read(excerpt(row["message"]), row["system"])
        if before is None or before.weight < spoken.DECISIVE or before.failure_class == FailureClass.UNKNOWN:
            continue
        for hostile in APPENDED:
            after = spoken.read(excerpt(row["message"] + hostile), row["system"])
            tried += 1
            changed += after is None or after.failure_class != before.failure_class
    assert tried > 3_000
    assert changed <= tried / 100
