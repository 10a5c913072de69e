"""The table of remedies, and which of them fit a cause in which order; beside ours those that the policy adds."""

from __future__ import annotations

from services.remediate.added_remedies import added_remedy
from services.remediate.plans import Fit, RemedyKind
from services.remediate.playbook.add_column import ADD_COLUMN
from services.remediate.playbook.convert_unit import CONVERT_UNIT
from services.remediate.playbook.deduplicate import DEDUPLICATE
from services.remediate.playbook.deliveries import OTHER_READING, REFETCH
from services.remediate.playbook.normalise_text import NORMALISE_TEXT
from services.remediate.playbook.parse_dates import PARSE_DATES
from services.remediate.playbook.parse_numbers import PARSE_NUMBERS
from services.remediate.playbook.rename_columns import RENAME_COLUMNS
from services.remediate.playbook.snap_to_allowed import SNAP_TO_ALLOWED
from services.remediate.playbook.waiting import AWAIT_PARENT, HOLD_FOR_PERSON, RELEASE, RETRY_WITH_BACKOFF
from services.remediate.playbook.widen_type import WIDEN_TYPE
from services.remediate.posterior import Beta
from shared.domain.errors import DefinitionError
from shared.domain.policy import Policy

# Whole deliveries, then columns, then rows, then the batch as it is; within a stage, the surer first.
REMEDIES: tuple[RemedyKind, ...] = (
    RETRY_WITH_BACKOFF,
    OTHER_READING,
    REFETCH,
    RENAME_COLUMNS,
    ADD_COLUMN,
    NORMALISE_TEXT,
    PARSE_DATES,
    PARSE_NUMBERS,
    WIDEN_TYPE,
    SNAP_TO_ALLOWED,
    DEDUPLICATE,
    AWAIT_PARENT,
    CONVERT_UNIT,
    RELEASE,
    HOLD_FOR_PERSON,
)

_BY_NAME = {remedy.name: remedy for remedy in REMEDIES}
_LAST = REMEDIES.index(AWAIT_PARENT)  # what packages bring is tried before waiting and before people


def remedy_named(name: str, policy: Policy) -> RemedyKind | None:
    """The remedy of that name, ours or one that the policy adds."""
    return _BY_NAME.get(name) or next((each for each in usable(policy)[0] if each.name == name), None)


def usable(policy: Policy) -> tuple[list[RemedyKind], list[DefinitionError]]:
    """The remedies that the policy adds, and what is wrong with those that cannot be used.

    Such a one is left out and said: an error here would be an incident, whose healing would come by here again.
    """
    found, wrong = list[RemedyKind](), list[DefinitionError]()
    for name in policy.added_remedies:
        try:
            found.append(added_remedy(name, frozenset(_BY_NAME)))
        except DefinitionError as error:
            wrong.append(error)
    return found, wrong


def candidates(cause: str, policy: Policy) -> list[RemedyKind]:
    """Remedies that fit the cause, in the order in which they are tried; a person is always the last."""
    every = (*REMEDIES[:_LAST], *usable(policy)[0], *REMEDIES[_LAST:])
    return [remedy for remedy in every if cause in remedy.fits or "" in remedy.fits]


def prior_of(remedy: RemedyKind, cause: str, policy: Policy) -> Beta:
    """The written prior: the policy's, else the remedy's own, else the policy's default."""
    written = policy.prior(remedy.name, cause)
    if written is not None:
        return Beta(*written)
    fit: Fit | None = remedy.fits.get(cause)
    return Beta(fit.successes, fit.failures) if fit is not None else Beta(*policy.prior_default)
