"""Hands a notice to channels: one that refuses stops no other, and its refusal becomes an incident of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from shared.domain.errors import DefinitionError, DefinitionMissing, ForeignFailure
from shared.domain.incident import Origin
from shared.domain.masking import mask
from shared.domain.pipeline import parse_pipeline
from shared.events.types import Event, IncidentOpened
from shared.ports.channel import Channel, Notice
from shared.ports.ports import Ports

DEFAULT_CHANNELS = ("console",)
SERVICE_NAME = "notify"
_RETRY_AFTER = "retry_after="


class Refusal(NamedTuple):
    """A channel that did not take a notice."""

    channel: str
    failure: ForeignFailure

    @property
    def wait_seconds(self) -> float:
        """How long the channel asked us to wait; 0 when it said nothing."""
        given = self.failure.reason.removeprefix(_RETRY_AFTER)
        return float(given) if given != self.failure.reason and given.isascii() and given.isdigit() else 0.0


def channels_of(pipeline: str, ports: Ports) -> tuple[str, ...]:
    """The pipeline's channels; the console for what belongs to none, and when its file cannot be read.

    A wrong pipeline file has an incident of its own: it must not keep people from being told.
    """
    if not pipeline:
        return DEFAULT_CHANNELS
    path = f"pipelines/{pipeline}.yaml"
    try:
        found = ports.definitions.read(path)
        return tuple(dict.fromkeys(parse_pipeline(found.text, found.path).alerts.channels)) or DEFAULT_CHANNELS
    except (DefinitionError, DefinitionMissing):
        return DEFAULT_CHANNELS


def check_known(pipeline: str, names: Iterable[str], channels: Mapping[str, Channel]) -> None:
    """``DefinitionError`` when the pipeline names a channel that does not exist."""
    for name in names:
        if name not in channels:
            known = ", ".join(sorted(channels))
            message = f'"alerts.channels" names "{name}", which is no channel'
            raise DefinitionError(f"pipelines/{pipeline}.yaml", 0, 0, message, f"write one of: {known}")


def send(notice: Notice, names: Iterable[str], channels: Mapping[str, Channel]) -> tuple[dict[str, str], list[Refusal]]:
    """What became of the notice at each channel (sent or pending), and who refused it."""
    results: dict[str, str] = {}
    refusals: list[Refusal] = []
    for name in names:
        channel = channels.get(name)
        try:
            if channel is not None:
                channel.send(notice)
            results[name] = "sent" if channel is not None else "lost"
        except ForeignFailure as failure:
            results[name] = "pending"
            refusals.append(Refusal(name, failure))
    return results, refusals


def incident_of(refusal: Refusal, cause: Event, now: int) -> IncidentOpened:
    """A channel that fails is one incident, however many messages it refuses.

    It belongs to no pipeline, so that nothing about it goes through the channels of one.
    """
    failure = refusal.failure
    detail = failure.reason.partition("=")[0] or str(failure.http_status or "")
    fingerprint = mask(f"{SERVICE_NAME}|channel {refusal.channel}|{failure.exception_type}|{detail}", 1_000)
    return IncidentOpened.caused_by(
        cause,
        f"refused|{fingerprint}",
        now,
        fingerprint=fingerprint,
        origin=Origin.INTERNAL,
        system=failure.system or refusal.channel,
        service=SERVICE_NAME,
        exception_type=failure.exception_type,
        http_status=failure.http_status,
        grpc_status=failure.grpc_status,
        sqlstate=failure.sqlstate,
        reason=failure.reason,
        exit_code=failure.exit_code,
        message=mask(failure.message),
    )
