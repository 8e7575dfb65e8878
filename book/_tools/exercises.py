"""Runs the check of one exercise: the cells tagged `setup`, the exercise's own cells, and nothing else.

The verdict of a cell is a line that it prints and that begins with "Done" or "Not yet".
"""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import start_new_kernel
from nbformat import NotebookNode

VERDICT = re.compile(r"^(Done|Not yet)\b", re.M)


def labels(notebook: NotebookNode) -> list[str]:
    """The labels of a notebook's exercises, in their order."""
    return list(dict.fromkeys(cell.metadata.exercise for cell in notebook.cells if "exercise" in cell.metadata))


def cells_of(notebook: NotebookNode, label: str) -> list[NotebookNode]:
    """The code cells that the check of an exercise executes: the set-up cells before it, then its own."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    own = [cell for cell in code if cell.metadata.get("exercise") == label]
    if not own:
        raise ValueError(f"no cell of the exercise {label} has the tag `exercise`")
    before = code[: code.index(own[0])]
    return [cell for cell in before if "setup" in cell.metadata.get("tags", [])] + own


@contextmanager
def kernel() -> Iterator[BlockingKernelClient]:
    """A kernel for several checks, one after the other: starting one takes longer than most checks."""
    manager, client = start_new_kernel(kernel_name="python3", startup_timeout=180)
    try:
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def printed(client: BlockingKernelClient, code: str, timeout: int) -> str:
    """Executes some code in a kernel and returns what it wrote to its output.

    Raises:
        RuntimeError: with the traceback, when the code raises.
    """
    said: list[str] = []

    def listen(message: dict) -> None:
        if message["msg_type"] == "stream" and message["content"]["name"] == "stdout":
            said.append(message["content"]["text"])

    reply = client.execute_interactive(code, allow_stdin=False, timeout=timeout, output_hook=listen)["content"]
    if reply["status"] != "ok":
        raise RuntimeError("\n".join(reply.get("traceback", [reply["status"]])))
    return "".join(said)


def verdicts(client: BlockingKernelClient, notebook: NotebookNode, label: str, timeout: int = 300) -> list[tuple]:
    """Executes the check of an exercise in an empty folder, without the variables of the check before.

    Args:
        client: of a running kernel, see `kernel`.
        notebook: as written by write_notebooks.py, solved or not.
        label: the exercise's.
        timeout: seconds for one cell.

    Returns:
        For each cell of the exercise its tag ("exercise" or "solution") and its last verdict: "Done", "Not yet", or ""
        when it printed none.

    Raises:
        RuntimeError: when a cell raises.
    """
    found = []
    with tempfile.TemporaryDirectory() as folder:
        printed(client, f"%reset -f\nimport os\nos.chdir({folder!r})\ndel os", timeout)
        try:
            for cell in cells_of(notebook, label):
                said = printed(client, cell.source, timeout)
                if cell.metadata.get("exercise") == label:
                    tag = "solution" if "solution" in cell.metadata.tags else "exercise"
                    found.append((tag, (VERDICT.findall(said) or [""])[-1]))
        finally:
            printed(client, "import os\nos.chdir('..')", timeout)  # Windows keeps a folder that somebody stands in
    return found
