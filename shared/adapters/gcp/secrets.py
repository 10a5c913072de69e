"""Secrets in Secret Manager."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from shared.adapters.gcp import channels
from shared.adapters.gcp.errors import translated, vendor_errors
from shared.adapters.gcp.patience import briefly
from shared.domain.errors import StoreUnavailable
from shared.ports.clock import Clock

if TYPE_CHECKING:
    from google.cloud.secretmanager_v1 import SecretManagerServiceClient

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,255}")


class SecretManagerSecrets:
    """The latest version of each secret, remembered for ``cache_seconds``; an absent one is asked for each time."""

    def __init__(self, project: str, clock: Clock, *, server: str = "", cache_seconds: float = 60.0) -> None:
        """``server``: a plain gRPC server in place of the service."""
        self._project = project
        self._clock = clock
        self._server = server
        self._cache_seconds = cache_seconds
        self._known: dict[str, tuple[float, str]] = {}
        self._made: SecretManagerServiceClient | None = None

    def get(self, name: str) -> str | None:
        """The secret's value; None when there is none of that name, or it is empty or switched off."""
        from google.api_core.exceptions import FailedPrecondition, NotFound

        if not _NAME.fullmatch(name):
            return None
        now = self._clock.monotonic()
        known = self._known.get(name)
        if known is not None and now - known[0] < self._cache_seconds:
            return known[1]
        path = f"projects/{self._project}/secrets/{name}/versions/latest"
        try:
            answer = self._client().access_secret_version(request={"name": path}, **briefly(twice=True))
        except (NotFound, FailedPrecondition):
            self._known.pop(name, None)
            return None
        except vendor_errors() as error:
            raise translated(error, f"secret {name}", StoreUnavailable) from error
        value = answer.payload.data.decode("utf-8")
        if value:
            self._known[name] = (now, value)
        return value or None

    def _client(self) -> SecretManagerServiceClient:
        if self._made is None:
            from google.cloud.secretmanager_v1 import SecretManagerServiceClient
            from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
                SecretManagerServiceGrpcTransport,
            )

            self._made = (
                SecretManagerServiceClient(
                    transport=SecretManagerServiceGrpcTransport(channel=channels.insecure(self._server))
                )
                if self._server
                else SecretManagerServiceClient()
            )
        return self._made
