"""Writes the pages of this folder that are made from the code: `make docs`. A test checks that they are fresh."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pendulum
from pydantic import TypeAdapter

from tocsin.settings.issues import CODES
from tocsin_hooks import events, specs
from tocsin_hooks.filters import FLAG_LABELS, KNOWN_LABELS

HERE = Path(__file__).parent


def hooks_page() -> str:
    """Every hook with its promise."""
    observed = {f"tocsin_{subject}_{suffix}" for suffix, _ in specs.OBSERVED_STATES.values() for subject in _SUBJECTS}
    written = [name for name in vars(specs) if name in specs.spec_names() and name not in observed]
    parts = [_HOOKS_HEAD]
    for name in written:
        function = getattr(specs, name)
        parts.append(f"### {name}{_signature(function)}\n\n{inspect.getdoc(function)}\n")
    parts.append(_OBSERVERS_HEAD)
    rows = [f"| `{state}` | `{suffix}` | {meaning} |" for state, (suffix, meaning) in specs.OBSERVED_STATES.items()]
    parts.append("\n".join(rows) + "\n")
    return "\n".join(parts)


_SUBJECTS = ("flow", "task")

_HOOKS_HEAD = """# Hooks

Generated from `tocsin_hooks.specs` by `make docs`.

A plugin implements any of these and marks them with `hookimpl`; a flow file can do so, too, with
`tocsin.register(plugin)`. An implementation takes the arguments it wants, by name. A misspelt hook is refused at start
with the nearest name. One observer that raises stops nobody else.

One that hangs does not, either. After 30 seconds the call is ended by an exception that is raised in it, counts as
one that raised, is logged with the plugin's name, and that hook of that plugin is not called again in the process.
`TOCSIN_HOOK_DEADLINE` sets another time, such as `2m`, or `off` where a debugger stops in a hook. Filters that
plugins provide are bounded alike. `tocsin_send` is not: the deadline of its channel holds for it.

In the main thread that works for nearly everything. That is where a flow and its tasks are told of, unless the flow
uses threads or runs in one. On other threads it works for Python code, for waits for events and queues, and for answers
that HTTP clients wait for; what waits in C otherwise, such as a sleep, a lock or the library of a database, holds its
thread up. It is named as well, and called no more, but the task that was told does not end before the hook comes
back. So give whatever a hook waits for a time limit, and leave what is slow to a channel.

```python
import tocsin
from tocsin import hookimpl

class Count:
    failures = 0

    @hookimpl
    def tocsin_task_failed(self, event):
        if not event.will_retry:
            self.failures += 1

tocsin.register(Count())
```
"""

_OBSERVERS_HEAD = """## One hook for each state

A change calls the hook of the state entered, those of its parent classes, then `tocsin_state_changed`. There is one for
flows and one for tasks: `tocsin_flow_SUFFIX(event)` and `tocsin_task_SUFFIX(event)`.

Each runs on the runner's thread, so be quick: anything slow belongs in a channel. The return value is ignored. An
exception is logged with the plugin's name; the run and the other plugins go on. If a route acts on the event, the event
and its deliveries are already in the outbox.

| state | suffix | called after a run |
| --- | --- | --- |"""


def _signature(function: Any) -> str:
    return str(inspect.signature(function)).replace("'", "")


def codes_page() -> str:
    """Every problem that `tocsin check` can report."""
    rows = "\n".join(f"| {code} | {meaning} |" for code, meaning in sorted(CODES.items()))
    return f"""# What `tocsin check` can say

Generated from `tocsin.settings.issues` by `make docs`. E is an error, W a warning.

| code | what is wrong |
| --- | --- |
{rows}
"""


def labels_page() -> str:
    """The labels that filters can read."""
    plain = ", ".join(f"`{name}`" for name in sorted(KNOWN_LABELS))
    flags = ", ".join(f"`{name}`" for name in sorted(FLAG_LABELS))
    return f"""# Labels

Generated from `tocsin_hooks.filters` by `make docs`.

Labels with a value: {plain}; `params.NAME` for the parameters of the run, `context.NAME`, and whatever plugins add.

Labels that are true or false: {flags}.
"""


def event_schema() -> str:
    """The JSON Schema of an event, version by version."""
    types = {**vars(events), "pendulum": pendulum, "Mapping": Mapping}
    adapter = TypeAdapter(_as_json_type(types))
    schema = {"$id": f"tocsin.event.v{events.EVENT_VERSION}", **adapter.json_schema()}
    schema["properties"] = {"version": {"const": events.EVENT_VERSION}, **schema["properties"]}
    return json.dumps(schema, indent=2, sort_keys=False) + "\n"


def _as_json_type(types: Mapping[str, Any]) -> Any:
    """The event with its times as the text they are written as."""
    import dataclasses
    from datetime import datetime

    fields = []
    for each in dataclasses.fields(events.Event):
        annotation = str(each.type).replace("pendulum.DateTime", "datetime")
        kind = eval(annotation, {**types, "datetime": datetime})  # noqa: S307  (the annotations of our own class)
        fields.append((each.name, kind, dataclasses.field(default=each.default, default_factory=each.default_factory)))  # type: ignore[call-overload]
    return dataclasses.make_dataclass("Event", fields, kw_only=True)


PAGES = {
    "hooks.md": hooks_page,
    "config-errors.md": codes_page,
    "labels.md": labels_page,
    "event.schema.json": event_schema,
}


def main() -> None:
    """Write all pages."""
    for name, make in PAGES.items():
        (HERE / name).write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    main()
