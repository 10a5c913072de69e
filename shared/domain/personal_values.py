"""Recognises personal data by what a value looks like: its pattern and, where the kind has one, its checksum.

``hidden`` is for sentences and hides what it recognises inside them; ``kind_of`` is for cells. The same judgements for
whole columns at once are in ``mend/personal_cells.py``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

E_MAIL: Final = "e-mail"
PHONE: Final = "phone number"
IBAN: Final = "IBAN"
CARD: Final = "card number"
NATIONAL_ID: Final = "national id"

# How long an IBAN of each country is: the text after it may look like more of it.
IBAN_LENGTHS: Final = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29,
    "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29,
    "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28,
    "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28,
    "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MN": 20,
    "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29, "PT": 25,
    "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24, "SM": 27,
    "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20, "YE": 30,
}  # fmt: skip
# By issuer; a check digit alone would take every tenth long number for a card.
CARD_ISSUERS: Final = (
    r"^(?:4[0-9]{12}(?:[0-9]{3}|[0-9]{6})?|5[1-5][0-9]{14}|2(?:22[1-9]|2[3-9][0-9]|[3-6][0-9]{2}|7[01][0-9]|720)[0-9]{12}"
    r"|3[47][0-9]{13}|3(?:0[0-5]|[689][0-9])[0-9]{11}|35(?:2[89]|[3-8][0-9])[0-9]{12}|6(?:011|5[0-9]{2}|4[4-9][0-9])[0-9]{12}"
    r"|62[0-9]{14,17}|(?:50|5[6-8]|67)[0-9]{14})$"
)
DNI_LETTERS: Final = "TRWAGMYFPDXBNJZSQVHLCKE"
# What a character of a codice fiscale weighs in an odd place (counted from 1); in an even place it weighs its number.
ODD_WEIGHTS: Final = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16,
         10, 22, 25, 24, 23),
        strict=True,
    )
)  # fmt: skip
_OMOCODE = "[0-9LMNPQRSTUVlmnpqrstuv]"


class Shape(NamedTuple):
    """One way to recognise a kind: a pattern that Python and Polars read alike, and whether a checksum decides."""

    kind: str
    pattern: str
    check: str = ""  # iban | luhn | codice | dni; "" = the pattern is enough
    sign: str = ""  # without which no text has the shape, so that most texts are passed over at once


SHAPES: Final = (
    Shape(E_MAIL, r"\b[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64})+\b", sign="@"),
    Shape(IBAN, r"\b[A-Za-z]{2}[0-9]{2}(?:[ -]?[A-Za-z0-9]){11,30}\b", "iban"),
    Shape(
        CARD,
        r"\b(?:[0-9]{13,19}|[0-9]{4}(?:[ -][0-9]{4}){3}|[0-9]{4}[ -][0-9]{6}[ -][0-9]{4,5})\b",
        "luhn",
    ),
    # International form only: without the plus, any long number would be one.
    Shape(PHONE, r"\B\+[1-9](?:[ ().\-/]{0,2}[0-9]){7,14}\b", sign="+"),
    Shape(  # US social security number
        NATIONAL_ID,
        r"\b(?:00[1-9]|0[1-9][0-9]|[1-578][0-9]{2}|6(?:[0-57-9][0-9]|6[0-57-9]))"
        r"-(?:0[1-9]|[1-9][0-9])-(?:000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})\b",
        sign="-",
    ),
    Shape(  # Italian codice fiscale
        NATIONAL_ID,
        rf"\b[A-Za-z]{{6}}{_OMOCODE}{{2}}[A-EHLMPR-Ta-ehlmpr-t]{_OMOCODE}{{2}}[A-Za-z]{_OMOCODE}{{3}}[A-Za-z]\b",
        "codice",
    ),
    Shape(NATIONAL_ID, r"\b[0-9XYZxyz][0-9]{7}-?[A-Za-z]\b", "dni"),  # Spanish DNI and NIE
)


def squeezed(text: str) -> str:
    """The letters and digits alone, in capitals: what checksums are made of."""
    return re.sub(r"[ -]", "", text).upper()


def is_iban(text: str) -> bool:
    """True for a squeezed text that begins with an IBAN, as long as its country's are."""
    length = IBAN_LENGTHS.get(text[:2], 0)
    if not length or len(text) < length:
        return False
    rest = text[4:length] + text[:4]
    return int("".join(str(int(character, 36)) for character in rest)) % 97 == 1


def is_card(text: str) -> bool:
    """True for digits of an issuer's length and beginning whose Luhn sum ends in zero."""
    if not re.match(CARD_ISSUERS, text):
        return False
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(text))]
    return sum(number - 9 * (number > 9) for number in doubled) % 10 == 0


def is_codice_fiscale(text: str) -> bool:
    """True for 16 characters of which the last is the check character of the others."""
    total = 0
    for place, character in enumerate(text[:15]):
        even = int(character) if character.isdigit() else ord(character) - ord("A")
        total += even if place % 2 else ODD_WEIGHTS[character]
    return chr(ord("A") + total % 26) == text[15]


def is_dni(text: str) -> bool:
    """True for a DNI or NIE whose letter is that of its number."""
    return DNI_LETTERS[int(text[:8].translate(str.maketrans("XYZ", "012"))) % 23] == text[8]


_CHECKS: Final[dict[str, Callable[[str], bool]]] = {
    "iban": is_iban,
    "luhn": is_card,
    "codice": is_codice_fiscale,
    "dni": is_dni,
}
_COMPILED: Final = tuple((shape, re.compile(shape.pattern)) for shape in SHAPES)


def _shapes_in(text: str) -> list[tuple[Shape, re.Pattern[str]]]:
    return [each for each in _COMPILED if each[0].sign in text]


def kind_of(text: str) -> tuple[str, bool]:
    """The kind of personal data in a text, and whether it is the whole text; ("", False) without any."""
    for shape, pattern in _shapes_in(text):
        for found in pattern.finditer(text):
            if not shape.check or _CHECKS[shape.check](squeezed(found[0])):
                return shape.kind, found[0] == text.strip()
    return "", False


def mark(kind: str, characters: int, *, whole: bool = True) -> str:
    """What is shown in place of personal data, such as ``<e-mail, 17 characters>``."""
    return f"<{kind if whole else f'text with {kind}'}, {characters} characters>"


def hidden(text: str) -> str:
    """A sentence whose personal data is replaced by marks; the rest of it stays."""
    for shape, pattern in _shapes_in(text):

        def told(found: re.Match[str], shape: Shape = shape) -> str:
            if shape.check and not _CHECKS[shape.check](squeezed(found[0])):
                return found[0]
            end = _iban_end(found[0]) if shape.check == "iban" else len(found[0])
            return mark(shape.kind, end) + found[0][end:]

        text = pattern.sub(told, text)
    return text


def _iban_end(text: str) -> int:
    """Where an IBAN ends in a text that may go on with other words."""
    left = IBAN_LENGTHS[text[:2].upper()]
    for place, character in enumerate(text):
        left -= character not in " -"
        if not left:
            return place + 1
    return len(text)
