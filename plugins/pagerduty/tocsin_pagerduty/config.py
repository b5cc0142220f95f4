"""What may stand in the table of a `type = "pagerduty"` channel."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Literal

from pydantic import Field, field_validator

from tocsin_hooks.http import HttpConfig
from tocsin_hooks.secrets import Secret
from tocsin_hooks.specs import OBSERVED_STATES

Severity = Literal["critical", "error", "warning", "info"]
HOSTS = {"us": "https://events.pagerduty.com", "eu": "https://events.eu.pagerduty.com"}


class PagerDutyConfig(HttpConfig):
    """Settings of a `type = "pagerduty"` channel."""

    routing_key: Secret
    """The integration key of a service, 32 characters."""
    region: Literal["us", "eu"] = "us"
    """Where the account lives."""
    severity: dict[str, Severity] = Field(default_factory=dict)
    """Severities by state, where they differ from the usual."""
    retrying: Literal["silent", "trigger"] = "silent"
    """Whether a failure that will be retried opens an alert."""
    source: str = ""
    """What the alert is about; the host unless set."""
    client: str = "tocsin"
    """What PagerDuty calls the sender."""
    client_url: str = Field(default="", pattern=r"^(https://\S+)?$")
    """Where its link leads."""

    @field_validator("severity")
    @classmethod
    def _of_known_states(cls, severity: dict[str, Severity]) -> dict[str, Severity]:
        for state in severity:
            if state not in OBSERVED_STATES:
                near = get_close_matches(state, OBSERVED_STATES, n=1)
                raise ValueError(f"there is no state '{state}'" + (f"; did you mean '{near[0]}'?" if near else ""))
        return severity

    @property
    def enqueue_url(self) -> str:
        """Where events go."""
        return self.address(f"{HOSTS[self.region]}/v2/enqueue")
