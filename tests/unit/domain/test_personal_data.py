"""Goal: personal data is told by the contract, by a column's name and by the value; its false friends are not."""

from __future__ import annotations

import pytest

from shared.domain.contract import Column, Contract
from shared.domain.masking import clean, one_line
from shared.domain.personal_data import (
    BY_VALUE,
    PERSONAL,
    PUBLIC,
    UNKNOWN,
    PersonalColumns,
    kind_of_name,
    masked,
    shown_names,
    treatment_of,
    treatment_within,
)
from shared.domain.personal_values import IBAN_LENGTHS, hidden

PERSONAL_VALUES = {
    "anna.rossi@example.org": "e-mail",
    "+39 333 123 4567": "phone number",
    "+1 (555) 010-4477": "phone number",
    "IT60X0542811101000000123456": "IBAN",
    "GB82 WEST 1234 5698 7654 32": "IBAN",
    "4111 1111 1111 1111": "card number",
    "378282246310005": "card number",
    "123-45-6789": "national id",
    "RSSMRA85T10A562S": "national id",
    "12345678Z": "national id",
    "X1234567L": "national id",
}
WRONG_CHECKSUMS = (
    "IT61X0542811101000000123456",
    "ZZ60X0542811101000000123456",
    "IT60X05428111010000001234",
    "4111 1111 1111 1112",
    "9999999999999995",  # right by Luhn, of no issuer
    "000-45-6789",
    "666-45-6789",
    "RSSMRA85T10A562T",
    "12345678A",
    "X1234567A",
)
PLAIN = ("2024-01-31", "1704067200000000", "+12.50", "2024-01-01T00:00:00+10:00", "b1a2b3c4d5e6", "Rome", "a@b", "")


@pytest.mark.parametrize(("value", "kind"), PERSONAL_VALUES.items())
def test_a_value_is_replaced_by_its_kind_and_length(value: str, kind: str) -> None:
    assert masked(value) == f"<{kind}, {len(value)} characters>"
    within = f"call {value}, or not"
    assert masked(within) == f"<text with {kind}, {len(within)} characters>"
    assert hidden(within) == f"call <{kind}, {len(value)} characters>, or not"


@pytest.mark.parametrize("value", [*WRONG_CHECKSUMS, *PLAIN])
def test_what_is_no_such_value_is_shown(value: str) -> None:
    assert masked(value) == value
    assert hidden(f"in {value}, seen") == f"in {value}, seen"


def test_every_change_of_one_digit_of_an_iban_is_noticed() -> None:
    good = "IT60X0542811101000000123456"
    assert len(good) == IBAN_LENGTHS["IT"]
    for place in [each for each, character in enumerate(good) if character.isdigit()]:
        other = f"{good[:place]}{(int(good[place]) + 1) % 10}{good[place + 1 :]}"
        assert masked(other) == other


def test_words_after_an_iban_stay() -> None:
    assert hidden("pay DE89 3704 0044 0532 0130 00 now please") == "pay <IBAN, 27 characters> now please"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("email", "e-mail"), ("customerEmail", "e-mail"), ("E-Mail Address", "e-mail"), ("emails", "e-mail"),
        ("email_2", "e-mail"), ("phone", "phone number"), ("mobile_phone_number", "phone number"),
        ("homeTel", "phone number"), ("IBAN", "IBAN"), ("IBANCode", "IBAN"), ("bank_account_no", "bank account"),
        ("cardNumber", "card number"), ("credit_card", "card number"), ("ssn", "national id"),
        ("national_id_number", "national id"), ("codice_fiscale", "national id"), ("firstName", "name"),
        ("LASTNAME", "name"), ("full_name", "name"), ("customer_name", "name"), ("surname", "name"),
        ("birth_date", "date of birth"), ("dateOfBirth", "date of birth"), ("dob", "date of birth"),
        ("billing_address", "address"), ("address_line_1", "address"), ("addresses", "address"),
        ("passport_no", "passport number"), ("driving_licence", "licence number"),
    ],
)  # fmt: skip
def test_a_name_promises_personal_data(name: str, kind: str) -> None:
    assert kind_of_name(name) == kind


