"""What the templates of a config say, and whether they can be used where they go."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields

from tocsin.settings.document import Document
from tocsin.settings.inherit import layers, resolved
from tocsin.settings.issues import Place, Problem, nearest
from tocsin.settings.locate import KeyPath
from tocsin.settings.models import File, TemplateTable
from tocsin.settings.paths import at
from tocsin.settings.settings import TemplateSettings
from tocsin.settings.uses import route_names
from tocsin_hooks.events import Event

CheckTemplate = Callable[[str], str | None]
"""Says what is wrong with the text of a template; None: nothing."""

LONGEST = {"slack": 3000}
"""How many characters a message may have, by channel type."""

_NO_FILTER = re.compile(r"No (filter|test) named '([^']+)'")
_UNDEFINED = re.compile(r"'([^']+)' is undefined|has no attribute '([^']+)'")
_FIELDS = frozenset({each.name for each in fields(Event)} | {"subject", "params", "context", "exception"})
_UNCLOSED = re.compile(r"Unexpected end of template\..*'(\w+)'\.?( \(line \d+\))?", re.DOTALL)
_ONLY_LOOKED_FOR = ("defined", "undefined")
_LINE = re.compile(r" \(line (\d+)\)$")


def template_settings(
    document: Document, file: File, check_template: CheckTemplate | None
) -> tuple[dict[str, TemplateSettings], list[Problem]]:
    """The templates of the config, files read, and what is wrong with them."""
    settings, problems = {}, []
    for name, table in file.templates.items():
        text, found = _text(document, name, table)
        problems += found
        settings[name] = TemplateSettings(table.title, text)
        for key, words in (("title", table.title), ("file" if table.file is not None else "text", text)):
            if words is not None and check_template:
                problems += _faults(document, ("templates", name, key), words, check_template)
    return settings, problems


def _text(document: Document, name: str, table: TemplateTable) -> tuple[str | None, list[Problem]]:
    path: KeyPath = ("templates", name)
    if table.text is not None and table.file is not None:
        place = document.at((*path, "file"), key=True)
        return table.text, [Problem("E803", f"[templates.{name}] has both 'text' and 'file'", place, "keep one")]
    if table.file is not None:
        text, reason = _file_text(document, table.file)
        told = f"[templates.{name}] file '{table.file}' cannot be read: {reason}"
        return text, [Problem("E802", told, document.at((*path, "file")))] if reason else []
    if table.text is None and table.title is None and at(document.data, (*path, "text")) is None:
        place = document.at(path, key=True)
        return None, [Problem("E803", f"[templates.{name}] lacks 'text'", place, "or give it a 'file'")]
    return table.text, []


def _file_text(document: Document, file: str) -> tuple[str | None, str]:
    try:
        return (document.source.base / file).read_text(encoding="utf-8"), ""
    except OSError as error:
        return None, error.strerror or type(error).__name__
    except ValueError:  # not UTF-8, or a null byte in the name
        return None, "it is not UTF-8 text"


# ---------------------------------------------------------------- what it says


def _faults(document: Document, path: KeyPath, words: str, check_template: CheckTemplate) -> Iterator[Problem]:
    """What is wrong with the words of a template: each field that no event has, and what keeps it from use."""
    unknown = [name for name in read_names(words) if check_template(f"{{{{ {name} }}}}")]
    for name in unknown:
        text = f"[templates.{path[1]}] {path[2]}: unknown field '{name}'"
        yield Problem("E801", text, _place(document, path, words, name), nearest(name, sorted(_FIELDS)))
    if (error := check_template(words)) and not (unknown and "undefined" in error):
        named = next((name for name in re.findall(r"'(\w+)'", error) if name in words), "")
        text = f"[templates.{path[1]}] {path[2]}: {_in_short(error)}"
        yield Problem("E801", text, _place(document, path, words, named, error), _hint(error))


def _in_short(error: str) -> str:
    """An error of Jinja as one sentence.

    >>> _in_short("Unexpected end of template. Jinja was looking for 'x'. The innermost block ... is 'if'. (line 1)")
    "a '{% if %}' is never closed (line 1)"
    """
    if unclosed := _UNCLOSED.fullmatch(error):
        return f"a '{{% {unclosed[1]} %}}' is never closed{unclosed[2]}"
    return error.replace(". (line", " (line").removesuffix(".")


def _place(document: Document, path: KeyPath, words: str, name: str, error: str = "") -> Place:
    """Where `name` stands in the words, or the line that the error names."""
    if path[2] == "file":
        return document.at(path)
    if name and (found := re.search(rf"(?<![\w.]){re.escape(name)}(?!\w)", words)):
        return document.within(path, *found.span())
    line = _LINE.search(error)
    if line and "\n" in words:
        start = sum(map(len, words.splitlines(keepends=True)[: int(line[1]) - 1]))
        return document.within(path, start, start + 1)
    return document.at(path)


def _hint(error: str) -> str:
    from jinja2.filters import FILTERS
    from jinja2.tests import TESTS

    if found := _NO_FILTER.search(error):
        return nearest(found[2], FILTERS if found[1] == "filter" else TESTS)
    if found := _UNDEFINED.search(error):
        return nearest(found[1] or found[2], sorted({*_FIELDS, "type", "message", "traceback"}))
    return ""


def read_names(words: str) -> list[str]:
    """The fields that a template reads, in order, without those that it can do without; none, if it cannot be read.

    >>> read_names("{{ flow }} {% if region is defined %}{{ region }}{% endif %}{{ note|default('-') }}{{ task.x }}")
    ['flow', 'task']
    """
    from jinja2 import Environment, TemplateError, meta, nodes

    try:
        tree = Environment(autoescape=True).parse(words)  # nothing is rendered
        names = meta.find_undeclared_variables(tree)
    except (TemplateError, ValueError, SyntaxError, RecursionError):  # said where it is rendered
        return []
    optional = {
        node.node.name
        for node in tree.find_all((nodes.Test, nodes.Filter))
        if isinstance(node.node, nodes.Name) and node.name in (*_ONLY_LOOKED_FOR, "default", "d")
    }
    read = (node.name for node in tree.find_all(nodes.Name))
    return [name for name in dict.fromkeys(read) if name in names and name not in optional]


# ---------------------------------------------------------------- where it goes


def length_problems(
    document: Document, file: File, templates: Mapping[str, TemplateSettings], kinds: Mapping[str, str]
) -> list[Problem]:
    """The templates that are too long, whatever the event, for a channel that they go to. `kinds` are channel types."""
    problems = {}
    for name, channel in _destinations(file):
        limit = LONGEST.get(kinds.get(channel, ""))
        template = templates.get(name)
        if limit is None or template is None or template.text is None:
            continue
        if (length := fixed_length(template.text)) > limit:
            key = "text" if file.templates[name].text is not None else "file"
            told = f"[templates.{name}] {key}: has {length} characters whatever the event"
            text = f"{told}; channel '{channel}' takes {limit}"
            problems[name] = Problem("E804", text, document.at(("templates", name, key)), "shorten it")
    return [*problems.values()]


def _destinations(file: File) -> Iterable[tuple[str, str]]:
    """Which templates go to which channels, the file's own order kept."""
    found: dict[tuple[str, str], None] = {}
    lines = layers(file.defaults, file.routes, route_names(file))
    for line in (lines[0][:1] if lines else (), *lines):
        options = resolved(line, {}) if line else None
        if options is not None and options.template is not None:
            found |= {(options.template, channel): None for channel in options.send}
    return found


def fixed_length(words: str) -> int:
    """How many characters of a template stand in every message that it makes; 0 where it cannot be read.

    >>> fixed_length("down: {{ flow }}{% if task %} in a task{% endif %}")
    6
    """
    from jinja2 import Environment, TemplateError, nodes

    try:
        tree = Environment(autoescape=True).parse(words)
    except (TemplateError, ValueError, SyntaxError, RecursionError):  # said where it is rendered
        return 0
    outputs = (node for node in tree.body if isinstance(node, nodes.Output))
    return sum(len(part.data) for node in outputs for part in node.nodes if isinstance(part, nodes.TemplateData))
