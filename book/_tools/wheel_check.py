"""Runs the notebooks as somebody does who has only the wheel: a fresh environment, an empty folder.

The wheel is built from this repository and installed alone into a new virtual environment. Its dependencies come from
the environment that runs this file, through a .pth file, so that no network is needed; mmhallu itself cannot come from
there, because the file names the folder of the packages and not the clone. Each solved notebook then runs in a folder
of its own that holds nothing else.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from pathlib import Path

import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).resolve().parents[2]
PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]


def build_wheel(folder: Path, root: Path = ROOT) -> Path:
    """Builds the wheel into a folder, with the build tools that are installed. Returns its path."""
    source = folder / "source"  # a copy: a build leaves a folder behind, and the next one would take old files from it
    for name in ("mmhallu_core", "results"):
        shutil.copytree(root / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE", "LICENSE-prose"):
        shutil.copy(root / name, source / name)
    build = [*PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source]
    subprocess.run([str(part) for part in build], check=True)
    return next(folder.glob("mmhallu-*.whl"))


def fresh_environment(folder: Path, wheel: Path) -> Path:
    """Makes an environment that holds the wheel and borrows every other package. Returns its Python."""
    venv.create(folder, with_pip=False)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    ask = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    packages = Path(subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.strip())
    subprocess.run([*PIP, "install", "--no-deps", "--no-index", f"--target={packages}", str(wheel)], check=True)
    # Appended to the end of the path, and read as a plain folder: .pth files inside it are not followed, and an
    # editable installation of mmhallu is such a file.
    (packages / "borrowed.pth").write_text(sysconfig.get_paths()["purelib"] + "\n", encoding="utf-8")
    return python


def package_of(python: Path, folder: Path) -> Path:
    """The folder from which a Python in a folder would import mmhallu_core."""
    ask = [python, "-c", "import mmhallu_core; print(mmhallu_core.__path__[0])"]
    done = subprocess.run(ask, cwd=folder, capture_output=True, text=True, check=True, env=plain_environment())
    return Path(done.stdout.strip())


def plain_environment() -> dict[str, str]:
    """The environment variables without those that lead to this clone or change what a notebook does."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("MMHALLU_", "PYTHON"))}


def execute(notebook: Path, python: Path, folder: Path, timeout: int = 300) -> None:
    """Executes a notebook by another environment's Python in a folder.

    Raises:
        CellExecutionError: when a cell raises.
    """
    content = nbformat.read(notebook, as_version=4)
    kernel = {"argv": [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"], "display_name": "wheel"}
    (spec := python.parent / "kernels" / "wheel").mkdir(parents=True, exist_ok=True)
    (spec / "kernel.json").write_text(json.dumps(kernel | {"language": "python"}), encoding="utf-8")
    kernels = KernelSpecManager(kernel_dirs=[str(spec.parent)])
    manager = AsyncKernelManager(kernel_name="wheel", kernel_spec_manager=kernels)
    client = NotebookClient(content, km=manager, timeout=timeout, resources={"metadata": {"path": str(folder)}})
    client.execute(env=plain_environment() | {"TQDM_DISABLE": "1"})


def main(names: list[str]) -> int:
    """Checks the notebooks of these names, or all. Returns 1 when one of them failed."""
    found = {path.stem: path for path in sorted((ROOT / "notebooks" / "solved").glob("*.ipynb"))}
    if unknown := set(names) - set(found):
        print(f"There is no notebook {', '.join(sorted(unknown))}; there are: {', '.join(found)}", file=sys.stderr)
        return 1
    failed = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        wheel = build_wheel(folder / "wheel")
        python = fresh_environment(folder / "environment", wheel)
        print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB")
        for name in names or found:
            (empty := folder / "empty" / name).mkdir(parents=True)
            assert (folder / "environment") in package_of(python, empty).parents, "the clone is in the way of the wheel"
            started = time.monotonic()
            try:
                execute(found[name], python, empty)
                print(f"{name}: ran in {time.monotonic() - started:.0f} s")
            except CellExecutionError as error:
                print(f"{name}: FAILED\n{error}")
                failed.append(name)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
