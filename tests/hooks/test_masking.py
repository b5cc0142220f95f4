"""What looks like a secret in somebody else's text does not get into an event."""

import pytest

from tocsin.flows.events import plain_parameters, summary_of
from tocsin_hooks.masking import mask, tells_a_secret


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("postgres://etl:hunter2@db:5432/rows refused", "postgres://etl:***@db:5432/rows refused"),
        ("login failed: password=hunter2, user=ann", "login failed: password=***, user=ann"),
        ('{"api_key": "k3yk3yk3y", "rows": 5}', '{"api_key": "***", "rows": 5}'),
        ("Authorization: Bearer abc.def-123", "Authorization: ***"),
        ("got xoxb-1234-5678-abcd from the vault", "got *** from the vault"),
        ("AKIAIOSFODNN7EXAMPLE was refused", "*** was refused"),
        ("ValueError: bad row 17: <no amount>", "ValueError: bad row 17: <no amount>"),
        ("https://db.example.org:5432/rows?page=2 answers 500", "https://db.example.org:5432/rows?page=2 answers 500"),
        ("password=None, max_tokens=5", "password=None, max_tokens=5"),
        ("", ""),
    ],
)
def test_what_looks_like_a_secret_is_masked_and_all_else_stays(text: str, masked: str) -> None:
    assert mask(text) == masked
    assert mask(masked) == masked


@pytest.mark.timeout(30)  # a pattern that tries again from every letter takes minutes
def test_a_long_text_made_to_be_hard_is_masked_in_bounded_time() -> None:
    for piece in ("a", "password=", "-----BEGIN PRIVATE KEY-----", "eyJ.", "http://a:", "token: '", '\\"'):
        mask(piece * (100_000 // len(piece)))


def test_an_exception_is_summed_up_without_the_secrets_in_it() -> None:
    try:
        raise ConnectionError("no route to amqp://etl:hunter2@mq; tried s3cr3tparam")
    except ConnectionError as error:
        summary = summary_of(error, ("s3cr3tparam",))
    assert summary is not None
    assert summary.message == "no route to amqp://etl:***@mq; tried ***"
    assert "hunter2" not in summary.traceback
    assert "ConnectionError" in summary.traceback


def test_parameters_whose_names_tell_a_secret_are_not_shown() -> None:
    shown = plain_parameters({"db_password": "hunter2", "day": "2026-01-01", "options": {"apiKey": "k3yk3y", "n": 1}})
    assert shown == {"db_password": "***", "day": "2026-01-01", "options": {"apiKey": "***", "n": 1}}
    assert not tells_a_secret("token_count")


@pytest.mark.parametrize(
    "text", ["PASSWORD=hunter22", "pa\u017f\u017fword=hunter22", "API-\u212aEY=hunter22", "BEARER hunter22"]
)
def test_a_name_is_known_in_any_case(text: str) -> None:
    assert "hunter22" not in mask(text)
