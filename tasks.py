#!/usr/bin/env python3
"""Set up, build, test: `python tasks.py COMMAND`. The Makefile forwards to this file.

    setup   create .venv and install everything (the other commands do it when it is needed)
    book    execute every chapter and render the book to book/_build/html; any warning is an error
    site    write the book to dist/ as one zip that opens by double click
    test    run the tests, but for the slow ones (add them: test -m slow)
    quick   lint and the tests that take less than half a second each, in under a minute
    lab     open the chapters in JupyterLab
    tour    five minutes with a hallucination: `mmhallu tour`
    bench   run the benchmarks: speed and memory
    lock    for maintainers: write constraints.txt and environment.yml again
    notebooks    write notebooks/ from the chapters; with --check, only say whether they match
    wheel-check  build the wheel, and run the notebooks where there is nothing else of this project

Only Python's standard library is used here, because this file runs before anything is installed.
What comes after the command is handed on: `python tasks.py test -k chair`, `python tasks.py tour --text`.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
STAMP = VENV / "mmhallu-setup.json"
OLDEST, NEWEST = (3, 11), (3, 13)
# A test file stays in one process; tests/conftest.py says which files come first.
SHARED = ("--dist", "loadfile", "--no-loadscope-reorder")
# Measured on Linux x86-64 with Python 3.11; most of it is torch and the NVIDIA libraries that it brings there.
DOWNLOAD_GB, DISK_GB = 3.2, 6.7


def require_python():
    """Stops with advice unless the running Python is one that the pinned packages support."""
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        running = ".".join(map(str, sys.version_info[:3]))
        sys.exit(
            f"mmhallu needs Python 3.11, 3.12 or 3.13, and this is Python {running} ({sys.executable}).\n"
            "Install one of them, then name it: make book PYTHON=python3.12\n"
            "or, without make: python3.12 tasks.py book"
        )


def installed(name):
    """Returns the path of a program inside .venv, such as "python" or "mmhallu"."""
    return VENV / "Scripts" / f"{name}.exe" if os.name == "nt" else VENV / "bin" / name


def run(*command, **environment):
    """Runs a command in the repository root, in UTF-8 on every system. Returns its exit status.

    Compiled files are kept, whatever the shell says: hundreds of processes would each compile the library anew.
    """
    variables = {**os.environ, "PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "", **environment}
    sys.stdout.flush()  # so that what this file printed stands before what the command prints
    return subprocess.run([str(part) for part in command], cwd=ROOT, env=variables).returncode


def setup(*extras):
    """Makes .venv hold this project with its extras, exactly as constraints.txt says.

    A stamp inside .venv names what was installed, so that a second call returns at once. It is
    written last: an interrupted installation has none, and the next call goes on from there.
    """
    wanted = sorted({"book", "test", *extras})
    sources = (ROOT / "pyproject.toml").read_bytes() + (ROOT / "constraints.txt").read_bytes()
    key = hashlib.sha256(sources).hexdigest()
    if STAMP.is_file() and installed("python").is_file():
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
        if stamp["key"] == key and set(wanted) <= set(stamp["extras"]):
            return
        wanted = sorted({*wanted, *stamp["extras"]})

    if not installed("python").is_file():
        print(
            f"Setting up in {VENV}: about {DOWNLOAD_GB:.1f} GB to download and {DISK_GB:.1f} GB on disk on Linux,\n"
            "where torch brings NVIDIA's libraries; less on macOS and Windows. Nothing is written outside this\n"
            "folder but pip's own download cache. This takes some minutes."
        )
        free_gb = shutil.disk_usage(ROOT).free / 1e9
        if free_gb < DISK_GB + 1:
            sys.exit(f"Only {free_gb:.1f} GB are free here. Make room, or clone onto a larger disk.")
        venv.create(VENV, with_pip=True, clear=True)

    command = ["-m", "pip", "install", "-c", "constraints.txt", "-e", f".[{','.join(wanted)}]"]
    if run(installed("python"), *command):
        sys.exit(
            "The installation stopped; pip's last lines say why. Without a network connection it cannot work.\n"
            "Run the same command again to go on. To start afresh, delete the folder .venv first."
        )
    STAMP.write_text(json.dumps({"key": key, "extras": wanted}), encoding="utf-8")


def render(folder):
    """Executes and renders the book in `folder`. Returns 0, or 1 when anything at all went wrong.

    -W turns a warning into an error, and a cell that raises is such a warning; -n also warns about
    a link that leads nowhere; --keep-going shows every fault, not just the first; --all reads every page
    again, so that a page that failed before cannot pass because nobody looked.
    """
    if tool("execute", folder):
        return 1
    options = ["--all", "-W", "-n", "--keep-going"]
    return 1 if run(installed("jupyter-book"), "build", folder, *options, TQDM_DISABLE="1") else 0


def tool(name, *arguments):
    """Runs one of the tools in book/_tools, which may use what .venv holds. Returns its exit status."""
    return run(installed("python"), ROOT / "book" / "_tools" / f"{name}.py", *arguments)


def build_book():
    """Builds the book; a page executes again when its cells changed, or something beneath them: see book/_tools."""
    build, started = ROOT / "book" / "_build", time.monotonic()
    shutil.rmtree(build / "html", ignore_errors=True)  # a page that left the book leaves the built book too
    if tool("executions", "drop", ROOT / "book"):
        return 1
    status = render(ROOT / "book")
    status = tool("executions", "stamp", ROOT / "book") or status
    minutes = (time.monotonic() - started) / 60
    if status:
        print(f"The book did not build ({minutes:.1f} minutes): the warnings and errors above say where.")
    else:
        print(f"Built in {minutes:.1f} minutes. Open {build / 'html' / 'index.html'}")
    return status


def site():
    """Builds the book without downloaded data, and writes it to dist/ as a zip that opens by double click."""
    data = os.environ.pop("MMHALLU_DATA", None)  # what a cell shows of it belongs to others
    known = ["--data", data] if data else []
    return build_book() or tool("write_site", ROOT / "book" / "_build" / "html", ROOT / "dist", *known)


def notebooks(*arguments):
    """Writes notebooks/ from book/chapters, or compares them when given --check."""
    return tool("write_notebooks", *arguments)


def wheel_check(*names):
    """Runs the solved notebooks, or those named, in a fresh environment that holds the built wheel."""
    return tool("wheel_check", *names)


def test(*arguments):
    """Runs the tests, as `pytest` with these arguments; -rs lists what was skipped, and why.

    Without arguments, three processes share the files, each with one thread of arithmetic: on two cores, two of them
    work while one waits for a server, a browser or a process that it started.
    The slow ones, some minutes each, run only when asked for: `python tasks.py test -m slow`.
    """
    chosen = arguments if "-m" in arguments else ("-m", "not slow", *arguments)
    shared = () if arguments else ("-n", "3", *SHARED)
    threads = {"OMP_NUM_THREADS": "1"} if "-n" in (*shared, *arguments) else {}
    return run(installed("python"), "-m", "pytest", "-rs", *shared, *chosen, TQDM_DISABLE="1", **threads)


def quick(*arguments):
    """Lints, then runs the tests that take less than half a second each and start no browser and no kernel.

    What else looks at long loops, real files and many random texts is left to `test`, and so are the checks of shapes
    and types at run time, which make the word-by-word code several times slower.
    """
    chosen = ("-m", "not slow and not long and not kernel and not gpu")
    return run(installed("ruff"), "check", ".") or test("-n", "2", *SHARED, *chosen, "--no-shape-checks", *arguments)


def lab(*arguments):
    """Opens JupyterLab on the book; a double click on a chapter opens it as a notebook."""
    setup("lab")
    # Chapters are Markdown files, which JupyterLab would open as plain text. This setting stays inside .venv.
    settings = VENV / "share" / "jupyter" / "lab" / "settings"
    settings.mkdir(parents=True, exist_ok=True)
    viewers = {"@jupyterlab/docmanager-extension:plugin": {"defaultViewers": {"markdown": "Jupytext Notebook"}}}
    (settings / "overrides.json").write_text(json.dumps(viewers), encoding="utf-8")
    return run(installed("jupyter-lab"), "book", *arguments)


def ready():
    """Says where the installation is: all that `setup` still has to do once it is there."""
    print(f"Ready: {VENV}")
    return 0


def tour(*arguments):
    """Runs `mmhallu tour`."""
    return run(installed("mmhallu"), "tour", *arguments)


def bench():
    """Runs every benchmarks/bench_*.py in a process of its own. Returns 1 when one of them failed.

    A script ends with 3 where its rounds differ too much to judge: the machine was busy, and that is no failure.
    """
    scripts = sorted((ROOT / "benchmarks").glob("bench_*.py"))
    ended = {script.name: run(installed("python"), script, TQDM_DISABLE="1") for script in scripts}
    failed = [name for name, status in ended.items() if status not in (0, 3)]
    noisy = [name for name, status in ended.items() if status == 3]
    print(f"{len(scripts) - len(failed) - len(noisy)} of {len(scripts)} benchmarks passed")
    for word, names in (("failed", failed), ("noisy, run again when the machine is quiet", noisy)):
        if names:
            print(f"{word}: {', '.join(names)}")
    return 1 if failed else 0


def environment_yml():
    """Returns environment.yml's text: conda brings Python and pip, and pip the rest, under the same constraints."""
    import tomllib  # here, not above: Pythons before 3.11 lack it, and they must get as far as require_python

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return (
        "# Written by `python tasks.py lock` from pyproject.toml. Use: conda env create -f environment.yml\n"
        f"name: {project['name']}\n"
        "channels:\n"
        "  - conda-forge\n"
        "dependencies:\n"
        f"  - python {project['requires-python']}\n"
        "  - pip\n"
        "  - pip:\n"
        "    - -c constraints.txt\n"
        "    - -e .[book,test]\n"
    )


