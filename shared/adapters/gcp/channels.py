"""gRPC channels to an emulator, and credentials for one; on Google Cloud the clients find their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import grpc

# Messages of 10 MB pass through Pub/Sub; gRPC's default is 4.
_UNBOUNDED: Final = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


def insecure(address: str) -> grpc.Channel:
    """A plain channel, for an emulator or a server of a test."""
    import grpc

    channel: grpc.Channel = grpc.insecure_channel(address, options=_UNBOUNDED)
    return channel


def anonymous() -> Any:
    """Credentials for an emulator, which asks for none."""
    from google.auth.credentials import AnonymousCredentials

    return AnonymousCredentials()  # type: ignore[no-untyped-call]
