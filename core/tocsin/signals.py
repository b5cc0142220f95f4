"""Signals that end a run in a state of their choice, where pipeline authors look for them."""

from tocsin.flows.signals import (
    ENDRUN,
    FAIL,
    LOOP,
    PAUSE,
    RETRY,
    SKIP,
    SUCCESS,
    TRIGGERFAIL,
    VALIDATIONFAIL,
    StateSignal,
    TaskTimeoutSignal,
    signal_from_state,
)

__all__ = [
    "ENDRUN",
    "FAIL",
    "LOOP",
    "PAUSE",
    "RETRY",
    "SKIP",
    "SUCCESS",
    "TRIGGERFAIL",
    "VALIDATIONFAIL",
    "StateSignal",
    "TaskTimeoutSignal",
    "signal_from_state",
]
