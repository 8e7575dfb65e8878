"""What this machine can run: every part that the book stands on, whether it is there, and what to do if not.

Nothing is changed, downloaded or connected to. A line is `ok`, `missing` (needed; the doctor's exit code is then 1),
or `optional` (something works without it, and the line says what).
"""

import importlib
import os
import platform
import shutil
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from mmhallu_core.config import device, profile
from mmhallu_core.data.sources import sources
from mmhallu_core.store import PACKAGE, cache_folder, data_folder, sha256
from mmhallu_core.types import CannotRun

PYTHONS = ((3, 11), (3, 13))
NEEDS_MEMORY_GB, NEEDS_DISK_GB = 4, 2  # profile tiny, with room to spare: the tour itself takes under 2 GiB
NAMED = ("torch", "torchvision", "transformers", "peft", "open_clip_torch")  # the packages that get their own line
# Each shipped model: its file of weights, and what makes it again.
CHECKPOINTS = {
    "tiny-llava": ("model.safetensors", "mmhallu pretrain tiny-llava"),
    "tiny-llava-control": ("model.safetensors", "mmhallu pretrain tiny-llava --control"),
    "tiny-llava-seed1": ("model.safetensors", "mmhallu pretrain tiny-llava --seed 1"),
    "tiny-llava-seed2": ("model.safetensors", "mmhallu pretrain tiny-llava --seed 2"),
    "tiny-clip": ("open_clip_model.safetensors", "mmhallu pretrain tiny-clip"),
    "tour-adapter": ("adapter_model.safetensors", "python -m maintenance.tour --train-adapter"),
}
IMPORTED = ("torch", "torchvision")  # built for each other, or the second one fails when it is first used
PAIR = "torch and torchvision must be of builds that belong together."
INSTALL = "Install the pinned packages again: make setup, or python tasks.py setup."
Line = dict[str, str]


def line(what: str, good: bool, found: str, do: str = "", needed: bool = True) -> Line:
    """One finding; `do` is said only when it is not good."""
    state = "ok" if good else "missing" if needed else "optional"
    return {"what": what, "state": state, "found": found, "do": "" if good else do}


def examine() -> dict[str, Any]:
    """Looks at everything.

    Returns:
        `ok` (nothing needed is missing), `profile`, `device`, `lines` (each `what, state, found, do`), `summary`.
    """
    packages = check_packages()
    lines = [check_python(), *packages]
    where = ""
    if all(entry["state"] == "ok" for entry in packages):
        where, hardware = check_devices()
        lines += [*hardware, check_memory()]
    lines += [*check_folders(), *check_data(), *check_checkpoints(), check_network()]
    missing = [entry["what"] for entry in lines if entry["state"] == "missing"]
    name = profile_name()
    good = f"Everything that profile {name} needs is here."
    summary = f"Missing for profile {name}: {', '.join(missing)}." if missing else good
    return {"ok": not missing, "profile": name, "device": where, "lines": lines, "summary": summary}


def profile_name() -> str:
    """What MMHALLU_PROFILE asks for, whether or not there is such a profile."""
    return os.environ.get("MMHALLU_PROFILE") or "tiny"


def check_python() -> Line:
    """The interpreter's version."""
    oldest, newest = PYTHONS
    here = f"{platform.python_version()}, {platform.system()} {platform.machine()}, {sys.executable}"
    return line("Python", oldest <= sys.version_info[:2] <= newest, here, "Use Python 3.11, 3.12 or 3.13.")


def check_packages() -> list[Line]:
    """Each package that mmhallu needs, against the versions that it works with; some are imported too."""
    try:
        wanted = [Requirement(text) for text in metadata.requires("mmhallu") or [] if "extra ==" not in text]
    except metadata.PackageNotFoundError:
        return [line("mmhallu", False, "not installed, only lying on the path", INSTALL)]
    lines, others, bad = [], 0, []
    for one in wanted:
        name, bounds = one.name, {part.operator: part.version for part in one.specifier}
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            found = None
        good = found is not None and one.specifier.contains(found, prereleases=True)
        needs = f"at least {bounds['>=']}" + (f" and below {bounds['<']}" if "<" in bounds else "")
        if name in NAMED:
            lines.append(line(name, good, found or "not installed", f"{needs.capitalize()} is needed. {INSTALL}"))
        else:
            others += 1
            bad += [] if good else [f"{name} {found or 'not installed'} (needs {needs})"]
        if good and name in IMPORTED and (fault := import_fault(name)):
            lines[-1] = line(name, False, f"{found}, which cannot be imported ({fault})", f"{PAIR} {INSTALL}")
    found = ", ".join(bad) or f"all {others} there"
    return [*lines, line("other packages", not bad, found, INSTALL)]


