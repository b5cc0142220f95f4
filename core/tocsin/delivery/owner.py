"""Who holds a lease, and whether that process is still there."""

from __future__ import annotations

from tocsin import identity
from tocsin.identity import Presence, Process


def this_process() -> str:
    """The name under which this process claims deliveries: host, boot, namespace of process ids, pid and start time.

    The start time tells a process from a later one that was given the same pid.
    """
    process = identity.this_process()
    return "|".join((process.host, process.boot, process.space, str(process.pid), process.started))


def is_alive(owner: str) -> bool:
    """Whether the process of that name may still run: only one of this host can be known to be gone.

    A process of an earlier boot of this host is; one of another container, where ids mean other processes, is not
    known to be, though the host has the same name.
    """
    try:
        host, boot, space, pid, started = owner.split("|")
    except ValueError:
        return False
    here = identity.this_process()
    if host == here.host and boot != here.boot:
        return False
    return identity.presence_of(Process(host, boot, space, int(pid), started)) is not Presence.GONE
