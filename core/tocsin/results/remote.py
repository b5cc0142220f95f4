"""Results in object stores: Amazon S3, Google Cloud Storage, Azure Blob Storage.

All go through fsspec and the file system that its makers keep for the store (s3fs, gcsfs, adlfs), which the extras
`s3`, `gcs` and `azure` install. They are loaded by the first read, write or look.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from tocsin.options import config
from tocsin_hooks.results import Location, Result
from tocsin_hooks.serializers import Serializer
from tocsin_hooks.states import run_context


class RemoteResult(Result):
    """Keeps values in a container of a file system that fsspec knows.

    Locations are keys in the container. `filesystem` is used instead of the one that the class would make; it must
    know how to get where it is needed, by pickle.
    """

    protocol: ClassVar[str]
    package: ClassVar[str]
    extra: ClassVar[str]

    def __init__(
        self,
        *,
        value: Any = None,
        location: Location = None,
        serializer: Serializer | None = None,
        filesystem: Any = None,
    ) -> None:
        super().__init__(value, location, serializer)
        self._filesystem = filesystem

    @property
    def filesystem(self) -> Any:
        """The file system; ImportError when its package is not installed."""
        if self._filesystem is not None:
            return self._filesystem
        try:
            fsspec = importlib.import_module("fsspec")
            importlib.import_module(self.package)
        except ImportError as error:
            raise ImportError(
                f"{type(self).__name__} needs the package '{error.name or self.package}'; "
                f"install it with: pip install 'tocsin[{self.extra}]'"
            ) from error
        # fsspec keeps one instance for equal options. Listings are not kept: others write there, too
        return fsspec.filesystem(self.protocol, use_listings_cache=False, **self.storage_options())

    def storage_options(self) -> dict[str, Any]:
        """What the file system is made with."""
        return {}

    def write_options(self) -> dict[str, Any]:
        """What goes with each write."""
        return {}

    @property
    def _container(self) -> str:
        raise NotImplementedError

    def exists(self, location: str, **kwargs: Any) -> bool:
        """Whether there is such an object."""
        key = location.format(**kwargs) if kwargs else location
        try:
            found = self.filesystem.info(self._path(key))
        except FileNotFoundError:
            return False
        return bool(found["type"] != "directory")

    def read(self, location: str) -> Self:
        """A result with the value in that object; FileNotFoundError when there is none."""
        new = self.copy()
        new.location = location
        new.value = self.serializer.deserialize(self.filesystem.cat_file(self._path(location)))
        return new

    def write(self, value_: Any, /, **kwargs: Any) -> Self:
        """Store a value; the location of the result returned is the key of its object."""
        new = self.format(**kwargs)
        assert new.location is not None
        data = self.serializer.serialize(value_)
        self.filesystem.pipe_file(self._path(new.location), data, **self.write_options())
        new.value = value_
        return new

    def _path(self, location: str) -> str:
        """Where fsspec finds a key, also one written as a URL of this container.

        >>> S3Result("rows")._path("a/b.csv"), S3Result("rows")._path("s3://rows/a/b.csv")
        ('rows/a/b.csv', 'rows/a/b.csv')
        """
        root = f"{self._container}/"
        return root + location.removeprefix(f"{self.protocol}://{root}")


class S3Result(RemoteResult):
    """Keeps values in a bucket of Amazon S3, or of a service that speaks its language.

    Credentials are those of `context.secrets["AWS_CREDENTIALS"]` (ACCESS_KEY, SECRET_ACCESS_KEY, SESSION_TOKEN) if
    there are any, else what the AWS tools find. `boto3_kwargs` are those of `boto3.client`: keys, `endpoint_url`,
    `region_name`, `api_version`, `use_ssl` and `verify`; `config` as a dict of botocore's options. `upload_options` go
    with each object, as `ExtraArgs` do: `ACL`, `ServerSideEncryption`, `Metadata`.
    """

    protocol = "s3"
    package = "s3fs"
    extra = "s3"

    def __init__(
        self,
        bucket: str,
        boto3_kwargs: Mapping[str, Any] | None = None,
        upload_options: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.bucket = bucket
        self.boto3_kwargs = dict(boto3_kwargs or {})
        self.upload_options = dict(upload_options or {})
        s3_options(self.boto3_kwargs, {})  # raises now for what could not work later

    @property
    def _container(self) -> str:
        return self.bucket

    def storage_options(self) -> dict[str, Any]:
        """What s3fs is made with."""
        return s3_options(self.boto3_kwargs, _secret("AWS_CREDENTIALS") or {})

    def write_options(self) -> dict[str, Any]:
        """What goes with each object."""
        return dict(self.upload_options)


class GCSResult(RemoteResult):
    """Keeps values in a bucket of Google Cloud Storage.

    Credentials are the service account of `context.secrets["GCP_CREDENTIALS"]` if there is one, else what Google's
    tools find.
    """

    protocol = "gs"
    package = "gcsfs"
    extra = "gcs"

    def __init__(self, bucket: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bucket = bucket

    @property
    def _container(self) -> str:
        if self.bucket is None:
            raise ValueError("GCSResult has no bucket; give bucket=")
        return self.bucket

    def storage_options(self) -> dict[str, Any]:
        """What gcsfs is made with."""
        account = _secret("GCP_CREDENTIALS")
        return {} if account is None else {"token": account}


class AzureResult(RemoteResult):
    """Keeps values in a container of Azure Blob Storage.

    The connection is the one given, else the secret `connection_string_secret` of `context.secrets`, else the
    environment variable AZURE_STORAGE_CONNECTION_STRING.
    """

    protocol = "abfs"
    package = "adlfs"
    extra = "azure"

    def __init__(
        self,
        container: str,
        connection_string: str | None = None,
        connection_string_secret: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.container = container
        self.connection_string = connection_string
        self.connection_string_secret = connection_string_secret

    @property
    def _container(self) -> str:
        return self.container

    def storage_options(self) -> dict[str, Any]:
        """What adlfs is made with."""
        name = self.connection_string_secret
        found = self.connection_string or (name and _secret(name)) or os.environ.get("AZURE_STORAGE_CONNECTION_STRING")
        if not found:
            raise ValueError(
                "AzureResult has no connection string; give connection_string= or connection_string_secret=, "
                "or set AZURE_STORAGE_CONNECTION_STRING"
            )
        return {"connection_string": found}


_S3FS_NAMES = {
    "aws_access_key_id": "key",
    "aws_secret_access_key": "secret",
    "aws_session_token": "token",
    "endpoint_url": "endpoint_url",
    "config": "config_kwargs",
}


def s3_options(boto3_kwargs: Mapping[str, Any], credentials: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `boto3.client` as those of s3fs; keys among them win over `credentials`.

    >>> s3_options({"region_name": "eu", "aws_access_key_id": "A"}, {"ACCESS_KEY": "B", "SECRET_ACCESS_KEY": "C"})
    {'key': 'A', 'secret': 'C', 'client_kwargs': {'region_name': 'eu'}}
    """
    if "service_name" in boto3_kwargs:
        raise ValueError("S3Result: boto3_kwargs has 'service_name', which is always 's3'; leave it out")
    config = boto3_kwargs.get("config", {})
    if not isinstance(config, Mapping):
        raise TypeError(
            f"S3Result: boto3_kwargs['config'] is of type '{type(config).__name__}'; give its options as a dict"
        )
    found = {"key": "ACCESS_KEY", "secret": "SECRET_ACCESS_KEY", "token": "SESSION_TOKEN"}
    options: dict[str, Any] = {name: credentials[key] for name, key in found.items() if credentials.get(key)}
    options |= {_S3FS_NAMES[key]: value for key, value in boto3_kwargs.items() if key in _S3FS_NAMES}
    if others := {key: value for key, value in boto3_kwargs.items() if key not in _S3FS_NAMES}:
        options["client_kwargs"] = others
    return options


def _secret(name: str) -> Any:
    """A secret of the run under way, else of the config; read as JSON if it is a text that can be."""
    context = run_context.get()
    configured = context.get("config", config).get("context", {}).get("secrets", {})
    value = (context.get("secrets") or {}).get(name, configured.get(name))
    if isinstance(value, str) and value.lstrip().startswith("{"):
        import json

        return json.loads(value)
    return value
