"""Goal: the invariants bite. Bugs of each kind are planted, and the world that is known to show each shows it."""

from __future__ import annotations

import pytest

from tests.simulation.mutants import MUTANTS
from tests.simulation.planes import plane_named
from tests.simulation.run import Case, kind_of

KNOWN = {
    "no_receipt": (0, "receipt"),
    "receipt_before_effect": (5, "release"),
    "acknowledge_first": (1, "accounts"),
    "acknowledge_before_publish": (16, "accounts"),
    "no_preconditions": (1007, "hanging"),
    "short_read_accepted": (26, "bytes"),
    "score_ignored": (40, "score"),
    "jobs_not_booked": (333, "twice"),
    "member_loaded_alone_too": (2489, "alone"),
    "group_without_members": (64, "fixed"),
    "refused_group_dropped": (80, "accounts"),
    "halted_group_counts_as_loaded": (92, "model"),
    "upsert_replaces_newer": (3, "model"),
    "nothing_restored": (4, "model"),
    "mode_ignored": (0, "policy"),
    "share_cap_ignored": (4, "caps"),
    "freeze_ignored": (2, "freeze"),
    "breaker_ignored": (230, "breaker"),
    "next_value_snapped": (21, "truth"),
    "kept_row_dropped_too": (11, "lost"),
    "everything_passes": (3, "truth"),
    "neighbours_set_aside": (0, "neighbour"),
    "quarantine_later": (0, "release"),
    "cells_in_messages": (0, "values"),
}


@pytest.mark.parametrize("name", KNOWN)
def test_a_planted_bug_is_caught(name: str) -> None:
    seed, kind = KNOWN[name]
    mutant = next(each for each in MUTANTS if each.name == name)
    with mutant.plant(), plane_named(mutant.plane).installed():
        assert kind_of(Case(mutant.plane, seed).lived().problems) == kind
    assert Case(mutant.plane, seed).lived().problems == []


def test_names_differ() -> None:
    assert len({each.name for each in MUTANTS}) == len(MUTANTS) > 70
