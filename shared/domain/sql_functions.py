"""The functions that SQL of a pipeline or a contract may call: what they do depends on their arguments alone."""

from __future__ import annotations

from collections.abc import Iterable

_FUNCTION_NAMES = """
    abs and array_length between bit_length cast ceil ceiling char_length character_length chr coalesce concat
    contains_substr date date_add date_diff date_sub date_trunc datetime datetime_add datetime_diff datetime_sub
    datetime_trunc div ends_with exp extract floor format_date format_timestamp greatest if ifnull initcap instr
    is_inf is_nan json_extract_scalar json_value least left length like ln log log10 lower lpad ltrim md5 mod
    nullif or parse_date parse_datetime parse_timestamp pow power regexp_contains regexp_extract regexp_replace
    replace reverse right round rpad rtrim safe_cast safe_divide sha256 sha512 sign split sqrt starts_with
    strpos substr substring time time_add time_diff time_sub timestamp timestamp_add timestamp_diff
    timestamp_micros timestamp_millis timestamp_seconds timestamp_sub timestamp_trunc to_base64 to_hex translate
    trim trunc unix_date unix_micros unix_millis unix_seconds upper
"""
FUNCTIONS = frozenset(_FUNCTION_NAMES.split())
"""GoogleSQL's scalar functions that a transform or a quality rule may call. Those that depend on the moment or the
session are out, and those that the local engine does not have: SQL is the same on a laptop and in the cloud. REPEAT is
out because one row could fill the memory; LPAD and RPAD want a length that is written out."""


def function_name(rendered: str, names: Iterable[str]) -> str:
    """The name under which GoogleSQL calls a function, in lower case, from its SQL and the names it goes by."""
    written = rendered.partition("(")[0].strip().lower()
    known = {name.lower() for name in names}
    return written if written in FUNCTIONS else next(iter(sorted(known & FUNCTIONS)), written)