def lock():
    """Resolves pyproject.toml's ranges afresh and writes the exact set that they give.

    It runs on the oldest Python: what has a release for that one has it for the newer ones too, not the reverse.
    """
    import tomllib

    if sys.version_info[:2] != OLDEST:
        sys.exit("`lock` must run on Python 3.11, the oldest one supported: python3.11 tasks.py lock")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = project["tool"]["mmhallu"]["lock"]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = ["-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--report", report]
        if run(sys.executable, *command, *wanted["pins"], "-e", f".[{','.join(wanted['extras'])}]"):
            return 1
        resolved = json.loads(report.read_text(encoding="utf-8"))["install"]
    pins = {item["metadata"]["name"].lower().replace("_", "-"): item["metadata"]["version"] for item in resolved}
    del pins[project["project"]["name"]]
    lines = ["# Written by `python tasks.py lock` from pyproject.toml: the exact set that `setup` installs."]
    lines += [f"{name}=={version}" for name, version in sorted(pins.items())]
    (ROOT / "constraints.txt").write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    (ROOT / "environment.yml").write_text(environment_yml(), encoding="utf-8", newline="\n")
    print(f"constraints.txt: {len(pins)} packages. Now check them on the other Pythons and run the tests.")
    return 0


def main(arguments):
    """Runs the command that the first argument names. Returns the exit status."""
    commands = {"setup": ready, "book": build_book, "test": test, "quick": quick}
    commands |= {"lab": lab, "tour": tour, "bench": bench, "lock": lock}
    commands |= {"site": site, "notebooks": notebooks, "wheel-check": wheel_check}
    name, *rest = arguments or ["--help"]
    if name in ("-h", "--help", "help"):
        print(__doc__)
        return 0
    if name not in commands:
        print(f"There is no command {name!r}.\n\n{__doc__}", file=sys.stderr)
        return 2
    if rest and name not in ("notebooks", "wheel-check", "test", "quick", "lab", "tour"):
        print(f"`{name}` takes no arguments, and got: {' '.join(rest)}", file=sys.stderr)
        return 2
    if name != "lock":  # which resolves the packages, so it must not need them
        setup()
    return commands[name](*rest)


if __name__ == "__main__":
    require_python()
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
