"""Identity tokens as Google signs them, and the certificates that it publishes, made by the test itself."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from tests.emulators.http_server import Answer, Asked, Recorder

AUDIENCE = "https://mend-signals-1.europe-west1.run.app"
ACCOUNT = "reports@other-project.iam.gserviceaccount.com"
KEY_ID = "key-1"


class Key:
    """A key, its certificate as Google publishes them, and tokens that it signs."""

    def __init__(self) -> None:
        self.private = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test's own")])
        now = datetime.now(UTC)
        made = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(1)
        made = made.public_key(self.private.public_key()).not_valid_before(now).not_valid_after(now + timedelta(days=1))
        pem = serialization.Encoding.PEM
        self.certificate = made.sign(self.private, hashes.SHA256()).public_bytes(pem).decode()
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        self.public = self.private.public_key().public_bytes(pem, form)

    def token(self, header: Mapping[str, Any] | None = None, **changed: Any) -> str:
        """A token as Google makes them, but for what is changed; a claim that is None is left out."""
        signed = signed_part({"alg": "RS256", "kid": KEY_ID, "typ": "JWT", **(header or {})}, **changed)
        return f"{signed}.{text(self.private.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def signed_part(header: Any, **changed: Any) -> str:
    now = int(time.time())
    claims = {
        "iss": "https://accounts.google.com",
        "aud": AUDIENCE,
        "azp": "112233",
        "sub": "112233",
        "email": ACCOUNT,
        "email_verified": True,
        "iat": now,
        "exp": now + 3_600,
        **changed,
    }
    kept = {name: value for name, value in claims.items() if value is not None}
    return f"{text(json.dumps(header).encode())}.{text(json.dumps(kept).encode())}"


def unsigned(key: Key, algorithm: str, secret: bytes) -> str:
    """A token of a shared-key algorithm, whose secret is something that everybody knows."""
    signed = signed_part({"alg": algorithm, "kid": KEY_ID, "typ": "JWT"})
    return f"{signed}.{text(hmac.new(secret, signed.encode(), hashlib.sha256).digest())}"


def respelt(token: str) -> str:
    """The same token: the last character of its signature has bits that mean nothing."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = alphabet[alphabet.index(token[-1]) ^ 1]
    return token[:-1] + other


class Published:
    """The server of certificates: what it answers may be changed, and what it was asked can be counted."""

    def __init__(self, key: Key) -> None:
        self.good = Answer(200, {KEY_ID: key.certificate})
        self.answer = self.good
        self.server = Recorder(lambda asked: self.answer)

    def asked(self) -> list[Asked]:
        return self.server.requests
