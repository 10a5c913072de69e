"""The audit as a job that a scheduler starts: it counts everything once, and fails where a row is not accounted for.

A job and no function: it reads all there is, takes as long as that takes, and its end is what an alert looks at.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mend.deploy.steps import Step, Target, gcloud, granted, region

NAME: Final = "mend-audit"
STAGED: Final = "audit"  # the folder under build/stage, and the account
EVERY: Final = "23 */6 * * *"
_ROLES: Final = ("roles/datastore.viewer", "roles/bigquery.dataViewer", "roles/bigquery.jobUser")  # it changes nothing
_TIMEOUT: Final = "6h"


def steps(target: Target) -> Iterator[Step]:
    """What makes the job, lets it read, and starts it."""
    account = target.account(STAGED)
    for role in _ROLES:
        yield Step(f"audit: {role}", granted(target, account, role))
    for bucket in (target.objects, target.definitions):
        member = (f"--member=serviceAccount:{account}", "--role=roles/storage.objectViewer")
        words = gcloud(target, "storage buckets add-iam-policy-binding", bucket, *member)
        yield Step(f"audit: roles/storage.objectViewer on {bucket}", words)
    size = ("--memory=2Gi", "--cpu=1", f"--task-timeout={_TIMEOUT}", "--max-retries=0")
    how = (f"--service-account={account}", f"--labels=mend={STAGED}", target._replace(spans=False).settings, "--quiet")
    made = gcloud(target, "run jobs deploy", NAME, f"--source=build/stage/{STAGED}", *region(target), *size, *how)
    yield Step(f"job {NAME}", made)
    caller = (f"--member=serviceAccount:{target.account('scheduler')}", "--role=roles/run.invoker")
    may = gcloud(target, "run jobs add-iam-policy-binding", NAME, *region(target), *caller)
    yield Step(f"{NAME} may be started by the scheduler", may)
    started = f"https://run.googleapis.com/v2/projects/{target.project}/locations/{target.region}/jobs/{NAME}:run"
    place = f"--location={target.region}"
    when = (place, f"--schedule={EVERY}", f"--uri={started}", "--http-method=POST")
    by = f"--oauth-service-account-email={target.account('scheduler')}"
    asked = gcloud(target, "scheduler jobs describe", NAME, place)
    yield Step("everything is counted again", gcloud(target, "scheduler jobs create http", NAME, *when, by), asked)


def destroyed(target: Target) -> list[Step]:
    """What takes the job away; its schedule goes with the others."""
    return [Step(f"job {NAME}", gcloud(target, "run jobs delete", NAME, *region(target), "--quiet"))]
