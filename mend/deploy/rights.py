"""Accounts and what they may do: each service has one of its own, which may do what the service does and no more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mend.deploy import history, scheduled_jobs
from mend.deploy.description import (
    ACCESSOR_ROLE,
    COMMON_ROLES,
    OWN_DATASETS,
    PROJECT_ROLES,
    READS_ROLE,
    SIZES,
    SPANS_ROLE,
    TABLE_ROLES,
    WRITES_OBJECTS,
    WRITES_ROLE,
)
from mend.deploy.steps import NUMBER, Step, Target, asking, gcloud, granted, shell, unless
from mend.services import every_service

IMAGES: Final = "mend"  # the repository of what is built
BUILDER: Final = "build"  # the account that builds images
PUBSUB: Final = f"service-{NUMBER}@gcp-sa-pubsub.iam.gserviceaccount.com"  # Google's own accounts
EVENTARC: Final = f"service-{NUMBER}@gcp-sa-eventarc.iam.gserviceaccount.com"
_PUSHED_BY: Final = ("push", "scheduler")


def project_roles(target: Target) -> list[tuple[str, str]]:
    """(account, role) of every role that an account of ours has in the whole project."""
    roles = [(service, role) for service in SIZES for role in (*COMMON_ROLES, *PROJECT_ROLES[service])]
    roles += [(scheduled_jobs.STAGED, role) for role in scheduled_jobs.ROLES]
    return [(account, role) for account, role in roles if not _named(target, role)]


def steps(target: Target) -> Iterator[Step]:
    """Accounts, the buckets and the repository, and who may do what with them."""
    yield from _accounts(target)
    for account, role in project_roles(target):
        wide = _wide(role)
        words = granted(target, target.account(account), role)
        yield Step(f"{account}: {role}{wide}", words, services=(account,), patient=True)
    for account in SIZES if target.spans else ():
        words = granted(target, target.account(account), SPANS_ROLE)
        yield Step(f"{account}: {SPANS_ROLE}", words, services=(account,), patient=True)
    yield from _narrowed(target)
    yield from _buckets(target)
    yield from _building(target)


def on_datasets(target: Target) -> Iterator[Step]:
    """Rights to the tables of the named datasets, once these are there; to no others, not to ``mend_history``."""
    if not target.datasets:
        return
    for account, role in _all_roles():
        if role not in TABLE_ROLES:
            continue
        member = f"serviceAccount:{target.account(account)}"
        for dataset in (*target.datasets, *OWN_DATASETS):
            may = f'GRANT `{role}` ON SCHEMA `{dataset}` TO "{member}"'
            yield Step(f"{account}: {role} on {dataset}", (*asking(target), may), services=(account,), patient=True)


def of_pubsub(target: Target) -> Step:
    """Pub/Sub itself writes history."""
    may = f'GRANT `roles/bigquery.dataEditor` ON SCHEMA `{history.DATASET}` TO "serviceAccount:{PUBSUB}"'
    return Step("Pub/Sub may write history", (*asking(target), may), patient=True)


def member(account: str, role: str) -> tuple[str, str]:
    """The flags that give an account a role."""
    return (f"--member=serviceAccount:{account}", f"--role={role}")


def _all_roles() -> list[tuple[str, str]]:
    roles = [(service, role) for service, roles in PROJECT_ROLES.items() for role in roles]
    return [*roles, *((scheduled_jobs.STAGED, role) for role in scheduled_jobs.ROLES)]


def _named(target: Target, role: str) -> bool:
    """Whether the role is given for single things instead."""
    return bool(target.secrets) if role == ACCESSOR_ROLE else bool(target.datasets) and role in TABLE_ROLES


def _wide(role: str) -> str:
    if role == ACCESSOR_ROLE:
        return " (every secret of the project; --secret names fewer)"
    return f" (every table of the project, {history.DATASET} too; --dataset names fewer)" if role in TABLE_ROLES else ""


def _accounts(target: Target) -> Iterator[Step]:
    for name in (*(each.name for each in every_service()), *_PUSHED_BY, scheduled_jobs.STAGED, BUILDER):
        yield Step(
            f"account mend-{name}",
            gcloud(target, "iam service-accounts create", f"mend-{name}"),
            gcloud(target, "iam service-accounts describe", target.account(name)),
            (name,) if name in (*SIZES, scheduled_jobs.STAGED) else (),
        )


def _narrowed(target: Target) -> Iterator[Step]:
    """The named secrets, and no longer what an earlier deployment gave that named none."""
    names = dict.fromkeys((*target.secrets, *([target.signals_secret] if target.signals_secret else [])))
    for account, role in _all_roles():
        if not _named(target, role):
            continue
        of_project = shell(("gcloud", "projects", "remove-iam-policy-binding", target.project))
        to_whom = shell((*member(target.account(account), role), "--condition=None", "--quiet"))
        gone = unless(f"{of_project} {to_whom}", "not found")
        yield Step(f"{account}: {role} no longer in the whole project", gone, services=(account,))
        for name in names if role == ACCESSOR_ROLE else ():
            words = gcloud(target, "secrets add-iam-policy-binding", name, *member(target.account(account), role))
            yield Step(f"{account}: {role} on {name}", words, services=(account,), patient=True)


def _buckets(target: Target) -> Iterator[Step]:
    for bucket in (target.objects, target.definitions, target.builds):
        guarded = ("--uniform-bucket-level-access", "--public-access-prevention", f"--location={target.region}")
        made = gcloud(target, "storage buckets create", bucket, *guarded)
        yield Step(bucket, made, gcloud(target, "storage buckets describe", bucket))
    rights = [(service, target.definitions, READS_ROLE) for service in SIZES]
    rights += [(service, target.objects, WRITES_ROLE) for service in WRITES_OBJECTS]
    rights += [(scheduled_jobs.STAGED, bucket, READS_ROLE) for bucket in (target.objects, target.definitions)]
    rights.append((BUILDER, target.builds, READS_ROLE))
    for account, bucket, role in rights:
        words = gcloud(target, "storage buckets add-iam-policy-binding", bucket, *member(target.account(account), role))
        yield Step(f"{account}: {role} on {bucket}", words, services=(account,), patient=True)


def _building(target: Target) -> Iterator[Step]:
    """Who builds may read what is to be built, put the image where images are, and write its log."""
    place = f"--location={target.region}"
    made = gcloud(target, f"artifacts repositories create {IMAGES}", place, "--repository-format=docker")
    yield Step("the images' repository", made, gcloud(target, f"artifacts repositories describe {IMAGES}", place))
    role = "roles/logging.logWriter"
    yield Step(f"{BUILDER}: {role}", granted(target, target.account(BUILDER), role), patient=True)
    role = "roles/artifactregistry.writer"
    words = member(target.account(BUILDER), role)
    may = gcloud(target, "artifacts repositories add-iam-policy-binding", IMAGES, place, *words)
    yield Step(f"{BUILDER}: {role} on {IMAGES}", may, patient=True)
