"""Goal: bytes of a format that is not read are said to be that, and none of their cells is shown as a name."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mend.main import app

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: t
version: 1.0.0
status: active
schema:
  - name: t
    properties:
      - {name: i, logicalType: integer}
      - {name: diagnosis, logicalType: string, classification: restricted}
"""


def archive() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as packed:
        packed.writestr("a.csv", "i,diagnosis\n1,cancer\n")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.csv", archive(), "a ZIP archive, which is not read"),
        ("a.dat.gz", gzip.compress(archive()), "a ZIP archive, which is not read"),
    ],
    ids=["archive", "archive in gzip"],
)
def test_what_is_not_read_is_said_to_be_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.odcs.yaml").write_text(CONTRACT)
    (tmp_path / name).write_bytes(content)
    result = CliRunner().invoke(app, ["contract", "test", name, "--json"])
    (delivery,) = json.loads(result.stdout)["deliveries"]
    assert (result.exit_code, delivery["state"]) == (1, "held")
    assert delivery["whole"] == [f"the delivery cannot be read: {told}: deliver CSV, JSON, Avro or Parquet"]
    assert "cancer" not in result.stdout
    inferred = CliRunner().invoke(app, ["contract", "infer", name])
    assert inferred.exit_code != 0
    assert told in str(inferred.exception)
