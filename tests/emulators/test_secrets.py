"""Secret Manager under the suite of local secrets. It has no emulator: a real gRPC server speaks its protocol."""

from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from google.cloud.secretmanager_v1.types import AccessSecretVersionRequest, AccessSecretVersionResponse

from shared.adapters.gcp.secrets import SecretManagerSecrets
from shared.domain.errors import StoreUnavailable
from shared.ports.secrets import Secrets
from tests.conformance.secrets_suite import SecretsSuite
from tests.conformance.turned_clock import TurnedClock
from tests.emulators.grpc_server import serving

SERVICE = "google.cloud.secretmanager.v1.SecretManagerService"
Kept = dict[str, Any]


@pytest.fixture
def kept() -> Kept:
    """What the server knows, by the full name of the version; a status code instead of a value is answered as such."""
    return {}


@pytest.fixture
def server(kept: Kept) -> Iterator[str]:
    def access(request: Any, context: grpc.ServicerContext) -> Any:
        found = kept.get(request.name, grpc.StatusCode.NOT_FOUND)
        if isinstance(found, grpc.StatusCode):
            context.abort(found, "no")
        return AccessSecretVersionResponse(name=request.name, payload={"data": str(found).encode()})

    methods = {"AccessSecretVersion": (AccessSecretVersionRequest, AccessSecretVersionResponse, access)}
    with serving(SERVICE, methods) as address:
        yield address


def version(name: str) -> str:
    return f"projects/p/secrets/{name}/versions/latest"


class TestSecretManagerSecrets(SecretsSuite):
    """No known differences."""

    @pytest.fixture
    def secrets(self, server: str) -> Secrets:
        return SecretManagerSecrets("p", TurnedClock(), server=server)

    @pytest.fixture
    def keep(self, kept: Kept) -> Callable[[str, str], None]:
        def put(name: str, value: str) -> None:
            kept[version(name)] = value

        return put


def test_a_secret_is_remembered_for_a_minute(server: str, kept: Kept) -> None:
    clock = TurnedClock()
    secrets = SecretManagerSecrets("p", clock, server=server)
    kept[version("a")] = "old"
    assert secrets.get("a") == "old"
    kept[version("a")] = "new"
    clock.sleep(59.0)
    assert secrets.get("a") == "old"
    clock.sleep(1.0)
    assert secrets.get("a") == "new"


def test_switched_off_is_absent_and_forbidden_is_an_error(server: str, kept: Kept) -> None:
    secrets = SecretManagerSecrets("p", TurnedClock(), server=server)
    kept[version("off")] = grpc.StatusCode.FAILED_PRECONDITION
    assert secrets.get("off") is None
    kept[version("forbidden")] = grpc.StatusCode.PERMISSION_DENIED
    with pytest.raises(StoreUnavailable, match="secret forbidden"):
        secrets.get("forbidden")
    assert secrets.get("../other") is None
