"""A full disk, a real one: each command says which folder could not be written and what to do, and then goes on.

Each runs in a mount namespace of its own, with a small tmpfs where it writes.
"""

import json
import os
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from PIL import Image

from mmhallu_core.store import checkpoint_folder, sha256

MMHALLU = [sys.executable, "-m", "mmhallu_core.cli"]
MOUNT = "mount -t tmpfs -o size={size} tmpfs {place}"
SMALL, LARGE = "48k", "200m"


def in_namespace(script: str) -> subprocess.CompletedProcess:
    there = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return subprocess.run(["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True, env=there)


def can_mount() -> bool:
    if sys.platform != "linux":
        return False
    try:
        return in_namespace(MOUNT.format(size=SMALL, place="/tmp")).returncode == 0
    except FileNotFoundError:
        return False


pytestmark = [
    pytest.mark.skipif(not can_mount(), reason="this system lets nobody mount a small disk of their own"),
]


def on_small_disk(place: Path, words: list, size: str = SMALL, more: str = "") -> subprocess.CompletedProcess:
    """A command with a small disk at a place. `more` comes after it, in the same namespace."""
    command = shlex.join(list(map(str, [*MMHALLU, *words])))
    return in_namespace(
        f"{MOUNT.format(size=size, place=shlex.quote(str(place)))} && {command}; code=$?; {more} exit $code"
    )


@pytest.fixture
def disk(tmp_path):
    place = tmp_path / "disk"
    place.mkdir()
    return place


@pytest.fixture
def records(tmp_path):
    """Edit samples and talks whose pictures do not fit on the small disk."""
    for name in "ab":
        Image.effect_noise((400, 400), 90).save(tmp_path / f"{name}.png")
    fields = dict.fromkeys(
        ("edit_instruction", "caption", "edited_caption", "difference", "question", "answer"), "A cup."
    )
    fields["edited_caption"] = "No cup."
    sample = {"id": "one", "image": "a.png", "edited_image": "b.png", "category": "Object", **fields}
    (tmp_path / "edits.jsonl").write_text(json.dumps(sample), encoding="utf-8")
    return tmp_path / "edits.jsonl"


def check(done: subprocess.CompletedProcess, place: Path) -> None:
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    [said] = [line for line in done.stderr.splitlines() if line.startswith("mmhallu: ")]
    assert f"the disk of {place}" in said and "is full" in said and "run the same command again" in said
    assert json.loads(done.stdout) == {"error": said.removeprefix("mmhallu: ")}


EXPORT = ["data", "export", "RECORDS", "--as"]
TRAIN = ["train", "sft", "--model", "TINY", "--data", "RECORDS", "--steps", "1", "--batch", "1", "--accumulation", "1"]
COMMANDS = {
    "pictures": ["world", "sample", "--n", "40"],
    "parquet": [*EXPORT, "datasets"],
    "lines": [*EXPORT, "llamafactory"],
    "chunks": ["med", "build", "--n", "64", "--workers", "0"],
    "workers": ["med", "build", "--n", "64", "--workers", "1"],
    "bench": ["med", "bench", "--per-category", "20"],
    "weights": TRAIN,
    "journal": ["eval", "pope-diorama", "--model", "TINY"],
}
QUICK = ("pictures", "parquet")


@pytest.mark.parametrize(
    "what", [pytest.param(what, marks=pytest.mark.long if what in QUICK else pytest.mark.slow) for what in COMMANDS]
)
def test_every_command_names_its_folder(disk, records, what):
    named = {"RECORDS": records, "TINY": checkpoint_folder("tiny-llava")}
    words = [named.get(word, word) for word in COMMANDS[what]]
    check(on_small_disk(disk, [*words, "--out", disk / "out", "--json"]), disk / "out")


@pytest.mark.slow
def test_a_run_goes_on_when_there_is_room(disk, tmp_path):
    """The same files as without any trouble."""
    words = ["med", "build", "--n", "96", "--workers", "0", "--out", disk / "out"]
    again = shlex.join(list(map(str, [*MMHALLU, *words])))
    kept = f"mount -o remount,size={LARGE} {disk} && {again} && cp -r {disk / 'out'} {tmp_path / 'kept'};"
    done = on_small_disk(disk, words, "300k", kept)
    assert done.returncode == 2 and "is full" in done.stderr
    whole = tmp_path / "whole"
    subprocess.run([*MMHALLU, "med", "build", "--n", "96", "--workers", "0", "--out", str(whole)], check=True)
    for name in ("samples.jsonl", "rejected.jsonl", "manifest.json"):
        assert sha256(tmp_path / "kept" / name) == sha256(whole / name)


@pytest.mark.long
def test_the_disk_of_another_folder_is_named(disk, tmp_path, monkeypatch):
    """What is full is the cache, not the folder that the command writes its result to."""
    monkeypatch.setenv("MMHALLU_CACHE", str(disk))
    script = """
        from pathlib import Path
        from mmhallu_core.cli.errors import _sentence
        print(_sentence(OSError(28, "No space left on device"), {"out": Path("x")}))
    """
    done = in_namespace(
        f"{MOUNT.format(size=SMALL, place=disk)} && {shlex.join([sys.executable, '-c', textwrap.dedent(script)])}"
    )
    assert done.stdout == f"the disk of {disk} is full. Make room and run the same command again\n"


@pytest.mark.long
def test_a_result_that_goes_to_a_full_disk(tmp_path):
    for more in ([], ["--json"]):
        command = shlex.join([*MMHALLU, "data", "list", *more])
        done = subprocess.run(["sh", "-c", f"{command} > /dev/full"], capture_output=True, text=True)
        assert done.returncode == 2 and done.stderr.startswith(
            "mmhallu: the disk of standard output is full. Make room"
        )
        assert done.stderr.count("\n") == 1
