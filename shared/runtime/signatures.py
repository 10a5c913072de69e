"""Requests that a stranger signs with a shared secret: who, when, and not again.

The header is ``X-Mend-Signature: t=SECONDS,v1=HEX``, where HEX is HMAC-SHA256 over ``SECONDS.body``. A request that is
sent again within its time has the same signature and so is the same message, which has no effect twice.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Final

HEADER: Final = "x-mend-signature"
AGE_SECONDS_MAX: Final = 300
_FORM: Final = re.compile(r"t=(\d{1,12}),v1=([0-9a-f]{64})")


def sign(secret: str, body: bytes, now_seconds: int) -> str:
    """The header of a request that is sent now."""
    digest = hmac.new(secret.encode(), f"{now_seconds}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={now_seconds},v1={digest}"


def refusal(secret: str, header: str, body: bytes, now_seconds: int) -> str:
    """Why a request is not taken; "" when it is. Whether the signature is right is found out first."""
    form = _FORM.fullmatch(header)
    if form is None:
        return "the request is not signed"
    told = int(form[1])
    if not hmac.compare_digest(sign(secret, body, told), f"t={told},v1={form[2]}"):
        return "the signature is wrong"
    if abs(now_seconds - told) > AGE_SECONDS_MAX:
        return f"the request was signed more than {AGE_SECONDS_MAX} seconds ago, or is not yet"
    return ""
