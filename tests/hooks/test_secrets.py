"""A secret is known by where it is kept, and never shown."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from tocsin_hooks import ChannelConfig, MaybeSecret, Secret, SecretError, redact


class Config(ChannelConfig):
    token: Secret | None = None
    address: MaybeSecret | None = None


def test_the_value_is_read_anew_each_time_without_the_space_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = Config.model_validate({"token": {"env": "TOKEN_OF_TEST"}}).token
    assert secret is not None
    monkeypatch.setenv("TOKEN_OF_TEST", " first-value \n")
    assert secret.get_secret_value() == "first-value"
    monkeypatch.setenv("TOKEN_OF_TEST", "second-value")
    assert secret.get_secret_value() == "second-value"


def test_a_file_is_found_beside_the_config(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-the-file\n")
    secret = Config.model_validate({"token": {"file": "token"}}, context={"base": tmp_path}).token
    assert secret is not None
    assert secret.get_secret_value() == "from-the-file"


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ({"env": "NOT_SET_ANYWHERE"}, "environment variable 'NOT_SET_ANYWHERE' is not set"),
        ({"file": "/no/such/file"}, "secret file '/no/such/file' cannot be read: No such file or directory"),
    ],
)
def test_a_missing_secret_is_told_by_its_place(reference: dict[str, str], reason: str) -> None:
    secret = Config.model_validate({"token": reference}).token
    assert secret is not None
    with pytest.raises(SecretError, match=reason):
        secret.get_secret_value()


def test_an_empty_secret_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN_OF_TEST", " ")
    with pytest.raises(SecretError, match="is empty"):
        Secret("env", "TOKEN_OF_TEST").get_secret_value()


@pytest.mark.parametrize("written", ["s3cr3t-value", {"env": "A", "file": "B"}, {"vault": "A"}, {"env": ""}, 17])
def test_what_is_no_reference_is_refused_and_not_repeated(written: object) -> None:
    with pytest.raises(ValidationError) as caught:
        Config.model_validate({"token": written})
    assert "s3cr3t-value" not in str(caught.value)


def test_a_literal_is_taken_where_the_config_allows_it() -> None:
    config = Config.model_validate({"token": "s3cr3t-value"}, context={"inline_secrets": True})
    assert config.token is not None
    assert config.token.get_secret_value() == "s3cr3t-value"
    assert "s3cr3t-value" not in repr(config)


def test_a_value_that_was_read_is_masked_wherever_it_occurs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN_OF_TEST", "canary-7b1f")
    Secret("env", "TOKEN_OF_TEST").get_secret_value()
    assert redact("refused: canary-7b1f!") == "refused: [secret]!"


def test_an_address_written_plainly_is_masked_as_an_address_only() -> None:
    address = Config.model_validate({"address": "warehouse"}).address
    assert address is not None
    address.get_secret_value()
    assert redact("the warehouse is closed") == "the warehouse is closed"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("POST https://hooks.example.org/T0/B0/tok failed", "POST https://hooks.example.org/... failed"),
        ("'smtp://me:pw@mail.example.org:587'", "'smtp://mail.example.org:587/...'"),
        ("(see HTTP://A.example/x?token=1)", "(see HTTP://A.example/...)"),
        ("nothing here: a://", "nothing here: a://"),
        ("postgresql://user:password@host/database?sslkey=k", "postgresql://host/..."),
        ("postgresql://user:password@host.example/database", "postgresql://host.example/..."),
        ("postgresql://user:passw0rd@host:5432/database", "postgresql://host:5432/..."),
    ],
)
def test_of_a_url_only_the_host_is_shown(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize("host", ["host", "host:5432", "host:port"])
@pytest.mark.parametrize("end", ["", "/database", "/database, special characters as %XX", "/database."])
def test_an_address_made_of_the_words_for_its_parts_is_shown_whole(host: str, end: str) -> None:
    text = f"write it as postgresql://user:password@{host}{end}"
    assert redact(text) == text


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("x" * 200_000, "x" * 200_000),
        ("a:" * 100_000, "a:" * 100_000),
        ("a://" + "b@" * 100_000, "a://b@"),
        ("://" * 60_000, "://" * 60_000),
    ],
)
def test_a_long_text_is_not_tried_from_each_of_its_letters(text: str, shown: str) -> None:
    assert redact(text).startswith(shown)
