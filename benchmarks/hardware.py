"""How much memory and processor time profile `tiny` needs, on this machine: the hardware table of the README.

    python benchmarks/hardware.py             measures commands and chapters, one after another
    python benchmarks/hardware.py --write     the same, into results/hardware/tiny.json and README.md

Processor seconds are those of all cores together, so another busy program changes them little. The memory is that
of the largest process. Chapters run as in the book, in a kernel of their own, without downloaded data. It needs Linux
or macOS, and is not part of `make bench`: it compares nothing.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RECORD = ROOT / "results" / "hardware" / "tiny.json"
BEGIN, END = "<!-- hardware: python benchmarks/hardware.py --write -->", "<!-- end of hardware -->"
CELL = re.compile(r"^```\{code-cell\}[^\n]*\n(.*?)^```$", re.M | re.S)
PACKAGES = ("mmhallu", "torch", "transformers", "numpy")


def measure(command: list[str]) -> dict[str, float]:
    """Runs a command to its end: its processor seconds, and the memory of its largest process in GiB."""
    environment = {name: value for name, value in os.environ.items() if name not in ("MMHALLU_DATA", "LIVE")}
    environment |= {"TQDM_DISABLE": "1", "MMHALLU_PROFILE": "tiny", "HF_HUB_OFFLINE": "1"}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)} stopped with {process.returncode}; nothing was recorded")
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB on Linux
    return {
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "peak_gib": round(used.ru_maxrss * unit / 2**30, 2),
    }


def execute(chapter: Path) -> None:
    """Executes the cells of one chapter in a kernel, as the book does."""
    import nbformat
    from nbclient import NotebookClient

    codes = [re.sub(r"\A(?::.*\n)+", "", code) for code in CELL.findall(chapter.read_text(encoding="utf-8"))]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in codes])
    NotebookClient(notebook, timeout=1800, kernel_name="python3").execute()


def rows(scratch: Path) -> list[dict]:
    """Every measurement, with what was run."""
    program = [sys.executable, "-m", "mmhallu_core.cli"]
    measure([*program, "world", "edit", "--category", "Counting", "--out", str(scratch)])  # pictures to ask about
    ask = ["ask", str(scratch / "before.png"), "Describe the image."]
    jobs = {
        "`mmhallu doctor`": [*program, "doctor"],
        "`mmhallu ask`, one picture": [*program, *ask],
    }
    for chapter in sorted((ROOT / "book" / "chapters").glob("*.md")):
        title = re.search(r"^# (.+)$", chapter.read_text(encoding="utf-8"), re.M).group(1)
        jobs[f"chapter *{title}*"] = [sys.executable, __file__, "--chapter", str(chapter)]
    found = []
    for what, command in jobs.items():
        found.append({"what": what, **measure(command)})
        print(f"{found[-1]['cpu_seconds']:7.1f} s  {found[-1]['peak_gib']:5.2f} GiB  {what}", flush=True)
    return found


def processor() -> str:
    """The processor's own name, where the system tells it."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*: (.+)$", info.read_text(encoding="utf-8"), re.M) if info.is_file() else None
    return found.group(1) if found else platform.processor() or platform.machine()


def table(found: list[dict]) -> str:
    """The measurements as the README shows them."""
    lines = ["| profile `tiny` | processor time | memory |", "|---|---|---|"]
    lines += [f"| {row['what']} | {row['cpu_seconds']:.0f} s | {row['peak_gib']:.1f} GiB |" for row in found]
    return "\n".join(lines)


def write(found: list[dict]) -> None:
    """Records the measurements and puts the table into the README."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    record = {
        "what": "memory and processor time of profile tiny",
        "command": "python benchmarks/hardware.py --write",
        "machine": {"processor": processor(), "cores": os.cpu_count(), "system": platform.system()},
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "commit": commit.stdout.strip(),
        "rows": found,
    }
    RECORD.parent.mkdir(parents=True, exist_ok=True)
    RECORD.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8", newline="\n")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    before, rest = readme.split(BEGIN)
    text = f"{before}{BEGIN}\n{table(found)}\n{END}{rest.split(END)[1]}"
    (ROOT / "README.md").write_text(text, encoding="utf-8", newline="\n")


def main() -> None:
    """Measures, and writes when asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="record the result")
    parser.add_argument("--chapter", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.chapter:
        execute(options.chapter)
        return
    with tempfile.TemporaryDirectory() as scratch:
        found = rows(Path(scratch))
    if options.write:
        write(found)


if __name__ == "__main__":
    main()
