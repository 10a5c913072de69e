"""Secrets of this machine under the suite: from the environment, and from a file that nobody else may read."""

from collections.abc import Callable
from pathlib import Path

import pytest

from shared.adapters.local.secrets import LocalSecrets
from shared.domain.errors import DefinitionError
from shared.ports.secrets import Secrets
from tests.conformance.secrets_suite import SecretsSuite


def write_file(root: Path, content: bytes, mode: int = 0o600) -> Path:
    file = root / ".mend" / "secrets"
    file.parent.mkdir(exist_ok=True)
    file.touch(0o600)
    file.write_bytes(content)
    file.chmod(mode)
    return file


class TestEnvironmentSecrets(SecretsSuite):
    """There is no file."""

    @pytest.fixture
    def environment(self) -> dict[str, str]:
        return {"TEAMS_WEBHOOK": "not ours", "MEND_ROOT": "x"}

    @pytest.fixture
    def secrets(self, tmp_path: Path, environment: dict[str, str]) -> Secrets:
        return LocalSecrets(tmp_path, environment)

    @pytest.fixture
    def keep(self, environment: dict[str, str]) -> Callable[[str, str], None]:
        def put(name: str, value: str) -> None:
            environment["MEND_SECRET_" + name.upper().replace("-", "_")] = value

        return put


class TestFileSecrets(SecretsSuite):
    """The environment has none."""

    @pytest.fixture
    def secrets(self, tmp_path: Path) -> Secrets:
        return LocalSecrets(tmp_path, {})

    @pytest.fixture
    def keep(self, tmp_path: Path) -> Callable[[str, str], None]:
        kept: list[str] = ["# ours", "", "   "]

        def put(name: str, value: str) -> None:
            kept.append(f"{name} = {value}")
            write_file(tmp_path, "\n".join(kept).encode())

        return put


def test_the_environment_comes_first(tmp_path: Path) -> None:
    write_file(tmp_path, b"a=file\nb=file\n")
    secrets = LocalSecrets(tmp_path, {"MEND_SECRET_A": "environment", "MEND_SECRET_B": ""})
    assert (secrets.get("a"), secrets.get("b")) == ("environment", "file")


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o660, 0o610, 0o601, 0o644])
def test_a_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    file = write_file(tmp_path, b"a=file\n", mode)
    with pytest.raises(DefinitionError, match=f"chmod 600 {file}"):
        LocalSecrets(tmp_path, {}).get("a")
    file.chmod(0o400)
    assert LocalSecrets(tmp_path, {}).get("a") == "file"


@pytest.mark.parametrize("content", [b"a=1\nhunter2\n", b"a=1\nhunter2=\xff\n"])
def test_a_broken_file_is_named_but_not_quoted(tmp_path: Path, content: bytes) -> None:
    write_file(tmp_path, content)
    with pytest.raises(DefinitionError) as caught:
        LocalSecrets(tmp_path, {}).get("b")
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
