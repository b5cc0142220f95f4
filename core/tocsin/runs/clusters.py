"""Which Dask cluster a run uses, from what the executor was told."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from tocsin.errors import FlowError

_MOVED = {
    "dask_kubernetes.KubeCluster": "dask_kubernetes.operator.KubeCluster",
    "dask_kubernetes.core.KubeCluster": "dask_kubernetes.operator.KubeCluster",
    "dask_kubernetes.classic.KubeCluster": "dask_kubernetes.operator.KubeCluster",
}


@dataclass(frozen=True)
class ClusterPlan:
    """A cluster that is there, at `address`, or one to be made for each run."""

    address: str | None = None
    cluster_class: Callable[..., Any] | None = None
    cluster_kwargs: Mapping[str, Any] = field(default_factory=dict)
    adapt_kwargs: Mapping[str, Any] = field(default_factory=dict)

    def opened(self) -> AbstractContextManager[Any]:
        """What a client connects to, for the length of a `with` block: an address, or a cluster of its own."""
        if self.cluster_class is None:
            return nullcontext(self.address)
        cluster = self.cluster_class(**self.cluster_kwargs)
        return cluster if hasattr(type(cluster), "__enter__") else _Closing(cluster)

    def adapt(self, cluster: Any) -> None:
        """Let the cluster grow and shrink, if that was asked for."""
        if self.adapt_kwargs:
            cluster.adapt(**self.adapt_kwargs)


class _Closing:
    """A cluster that can be closed but not used in a `with` statement."""

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster

    def __enter__(self) -> Any:
        return self._cluster

    def __exit__(self, *_: object) -> None:
        self._cluster.close()


def plan_cluster(
    address: str | None,
    cluster_class: Callable[..., Any] | str | None,
    cluster_kwargs: Mapping[str, Any] | None,
    adapt_kwargs: Mapping[str, Any] | None,
    debug: bool,
) -> ClusterPlan:
    """What the options mean: a cluster that is there, or a kind of cluster, a `LocalCluster` when none is named."""
    if address is not None:
        if cluster_class is not None or cluster_kwargs is not None or adapt_kwargs is not None:
            raise FlowError(
                f"DaskExecutor has the address '{address}' and cluster_class, cluster_kwargs or adapt_kwargs; "
                "a cluster that is there is taken as it is, so give one or the other"
            )
        return ClusterPlan(address)
    if isinstance(cluster_class, str):
        cluster_class = imported(cluster_class)
    options = dict(cluster_kwargs or {})
    if cluster_class is None:
        cluster_class = imported("distributed.LocalCluster")
    if getattr(cluster_class, "__name__", "") == "LocalCluster":
        options.setdefault("silence_logs", logging.WARNING if debug else logging.CRITICAL)
    return ClusterPlan(None, cluster_class, options, dict(adapt_kwargs or {}))


def imported(path: str) -> Callable[..., Any]:
    """What `path`, as in `package.module.Name`, names.

    >>> imported("logging.Handler").__name__
    'Handler'
    """
    found = _MOVED.get(path, path)
    if found != path:
        text = f"cluster_class '{path}' is no more: '{found}' is used, which has other options than the old one"
        warnings.warn(text, stacklevel=4)
    module, _, name = found.rpartition(".")
    if not module:
        raise FlowError(f"cluster_class is '{path}'; give the whole path, as in 'package.module.Name'")
    try:
        cluster_class: Callable[..., Any] = getattr(import_module(module), name)
    except ImportError as error:
        package = module.split(".", maxsplit=1)[0].replace("_", "-")
        raise FlowError(f"cluster_class '{found}' cannot be imported: {error}; is '{package}' installed?") from error
    except AttributeError:
        raise FlowError(f"cluster_class is '{found}', but module '{module}' has no '{name}'") from None
    return cluster_class
