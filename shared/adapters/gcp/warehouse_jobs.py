"""Jobs of BigQuery under ids made of ours, so that one that was done is found and not done again.

A job id is spent whether the job succeeded or not. The id therefore ends in the number of the try, and all tries that
are known are asked for before a new one is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from shared.adapters.gcp.errors import of_bigquery, web_errors
from shared.domain.errors import WarehouseUnavailable
from shared.domain.ids import derive

if TYPE_CHECKING:
    from google.cloud import bigquery
    from google.cloud.bigquery.table import RowIterator

TRIES_MAX: Final = 60
_PATIENCE_SECONDS: Final = 60.0  # with one call, tries again included; one try may last as long
_WAIT_SECONDS_MAX: Final = 450.0  # for a job: a push gives up after 600
Job = Any  # LoadJob or QueryJob: what both have in common has no type of its own


class Done(NamedTuple):
    """A job that has ended well, and whether it had before it was asked for."""

    job: Job
    repeated: bool


class Jobs:
    """Runs jobs of one project once each."""

    def __init__(self, client: bigquery.Client) -> None:
        self._client = client

    def once(self, job_id: str, start: Callable[[str], Job]) -> Done:
        """The job under our id: the one that was done before, or one that ``start`` begins under the name it is given.

        One that is under way, by another delivery or by one that died, is waited for.
        """
        from google.api_core.exceptions import Conflict

        for attempt in range(TRIES_MAX):
            name = f"mend_{derive(job_id)}_{attempt}"
            found = self._find(name)
            if found is not None:
                if self._ended_well(found):
                    return Done(found, repeated=True)
                continue
            with answering():
                try:
                    begun = start(name)
                except Conflict:  # somebody else began it just now
                    begun = self._client.get_job(name, **patience())
                    self._wait(begun)
                    return Done(begun, repeated=True)
                self._wait(begun)
                return Done(begun, repeated=False)
        raise WarehouseUnavailable(f"a job has failed {TRIES_MAX} times")

    def _find(self, name: str) -> Job | None:
        from google.api_core.exceptions import NotFound

        with answering():
            try:
                return self._client.get_job(name, **patience())
            except NotFound:
                return None

    def _ended_well(self, job: Job) -> bool:
        if job.state != "DONE":
            with answering():
                self._wait(job)
        return job.error_result is None

    def _wait(self, job: Job) -> None:
        finished(job)


def billing(bytes_max: int) -> bigquery.QueryJobConfig:
    """How a query of ours is run: BigQuery refuses it, for nothing, where it would bill more."""
    from google.cloud import bigquery

    return bigquery.QueryJobConfig(maximum_bytes_billed=bytes_max)


def patience() -> dict[str, Any]:
    """How long a call may last and is tried again: for a minute, not for ten, since the event comes again anyway."""
    return {"timeout": _PATIENCE_SECONDS, "retry": _tried_again()}


def asked(client: bigquery.Client, sql: str, bytes_max: int) -> RowIterator:
    """The rows of a query of ours. One that fails on BigQuery's side is not begun again: the event comes again."""
    once: Any = None  # which the client takes, and its types do not say
    return client.query_and_wait(
        sql,
        job_config=billing(bytes_max),
        retry=_tried_again(),
        job_retry=once,
        api_timeout=_PATIENCE_SECONDS,
        wait_timeout=_WAIT_SECONDS_MAX,
    )


def finished(job: Job, **how: Any) -> Any:
    """What a job comes to, waited for as long as one delivery may."""
    return job.result(timeout=_WAIT_SECONDS_MAX, retry=_tried_again(), **how)


def _tried_again() -> Any:
    from google.cloud.bigquery.retry import DEFAULT_RETRY

    return DEFAULT_RETRY.with_timeout(_PATIENCE_SECONDS)


@contextmanager
def answering() -> Iterator[None]:
    """BigQuery's errors leave this context as ours."""
    try:
        yield
    except web_errors() as error:
        raise of_bigquery(error, WarehouseUnavailable) from None
