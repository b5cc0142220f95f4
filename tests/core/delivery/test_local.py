"""The channels that need no account."""

import io
from pathlib import Path

import pytest

from tocsin.clock import ManualClock
from tocsin.delivery.local import ConsoleChannel, ConsoleConfig, InboxChannel, LocalChannels
from tocsin.plugins.catalog import Catalog
from tocsin.store.sqlite import SqliteStore
from tocsin_hooks.messages import Link, SendError
from tocsin_hooks.testing import sample_message


def test_the_inbox_keeps_the_message_and_says_where_to_read_it(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "tocsin.db")
    receipt = InboxChannel(store, ManualClock()).send(sample_message())
    assert "tocsin inbox" in receipt.detail
    assert [item.title for item in store.inbox()] == [sample_message().title]


def test_an_inbox_that_cannot_be_written_is_worth_another_try(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SendError) as caught:
        InboxChannel(SqliteStore(tmp_path / "file" / "tocsin.db"), ManualClock()).send(sample_message())
    assert not caught.value.permanent


def test_the_console_prints_title_text_and_links() -> None:
    out = io.StringIO()
    ConsoleChannel(ConsoleConfig(), out).send(
        sample_message(title="Failed: etl", text="one\ntwo", links=(Link("Open run", "https://example.org/1"),))
    )
    assert out.getvalue() == "[error] Failed: etl\n  one\n  two\n  Open run: https://example.org/1\n"


def test_text_from_a_pipeline_cannot_steer_the_terminal() -> None:
    out = io.StringIO()
    ConsoleChannel(ConsoleConfig(), out).send(sample_message(title="\x1b[31mred\x07", text="a\rb"))
    assert "\x1b" not in out.getvalue()
    assert "\r" not in out.getvalue()
    assert "\\x1b[31mred\\x07" in out.getvalue()


def test_a_closed_stream_is_a_dead_letter_and_no_crash() -> None:
    out = io.StringIO()
    out.close()
    with pytest.raises(SendError) as caught:
        ConsoleChannel(ConsoleConfig(), out).send(sample_message())
    assert caught.value.permanent


def test_cores_own_channels_come_through_the_public_contract(tmp_path: Path) -> None:
    catalog = Catalog()
    catalog.register(LocalChannels(lambda: SqliteStore(tmp_path / "tocsin.db"), ManualClock()), "tocsin.local")
    assert catalog.plugins["tocsin.local"].hooks == ("tocsin_channel_types",)
