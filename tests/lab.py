"""A notebook of one cell in JupyterLab, in a browser, its cell run by a real kernel."""

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "book" / "_tools"))  # scripts, and no package
import browser


@contextmanager
def notebook_in_lab(chromium, folder, cell):
    """The page, with the cell's widget on it; afterwards nothing may have been asked for from outside."""
    notebook = {
        "nbformat": 4, "nbformat_minor": 5,
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        "cells": [{"cell_type": "code", "id": "a", "metadata": {}, "outputs": [], "execution_count": None,
                   "source": cell}],
    }  # fmt: skip
    (folder / "try.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [
        f"--port={port}",
        "--no-browser",
        "--allow-root",
        "--expose-app-in-browser",
        "--ServerApp.token=",
        "--ServerApp.password=",
    ]
    variables = {**os.environ, "JUPYTER_CONFIG_DIR": str(folder / "config"), "PYTHONUTF8": "1"}
    lab = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", *options, f"--ServerApp.root_dir={folder}"], env=variables,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        browser.wait(lambda: answers(port), "JupyterLab to start", 300)
        page = chromium.open(f"http://127.0.0.1:{port}/lab/tree/try.ipynb?reset")
        page.wait("!!document.querySelector('.jp-Notebook .jp-CodeCell')", 300)
        page.wait("!!document.querySelector('.jp-Notebook-ExecutionIndicator[data-status=idle]')", 300)
        prompt = "document.querySelector('.jp-CodeCell .jp-InputPrompt').textContent"
        time.sleep(10)  # the command is lost before JupyterLab has put everything in its place, and nothing says when
        page.run("void jupyterapp.commands.execute('notebook:run-all-cells')")
        page.wait(f"!!document.querySelector('.jp-OutputArea .mm-said') && {prompt} === '[1]:'", 300)
        yield page
        own = f"http://127.0.0.1:{port}"
        outside = [one for one in page.requests() if not one.startswith((own, "data:", "blob:", "about:"))]
        assert not [one for one in outside if "jsdelivr" in one or "unpkg" in one], outside
        page.close()
    finally:
        lab.terminate()
        lab.wait(60)


def answers(port):
    """Whether a server takes connections."""
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0
