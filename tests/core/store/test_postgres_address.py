"""What is understood of a `[store] url`, and that nothing of its password is ever shown."""

import pytest

from tocsin.store.open import open_store
from tocsin.store.postgres import PostgresStore
from tocsin.store.postgres_address import SCHEMA, read_address
from tocsin.store.records import StoreError
from tocsin_hooks.secrets import Secret

PASSWORD = "hunter2-and-more"


@pytest.mark.parametrize(
    ("url", "name", "schema"),
    [
        ("postgresql://ann:hunter2-and-more@db.example/alerts", "postgresql://db.example:5432/alerts", SCHEMA),
        ("postgres://ann:hunter2-and-more@db.example:6543/alerts", "postgresql://db.example:6543/alerts", SCHEMA),
        ("host=db dbname=x password=hunter2-and-more", "postgresql://db:5432/x", SCHEMA),
        ("postgresql://ann@db/x?password=hunter2-and-more", "postgresql://db:5432/x", SCHEMA),
        ("postgresql:///x?host=/run/pg", "postgresql:///x?host=/run/pg", SCHEMA),
        ("postgresql://a,b:5433/x", "postgresql://a,b:,5433/x", SCHEMA),
        ("postgresql://ann@[::1]/x", "postgresql://::1:5432/x", SCHEMA),
        ("postgresql://db/x?options=-csearch_path%3Dbell", "postgresql://db:5432/x", "bell"),
        ("host=db dbname=x options='-c search_path=\"Bell\",public'", "postgresql://db:5432/x", "Bell"),
        ("postgresql://db/x?options=--search_path%3Dbell%20-cjit%3Doff", "postgresql://db:5432/x", "bell"),
        ("postgresql://db/x?options=-cjit%3Doff", "postgresql://db:5432/x", SCHEMA),
        ("service=alerts", "postgresql://?service=alerts", SCHEMA),
    ],
)
def test_an_address_is_named_without_its_user_and_password(url: str, name: str, schema: str) -> None:
    address = read_address(url, {})
    assert (address.name, address.schema) == (name, schema)
    assert PASSWORD not in repr(address)
    if PASSWORD in url:
        assert address.parameters["password"] == PASSWORD


def test_what_an_address_leaves_out_is_taken_from_the_environment() -> None:
    environ = {"PGHOST": "db.example", "PGPORT": "6000", "PGDATABASE": "alerts"}
    assert read_address("user=ann", environ).name == "postgresql://db.example:6000/alerts"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hunter2",
        "host = hunter2 and more",
        "postgresql://ann:hunter2/x@db/alerts",
        "postgresql://ann:12/hunter2@db/alerts",
        "postgresql://ann:hunter2@more@db/alerts",
        "postgresql://ann:hunter2%zz@db/alerts",
        "postgresql://ann:123?hunter2@db/alerts?x",
        "postgresql://db/x?hunter2",
    ],
)
def test_an_address_that_cannot_be_meant_is_refused_without_repeating_any_of_it(url: str) -> None:
    with pytest.raises(StoreError, match="url cannot be read; write it as postgresql://user:password@host") as caught:
        read_address(url, {})
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("scheme", ["mysql", "sqlite", "postgresql+psycopg"])
def test_an_address_of_another_kind_is_refused_by_its_name(scheme: str) -> None:
    with pytest.raises(
        StoreError, match=rf"kind that is not known: '{scheme.replace('+', '.')}'; write it as"
    ) as caught:
        read_address(f"{scheme}://ann:hunter2@db/alerts", {})
    assert "hunter2" not in str(caught.value)


def test_a_store_has_a_path_or_a_url_and_not_both(tmp_path: object) -> None:
    with pytest.raises(StoreError, match="neither a path nor a url"):
        open_store()
    store = open_store(url=f"postgresql://ann:{PASSWORD}@db/alerts")
    assert isinstance(store, PostgresStore)
    assert PASSWORD not in repr(store)


def test_a_secret_that_is_missing_is_told_when_the_store_is_used_and_not_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("BELL_URL", raising=False)
    store = open_store(url=Secret("env", "BELL_URL"))
    with pytest.raises(StoreError, match=r"\[store\] url: environment variable 'BELL_URL' is not set"):
        store.any_open()
