"""Results in object stores, over a file system in memory that fsspec keeps."""

from __future__ import annotations

import importlib.util
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import fsspec
import pytest

from tocsin.flows.context import context
from tocsin.options import set_temporary_config
from tocsin.results import AzureResult, GCSResult, RemoteResult, S3Result
from tocsin.results.remote import s3_options
from tocsin.serializers import JSONSerializer

Make = Callable[..., RemoteResult]


@pytest.fixture
def memory() -> Iterator[Any]:
    found = fsspec.filesystem("memory")
    found.store.clear()
    yield found
    found.store.clear()


@pytest.fixture(params=[S3Result, GCSResult, AzureResult])
def make(request: pytest.FixtureRequest, memory: Any) -> Make:
    return lambda **options: request.param("box", filesystem=memory, **options)


def test_a_value_written_is_read_back_by_its_key(make: Make, memory: Any) -> None:
    written = make(location="{flow}/rows.json", serializer=JSONSerializer()).write([1, 2], flow="etl")
    assert (written.location, written.value) == ("etl/rows.json", [1, 2])
    assert memory.cat_file("box/etl/rows.json") == b"[1, 2]"
    assert make(serializer=JSONSerializer()).read("etl/rows.json").value == [1, 2]


def test_a_key_may_be_written_as_an_address(make: Make) -> None:
    result = make(location="a/b")
    result.write({"x": 1})
    assert result.read(f"{result.protocol}://box/a/b").value == {"x": 1}


def test_objects_exist_and_folders_do_not(make: Make) -> None:
    result = make(location="a/b")
    assert not result.exists("a/b")
    result.write(1)
    assert result.exists("a/b")
    assert result.exists("{x}/b", x="a")
    assert not result.exists("a")
    with pytest.raises(FileNotFoundError):
        result.read("a/c")


def test_without_a_location_a_key_is_made(make: Make, memory: Any) -> None:
    first, second = make().write(1), make().write(2)
    assert first.location != second.location
    assert make().read(str(second.location)).value == 2


def test_results_survive_pickling(make: Make) -> None:
    result = make(location="x")
    result.write(5)
    assert pickle.loads(pickle.dumps(result)).read("x").value == 5
    assert make(location="x") == result


class Recorder:
    """A file system that keeps what it is asked to write."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, bytes, dict[str, Any]]] = []

    def pipe_file(self, path: str, data: bytes, **options: Any) -> None:
        self.calls.append((path, data, options))


def test_upload_options_go_with_each_object() -> None:
    files = Recorder()
    S3Result(
        "box", upload_options={"ACL": "private"}, location="x", serializer=JSONSerializer(), filesystem=files
    ).write(1)
    assert files.calls == [("box/x", b"1", {"ACL": "private"})]


@pytest.mark.parametrize("result", [S3Result("box"), GCSResult("box"), AzureResult("box", "text")])
def test_a_missing_package_is_named_with_what_installs_it(result: RemoteResult) -> None:
    if importlib.util.find_spec(result.package):
        pytest.skip(f"{result.package} is installed")
    wanted = rf"{type(result).__name__} needs the package '{result.package}'.*'tocsin\[{result.extra}\]'"
    with pytest.raises(ImportError, match=wanted):
        result.exists("x")


def test_arguments_of_boto3_reach_s3fs_under_its_names() -> None:
    given = {
        "aws_session_token": "t",
        "endpoint_url": "http://127.0.0.1:9000",
        "verify": False,
        "config": {"retries": 1},
    }
    assert s3_options(given, {"ACCESS_KEY": "a", "SECRET_ACCESS_KEY": "s", "SESSION_TOKEN": "old"}) == {
        "key": "a",
        "secret": "s",
        "token": "t",
        "endpoint_url": "http://127.0.0.1:9000",
        "config_kwargs": {"retries": 1},
        "client_kwargs": {"verify": False},
    }
    with pytest.raises(ValueError, match="service_name"):
        S3Result("box", boto3_kwargs={"service_name": "sqs"})
    with pytest.raises(TypeError, match="give its options as a dict"):
        S3Result("box", {"config": object()})


def test_credentials_come_from_the_secrets_of_the_context() -> None:
    secrets = {
        "AWS_CREDENTIALS": '{"ACCESS_KEY": "a", "SECRET_ACCESS_KEY": "s"}',
        "GCP_CREDENTIALS": {"type": "service_account"},
        "AZ": "UseDevelopmentStorage=true",
    }
    with context(secrets=secrets):
        assert S3Result("box").storage_options() == {"key": "a", "secret": "s"}
        assert GCSResult("box").storage_options() == {"token": {"type": "service_account"}}
        options = AzureResult("box", connection_string_secret="AZ").storage_options()
        assert options == {"connection_string": "UseDevelopmentStorage=true"}
    assert S3Result("box").storage_options() == GCSResult("box").storage_options() == {}
    with set_temporary_config({"context.secrets": {"AWS_CREDENTIALS": {"ACCESS_KEY": "b"}}}):
        assert S3Result("box").storage_options() == {"key": "b"}


def test_azure_takes_its_connection_from_the_environment_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", "from the environment")
    assert AzureResult("box").storage_options() == {"connection_string": "from the environment"}
    assert AzureResult("box", "given").storage_options() == {"connection_string": "given"}
    monkeypatch.delenv("AZURE_STORAGE_CONNECTION_STRING")
    with pytest.raises(ValueError, match="no connection string"):
        AzureResult("box").storage_options()


def test_a_google_result_without_bucket_says_so(memory: Any) -> None:
    with pytest.raises(ValueError, match="no bucket"):
        GCSResult(filesystem=memory).exists("x")


def test_no_credential_is_shown() -> None:
    shown = repr(AzureResult("box", "AccountKey=hush")) + repr(S3Result("box", {"aws_secret_access_key": "hush"}))
    assert "hush" not in shown
