"""Without which piece of evidence a verdict would be another one."""

from typing import Any

from mend.counterfactuals import WORDS_MAX, would_change

MEMORY = "Job failed. Traceback (most recent call last): MemoryError: Unable to allocate 2.0 GiB for an array"


def told(message: str, **fields: Any) -> list[dict[str, Any]]:
    return would_change({"origin": "signal", "system": "airflow", "message": message, "evidence_json": "{}", **fields})


def test_a_message_says_which_clause_and_which_word_decide() -> None:
    without = [each["without"] for each in told(MEMORY)]
    assert without[0] == "message"
    assert any("MemoryError" in each and each.startswith("“") and len(each) <= 62 for each in without)
    assert "the word MemoryError" in without
    assert not any("Job failed" in each for each in without)  # without it nothing changes
    assert "the word allocate" not in without


def test_words_that_say_the_same_twice_decide_nothing_alone() -> None:
    message = "could not connect to server: Connection refused. Is the server running and accepting TCP/IP connections?"
    assert [each["without"] for each in told(message)] == ["message"]


def test_a_field_decides_before_all_words() -> None:
    found = told("Access Denied. Quota exceeded for the project", reason="rateLimitExceeded", http_status=403)
    assert [each["without"] for each in found] == ["reason"]


def test_a_word_that_is_like_a_pattern_is_a_word() -> None:
    words = " ".join(f"w{'x' * number}.*" for number in range(3, WORDS_MAX + 9))
    assert all(each["without"] == "message" for each in told(f"[a-z(.* {words} (?P<"))


def test_one_word_is_the_message() -> None:
    assert [each["without"] for each in told("MemoryError")] == ["message"]