@pytest.mark.parametrize(
    "name",
    [
        "product_name", "file_name", "column_name", "station_name", "name", "hostName", "department_name",
        "username_count", "email_count", "emailSentAt", "has_phone", "is_mobile", "phone_type", "address_id",
        "ip_address", "macAddress",
        "hotel", "intel", "model", "street_count", "birth_rate", "passport_count", "discard_number", "state",
        "_mend_row",
    ],
)  # fmt: skip
def test_false_friends_promise_none(name: str) -> None:
    assert kind_of_name(name) == ""


@pytest.mark.parametrize(
    "said", ["restricted", "Confidential", "SENSITIVE", "pii", "personal data", "strictly confidential", "PII-high"]
)
def test_a_classification_makes_personal(said: str) -> None:
    assert treatment_of(Column(name="score", classification=said)) == PERSONAL
    assert treatment_of(Column(name="flag", logical_type="boolean", classification=said)) == PERSONAL
    assert treatment_of(Column(name="email", classification=said)) == "e-mail"


@pytest.mark.parametrize("said", ["", "internal", "non-sensitive", "not personal", "unrestricted", "non-public"])
def test_other_classifications_leave_it_to_name_and_value(said: str) -> None:
    assert treatment_of(Column(name="score", classification=said)) == BY_VALUE
    assert treatment_of(Column(name="email", classification=said)) == "e-mail"


def test_public_is_never_masked_and_a_tag_speaks_as_well() -> None:
    public = treatment_of(Column(name="email", classification="Public", tags=("pii",)))
    assert public == PUBLIC
    assert masked("press@example.org", public) == "press@example.org"
    assert treatment_of(Column(name="score", tags=("PII",))) == PERSONAL
    assert treatment_of(Column(name="phone", logical_type="boolean")) == BY_VALUE


def test_a_delivery_is_looked_up_by_the_names_it_came_with() -> None:
    columns = (
        Column(name="id", logical_type="integer"),
        Column(name="score", classification="restricted", synonyms=("Points",)),
        Column(name="press", classification="public"),
    )
    known = PersonalColumns(Contract(id="c", version="1", table="t", columns=columns), {"sc": "score"})
    assert [known.of(name) for name in ("id", "score", "sc", "points", "press")] == [
        "",
        PERSONAL,
        PERSONAL,
        PERSONAL,
        PUBLIC,
    ]
    assert (known.of("id,score"), known.of("press,press"), known.of("press,id")) == (PERSONAL, PUBLIC, BY_VALUE)
    assert known.of("other") == BY_VALUE
    assert known.of_record() == "record with personal data"
    # The classified column is not there, so that a column nobody knows may be it.
    assert known.among(["id", "press", "other"]).of("other") == UNKNOWN
    assert known.among(["id", "sc", "other"]).of("other") == BY_VALUE


def test_without_a_contract_all_is_masked() -> None:
    assert PersonalColumns(None).of("score") == UNKNOWN
    assert PersonalColumns(None).among(["score"]).of("email") == "e-mail"
    assert PersonalColumns(None).of_record() == UNKNOWN


def test_the_names_of_fields_speak_for_a_nested_cell() -> None:
    assert treatment_within([{"person": {"first_name": "Ada"}}]) == PERSONAL
    assert treatment_within({"size": [1, 2]}) == BY_VALUE
    assert "Ada" not in masked('{"person": {"first_name": "Ada"}}')
    assert masked('{"size": [1, 2]}') == '{"size": [1, 2]}'


def test_names_that_are_values_are_hidden_and_stay_apart() -> None:
    names = shown_names(["id", "anna@x.org", "anne@x.org"])
    assert list(names.values()) == ["id", "<e-mail, 10 characters> (column 2)", "<e-mail, 10 characters> (column 3)"]


@pytest.mark.parametrize("value", PERSONAL_VALUES)
def test_messages_are_free_of_it_except_for_who_may_see_it(value: str) -> None:
    assert value not in clean(f"duplicate key ({value})")
    assert value not in one_line(f"duplicate key ({value})")
    assert value in clean(f"duplicate key ({value})", personal=True)
