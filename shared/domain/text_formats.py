"""The formats of texts that ODCS names (``logicalTypeOptions.format``), each as patterns that decide it exactly.

The patterns are written for engines without look-around (Rust's, RE2): what one pattern cannot say, several do. They
are anchored by ``^`` and ``$``; Python's ``$`` also stands before a last line feed, so ``fits`` matches the whole text.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple


class TextFormat(NamedTuple):
    """A text has the format when it fits every pattern of ``all_of`` and none of ``none_of``."""

    said: str
    all_of: tuple[str, ...]
    none_of: tuple[str, ...] = ()


_OCTET: Final = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4: Final = rf"{_OCTET}(?:\.{_OCTET}){{3}}"
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_UNRESERVED: Final = r"A-Za-z0-9._~!$&'()*+,;="  # with the sub-delims
_PERCENT: Final = r"%[0-9A-Fa-f]{2}"


def _ipv6() -> str:
    """IPv6address of RFC 3986, section 3.2.2: the text forms of RFC 4291, section 2.2, without a zone."""
    group = r"[0-9A-Fa-f]{1,4}"
    last = rf"(?:{group}:{group}|{_IPV4})"
    forms = [rf"(?:{group}:){{6}}{last}", rf"::(?:{group}:){{5}}{last}"]
    for before, after in enumerate((rf"(?:{group}:){{{n}}}{last}" for n in (4, 3, 2, 1)), start=0):
        forms.append(rf"(?:(?:{group}:){{0,{before}}}{group})?::{after}")
    forms += [rf"(?:(?:{group}:){{0,4}}{group})?::{last}", rf"(?:(?:{group}:){{0,5}}{group})?::{group}"]
    forms.append(rf"(?:(?:{group}:){{0,6}}{group})?::")
    return f"(?:{'|'.join(forms)})"


def _uri() -> str:
    """URI of RFC 3986, appendix A."""
    character = rf"(?:[{_UNRESERVED}:@-]|{_PERCENT})"
    host = rf"(?:\[(?:{_ipv6()}|v[0-9A-Fa-f]+\.[{_UNRESERVED}:-]+)\]|(?:[{_UNRESERVED}-]|{_PERCENT})*)"
    authority = rf"(?:(?:[{_UNRESERVED}:-]|{_PERCENT})*@)?{host}(?::[0-9]*)?"
    rooted = rf"/(?:{character}+(?:/{character}*)*)?"
    path = rf"(?://{authority}(?:/{character}*)*|{rooted}|{character}+(?:/{character}*)*|)"
    more = rf"(?:{character}|[/?])*"
    return rf"^[A-Za-z][A-Za-z0-9+.-]*:{path}(?:\?{more})?(?:#{more})?$"


def _email() -> tuple[str, ...]:
    """Mailbox of RFC 5321, section 4.1.2, with the lengths of section 4.5.3.1 and of RFC 3696, erratum 1690.

    Letters beyond ASCII (RFC 6531) are not of this format.
    """
    atom = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
    quoted = r'"(?:[ !#-\[\]-~]|\\[ -~])*"'
    domain = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[(?:{_IPV4}|IPv6:{_ipv6()})\])"
    return rf"^(?:{atom}(?:\.{atom})*|{quoted})@{domain}$", "^.{1,64}@[^@]{1,255}$", "^.{3,254}$"


TEXT_FORMATS: Final[dict[str, TextFormat]] = {
    "email": TextFormat("an e-mail address (RFC 5321)", _email()),
    "uuid": TextFormat("a UUID (RFC 9562)", (r"^[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$",)),
    "uri": TextFormat("a URI with its scheme (RFC 3986)", (_uri(),)),
    # RFC 1123, section 2.1: labels may begin with digits, but a name never has the form of an IPv4 address.
    "hostname": TextFormat(
        "a host name (RFC 1123)", (rf"^{_LABEL}(?:\.{_LABEL})*$", "^.{1,253}$"), (r"^[0-9]+(?:\.[0-9]+){3}$",)
    ),
    # Without leading zeros, which some readers take for octal: RFC 6943, section 3.1.1.
    "ipv4": TextFormat("an IPv4 address (dotted decimal)", (rf"^{_IPV4}$",)),
    "ipv6": TextFormat("an IPv6 address (RFC 4291)", (rf"^{_ipv6()}$",)),
    # RFC 4648, section 4, padded and without line breaks (section 3.1).
    "byte": TextFormat(
        "base64 (RFC 4648)", (r"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",)
    ),
}  # fmt: skip
ANY_TEXT: Final = ("password", "binary")  # formats of the standard that every text has


def fits(text: str, name: str) -> bool:
    """True when a text has the format of that name (one of ``TEXT_FORMATS``)."""
    all_of, none_of = _compiled(name)
    return all(each.fullmatch(text) for each in all_of) and not any(each.fullmatch(text) for each in none_of)


@lru_cache(maxsize=16)
def _compiled(name: str) -> tuple[list[re.Pattern[str]], list[re.Pattern[str]]]:
    found = TEXT_FORMATS[name]
    return [re.compile(each) for each in found.all_of], [re.compile(each) for each in found.none_of]
