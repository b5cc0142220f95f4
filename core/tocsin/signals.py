"""Signals that end a run in a state of their choice, where pipeline authors look for them."""

from tocsin.flows.signals import (
    ENDRUN,
    FAIL,
    PAUSE,
    RETRY,
    SKIP,
    SUCCESS,
    TRIGGERFAIL,
    VALIDATIONFAIL,
    StateSignal,
    signal_from_state,
)

__all__ = [
    "ENDRUN",
    "FAIL",
    "PAUSE",
    "RETRY",
    "SKIP",
    "SUCCESS",
    "TRIGGERFAIL",
    "VALIDATIONFAIL",
    "StateSignal",
    "signal_from_state",
]
