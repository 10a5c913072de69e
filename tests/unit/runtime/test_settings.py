"""Goal: a setting that is wrong is said by the name under which it was set, before anything runs."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from shared.domain.errors import DefinitionError
from shared.runtime.settings import PREFIX, Settings, load


def test_defaults_stand_without_an_environment() -> None:
    assert load({}) == Settings()
    assert load({"PATH": "/bin", "ROOT": "elsewhere"}) == Settings()


def test_the_environment_sets_and_what_is_given_wins() -> None:
    values = {"MEND_ROOT": "one", "MEND_ROWS_PER_PART": "1000", "MEND_LEASE_SECONDS": "2.5"}
    found = load(values)
    assert (found.root, found.rows_per_part, found.lease_seconds) == ("one", 1_000, 2.5)
    assert load(values, root="two").root == "two"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ROWS_PER_PART", "many"),
        ("ROWS_PER_PART", "0"),
        ("ROWS_PER_PART", "1.5"),
        ("ROWS_PER_PART", ""),
        ("LEASE_SECONDS", "0"),
        ("LEASE_SECONDS", "-1"),
        ("LEASE_SECONDS", "inf"),
        ("LEASE_SECONDS", "nan"),
        ("LOCK_WAIT_SECONDS", "inf"),
        ("SOURCE_TIMEOUT_SECONDS", "inf"),
        ("WAREHOUSE_MEMORY_MB", "1"),
        ("SOURCE_BYTES_MAX", "0"),
        ("BACKEND", "aws"),
    ],
)
def test_what_is_wrong_is_named_and_its_value_is_not_told(name: str, value: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        load({PREFIX + name: value})
    assert PREFIX + name in str(caught.value)
    assert caught.value.hint
    assert not value or value in ("0", "1") or f"'{value}'" not in str(caught.value)


def test_an_unknown_setting_given_by_the_program_is_refused() -> None:
    with pytest.raises(DefinitionError, match="MEND_ROOTT"):
        load({}, roott="x")


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Settings().root = "x"  # type: ignore[misc]


def test_no_secret_has_a_default() -> None:
    for name, field in Settings.model_fields.items():
        if any(word in name for word in ("password", "token", "webhook", "secret", "key")):
            assert field.default in ("", None) or "name of" in (field.description or ""), name
