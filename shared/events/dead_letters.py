"""A dead letter's attributes in our words, whichever bus buried it."""

from __future__ import annotations

from collections.abc import Mapping

_THEIRS = "CloudPubSubDeadLetterSource"


def as_ours(attributes: Mapping[str, str]) -> dict[str, str]:
    """The attributes with what Pub/Sub adds to a dead letter renamed to ``mend-dead-…``; others as they are."""
    subscription = attributes.get(f"{_THEIRS}Subscription")
    if subscription is None:
        return dict(attributes)
    kept = {name: value for name, value in attributes.items() if not name.startswith(_THEIRS)}
    return kept | {
        "mend-dead-subscription": subscription,
        "mend-dead-topic": subscription.partition(".")[2],  # subscriptions are named SERVICE.TOPIC
        "mend-dead-attempts": attributes.get(f"{_THEIRS}DeliveryCount", "0"),
    }
