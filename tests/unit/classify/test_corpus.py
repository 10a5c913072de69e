"""The corpus that the text model learns from: each message once, under what it says, also where more is added to it."""

from __future__ import annotations

import json

from benchmarks.corpus import cases, collect

_REFUSED = "ConnectionRefusedError: [Errno 111] Connection refused"


def _row(message: str, label: str, system: str = "spark") -> dict[str, str]:
    return {"message": message, "label": label, "system": system, "how": "provoked", "case": "a"}


def test_what_is_known_stays_and_what_is_new_comes_after_it() -> None:
    known = [_row("disk quota exceeded", "disk_space_full")]
    found = [_row("disk quota exceeded", "disk_space_full", "other"), _row("no such host", "network_timeout")]
    assert collect.added(found, known) == [*known, found[1]]


def test_a_case_that_failed_with_something_else_is_labelled_by_what_its_message_says() -> None:
    (row,) = collect.added([], [_row(_REFUSED, "disk_space_full")])
    assert row["label"] == "network_timeout"


def test_two_cases_that_failed_with_the_same_are_one_message() -> None:
    both = [_row(_REFUSED, "disk_space_full"), _row(_REFUSED, "resource_exhaustion")]
    assert len(collect.added([], both)) == 1


def test_the_corpus_says_each_message_once_and_as_adding_would_say_it() -> None:
    kept = [json.loads(line) for line in collect.OUT.read_text(encoding="utf-8").splitlines()]
    assert collect.added([], kept) == kept, "python -m benchmarks.corpus.collect --add"


def test_every_case_file_can_be_read() -> None:
    assert all(file.cases for file in cases.all_files())
