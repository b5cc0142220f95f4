"""Control flow as Prefect 1 users write it, with only its imports changed: case, merge, a resource manager.

python examples/prefect1/control_flow.py
"""

import shutil
import tempfile
from pathlib import Path

from tocsin import Flow, Parameter, case, merge, resource_manager, task


@resource_manager
class Workspace:
    """A folder that is there while the tasks in its block run, and is removed whatever becomes of them."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def setup(self) -> Path:
        return Path(tempfile.mkdtemp(prefix=self.prefix))

    def cleanup(self, folder: Path) -> None:
        shutil.rmtree(folder)


@task
def write(folder: Path, size: int) -> Path:
    if size < 0:
        raise ValueError(f"a file of {size} bytes cannot be written")
    path = folder / "data.txt"
    path.write_text("x" * size)
    return path


@task
def is_large(path: Path) -> bool:
    return path.stat().st_size > 100


@task
def read_all(path: Path) -> str:
    return path.read_text()


@task
def read_start(path: Path) -> str:
    return path.read_text()[:10] + "..."


@task
def describe(text: str, folder: Path) -> str:
    return f"{text} (in {folder.name})"


with Flow("prefect1-control-flow") as flow:
    size = Parameter("size", default=5)
    with Workspace("prefect1-") as folder:
        path = write(folder, size)
        large = is_large(path)
        with case(large, True):
            start = read_start(path)
        with case(large, False):
            whole = read_all(path)
        text = merge(start, whole)
        description = describe(text, folder)


if __name__ == "__main__":
    state = flow.run()
    print(state, state.result[description].result)
