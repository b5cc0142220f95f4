"""How `FILE[:FLOW]` becomes a flow, and what is said when the file does not load."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from tocsin.errors import TocsinError, did_you_mean
from tocsin.flows.flow import Flow
from tocsin.flows.parameter import check_parameters

_OURS = Path(__file__).parent.parent


class FlowFileError(TocsinError):
    """A file that does not load, or does not hold the flow that is asked for."""


def load_flow(target: str) -> Flow:
    """The flow that `FILE` or `FILE:FLOW` names; the file is run as a module. Raises FlowFileError."""
    path, wanted = split(target)
    return choose(flows_in(load_module(path)), wanted, str(path))


def split(target: str) -> tuple[Path, str]:
    """The file and the flow's name, empty when none is given.

    >>> split("etl.py:nightly")
    (PosixPath('etl.py'), 'nightly')
    """
    path, colon, name = target.rpartition(":")
    if colon and not Path(target).exists():
        return Path(path), name
    return Path(target), ""


def flows_in(module: ModuleType) -> dict[str, Flow]:
    """The flows of a module by the names of its variables, each once."""
    found: dict[str, Flow] = {}
    for name, value in vars(module).items():
        if isinstance(value, Flow) and not any(value is flow for flow in found.values()):
            found[name] = value
    return found


def choose(flows: Mapping[str, Flow], wanted: str, file: str) -> Flow:
    """The flow whose variable or name is `wanted`, or the only one. Raises FlowFileError, listing what there is."""
    if not flows:
        raise FlowFileError(f"'{file}' holds no flow; make one at the top level: with Flow('name') as flow: ...")
    if wanted:
        if wanted in flows:
            return flows[wanted]
        named = [flow for flow in flows.values() if flow.name == wanted]
        if len(named) == 1:
            return named[0]
        names = {*flows, *(flow.name for flow in flows.values())}
        raise FlowFileError(f"'{file}' holds no flow '{wanted}'{did_you_mean(wanted, names)}")
    if len(flows) > 1:
        listed = ", ".join(f"'{file}:{name}'" for name in flows)
        raise FlowFileError(f"'{file}' holds {len(flows)} flows; say which: {listed}")
    return next(iter(flows.values()))


def check_given(flow: Flow, given: Mapping[str, Any]) -> None:
    """Raise TocsinError for a parameter that is unknown, missing, or has no JSON form, defaults included."""
    known = {parameter.name: parameter for parameter in flow.parameters()}
    for name in given:
        if name not in known:
            hint = did_you_mean(name, known) if known else "; it has none"
            raise TocsinError(f"flow '{flow.name}' has no parameter '{name}'{hint}")
    missing = sorted(name for name, parameter in known.items() if parameter.required and name not in given)
    if missing:
        listed = ", ".join(f"'{name}'" for name in missing)
        raise TocsinError(f"flow '{flow.name}' needs a value for {listed}; give it with --param {missing[0]}=VALUE")
    check_parameters({name: given.get(name, parameter.default) for name, parameter in known.items()})


# ---------------------------------------------------------------- loading


def load_module(path: Path) -> ModuleType:
    """Run a file as a module of its own, with its folder on the import path, as `python FILE` has it."""
    if not path.is_file():
        raise FlowFileError(f"there is no file '{path}'")
    name = path.stem if path.stem not in sys.modules else f"tocsin_file_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path.absolute())
    if spec is None or spec.loader is None:
        raise FlowFileError(f"'{path}' is not a Python file; its name should end in '.py'")
    module = importlib.util.module_from_spec(spec)
    folder = str(path.absolute().parent)
    if sys.path[:1] != [folder]:
        sys.path.insert(0, folder)
    before = sys.modules.get(name)
    sys.modules[name] = module  # as for any import: what the file defines can be pickled
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        sys.modules.pop(name) if before is None else sys.modules.__setitem__(name, before)
        if isinstance(error, KeyboardInterrupt):
            raise
        raise FlowFileError(why_not_loaded(path, error)) from error
    return module


def why_not_loaded(path: Path, error: BaseException) -> str:
    """What to tell of an error in the user's own file: the place in their code, and nothing of ours."""
    if isinstance(error, SyntaxError):
        return f"'{path}' is not valid Python\n" + "".join(traceback.format_exception_only(error)).rstrip()
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_users(frame.filename)]
    if isinstance(error, TocsinError) and frames:
        return f"{path}:{frames[-1].lineno}: {error}"
    what = f"'{path}' cannot be loaded: {type(error).__name__}: {error}"
    return "\n".join((what, *"".join(traceback.format_list(frames)).rstrip().splitlines()))


def _is_users(filename: str) -> bool:
    return not filename.startswith("<frozen") and not Path(filename).is_relative_to(_OURS)
