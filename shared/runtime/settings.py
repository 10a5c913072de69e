"""Every setting of a process: one frozen table, read from the environment once, here and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.domain.errors import DefinitionError

PREFIX = "MEND_"


class Settings(BaseModel):
    """``MEND_`` + the field's name in capitals sets it; no secret has a default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    backend: Literal["local", "gcp"] = Field(
        "local", description="which adapters: local (this machine) or gcp (Google Cloud)"
    )
    root: str = Field(
        "mend-store", description="folder of the local store, warehouse and files; on Google Cloud gs:// and a bucket"
    )
    project: str = Field(
        ".", description="folder that holds pipelines/, contracts/ and policy.yaml; on Google Cloud gs://bucket/folder"
    )
    project_id: str = Field("", description="project on Google Cloud; else GOOGLE_CLOUD_PROJECT says it")
    location: str = Field("US", description="where the tables in BigQuery are")
    database: str = Field("(default)", description="Firestore database that holds the state")
    bytes_billed_max: int = Field(
        1_000_000_000_000, ge=10_000_000, description="what one query or load in BigQuery may bill, bytes"
    )
    version: str = Field("", description="what is deployed, for Error Reporting; else K_REVISION says it")
    pubsub_emulator: str = Field("", description="host:port of an emulator; else PUBSUB_EMULATOR_HOST says it")
    firestore_emulator: str = Field("", description="host:port of an emulator; else FIRESTORE_EMULATOR_HOST says it")
    bigquery_emulator: str = Field("", description="URL of an emulator; else BIGQUERY_EMULATOR_HOST says it")
    storage_emulator: str = Field("", description="URL of an emulator; else STORAGE_EMULATOR_HOST says it")
    rows_per_part: int = Field(131_072, ge=1, le=5_000_000, description="rows held in memory and per file")
    lease_seconds: float = Field(
        600.0, gt=0, le=604_800, description="how long one delivery may be worked on before it comes again"
    )
    wait_seconds: float = Field(
        300.0,
        ge=0,
        le=86_400,
        description="how long after its arrival a batch with too few judged before it to show drift waits for more; "
        "`mend deploy` makes it 900",
    )
    settle_seconds: float = Field(
        0.0,
        ge=0,
        le=86_400,
        description="how long it waits in any case for what landed with it; `mend deploy` makes it 60",
    )
    lock_wait_seconds: float = Field(60.0, gt=0, le=86_400, description="how long to wait for the warehouse's lock")
    warehouse_memory_mb: int = Field(400, ge=64, description="memory the local warehouse may use, MB")
    source_timeout_seconds: float = Field(30.0, gt=0, le=86_400, description="how long a source may stay silent")
    source_bytes_max: int = Field(50_000_000_000, ge=1, description="largest delivery that is fetched, bytes")
    teams_webhook_secret: str = Field("teams-webhook", description="name of the secret with the Teams webhook URL")
    signals_secret: str = Field(
        "", description="name of the secret that signals are signed with; empty: the platform checks who calls"
    )
    signals_audience: str = Field(
        "", description="audience that the tokens of accounts that send signals must be for, such as the function's URL"
    )
    signals_accounts: str = Field(
        "", description="addresses of the accounts whose tokens are believed, separated by spaces"
    )
    signals_certificates_url: str = Field(
        "https://www.googleapis.com/oauth2/v1/certs", description="URL of the certificates (PEM by key id) for tokens"
    )
    otlp_endpoint: str = Field(
        "", description="URL that takes spans by OTLP over HTTP (…/v1/traces); empty: no spans are made"
    )
    text_model: str = Field(
        "", description="folder of a text model made by `mend learn`; empty: the one that Mendline comes with"
    )
    text_model_challenger: str = Field(
        "", description="folder of another text model whose verdicts are kept beside the first's; they decide nothing"
    )
    project_url: str = Field("", description="link added to messages, such as a console's address")


# What the platform and Google's tools already say under names of their own.
_ELSEWHERE = {
    "project_id": "GOOGLE_CLOUD_PROJECT",
    "version": "K_REVISION",
    "pubsub_emulator": "PUBSUB_EMULATOR_HOST",
    "firestore_emulator": "FIRESTORE_EMULATOR_HOST",
    "bigquery_emulator": "BIGQUERY_EMULATOR_HOST",
    "storage_emulator": "STORAGE_EMULATOR_HOST",
}


def environment() -> dict[str, str]:
    """The process's environment, for adapters that look names up in it (secrets)."""
    return dict(os.environ)


def calm_libraries() -> None:
    """Have libraries that are not loaded yet start no threads that nothing here needs, unless somebody asked for them.

    numpy's linear algebra makes a thread a core when it is loaded, and they wait by spinning: a fiftieth of a short
    run's processor time, more on a busy machine. What a service multiplies is small.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def load(values: Mapping[str, str] | None = None, **given: object) -> Settings:
    """Settings from the environment (or ``values``), with ``given`` winning; ``DefinitionError`` if one is wrong."""
    source = os.environ if values is None else values
    found: dict[str, object] = {name: source[known] for name, known in _ELSEWHERE.items() if known in source}
    found |= {name: source[PREFIX + name.upper()] for name in Settings.model_fields if PREFIX + name.upper() in source}
    try:
        return Settings.model_validate({**found, **given})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = PREFIX + ".".join(map(str, first["loc"])).upper()
        raise DefinitionError("environment", 0, 0, f"{name}: {first['msg']}", "see docs/settings.md") from error
