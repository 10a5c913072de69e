"""What strangers write, as bounded values of the kind an incident has; anything else counts as not said."""

from __future__ import annotations

from shared.domain.masking import EXCERPTED_CHARACTERS_MAX, clean

NAME_CHARACTERS_MAX = 200
_INTEGER_DIGITS_MAX = 9
_TYPE_SUFFIXES = ("Error", "Exception")


def text(value: object) -> str:
    """A message, unmasked yet."""
    return value[:EXCERPTED_CHARACTERS_MAX] if isinstance(value, str) else ""


def name(value: object) -> str:
    """A short printable word."""
    return clean(str(value), NAME_CHARACTERS_MAX) if isinstance(value, str | int) and value != "" else ""


def status(value: object) -> int:
    """A status of HTTP, or 0."""
    number = integer(value)
    return number if 100 <= number <= 599 else 0


def integer(value: object) -> int:
    """A number of at most nine digits, or 0."""
    said = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    digits = said.removeprefix("-")
    return int(said) if digits.isascii() and digits.isdigit() and len(digits) <= _INTEGER_DIGITS_MAX else 0


def typed(said: str) -> tuple[str, str]:
    """``Type: message`` as a traceback ends: the type without its module, and the message; no type otherwise."""
    head, colon, rest = said.partition(":")
    module, dot, last = head.rpartition(".")
    is_name = head.replace(".", "").replace("_", "").isalnum() and bool(last)
    if colon and is_name and (last.endswith(_TYPE_SUFFIXES) or (dot and module and last[0].isupper())):
        return last, rest.strip()
    return "", said
