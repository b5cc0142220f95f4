"""Help for finding mistakes in flows, where pipeline authors look for it."""

from tocsin.flows.debug import is_serializable, raise_on_exception

__all__ = ["is_serializable", "raise_on_exception"]
