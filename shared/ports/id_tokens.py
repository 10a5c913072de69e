"""Identity tokens: what a caller's platform says of it, signed."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Claims(NamedTuple):
    """What a token says that its issuer signed and that has not expired. An absent claim is "" or False."""

    issuer: str
    audience: str
    email: str
    email_verified: bool


class IdTokens(Protocol):
    """A token is a secret: it is never logged and never put into events or state."""

    def claims(self, token: str) -> Claims | None:
        """The token's claims; None when its signature is wrong, it has expired, or it is none at all.

        Whether it is meant for us and who may call is the caller's to judge. ``StoreUnavailable`` when the issuer's
        certificates cannot be had now.
        """
