"""Requests that a stranger signs with a shared secret: who, when, what for, and not again.

The header is ``X-Mend-Signature: t=SECONDS,v2=HEX``, where HEX is HMAC-SHA256 over ``SECONDS``, the method, the path
and the body, each but the last ended by a newline: signed for one address, a request is refused at every other. One
that is sent again within its time has the same signature and so is the same message, which has no effect twice. A
header can be written in one way only: a second spelling of the same signature would be a second message.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Final, NamedTuple

HEADER: Final = "x-mend-signature"
AGE_SECONDS_MAX: Final = 300
_FORM: Final = re.compile(r"t=([1-9][0-9]{0,11}),v2=([0-9a-f]{64})")


class Sent(NamedTuple):
    """What of a request is signed: ``path`` as the server reads it, without the query."""

    method: str
    path: str
    body: bytes


def sign(secret: str, sent: Sent, now_seconds: int) -> str:
    """The header of a request that is sent now."""
    signed = f"{now_seconds}\n{sent.method}\n{sent.path}\n".encode() + sent.body
    return f"t={now_seconds},v2={hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()}"


class Judged(NamedTuple):
    """Why a request is not taken, "" when it is; and the signature that was found right, as ``sign`` writes it."""

    refusal: str
    signature: str = ""


def judge(secret: str, header: str, sent: Sent, now_seconds: int) -> Judged:
    """Whether a request is taken. Whether its signature is right is found out first."""
    form = _FORM.fullmatch(header)
    if form is None:
        return Judged("the request is not signed")
    told = int(form[1])
    right = sign(secret, sent, told)
    # A newline in the path would let a part of the body stand for it.
    if "\n" in sent.path or not hmac.compare_digest(right, header):
        return Judged("the signature is wrong")
    if abs(now_seconds - told) > AGE_SECONDS_MAX:
        return Judged(f"the request was signed more than {AGE_SECONDS_MAX} seconds ago, or is not yet")
    return Judged("", right)
