"""A stranger's plugin is installed with pip, named in the TOML, and rings."""

import site
import subprocess
import sys
import venv
from pathlib import Path

PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "tocsin-bell"
version = "1.2.3"

[project.entry-points.tocsin]
bell = "tocsin_bell"
"""

MODULE = '''
from pathlib import Path
from tocsin_hooks import ChannelConfig, ChannelType, Receipt, hookimpl


class BellConfig(ChannelConfig):
    """Settings of a `type = "bell"` channel."""

    rope: Path


class BellChannel:
    def __init__(self, config):
        self._rope = config.rope

    def send(self, message, previous=None):
        with self._rope.open("a") as rope:
            rope.write(f"{message.action} {message.title}\\n")
        return Receipt("dong")


@hookimpl
def tocsin_channel_types():
    return [ChannelType("bell", BellConfig, BellChannel, summary="Rings a bell")]
'''

FLOW = """
from tocsin import Flow, task

@task
def load():
    raise ValueError("bad row")

with Flow("etl") as flow:
    load()
"""


def test_a_plugin_installed_with_pip_is_used_from_toml(tmp_path: Path, environ: dict[str, str]) -> None:
    package, home = tmp_path / "package", tmp_path / "env"
    (package / "tocsin_bell").mkdir(parents=True)
    (package / "pyproject.toml").write_text(PYPROJECT)
    (package / "tocsin_bell" / "__init__.py").write_text(MODULE)
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    # The fresh environment finds tocsin, and what builds the package, where this one has them.
    [packages] = home.glob("lib/python*/site-packages")
    paths = [*site.getsitepackages(), *(p for p in sys.path if p.endswith(("/core", "/hooks")))]
    (packages / "outer.pth").write_text("\n".join(paths))

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(python), *command], cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=100, check=False
        )

    installed = run("-m", "pip", "install", "--no-index", "--no-build-isolation", "--no-deps", str(package))
    assert installed.returncode == 0, installed.stderr

    rope = tmp_path / "rope.txt"
    (tmp_path / "flow.py").write_text(FLOW)
    (tmp_path / "tocsin.toml").write_text(
        f'[channels.tower]\ntype = "bell"\nrope = "{rope}"\n'
        '[[routes]]\nwhen = "is_failed and is_task"\nsend = ["tower"]\n'
    )
    listed = run("-m", "tocsin.cli", "plugins")
    assert "bell" in listed.stdout, listed.stderr
    assert "1.2.3" in listed.stdout
    ran = run("-m", "tocsin.cli", "run", "flow.py")
    assert ran.returncode == 1, ran.stderr
    assert rope.read_text() == "open Failed: etl/load\n"


def test_a_plugin_that_cannot_be_used_is_named_when_a_flow_runs_and_the_run_goes_on(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    for name, code in {
        "broken": "import not_there\n",
        "typo": "from tocsin_hooks import hookimpl\n@hookimpl\ndef tocsin_task_faild(event): pass\n",
    }.items():
        info = tmp_path / "site" / f"{name}_plug-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-plug\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[tocsin]\n{name} = {name}_plug\n")
        (tmp_path / "site" / f"{name}_plug.py").write_text(code)
    (tmp_path / "flow.py").write_text(f"{FLOW}\nflow.run()\nflow.run()\n")
    ran = subprocess.run(
        [sys.executable, "flow.py"],
        cwd=tmp_path,
        env=environ | {"PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ran.stderr.count("plugin 'broken' is not used: plugin 'broken' cannot be loaded") == 1
    assert ran.stderr.count("which is no hook; did you mean 'tocsin_task_failed'?") == 1
