"""Executes the pages of a book that are not in the cache, several at a time: `python execute.py BOOK`.

Jupyter Book executes one page after the other, and most of a page is done by one core: Python starts, packages are
imported, pictures are drawn. So the pages are executed here, before the build, which then finds them in its cache. A
page that fails is left to the build: it executes it again and says where it failed, with the page's other faults.
"""

import os
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import yaml
from depends import pages
from executions import cache_of
from jupyter_cache.base import CacheBundleIn
from jupyter_cache.executors.utils import single_nb_execution
from myst_nb.core.read import read_myst_markdown_notebook
from nbformat import NotebookNode

MOST = 4  # pages at a time; each may take two gigabytes


def left(book: Path) -> dict[Path, NotebookNode]:
    """The pages with cells that a build would execute, with the notebook that each is."""
    cache, found = cache_of(book), {}
    for page in pages(book):
        notebook = read_myst_markdown_notebook(page.read_text(encoding="utf-8"))
        try:
            cache.match_cache_notebook(notebook)
        except KeyError:
            found[page] = notebook
    return found


def executed(notebook: NotebookNode, folder: str, timeout: int) -> tuple[NotebookNode, float] | None:
    """A page with what its cells printed, and the seconds that this took; None when a cell raised."""
    result = single_nb_execution(notebook, cwd=folder, timeout=timeout, allow_errors=False)
    return None if result.err else (notebook, result.time)


def execute(book: Path, at_once: int) -> dict[Path, float | None]:
    """Executes what is left and puts it into the cache.

    Returns:
        For each executed page its seconds, or None where a cell raised.
    """
    timeout = yaml.safe_load((book / "_config.yml").read_text(encoding="utf-8"))["execute"]["timeout"]
    cache, todo, seconds = cache_of(book), left(book), {}
    with ProcessPoolExecutor(at_once, get_context("spawn")) as workers:
        jobs = {workers.submit(executed, notebook, str(page.parent), timeout): page for page, notebook in todo.items()}
        for job in as_completed(jobs):
            page, found = jobs[job], job.result()
            seconds[page] = found and found[1]
            said = "a cell raised an error; the build will say which" if found is None else f"{found[1]:.0f} s"
            print(f"[{len(seconds)}/{len(todo)}] {page.relative_to(book).as_posix()}: {said}", flush=True)
            if found:
                record = cache.add_nb_to_project(str(page))
                bundle = CacheBundleIn(found[0], record.uri, data={"execution_seconds": found[1]})
                cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
    return seconds


if __name__ == "__main__":
    cores = os.cpu_count() or 1
    at_once = min(MOST, cores)
    os.environ["OMP_NUM_THREADS"] = str(cores // at_once)  # of each page's arithmetic: all cores together
    execute(Path(sys.argv[1]).resolve(), at_once)
