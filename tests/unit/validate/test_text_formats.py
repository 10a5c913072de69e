"""Formats of texts: known answers from the RFCs, by both engines, and the standard library as a second opinion."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import uuid
from collections.abc import Callable

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.validate.column_checks import has_format
from shared.domain.text_formats import TEXT_FORMATS, fits
from tests.unit.validate.world import World

GOOD: dict[str, list[str]] = {
    "email": [
        "a@b", "ann.lee+tag@example.co.uk", "!#$%&'*+/=?^_`{|}~-@x.org", '"a b"@x.org', '"a\\"b@c"@x.org',
        "x@[192.0.2.1]", "x@[IPv6:2001:db8::1]", "1@1.1", f"{'l' * 64}@x.org", "A@EXAMPLE.COM", "x@a-b.c",
    ],
    "uuid": [
        "f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6",
        "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff",
    ],
    "uri": [
        "http://a/b/c/d;p?q", "ftp://ftp.is.co.za/rfc/rfc1808.txt", "ldap://[2001:db8::7]/c=GB?objectClass?one",
        "mailto:John.Doe@example.com", "news:comp.infosystems.www.servers.unix", "tel:+1-816-555-1212",
        "telnet://192.0.2.16:80/", "urn:oasis:names:specification:docbook:dtd:xml:4.1.2", "x:", "a+b.c-1://u:p@h:/#",
        "http://h/%20?a=/?#/?", "http://[v1.x:y]/", "file:///etc/hosts",
    ],
    "hostname": ["localhost", "example.com", "3com.com", "a-b.c", "x" * 63, "1.2.3", "1.2.3.4.5", "xn--mnchen-3ya.de"],
    "ipv4": ["0.0.0.0", "255.255.255.255", "192.168.1.1", "10.0.0.250"],
    "ipv6": [
        "::", "::1", "2001:DB8:0:0:8:800:200C:417A", "2001:db8::8:800:200c:417a", "ff01::101", "::ffff:129.144.52.38",
        "::13.1.68.3", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1:2:3:4:5:6:1.2.3.4", "1::8",
    ],
    "byte": ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYmFy", "+/+/"],
}  # fmt: skip
BAD: dict[str, list[str]] = {
    "email": [
        "", "a", "@b", "a@", "a@b@c", ".a@b.c", "a.@b.c", "a..b@c.d", "a b@c.d", "a@-b.c", "a@b-.c", "a@b..c",
        "a@b.c.", "ü@x.org", "a@ü.org", " a@b.c", "a@b.c ", "a@b.c\n", f"{'l' * 65}@x.org", "x@[1.2.3.256]",
        '"a"b"@x.org', "x@[IPv6:::g]", f"a@{'.'.join(['b' * 60] * 5)}", "a@b_c.d",
    ],
    "uuid": [
        "", "f81d4fae7dec11d0a76500a0c91e6bf6", "{f81d4fae-7dec-11d0-a765-00a0c91e6bf6}",
        "f81d4fae-7dec-11d0-a765-00a0c91e6bf", "g81d4fae-7dec-11d0-a765-00a0c91e6bf6",
        "f81d4fae-7dec-11d0-a765-00a0c91e6bf6\n", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6 ",
    ],
    "uri": [
        "", "a", "//h/p", "/p", "?q", "1a:x", ":x", "http://h/ b", "http://h/%2", "http://h/%gg", "http://[::g]/",
        "http://h:8o/", "http://h/a|b", "http://h/<x>", "http://ü/", "x:#a#b", "http://h\n", "http://a@b@c/",
        "http://h/\\x", "x:[",
    ],
    "hostname": [
        "", "-a", "a-", "a..b", ".a", "a.", "x" * 64, "a_b.c", "a b", "1.2.3.4", "300.1.2.3", "ü.de", "h\n",
        ".".join(["x" * 49] * 6), "a:80", "[::1]",
    ],
    "ipv4": [
        "", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1.2.3.04", "1.2.3.4 ", "1.2.3.-4", "1.2.3.4/8", "a",
        "1.2.3.4\n", "\u0661.2.3.4",
    ],
    "ipv6": [
        "", ":", ":::", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "12345::", "g::", "::1%eth0", "[::1]",
        "1:2:3:4:5:6:7:1.2.3.4", "::1.2.3", "::1.2.3.256", "1:2:3:4:5:6:7:8::", ":1:2:3:4:5:6:7:8", "::1\n",
    ],
    "byte": ["=", "Zg", "Zg=", "Zg===", "Z", "Zm9v\n", "Zm 9v", "Zm9v-_", "Zg==Zg==", "====", "é==="],
}  # fmt: skip
KNOWN = [
    *((name, text, True) for name in GOOD for text in GOOD[name]),
    *((name, text, False) for name in BAD for text in BAD[name]),
]


def by_engine(text: str, name: str) -> bool:
    found = pl.DataFrame({"x": [text]}).select(has_format(pl.col("x"), TEXT_FORMATS[name]))
    return bool(found.item())


@pytest.mark.parametrize(("name", "text", "wanted"), KNOWN)
def test_known_answers(name: str, text: str, wanted: bool) -> None:
    assert fits(text, name) is wanted
    assert by_engine(text, name) is wanted


def taken(read: Callable[[str], object], text: str) -> bool:
    try:
        read(text)
    except (ValueError, binascii.Error):
        return False
    return True


DOTTED = st.lists(
    st.sampled_from(["0", "1", "9", "10", "99", "199", "249", "255", "256", "300", "01", "", "x"]), max_size=6
).map(".".join)
GROUPS = st.lists(
    st.sampled_from(["", "", "0", "1", "ab", "FFFF", "12345", "g", "1.2.3.4", "1.2.3.999"]), max_size=10
).map(":".join)
HEXES = st.lists(st.sampled_from(["0", "9", "a", "F", "g", "-"]), min_size=30, max_size=38).map("".join)


@given(DOTTED)
def test_ipv4_is_what_the_standard_library_takes(text: str) -> None:
    assert fits(text, "ipv4") == by_engine(text, "ipv4") == taken(ipaddress.IPv4Address, text)


@given(st.one_of(GROUPS, st.ip_addresses(v=6).map(str)))
def test_ipv6_is_what_the_standard_library_takes(text: str) -> None:
    assert fits(text, "ipv6") == by_engine(text, "ipv6") == taken(ipaddress.IPv6Address, text)


@given(st.uuids().map(str) | HEXES)
def test_uuids_in_their_usual_form(text: str) -> None:
    usual = taken(uuid.UUID, text) and str(uuid.UUID(text)) == text.lower()
    assert fits(text, "uuid") == by_engine(text, "uuid") == usual


@given(st.binary(max_size=9).map(lambda octets: base64.b64encode(octets).decode()) | st.text("Zg=+/-", max_size=9))
def test_bytes_are_what_the_standard_library_decodes(text: str) -> None:
    strict = taken(lambda each: base64.b64decode(each, validate=True), text) and "=" not in text.rstrip("=")
    assert fits(text, "byte") == by_engine(text, "byte") == (strict and len(text) % 4 == 0)


def test_a_row_is_named_and_its_cell_can_be_healed(world: Callable[..., World]) -> None:
    properties = [{"name": "mail", "logicalType": "string", "logicalTypeOptions": {"format": "email"}}]
    result = world(properties).judge(pl.DataFrame({"mail": ["a@b.c", " a@b.c", "a@b@c", "", "x"]}))
    assert result.reasons == {("format", "mail"): {2, 3, 5}}
    evidence = result.evidence("format", "mail")
    assert (evidence["rows_failed"], evidence["hypotheses"]["normalised"]["strip"]) == (3, 0.333333333)
