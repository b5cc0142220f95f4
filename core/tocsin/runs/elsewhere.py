"""How a call is made in a process of its own, so that it can be ended whatever it does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any

from tocsin.runs.sending import dumps, loads
from tocsin_hooks.states import run_context

_SERVE = "import sys; from tocsin.runs.elsewhere import serve; serve(int(sys.argv[1]))"
_READY = b"ready"
_STAYS = frozenset({"attempt", "caches"})
"""What of the context is for runners only."""


class ExpiredError(Exception):
    """The call took too long and was ended."""


def call(seconds: float, work: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    """Return what `work(**arguments)` returns in a process of its own; ExpiredError once it has run for `seconds`.

    The process sees the context of the run, but for values that cannot be pickled. The main module is not run again.
    """
    order = dumps((work, dict(arguments), _portable(run_context.get())))
    reads, writes = os.pipe()
    with Connection(reads, writable=False) as answers:
        try:
            process = subprocess.Popen(  # noqa: S603  (this interpreter, and a constant)
                [sys.executable, "-c", _SERVE, str(writes)],
                stdin=subprocess.PIPE,
                pass_fds=[writes],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(path or os.curdir for path in sys.path)},
            )
        finally:
            os.close(writes)
        try:
            return _answer(process, order, answers, seconds)
        finally:
            process.kill()
            process.wait()


def _answer(process: subprocess.Popen[bytes], order: bytes, answers: Connection, seconds: float) -> Any:
    assert process.stdin is not None
    try:
        with process.stdin as orders:
            orders.write(order)
        assert answers.recv_bytes() == _READY  # the limit is for the work, not for starting Python
        if not answers.poll(seconds):
            raise ExpiredError
        value, error = loads(answers.recv_bytes())
    except (EOFError, BrokenPipeError):
        code = process.wait()
        raise RuntimeError(f"the process of a task with a timeout ended with code {code} and no result") from None
    if error is not None:
        raise error
    return value


def _portable(values: Mapping[str, Any]) -> dict[str, bytes]:
    found = {}
    for key, value in values.items():
        if key in _STAYS:
            continue
        try:
            found[key] = dumps(value)
        except Exception:  # noqa: S112  (whatever its own reduce raises; it is left behind)
            continue
    return found


def serve(answers_at: int) -> None:
    """Make the call that is read from stdin, and write what became of it."""
    with Connection(answers_at, readable=False) as answers:
        work, arguments, values = loads(sys.stdin.buffer.read())
        run_context.set(_restored(values))
        answers.send_bytes(_READY)
        try:
            outcome: tuple[Any, BaseException | None] = (work(**arguments), None)
        except BaseException as error:  # signals among them; raised where the call is waited for
            outcome = (None, error)
        answers.send_bytes(_packed(outcome))


def _restored(values: Mapping[str, bytes]) -> dict[str, Any]:
    found = {}
    for key, data in values.items():
        try:
            found[key] = loads(data)
        except Exception:  # noqa: S112  (as above)
            continue
    return found


def _packed(outcome: tuple[Any, BaseException | None]) -> bytes:
    try:
        data = dumps(outcome)
        loads(data)
    except Exception as error:
        value, raised = outcome
        what = f"its result, a {type(value).__name__}," if raised is None else f"what it raised, {raised!r},"
        text = f"a task with a timeout ran in a process of its own, and {what} cannot be pickled: {error}"
        return dumps((None, TypeError(text)))
    return data
