"""A small project, and what each service hears of it: extend CHAIN when a service is new.

One delivery of four flights, of which one breaks its contract, runs through the services in the order of CHAIN; what
one of them emits is what the next one hears. So every sample is an event that really happened.
"""

from pathlib import Path
from typing import NamedTuple

from shared.events.types import (
    BatchHeld,
    BatchLoaded,
    BatchStaged,
    BatchValidated,
    DeliveryArrived,
    Event,
    IncidentClassified,
    IncidentOpened,
    RemedyApplied,
    RemedyProposed,
    SourceDue,
)

PIPELINE = """\
pipeline: flights
source: {kind: files, uri: landing/*.csv, order: name}
contract: contracts/flights.odcs.yaml
destination: {table: travel.flights, mode: upsert}
healing: {mode: propose}
alerts: {channels: [jsonl]}
"""
CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: flights
version: 1.0.0
status: active
schema:
  - name: flights
    logicalType: object
    properties:
      - {name: flight, logicalType: string, required: true, primaryKey: true, primaryKeyPosition: 1}
      - {name: seats, logicalType: integer, required: true}
      - {name: day, logicalType: date, required: true}
"""
DELIVERY = "flight,seats,day\nMX1,150,2024-05-01\nMX2,180,2024-05-01\nMX3,120,2024-05-02\nMX4,130,03.05.2024\n"

FIRST_EVENT = SourceDue(
    id="tick-1", time=1_700_000_000_000_000, subject="flights", correlation_id="tick-1", pipeline="flights"
)

SIGNAL = {"system": "airflow", "message": "403 permission denied on bucket", "task": "export"}


class Part(NamedTuple):
    """What a service hears, in this order, and what it must have emitted in the end."""

    service: str
    hears: tuple[type[Event], ...]
    emits: tuple[type[Event], ...]


CHAIN = (
    Part("ingest", (SourceDue, DeliveryArrived), (DeliveryArrived, BatchStaged)),
    Part("validate", (BatchStaged,), (BatchValidated, IncidentOpened)),
    Part("load", (BatchValidated,), (BatchLoaded,)),
    Part("classify", (IncidentOpened,), (IncidentClassified,)),
    Part("remediate", (BatchValidated, BatchLoaded, IncidentClassified), (RemedyProposed,)),
    Part("notify", (RemedyProposed, RemedyApplied, BatchHeld), ()),
)


def write_project(folder: Path) -> Path:
    """The project as a user would have written it, with one delivery that has landed."""
    files = {
        "pipelines/flights.yaml": PIPELINE,
        "contracts/flights.odcs.yaml": CONTRACT,
        "landing/2024-05.csv": DELIVERY,
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder
