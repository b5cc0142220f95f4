"""What becomes of a message through Apprise when the service behind it misbehaves."""

from __future__ import annotations

import pytest

from tocsin_apprise import AppriseChannel, AppriseConfig
from tocsin_hooks.messages import Reason, SendError
from tocsin_hooks.testing import FAULTS, HostileServer, sample_message
from tocsin_hooks.testing.faults import outcome

pytestmark = pytest.mark.timeout(20)  # without its bounds, a send would not end


def result(server: HostileServer, name: str) -> tuple[object, ...]:
    settings = {"url": f"json://127.0.0.1:{server.port}/hook", "timeout": "500ms" if FAULTS[name].endless else "10s"}
    try:
        AppriseChannel(AppriseConfig.model_validate(settings)).send(sample_message())
    except SendError as error:
        return outcome(error)
    return outcome(None)


@pytest.mark.parametrize(
    "name",
    [
        *("429", "429 for junk", "403", "404", "410", "500", "502", "503"),
        *("silence", "silence in the head", "headers that drip", "100 Continue for ever"),
        *("reset", "hung up", "hung up in the status line", "another protocol"),
    ],
)
def test_a_service_that_misbehaves_is_asked_once_and_its_answer_has_one_meaning(name: str) -> None:
    with HostileServer(FAULTS[name].play) as server:
        found = result(server, name)
    assert found == FAULTS[name].expected
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("silence in the body", Reason.TIMEOUT),
        ("a body that drips", Reason.TIMEOUT),
        ("half a body", Reason.NETWORK),
        ("bad chunks", Reason.NETWORK),
    ],
)
def test_an_answer_that_does_not_end_well_leaves_it_open_whether_the_message_arrived(name: str, reason: Reason) -> None:
    """Apprise reads an answer whole before it looks at the status."""
    with HostileServer(FAULTS[name].play) as server:
        assert result(server, name) == (reason, None, False, False, True)
    assert len(server.requests) == 1
