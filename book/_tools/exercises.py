"""Runs the check of one exercise: the cells tagged `setup`, the exercise's own cells, and nothing else.

The verdict of a cell is a line that it prints and that begins with "Done" or "Not yet".
"""

import copy
import re
import tempfile

import nbformat
from nbclient import NotebookClient
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


def verdicts(notebook: NotebookNode, label: str, timeout: int = 300) -> list[tuple[str, str]]:
    """Executes the check of an exercise in a fresh kernel and an empty folder.

    Args:
        notebook: as written by write_notebooks.py, solved or not.
        label: the exercise's.
        timeout: seconds for one cell.

    Returns:
        For each cell of the exercise its tag ("exercise" or "solution") and its last verdict: "Done", "Not yet", or ""
        when it printed none.

    Raises:
        nbclient.exceptions.CellExecutionError: when a cell raises.
    """
    small = nbformat.v4.new_notebook(cells=copy.deepcopy(cells_of(notebook, label)), metadata=notebook.metadata)
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(small, timeout=timeout, resources={"metadata": {"path": folder}}).execute()
    found = []
    for cell in small.cells:
        if cell.metadata.get("exercise") == label:
            printed = "".join(out.text for out in cell.outputs if out.output_type == "stream" and out.name == "stdout")
            tag = "solution" if "solution" in cell.metadata.tags else "exercise"
            found.append((tag, (VERDICT.findall(printed) or [""])[-1]))
    return found