def import_fault(name: str) -> str:
    """What goes wrong when a package is imported; nothing when all is well."""
    try:
        importlib.import_module(name)
    except (ImportError, OSError, RuntimeError, AttributeError) as error:  # a build for another torch, CUDA, processor
        return (str(error).splitlines() or [type(error).__name__])[0]
    return ""


def check_devices() -> tuple[str, list[Line]]:
    """The device that will be used, and lines about processor, GPU and profile."""
    import torch

    threads = line("processor", True, f"{os.cpu_count()} cores, torch uses {torch.get_num_threads()} threads")
    gpus = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    found = ", ".join(f"{gpu.name} with {gpu.total_memory / 2**30:.0f} GiB" for gpu in gpus)
    if torch.backends.mps.is_available():
        found = ", ".join(filter(None, (found, "Apple mps (used with MMHALLU_DEVICE=mps)")))
    try:
        chosen = profile()
        where = device()
    except CannotRun as error:  # MMHALLU_PROFILE or MMHALLU_DEVICE asks for what there is not
        return "", [threads, line("GPU", True, found or "none"), line("profile", False, profile_name(), str(error))]
    suits = chosen.name == "tiny" or where != "cpu"
    gpu = line("GPU", suits, found or "none; profile tiny needs none", chosen.needs)
    words = f"{chosen.name}: {chosen.model} in {chosen.dtype} on {where}"
    return where, [threads, gpu, line("profile", True, words)]


def check_memory() -> Line:
    """Main memory."""
    import psutil  # here, not above: this file must be able to say that a package is missing

    size = psutil.virtual_memory().total / 2**30
    advice = f"{NEEDS_MEMORY_GB} GiB are enough for profile tiny; with less, close other programs."
    return line("memory", size >= NEEDS_MEMORY_GB, f"{size:.0f} GiB", advice)


def check_folders() -> list[Line]:
    """The cache: can it be written, and is there room?"""
    folder = cache_folder()
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    writable = there.is_dir() and os.access(there, os.W_OK)
    free = shutil.disk_usage(there).free / 1e9
    advice = "Set MMHALLU_CACHE to a folder that can be written."
    room = f"Make room, or set MMHALLU_CACHE to a folder on another disk ({NEEDS_DISK_GB} GB are needed)."
    return [
        line("cache folder", writable, str(folder), advice),
        line("disk", free >= NEEDS_DISK_GB, f"{free:.1f} GB free for the cache", room),
    ]


def check_data() -> list[Line]:
    """Which public data sets are here. Each is optional."""
    lines = [line("data folder", True, str(data_folder()))]
    for name, source in sources().items():
        here = sum((source.folder / entry.path).is_file() for entry in source.files)
        found = "here" if here == len(source.files) else f"{here} of {len(source.files)} files here"
        do = f"Chapters show recorded numbers instead. mmhallu data get {name} fetches {source.bytes / 1e6:.1f} MB."
        lines.append(line(f"data {name}", here == len(source.files), found, do, needed=False))
    return lines


def check_checkpoints() -> list[Line]:
    """The shipped models, each against the SHA-256 in its card or record."""
    return [check_checkpoint(PACKAGE / "checkpoints" / name, *entry) for name, entry in CHECKPOINTS.items()]


def check_checkpoint(folder: Path, weights: str, command: str) -> Line:
    """One shipped model."""
    file = folder / weights
    records = [path for path in (folder / "README.md", folder / "run.json") if path.is_file()]
    do = f"Get the package again, or rebuild it: {command}"
    if not file.is_file() or not records:
        return line(f"model {folder.name}", False, f"not in {folder}", do)
    real, size = sha256(file), file.stat().st_size / 1e6
    good = any(real in path.read_text(encoding="utf-8") for path in records)
    found = f"{size:.1f} MB, SHA-256 {real[:12]}... " + ("as recorded" if good else "is not the recorded one")
    return line(f"model {folder.name}", good, found, do)


def check_network() -> Line:
    """Whether downloads are forbidden. Nothing is connected to: profile tiny never needs a network."""
    switches = ("MMHALLU_OFFLINE", "HF_HUB_OFFLINE")
    set_ = [name for name in switches if os.environ.get(name, "0") not in ("", "0")]
    allowed = "allowed, for `mmhallu data get` and for the models of other profiles"
    found = f"off: {' and '.join(set_)} set" if set_ else allowed
    return line("network", True, found)
