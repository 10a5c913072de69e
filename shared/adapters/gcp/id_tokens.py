"""Identity tokens of Google's accounts, checked against the certificates that Google publishes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, cast

from shared.adapters.gcp.errors import translated
from shared.domain.errors import StoreUnavailable
from shared.ports.id_tokens import Claims

if TYPE_CHECKING:
    from google.auth.transport import Request, Response

CLOCK_SKEW_SECONDS: Final = 10
# Google says how long its certificates stand. One that is withdrawn is believed no longer than this all the same.
CERTIFICATES_SECONDS_MAX: Final = 3_600.0
_TIMEOUT_SECONDS: Final = 10.0
_MAX_AGE: Final = re.compile(r"\bmax-age=(\d{1,9})\b")


class GoogleIdTokens:
    """RSA or elliptic-curve signatures by a key of ``certificates_url``: a JSON object of PEM texts by key id.

    Times are compared with the machine's own clock, as google-auth does. Nothing of Google's is imported before a
    token is looked at.
    """

    def __init__(self, certificates_url: str, monotonic: Callable[[], float]) -> None:
        self._url = certificates_url
        self._monotonic = monotonic
        self._known: tuple[float, Response] | None = None  # until when, and the certificates

    def claims(self, token: str) -> Claims | None:
        """What the token says; see the port."""
        from google.auth.exceptions import GoogleAuthError, TransportError
        from google.oauth2 import id_token

        try:
            told = id_token.verify_token(
                token,
                cast("Request", self._certificates),
                certs_url=self._url,
                clock_skew_in_seconds=CLOCK_SKEW_SECONDS,
            )
        except TransportError as error:
            raise translated(error, "certificates for identity tokens", StoreUnavailable) from error
        # The library's errors quote the token. A header of nested lists ends in RecursionError, a key of another kind
        # than the algorithm's in TypeError.
        except (GoogleAuthError, ValueError, TypeError, RecursionError):
            return None
        issuer, audience, email = (str(told.get(name) or "") for name in ("iss", "aud", "email"))
        return Claims(issuer, audience, email, email_verified=told.get("email_verified") is True)

    def _certificates(self, url: str, method: str = "GET", **_: object) -> Response:
        """What google-auth asks for at every token: the answer is kept for as long as it says itself."""
        now = self._monotonic()
        if self._known is not None and now < self._known[0]:
            return self._known[1]
        from google.auth.exceptions import TransportError
        from google.auth.transport.requests import Request as Fetch

        answer: Response = Fetch()(url, method=method, timeout=_TIMEOUT_SECONDS)
        if answer.status == 200:
            if not _holds_certificates(answer.data):
                raise TransportError(f"{url} answers with something else than certificates")  # type: ignore[no-untyped-call]
            stated = _MAX_AGE.search(str(answer.headers.get("Cache-Control", "")))
            seconds = min(float(stated[1]) if stated else 0.0, CERTIFICATES_SECONDS_MAX)
            self._known = (now + seconds, answer)
        return answer


def _holds_certificates(content: bytes) -> bool:
    try:
        told = json.loads(content)
    except (ValueError, RecursionError):
        return False
    return isinstance(told, dict) and bool(told) and all(isinstance(each, str) for each in told.values())
