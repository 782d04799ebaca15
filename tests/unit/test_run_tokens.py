"""What a run's token is worth."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest

from control.tokens import Claims, sign, verify

CLAIMS = Claims("7d4", "a1b", ("gcs-bucket/zoom-gcs",), ("web-to-gcs/monthly",), 1_800_000_000)


def test_a_token_says_what_was_signed() -> None:
    assert verify("key", sign("key", CLAIMS)) == CLAIMS


def test_a_token_fits_into_a_header_and_an_environment_variable() -> None:
    token = sign("key", CLAIMS)
    assert token.isascii()
    assert token.replace("-", "").replace("_", "").replace(".", "").replace("=", "").isalnum()


def test_a_token_of_another_key_is_refused() -> None:
    assert verify("key", sign("other", CLAIMS)) is None


def test_a_token_to_which_a_block_was_added_is_refused() -> None:
    body, seal = sign("key", CLAIMS).split(".")
    said = json.loads(urlsafe_b64decode(body))
    more = urlsafe_b64encode(json.dumps({**said, "blocks": ["secret/all"]}).encode()).decode()
    assert verify("key", f"{more}.{seal}") is None


@pytest.mark.parametrize("token", ["", ".", "a.b", "password", "ü.ü", "e30=."], ids=repr)
def test_what_is_no_token_is_refused(token: str) -> None:
    assert verify("key", token) is None


def test_without_a_key_no_token_is_made_or_taken() -> None:
    for use in (lambda: sign("", CLAIMS), lambda: verify("", sign("key", CLAIMS))):
        with pytest.raises(ValueError, match="PREFECT_TOKEN_KEY"):
            use()
