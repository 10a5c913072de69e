"""Which values are personal data, and what people see in their place.

A column is treated as its contract says (``classification``, ``tags``), else by its name, else value by value. Real
values stay in the files that healing needs; this is about what is shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from shared.domain.personal_values import CARD, E_MAIL, IBAN, NATIONAL_ID, PHONE, hidden, kind_of, mark

if TYPE_CHECKING:
    from shared.domain.contract import Column, Contract

# Treatments of a column: one of these two, or the kind that its masked values are told to be.
PUBLIC: Final = "public"  # never masked
BY_VALUE: Final = ""  # masked where a value looks personal
UNKNOWN: Final = "value"  # masked because nothing says what it is
PERSONAL: Final = "personal data"
NAME: Final = "name"
BIRTH: Final = "date of birth"
ADDRESS: Final = "address"
PASSPORT: Final = "passport number"
LICENCE: Final = "licence number"
ACCOUNT: Final = "bank account"

_PERSONAL_WORDS: Final = frozenset(
    {"restricted", "confidential", "sensitive", "personal", "private", "secret", "pii", "phi", "spi", "gdpr"}
)
_NOT: Final = frozenset({"non", "not", "no"})
_PERSONS: Final = (
    "customer", "client", "person", "patient", "employee", "contact", "passenger", "guest", "member",
    "student", "pupil", "teacher", "driver", "user", "holder", "cardholder", "recipient", "sender", "applicant",
    "tenant", "visitor", "subscriber", "beneficiary", "doctor", "physician", "nurse", "mother", "father",
    "spouse", "buyer", "payer", "payee", "debtor", "signatory", "emergency contact", "next of kin",
)  # fmt: skip
# What a column's name ends with, in the words it is made of; written together it counts as well.
_ENDINGS: Final[dict[str, str]] = {
    **dict.fromkeys(
        ("email", "e mail", "mail address", "email address", "e mail address", "email id", "mail", "correo",
         "correo electronico", "courriel"), E_MAIL),
    **dict.fromkeys(
        ("phone", "telephone", "mobile", "tel", "cell phone", "mobile phone", "fax", "msisdn", "whatsapp", "telefono",
         "telefon", "cellulare", "movil", "handy", "handynummer", "telefonnummer"), PHONE),
    **dict.fromkeys(("iban", "iban code"), IBAN),
    **dict.fromkeys(
        ("bank account", "bank account number", "bank account no", "beneficiary account", "kontonummer"), ACCOUNT),
    **dict.fromkeys(
        ("card number", "card no", "card num", "card nr", "card pan", "credit card", "debit card", "cc number",
         "cc num", "primary account number", "carta di credito", "kartennummer"), CARD),
    **dict.fromkeys(
        ("ssn", "social security", "social security no", "national id", "national identifier", "national insurance",
         "nino", "tax id", "taxpayer id", "codice fiscale", "fiscal code", "dni", "nif", "curp",
         "cpf", "pesel", "bsn", "aadhaar", "aadhar", "personal id", "personnummer", "identity card", "id card",
         "steuer id", "sozialversicherungsnummer", "numero di previdenza"), NATIONAL_ID),
    **dict.fromkeys(("passport", "passport id", "passaporto", "pasaporte", "passnummer"), PASSPORT),
    **dict.fromkeys(
        ("driver license", "drivers license", "driver licence", "driving license", "driving licence"), LICENCE),
    **dict.fromkeys(
        ("birth date", "date of birth", "dob", "birthday", "birth day", "born on", "data nascita", "data di nascita",
         "fecha nacimiento", "fecha de nacimiento", "geburtsdatum", "geburtstag", "date naissance"), BIRTH),
    **dict.fromkeys(
        ("address", "addr", "address line", "street", "street address", "street name", "indirizzo", "direccion",
         "domicilio", "adresse", "anschrift", "strasse"), ADDRESS),
    **dict.fromkeys(
        ("first name", "last name", "full name", "given name", "family name", "middle name", "maiden name",
         "legal name", "fname", "lname", "surname", "forename", "cognome", "nome cognome", "apellido", "vorname",
         "nachname", "prenom", "user name", *(f"{each} name" for each in _PERSONS)), NAME),
}  # fmt: skip
# The same last word, and no person behind it.
_FALSE_FRIENDS: Final = frozenset(
    f"{word} address"
    for word in (
        "ip", "mac", "web", "url", "memory", "bus", "host", "server", "network", "http", "wallet", "contract", "page",
        "base",
    )
)  # fmt: skip
_ASKING: Final = frozenset(
    {"is", "has", "had", "can", "was", "valid", "count", "n", "num"}
)  # no value of the kind itself
_TRAILING: Final = frozenset({"number", "no", "nr", "num", "numbers", "value", "text", "raw", "primary", "main", "new"})
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[A-Za-z])(?=[0-9])")
JSON_KEY: Final = r'"([^"\\]{1,80})"\s*:'
_ENDING_WORDS: Final = max(len(each.split()) for each in _ENDINGS)
_TOGETHER: Final = {each.replace(" ", ""): kind for each, kind in _ENDINGS.items()}


@lru_cache(maxsize=4096)
def kind_of_name(name: str) -> str:
    """The kind of personal data that a column's name promises, ``e-mail`` for ``customerEmail``; "" for none."""
    words = [word for word in re.split(r"[\W_]+", _CAMEL.sub(" ", name).casefold()) if word]
    if not words or (words[0] in _ASKING and len(words) > 1):
        return ""
    while words:
        if " ".join(words[-2:]) in _FALSE_FRIENDS:
            return ""
        for length in range(min(_ENDING_WORDS, len(words)), 0, -1):
            last = words[-length:]
            found = _ending(" ".join(last)) or (_TOGETHER.get(last[0], "") if length == 1 else "")
            if found:
                return found
        if not (words[-1].isdigit() or words[-1] in _TRAILING):
            return ""
        words = words[:-1]
    return ""


