"""`tocsin test`: whether a channel takes a message, and what its service says."""

from __future__ import annotations

import click

from tocsin.assembly import Assembly
from tocsin.cli.configured import assembled, channel_known
from tocsin.cli.diagnostics import visible
from tocsin.cli.output import json_option, print_json, say
from tocsin.routing.compose import Envelope, compose
from tocsin_hooks.errors import SecretError
from tocsin_hooks.events import Event
from tocsin_hooks.messages import Action, Message, Reason, SendError
from tocsin_hooks.secrets import redact
from tocsin_hooks.states import Success, family

_EXAMPLES = """\b
Examples:
  tocsin test ops
  tocsin test ops --json
"""

ADVICE = {
    Reason.AUTH: "check the credential of [channels.{name}], and what it may do at the service",
    Reason.RATE_LIMITED: "the service takes no more for now; try again later",
    Reason.CLIENT: "the service refuses the request; check the settings of [channels.{name}]",
    Reason.SERVER: "the service has trouble of its own; try again later",
    Reason.TIMEOUT: "check the address in [channels.{name}], and whether the network lets you through",
    Reason.NETWORK: "check the address in [channels.{name}], and whether the network lets you through",
    Reason.PAYLOAD: "the service does not take this message; check the settings of [channels.{name}]",
    Reason.GONE: "the destination no longer exists; give [channels.{name}] another",
    Reason.CONFIG: "mend [channels.{name}], or the secret that it refers to",
    Reason.PLUGIN: "this is a fault of the plugin; tell its author",
}
"""What would do when a test fails, by the reason."""


@click.command(epilog=_EXAMPLES)
@click.argument("channel")
@json_option
@click.pass_context
def command(ctx: click.Context, channel: str, as_json: bool) -> None:
    """Send one test message to CHANNEL, now, and print what its service answers.

    The message is marked as a test; it is not stored and not tried again. Exits with 0 if the service took it, with
    1 if not, and with 2 if the channel cannot be made of its settings.
    """
    assembly = assembled()
    channel_known(assembly, channel)
    try:
        receipt = assembly.hooks.send(assembly.sender.channel(channel), sample(assembly, channel), None)
    except SendError as error:
        reason = Reason.CONFIG if isinstance(error.__cause__, SecretError) else error.reason
        detail = redact(error.detail)
        if as_json:
            print_json({"channel": channel, "ok": False, "reason": str(reason), "detail": detail})
        else:
            what = f"error: channel '{channel}' did not take the message: {reason}"
            click.echo(visible(f"{what}: {detail}" if detail else what, keep="\n"), err=True)
            click.echo(f"  {ADVICE[reason].format(name=channel)}", err=True)
        ctx.exit(2 if reason is Reason.CONFIG else 1)
    finally:
        assembly.sender.close()
        assembly.store.close()
    detail = redact(receipt.detail)
    if as_json:
        print_json({"channel": channel, "ok": True, "detail": detail})
    else:
        say(f"sent to {channel}: {detail or 'ok'}")


def sample(assembly: Assembly, channel: str) -> Message:
    """The message that `tocsin test` sends."""
    now = assembly.clock.now()
    event = Event(
        id=assembly.clock.new_id(),
        time=now,
        flow="tocsin test",
        run_id="",
        state="Success",
        state_family=family(Success),
        project=assembly.config.project,
        message="This is a test. Nothing has happened; whoever reads this can be reached.",
    )
    return compose(event, Envelope(assembly.clock.new_id(), channel, "test", Action.TEST))
