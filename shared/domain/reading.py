"""How a delivery's bytes are turned into rows, and what a record that does not fit is called."""

from __future__ import annotations

import codecs
import re
from collections.abc import Set as AbstractSet
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from shared.domain.errors import TerminalError

OPTIONS_CHARACTERS_MAX: Final = 20_000
NAME_CHARACTERS_MAX: Final = 255
RECORD_BYTES_MAX: Final = 1 << 28  # a longer line is kept by its beginning only; the delivery itself stays in raw/

ROW: Final = "_mend_row"
RAW: Final = "_mend_raw"
MISFIT: Final = "_mend_misfit"

TOO_FEW_FIELDS: Final = "too_few_fields"
TOO_MANY_FIELDS: Final = "too_many_fields"
OPEN_QUOTE: Final = "open_quote"
BAD_BYTES: Final = "bad_bytes"  # not text in this encoding, or NUL; `_mend_raw` is `escaped_text`
TOO_LONG: Final = "too_long"  # `_mend_raw` is the `escaped_text` of the beginning
TOO_MANY_COLUMNS: Final = "too_many_columns"
NOT_JSON: Final = "not_json"  # or JSON, but no object
DUPLICATE_KEYS: Final = "duplicate_keys"
BAD_UNICODE: Final = "bad_unicode"  # a JSON escape that names half a character
UNREADABLE: Final = "unreadable"

Problem = Literal["", "empty", "truncated", "corrupt", "unreadable", "encoding"]

# Codecs that are no encodings of text files, or that cannot say which byte was wrong.
_NOT_FOR_FILES: Final = {
    "idna",
    "punycode",
    "unicode_escape",
    "raw_unicode_escape",
    "undefined",
    "mbcs",
    "oem",
    "utf-7",
}
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ESCAPE = re.compile(r"\\(\\|x[0-9a-f]{2})")

Character = Annotated[str, StringConstraints(pattern=r"^[\t -~]$")]
OptionalCharacter = Annotated[str, StringConstraints(pattern=r"^[\t -~]?$")]


class ReadingUnknown(TerminalError):
    """Text that does not describe a reading."""


class ReadingOptions(BaseModel):
    """One way of reading a delivery. Two equal values give equal rows.

    A byte order mark is never content, so ``utf-8-sig`` is written ``utf-8``. ``skip_lines`` are lines before the
    header; ``column_names`` serve only when ``header`` is false, and may be absent (``column_1`` …).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=False)

    format: Literal["csv", "jsonl", "json", "avro", "parquet"] = "csv"
    compression: Literal["none", "gzip"] = "none"
    encoding: str = Field(default="utf-8", max_length=40)
    delimiter: Character = ","
    quote: OptionalCharacter = '"'  # "" = no quoting
    escape: OptionalCharacter = ""  # "" = none; a doubled quote always stands for one
    header: bool = True
    skip_lines: int = Field(default=0, ge=0, le=1_000)
    decimal: Literal[".", ","] = "."
    column_names: tuple[Annotated[str, StringConstraints(max_length=NAME_CHARACTERS_MAX)], ...] = ()

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        try:
            codec = codecs.lookup(value)
        except (LookupError, ValueError) as err:
            raise ValueError("no such encoding; try utf-8, cp1252, latin-1 or utf-16") from err
        if not getattr(codec, "_is_text_encoding", True) or codec.name in _NOT_FOR_FILES:
            raise ValueError("not an encoding of text files; try utf-8, cp1252, latin-1 or utf-16")
        return "utf-8" if codec.name == "utf-8-sig" else codec.name

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        marks = [mark for mark in (self.delimiter, self.quote, self.escape) if mark]
        if len(set(marks)) != len(marks):
            raise ValueError("delimiter, quote and escape must be three different characters")
        if self.header and self.column_names:
            raise ValueError("column_names serve a file without header; set header to false")
        if len(self.to_json()) > OPTIONS_CHARACTERS_MAX:
            raise ValueError(f"the options are longer than {OPTIONS_CHARACTERS_MAX} characters")
        return self

    def to_json(self) -> str:
        """Compact JSON: the format and what differs from the defaults."""
        kept = {name for name, default in _DEFAULTS.items() if name == "format" or getattr(self, name) != default}
        return self.model_dump_json(include=kept)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse of ``to_json``; ``ReadingUnknown`` names the fields that are wrong."""
        if len(text) > OPTIONS_CHARACTERS_MAX:
            raise ReadingUnknown(f"reading options of more than {OPTIONS_CHARACTERS_MAX} characters")
        try:
            return cls.model_validate_json(text)
        except ValidationError as err:
            wrong = "; ".join(
                f"{'.'.join(str(part) for part in item['loc']) or 'reading options'}: {item['msg']}"
                for item in err.errors(include_url=False, include_input=False, include_context=False)[:5]
            )
            raise ReadingUnknown(wrong) from None


_DEFAULTS: Final = {name: field.default for name, field in ReadingOptions.model_fields.items()}


def escaped_text(raw: bytes) -> str:
    r"""Any bytes as text that ``unescaped_bytes`` turns back: ``\`` doubled, NUL and what is no UTF-8 as ``\xNN``."""
    doubled = raw.replace(b"\\", b"\\\\").replace(b"\0", b"\\x00")
    return doubled.decode("utf-8", "backslashreplace")


def unescaped_bytes(text: str, encoding: str = "utf-8") -> bytes:
    """The bytes that ``_mend_raw`` of a ``bad_bytes`` record stands for in a delivery of that encoding."""
    parts: list[bytes] = []
    done = 0
    for match in _ESCAPE.finditer(text):
        parts.append(text[done : match.start()].encode(encoding))
        parts.append("\\".encode(encoding) if match[1] == "\\" else bytes([int(match[1][1:], 16)]))
        done = match.end()
    parts.append(text[done:].encode(encoding))
    return b"".join(parts)


def staged_names(delivered: list[str]) -> list[str]:
    """Column names as staged, in order; see ``staged_name``. A column delivered as ``a__2`` keeps its name."""
    reserved = set(delivered)
    used: set[str] = set()
    return [staged_name(given, position, used, reserved) for position, given in enumerate(delivered, start=1)]


def staged_name(given: str, position: int, used: set[str], reserved: AbstractSet[str] = frozenset()) -> str:
    """A name that is not empty, none of ours, of bounded length and not in ``used``, to which it is added.

    ``a``, ``a__2`` for a repeated one, ``column_3`` for an empty third, ``x_mend_…`` for one like ours.
    """
    shown = _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", given)[:NAME_CHARACTERS_MAX] or f"column_{position}"
    base = f"x{shown}" if shown.startswith("_mend_") else shown
    name = base
    number = 1
    while name in used or (name != given and name in reserved):
        number += 1
        name = f"{base}__{number}"
    used.add(name)
    return name