def _ending(text: str) -> str:
    """Singular or plural."""
    return next(
        (_ENDINGS[each] for each in (text, text.removesuffix("s"), text.removesuffix("es")) if each in _ENDINGS), ""
    )


def declared(column: Column) -> str:
    """What the contract says of a column: ``PUBLIC``, ``PERSONAL``, or ``BY_VALUE`` when it says neither."""
    said = set(re.split(r"[\W_]+", column.classification.casefold()))
    if "public" in said and not said & (_NOT | _PERSONAL_WORDS):
        return PUBLIC
    if said & _PERSONAL_WORDS and not said & _NOT:
        return PERSONAL
    tags = {tag.strip().casefold() for tag in column.tags}
    secret = column.logical_type == "string" and column.format == "password"
    return PERSONAL if secret or tags & _PERSONAL_WORDS else BY_VALUE


def treatment_of(column: Column) -> str:
    """How a contract's column is shown: ``PUBLIC``, ``BY_VALUE``, or the kind that all of its values are."""
    said = declared(column)
    if said == PUBLIC or (not said and column.logical_type == "boolean"):
        return said
    named = next((kind for each in (column.name, column.logical_name) if each and (kind := kind_of_name(each))), "")
    return named or said


def masked(value: str, treatment: str = BY_VALUE) -> str:
    """A cell as people may see it, such as ``<e-mail, 17 characters>``. A text with personal data in it goes whole:
    what stands around it tells of the same person."""
    if treatment == PUBLIC or not value:
        return value
    if treatment:
        return mark(treatment, len(value))
    kind, whole = kind_of(value)
    if not kind and value.lstrip()[:1] in ("{", "["):
        kind = PERSONAL if any(kind_of_name(key) for key in re.findall(JSON_KEY, value)) else ""
    return mark(kind, len(value), whole=whole or kind == PERSONAL) if kind else value


def is_personal(name: str, values: Iterable[str]) -> bool:
    """Whether a column that no contract describes yet holds personal data: by its name, or by any of its values."""
    return bool(kind_of_name(name)) or any(masked(value) != value for value in values)


def hides_values(column: Column, values: Iterable[str]) -> bool:
    """Whether any of a contract's column's values would be masked."""
    treatment = treatment_of(column)
    return any(masked(value, treatment) != value for value in values)


def treatment_within(value: object) -> str:
    """The treatment of a nested cell of a column that says nothing: its fields' names may."""
    if isinstance(value, Mapping):
        named = any(kind_of_name(str(name)) for name in value)
        return PERSONAL if named or any(treatment_within(each) for each in value.values()) else BY_VALUE
    if isinstance(value, list | tuple):
        return PERSONAL if any(treatment_within(each) for each in value) else BY_VALUE
    return BY_VALUE


def shown_names(names: Iterable[str]) -> dict[str, str]:
    """Columns' names as people may see them: where a header is missing, the first row's cells stand in its place."""
    told = {name: (hidden(name), place) for place, name in enumerate(names, 1)}
    return {name: seen if seen == name else f"{seen} (column {place})" for name, (seen, place) in told.items()}


class PersonalColumns:
    """What people may see of a delivery's columns. Without a contract, nothing says what is public: all is masked."""

    def __init__(self, contract: Contract | None, renamed: Mapping[str, str] | None = None) -> None:
        self._columns = {each.name: each for each in contract.columns} if contract is not None else None
        self._synonyms = {
            synonym.casefold(): each for each in (contract.columns if contract else ()) for synonym in each.synonyms
        }
        self._renamed = dict(renamed or {})  # delivered name: contract name
        self._strangers = BY_VALUE  # of columns that the contract does not know

    def among(self, delivered: Iterable[str]) -> PersonalColumns:
        """The same for a delivery with these columns. Where a column that the contract calls personal is not among
        them, one that it does not know may be it under another name, and is masked."""
        if self._columns is None:
            return self
        known = {column.name for name in delivered if (column := self._column(name)) is not None}
        lacked = any(declared(column) == PERSONAL for name, column in self._columns.items() if name not in known)
        narrowed = PersonalColumns(None)
        narrowed._columns, narrowed._synonyms, narrowed._renamed = self._columns, self._synonyms, self._renamed
        narrowed._strangers = UNKNOWN if lacked else BY_VALUE
        return narrowed

    def of(self, name: str) -> str:
        """The treatment of a column by its delivered name or the contract's, or of several, joined by commas."""
        if self._columns is None:
            return kind_of_name(name) or UNKNOWN
        column = self._column(name)
        if column is not None:
            return treatment_of(column)
        if "," in name:
            parts = [self.of(part) for part in name.split(",")]
            if all(part == PUBLIC for part in parts):
                return PUBLIC
            return next((part for part in parts if part not in (PUBLIC, BY_VALUE)), BY_VALUE)
        return kind_of_name(name) or self._strangers

    def of_record(self) -> str:
        """The treatment of a record that could not be parted into columns: masked if any column is."""
        if self._columns is None:
            return UNKNOWN
        kinds = {treatment_of(column) for column in self._columns.values()}
        return BY_VALUE if kinds <= {PUBLIC, BY_VALUE} else "record with personal data"

    def _column(self, name: str) -> Column | None:
        known = self._columns or {}
        return known.get(name) or known.get(self._renamed.get(name, "")) or self._synonyms.get(name.casefold())
