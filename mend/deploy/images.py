"""What is built and what runs of it: one image for each staged folder, one function or job for each entry point.

An image is called after the content of its folder (``.tag``, which ``stage`` writes), so that nothing is built that is
there; what runs carries a mark of how it was deployed, so that nothing is deployed that runs so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final

from mend.deploy import scheduled_jobs
from mend.deploy.description import FUNCTIONS, SIZES, Function
from mend.deploy.rights import BUILDER, IMAGES, member
from mend.deploy.scheduled_jobs import Job
from mend.deploy.steps import STAGED, TAG, Step, Target, Words, gcloud, region, shell
from mend.deploy.topology import ACK_SECONDS

BUILD: Final = "infra/image.yaml"
PRIVATE: Final = ("--no-allow-unauthenticated", "--ingress=internal")
_MARK: Final = "mend_asked"  # a label: the hash of the command by which it was deployed
_KEPT_BY_THE_CLOCK: Final = ("due", "tick", "measure")


def built(target: Target) -> Iterator[Step]:
    """The image of every staged folder, unless it is there."""
    for folder in (*SIZES, scheduled_jobs.STAGED):
        image = image_of(target, folder)
        build = gcloud(
            target,
            "builds submit",
            f"{STAGED}/{folder}",
            f"--config={BUILD}",
            f"--substitutions=_IMAGE={image}",
            f"--gcs-source-staging-dir={target.builds}/source",
            f"--service-account=projects/{target.project}/serviceAccounts/{target.account(BUILDER)}",
            "--quiet",
        )
        name, _, tag = image.rpartition(":")
        tags = shell(gcloud(target, "artifacts docker tags list", name, "--format=value(tag.basename())"))
        yield Step(f"image of {folder}", build, ("sh", "-c", f"{tags} | grep -qxF {tag}"), (folder,))


def image_of(target: Target, folder: str) -> str:
    """Where the image of a staged folder is, as a shell reads it."""
    place = f"{target.region}-docker.pkg.dev/{target.project}/{IMAGES}/{folder}"
    return f"{place}:$(cat {STAGED}/{folder}/{TAG})"


def functions(target: Target) -> Iterator[Step]:
    """Every function, and who may call it."""
    for function in FUNCTIONS:
        yield _function(target, function)
        if target.is_open(function.name):
            continue
        caller = "scheduler" if function.target in _KEPT_BY_THE_CLOCK else "push"
        to_whom = member(target.account(caller), "roles/run.invoker")
        words = gcloud(target, "run services add-iam-policy-binding", function.name, *region(target), *to_whom)
        what = f"{function.name} may be called by {caller} alone"
        yield Step(what, words, services=(function.service,), patient=True)


def _function(target: Target, function: Function) -> Step:
    size = SIZES[function.service]
    # Each request has a thread, or instances would be filled with requests that wait for one.
    settings = f"{target.settings},THREADS={size.concurrency},FUNCTION_TARGET={function.target}"
    how = (
        f"--service-account={target.account(function.service)}",
        *(("--allow-unauthenticated", "--ingress=all") if target.is_open(function.name) else PRIVATE),
        f"--memory={size.memory}",
        f"--cpu={size.cpu}",
        f"--concurrency={size.concurrency}",
        f"--timeout={ACK_SECONDS}",
        f"{settings}{target.judging(function.name)}",
        "--quiet",
    )
    deploy = _marked(target, f"run deploy {function.name}", function.service, how)
    shown = "status.latestCreatedRevisionName,status.latestReadyRevisionName"
    same = _runs(target, f"run services describe {function.name}", "spec.template", function.service, deploy, shown)
    return Step(
        f"function {function.name}",
        # A maximum that somebody has raised since is kept.
        (*deploy, f"--max-instances={size.instances_max}"),
        gcloud(target, "run services describe", function.name, *region(target)),
        (function.service,),
        update=deploy,
        same=same,
    )


def jobs(target: Target) -> Iterator[Step]:
    """The scheduled commands, who may start them, and what does."""
    for job in scheduled_jobs.JOBS:
        yield _job(target, job)
        yield from scheduled_jobs.started(target, job)


def _job(target: Target, job: Job) -> Step:
    deploy = _marked(target, f"run jobs deploy {job.name}", scheduled_jobs.STAGED, scheduled_jobs.how(target, job))
    place = "spec.template.spec.template"
    same = _runs(target, f"run jobs describe {job.name}", place, scheduled_jobs.STAGED, deploy, "")
    return Step(f"job {job.name}", deploy, services=(scheduled_jobs.STAGED,), same=same)


def _marked(target: Target, command: str, folder: str, how: Words) -> Words:
    """The command that deploys, with a mark by which it is known that it was given."""
    asked = hashlib.sha256(shell((*region(target), *how)).encode()).hexdigest()[:16]
    labels = f"--labels=mend={folder},{_MARK}={asked}"
    return gcloud(target, command, f"--image={image_of(target, folder)}", *region(target), labels, *how)


def _runs(target: Target, command: str, place: str, folder: str, deploy: Words, ready: str) -> Words:
    """Succeeds where the same image was deployed by the same command, and, of a function, its newest revision runs."""
    (labels,) = [word for word in deploy if word.startswith("--labels=")]
    asked = labels.rpartition("=")[2]
    shown = f"metadata.labels.{_MARK},{place}.spec.containers[0].image{f',{ready}' if ready else ''}"
    described = shell(gcloud(target, command, *region(target), f"--format=value({shown})"))
    as_asked = f'test "$asked $image $newest" = "{asked} {image_of(target, folder)} $runs"'
    return ("sh", "-c", f"{described} | {{ read -r asked image newest runs; {as_asked}; }}")
