"""A real gRPC server on this machine that speaks a published protocol: each method is a function of its request."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from typing import Any

import grpc

Method = Callable[[Any, grpc.ServicerContext], Any]


@contextlib.contextmanager
def serving(service: str, methods: Mapping[str, tuple[type[Any], type[Any], Method]]) -> Iterator[str]:
    """The address of the server; a method has the types of request and answer and what to do."""
    handlers = {
        name: grpc.unary_unary_rpc_method_handler(
            behaviour, request_deserializer=asked.deserialize, response_serializer=answered.serialize
        )
        for name, (asked, answered, behaviour) in methods.items()
    }
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(0)
