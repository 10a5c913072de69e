"""Commands as jobs that a scheduler starts: each reads all there is, once, and fails where somebody should look.

Jobs and no functions: they take as long as it takes, and their end is what an alert looks at (``infra/monitoring/``).
All are built from one folder, with the command line in it, and run under one account, which may read and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from mend.deploy.steps import Step, Target, Words, gcloud, region

STAGED: Final = "audit"  # the folder under build/stage, and the account
EXTRAS: Final = ("cli", "learn")  # what the folder's commands need installed
ROLES: Final = ("roles/datastore.viewer", "roles/bigquery.dataViewer", "roles/bigquery.jobUser")  # it changes nothing
_STARTED_BY_ITSELF: Final = "web"


class Job(NamedTuple):
    """A command of ``mend`` that is started by the clock; exit code 0 is good news."""

    name: str
    purpose: str
    process: str  # its name in the Procfile; an image starts its ``web`` when nothing else is said
    arguments: str
    every: str  # as cron has it, UTC
    timeout: str


AUDIT: Final = Job("mend-audit", "everything is counted again", "web", "audit --json", "23 */6 * * *", "6h")
DRIFT: Final = Job(
    "mend-drift", "what comes in is compared with what came", "drift", "learn --drift 7 --json", "47 5,17 * * *", "1h"
)
JOBS: Final = (AUDIT, DRIFT)


def procfile() -> str:
    """The commands by their names, as a build takes them."""
    return "".join(f"{job.process}: python -m mend {job.arguments}\n" for job in JOBS)


def how(target: Target, job: Job) -> Words:
    """The flags by which a job is deployed, its image and place aside."""
    size = ("--memory=2Gi", "--cpu=1", f"--task-timeout={job.timeout}", "--max-retries=0")
    settings = target._replace(spans=False).settings
    what = () if job.process == _STARTED_BY_ITSELF else (f"--command={job.process}",)
    return (*what, *size, f"--service-account={target.account(STAGED)}", settings, "--quiet")


def started(target: Target, job: Job) -> Iterator[Step]:
    """What lets the scheduler start a job, and the schedule; when that is, somebody may have changed since."""
    caller = (f"--member=serviceAccount:{target.account('scheduler')}", "--role=roles/run.invoker")
    may = gcloud(target, "run jobs add-iam-policy-binding", job.name, *region(target), *caller)
    yield Step(f"{job.name} may be started by the scheduler", may, services=(STAGED,), patient=True)
    address = f"https://run.googleapis.com/v2/projects/{target.project}/locations/{target.region}/jobs/{job.name}:run"
    place = f"--location={target.region}"
    by = f"--oauth-service-account-email={target.account('scheduler')}"
    to_where = (place, f"--uri={address}", "--http-method=POST", by)
    yield Step(
        job.purpose,
        gcloud(target, "scheduler jobs create http", job.name, f"--schedule={job.every}", *to_where),
        gcloud(target, "scheduler jobs describe", job.name, place),
        (STAGED,),
        update=gcloud(target, "scheduler jobs update http", job.name, *to_where),
        patient=True,
    )


def destroyed(target: Target) -> list[Step]:
    """What takes the jobs away; their schedules go with the others."""
    return [
        Step(f"job {job.name}", gcloud(target, "run jobs delete", job.name, *region(target), "--quiet")) for job in JOBS
    ]
