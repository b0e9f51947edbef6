"""Execute the tutorials from a clean kernel and write their outputs.

    python tutorials/run.py              # all of them, in place
    python tutorials/run.py 01           # those whose name starts so

``CAPTUM_BLOCKS_TUTORIAL_QUALITY=draft`` makes rough icons quickly.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent


def notebooks(prefixes: list[str]) -> list[Path]:
    """The notebooks meant, in order."""
    found = sorted(FOLDER.glob("[0-9][0-9]_*.ipynb"))
    return [path for path in found if not prefixes or path.name.startswith(tuple(prefixes))]


def executed(path: Path, folder: Path, before: str = "") -> nbformat.NotebookNode:
    """A notebook run from a clean kernel that works in ``folder``, after a cell of its own."""
    notebook = nbformat.read(path, as_version=4)
    if before:
        notebook.cells.insert(0, nbformat.v4.new_code_cell(before))
    client = NotebookClient(
        notebook, timeout=900, resources={"metadata": {"path": str(folder)}}, kernel_name="python3"
    )
    return client.execute()


if __name__ == "__main__":
    for notebook in notebooks(sys.argv[1:]):
        print(notebook.name)
        with TemporaryDirectory() as folder:
            done = executed(notebook, Path(folder))
        done.metadata = {"kernelspec": done.metadata.get("kernelspec", {})}
        nbformat.write(done, notebook)
