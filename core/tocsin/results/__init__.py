"""Results: a value, and where and how it is stored.

>>> stored = JSONResult().write({"rows": 3})
>>> stored.location, JSONResult().read(stored.location).value
('{"rows": 3}', {'rows': 3})
"""

from tocsin.results.local import LocalResult
from tocsin.results.plain import ConstantResult, JSONResult, PrefectResult, SecretResult
from tocsin.results.remote import AzureResult, GCSResult, RemoteResult, S3Result
from tocsin_hooks.results import NoResult, NoResultType, Result

__all__ = [
    "AzureResult",
    "ConstantResult",
    "GCSResult",
    "JSONResult",
    "LocalResult",
    "NoResult",
    "NoResultType",
    "PrefectResult",
    "RemoteResult",
    "Result",
    "S3Result",
    "SecretResult",
]
