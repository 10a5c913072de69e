"""Goal: a model of one's own goes out with the deployment, an older one comes back so, a damaged one never goes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mend.deploy import scheduled_jobs, stage
from services.classify import text_model
from shared.domain.errors import DefinitionError

SHIPPED = text_model.load(text_model.FOLDER).version


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    """The shipped model under another version."""
    folder = tmp_path / "ours"
    folder.mkdir()
    told = json.loads((text_model.FOLDER / "model.json").read_text(encoding="utf-8"))
    (folder / "model.json").write_text(json.dumps({**told, "version": "ours"}), encoding="utf-8")
    with np.load(text_model.FOLDER / "weights.npz") as held:
        np.savez(folder / "weights.npz", **{**held, "version": np.array("ours")})
    return folder


def version_in(staged: Path) -> str:
    return text_model.load(staged / "services" / "classify" / "model").version


@pytest.mark.parametrize("service", ["classify", scheduled_jobs.STAGED])
def test_a_model_goes_out_with_what_reads_it(ours: Path, tmp_path: Path, service: str) -> None:
    folder = tmp_path / "staged"
    for model, version in ((ours, "ours"), (None, SHIPPED), (text_model.FOLDER, SHIPPED)):
        assert version_in(stage.stage(service, folder, requirements=False, text_model=model)) == version


def test_the_setting_names_it(ours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "STAGED", tmp_path / "stage")
    monkeypatch.setattr(stage, "requirements_of", lambda service: "")
    monkeypatch.setattr("sys.argv", ["stage", "classify", "notify"])
    monkeypatch.setenv("MEND_TEXT_MODEL", str(ours))
    stage.main()
    assert version_in(tmp_path / "stage" / "classify") == "ours"
    assert not (tmp_path / "stage" / "notify" / "services" / "classify").exists()


def test_a_damaged_model_is_refused_and_what_was_staged_stays(
    ours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    staged = stage.stage("classify", tmp_path / "stage" / "classify", requirements=False)
    (ours / "weights.npz").write_bytes(b"junk")
    with pytest.raises(DefinitionError, match="no text model"):
        stage.stage("classify", staged, requirements=False, text_model=ours)
    assert version_in(staged) == SHIPPED
    monkeypatch.setattr(stage, "STAGED", tmp_path / "stage")
    monkeypatch.setattr("sys.argv", ["stage", "classify"])
    monkeypatch.setenv("MEND_TEXT_MODEL", str(ours))
    with pytest.raises(SystemExit, match=r"MEND_TEXT_MODEL.*no text model"):
        stage.main()
