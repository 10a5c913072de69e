"""What every keeper of secrets does."""

from collections.abc import Callable

import pytest

from shared.ports.secrets import Secrets


class SecretsSuite:
    """Subclasses supply ``secrets`` and ``keep``, which stores a secret where the adapter looks."""

    @pytest.fixture
    def secrets(self) -> Secrets:
        raise NotImplementedError

    @pytest.fixture
    def keep(self) -> Callable[[str, str], None]:
        raise NotImplementedError

    @pytest.mark.parametrize("value", ["s3cret", "a=b&sig=x%2F==", "with spaces inside", "ünï", '"quoted"', "#hash"])
    def test_a_secret_comes_back_as_it_was(
        self, secrets: Secrets, keep: Callable[[str, str], None], value: str
    ) -> None:
        keep("teams-webhook", value)
        keep("other", "x")
        assert secrets.get("teams-webhook") == value

    def test_absent_is_none(self, secrets: Secrets, keep: Callable[[str, str], None]) -> None:
        assert secrets.get("teams-webhook") is None
        keep("teams-webhook", "x")
        assert secrets.get("teams") is None
        assert secrets.get("") is None

    def test_it_does_not_show_itself(self, secrets: Secrets, keep: Callable[[str, str], None]) -> None:
        keep("teams-webhook", "s3cret")
        secrets.get("teams-webhook")
        assert "s3cret" not in repr(secrets) + str(secrets)
