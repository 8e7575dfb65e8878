"""What holds for every test: no network, fixed seeds, few threads, and GPU tests only where there is a GPU."""

import collections
import gc
import os
import random
import re
import socket
from pathlib import Path

import hypothesis
import jaxtyping
import numpy as np
import pytest

os.environ["HF_HUB_OFFLINE"] = "1"  # before transformers is imported: it reads this once
os.environ["TQDM_DISABLE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

# The same examples each time, and no time limit for one: a busy machine must not fail a test.
hypothesis.settings.register_profile("mmhallu", deadline=None, derandomize=True)
hypothesis.settings.load_profile("mmhallu")

gc.disable()  # until all is collected: most of what an import makes stays, and is looked through again and again

LIBRARY = Path(__file__).parent.parent / "mmhallu_core"


def pytest_addoption(parser):
    """`--no-shape-checks`, for the quick run."""
    parser.addoption("--no-shape-checks", action="store_true", help="do not check shapes and types at run time")


def pytest_configure(config):
    """Checks every call of the modules that say shapes in their signatures.

    The others write and read sentences, word by word; checking each of those calls too takes ten times as long.
    """
    if not config.getoption("--no-shape-checks"):
        files = [file for file in LIBRARY.rglob("*.py") if "from jaxtyping import" in file.read_text(encoding="utf-8")]
        names = [".".join(file.relative_to(LIBRARY.parent).with_suffix("").parts) for file in files]
        jaxtyping.install_import_hook([name.removesuffix(".__init__") for name in names], "beartype.beartype")


def pytest_ignore_collect(collection_path, config):
    """Leaves a file unread when each of its tests has a mark that is not asked for: its imports may take seconds."""
    unwanted = "|".join(re.findall(r"not (\w+)", config.option.markexpr))
    if collection_path.suffix == ".py" and re.fullmatch(r"not \w+( and not \w+)*", config.option.markexpr):
        marked = rf"^pytestmark = \[?\s*pytest\.mark\.({unwanted})\b"
        return bool(re.search(marked, collection_path.read_text(encoding="utf-8"), re.M)) or None
    return None


def pytest_collection_finish():
    """Takes the modules out of what is looked through for garbage from here on."""
    gc.freeze()
    gc.enable()


def pytest_unconfigure():
    """Gives everything back: some extensions warn of what is still there when Python ends."""
    gc.unfreeze()


@pytest.fixture(autouse=True)
def seeded():
    """Starts every test from the same random state, so that a failure happens again."""
    random.seed(0)
    np.random.seed(0)
    import torch

    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Refuses connections that leave this machine; loopback stays open, for tests with a server of their own."""
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def is_local(sock, address):
        if sock.family not in (socket.AF_INET, socket.AF_INET6):
            return True
        return address[0] in ("localhost", "::1") or address[0].startswith("127.")

    def guarded(original):
        def call(sock, address):
            if not is_local(sock, address):
                raise OSError(f"a test tried to reach {address}: tests run without a network")
            return original(sock, address)

        return call

    monkeypatch.setattr(socket.socket, "connect", guarded(connect))
    monkeypatch.setattr(socket.socket, "connect_ex", guarded(connect_ex))


# About how many seconds a test takes: enough to tell a file that takes a minute from one that takes a moment.
SECONDS = {"kernel": 2.0, "long": 0.7, "gpu": 0.0}


def guessed_seconds(item):
    """What a test's marks say of its time: `long(20)` says it in seconds. Those for a GPU are mostly skipped."""
    marks = [mark for mark in item.iter_markers() if mark.name in SECONDS]  # the nearest comes first
    said = [mark.args[0] for mark in marks if mark.args]
    return said[0] if said else min((SECONDS[mark.name] for mark in marks), default=0.05)


@pytest.hookimpl(trylast=True)  # when what is not to run is out
def pytest_collection_modifyitems(items):
    """Puts the files that take longest first: processes that share the files then end together.

    Tests marked `gpu` are skipped on a machine without CUDA, and say so.
    """
    weight = collections.Counter()
    for item in items:
        weight[item.path] += guessed_seconds(item)
    items.sort(key=lambda item: (-weight[item.path], item.path))  # a file's own tests keep their order

    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
