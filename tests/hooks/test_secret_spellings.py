"""A secret is known again in whatever spelling a service, a page or Python repeats it."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest

from tocsin_hooks.masking import mask
from tocsin_hooks.secrets import Secret, redact
from tocsin_hooks.text import excerpt

_HARD = ["Zq7\"w&<x>é/+ 9'k\\m", "k%41/zz+yy==", "line one of Qx\nline two of Qx", "tab\there'Vb8"]

_REPEATED: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "as JSON": json.dumps,
    "as JSON with letters": lambda secret: json.dumps(secret, ensure_ascii=False),
    "as JSON with slashes escaped": lambda secret: json.dumps(secret).replace("/", "\\/"),
    "in a path": quote,
    "in a part of a path": lambda secret: quote(secret, safe=""),
    "in a form": quote_plus,
    "on a page": html.escape,
    "on a page of another kind": lambda secret: html.escape(secret).replace("&#x27;", "&#39;"),
    "on a page of a third kind": lambda secret: (
        html.escape(secret).replace("&#x27;", "&#39;").replace("&quot;", "&#34;")
    ),
    "in text on a page": lambda secret: html.escape(secret, quote=False),
    "as a literal of Python": repr,
}


@pytest.mark.parametrize("secret", _HARD)
@pytest.mark.parametrize("how", _REPEATED)
def test_a_secret_is_masked_however_it_is_spelled(secret: str, how: str) -> None:
    Secret.literal(secret).get_secret_value()
    text = f"cannot take >{_REPEATED[how](secret)}< today"
    for shown in (redact(text), mask(text), excerpt(text)):
        assert _REPEATED[how](secret).strip("'\"") not in shown
        assert shown.startswith("cannot take >")
        assert shown.endswith("< today")
        assert len(shown) < 40


def test_a_secret_of_several_lines_is_masked_in_one_line_too() -> None:
    Secret.literal("-first part 77-\n  -second part 88-").get_secret_value()
    assert excerpt("got -first part 77-\r\n -second part 88- instead") == "got [secret] instead"


def test_the_password_of_an_address_is_masked_when_it_was_decoded_and_encoded() -> None:
    Secret.literal("smtp://ann:b%2Fdpass%26w@mail.example.org:587").get_secret_value()
    for text in ("535 b/dpass&w refused", "535 b%2Fdpass%26w refused", "535 b%252Fdpass%2526w refused"):
        assert redact(text) == "535 [secret] refused"
