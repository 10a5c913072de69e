"""Whom a function that anybody can reach believes: the holder of a secret, or an account that Google vouches for."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Final, NamedTuple

from shared.ports.id_tokens import Claims, IdTokens
from shared.ports.secrets import Secrets
from shared.runtime import signatures
from shared.runtime.settings import Settings
from shared.runtime.signatures import Sent

ISSUERS: Final = frozenset({"https://accounts.google.com", "accounts.google.com"})
AUTHORIZATION_CHARACTERS_MAX: Final = 8_000  # a token of Google's has one or two thousand
_BEARER: Final = re.compile(r"[Bb]earer +(([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+)")


class Caller(NamedTuple):
    """What is made of a request's credentials.

    ``message_id`` is the same when the same request is sent again; "" = the credentials say nothing of that.
    """

    refusal: str = ""  # why the request is not taken; "" = it is
    message_id: str = ""


class Callers:
    """Judges strangers by what the settings name: a secret, accounts, or both. Without either the platform judges.

    A signature decides where one is given and a secret is named, a token otherwise; what one of them says wrongly the
    other does not make good.
    """

    def __init__(self, settings: Settings, secrets: Secrets, tokens: IdTokens, now: Callable[[], int]) -> None:
        """``now``: microseconds since 1970."""
        self._secret = settings.signals_secret
        self._audience = settings.signals_audience
        self._accounts = frozenset(settings.signals_accounts.split())
        self._secrets = secrets
        self._tokens = tokens
        self._now = now

    def judge(self, signature: str, authorization: str, sent: Sent) -> Caller:
        """Whether what was sent with these headers is taken. ``TransientError``: that cannot be told now."""
        by_token = bool(self._audience or self._accounts)
        if self._secret and (signature or not by_token):
            return self._signed(signature, sent)
        return self._bearer(authorization) if by_token else Caller()

    def _signed(self, signature: str, sent: Sent) -> Caller:
        secret = self._secrets.get(self._secret)
        if not secret:
            return Caller("nobody can be believed: the secret is missing")
        judged = signatures.judge(secret, signature, sent, self._now() // 1_000_000)
        # What was worked out here names the message, not what the caller wrote.
        return Caller(judged.refusal, judged.signature)

    def _bearer(self, authorization: str) -> Caller:
        if len(authorization) > AUTHORIZATION_CHARACTERS_MAX:
            return Caller("the token is too long")
        form = _BEARER.fullmatch(authorization)
        if form is None:
            return Caller("the request has no token")
        if not self._audience or not self._accounts:
            return Caller("nobody can be believed: audience and accounts are needed")
        claims = self._tokens.claims(form[1])
        # Only what was signed names the token: its signature can be spelt in more than one way.
        signed = hashlib.sha256(form[2].encode()).hexdigest()
        return Caller(refusal(claims, self._audience, self._accounts), f"token {signed}")


def refusal(claims: Claims | None, audience: str, accounts: frozenset[str]) -> str:
    """Why the bearer of a token with these claims is not believed; "" when it is."""
    if claims is None:
        return "the token is not signed by Google, or has expired"
    if claims.issuer not in ISSUERS:
        return "the token has another issuer than Google"
    if claims.audience != audience:
        return "the token is for another audience"
    if not claims.email_verified:
        return "the token does not say whose it is: it needs a verified e-mail address"
    if claims.email not in accounts:
        return "the account may not send here"
    return ""
