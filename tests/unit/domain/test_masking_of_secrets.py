"""Goal: secrets are hidden, and sentences that only speak of them are not."""

import pytest

from shared.domain.masking import clean


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("password=hunter2 was sent", "password=*** was sent"),
        ("Authorization: Bearer abc.def", "Authorization: ***"),
        ("token 9f8e7d refused", "token *** refused"),
        ('FATAL: password authentication failed for user "x"', 'FATAL: password authentication failed for user "x"'),
        ("Signature verification failed", "Signature verification failed"),
        ("Signature has expired", "Signature has expired"),
        ("password: authentication", "password: ***"),
        ("token authentication_9f8e", "token ***"),
        ("the password is hunter2, try it", "the password is *** try it"),
        ("api_key was 9f8e7d", "api_key was ***"),
        ("password is required", "password is required"),
        ("Token is expired.", "Token is expired."),
        ('format "password" is not checked', 'format "password" is not checked'),
    ],
)
def test_secrets_are_hidden_and_sentences_about_them_are_shown(text: str, shown: str) -> None:
    assert clean(text) == shown
