"""Profiles: one word decides which model, and on which machine, every chapter runs.

| profile | model | machine |
|---|---|---|
| `tiny` | tiny-llava, shipped with this package | two CPU cores, no network |
| `small` | SmolVLM, about two billion parameters, from the model hub | one 16 GB GPU |
| `full` | LLaVA-1.5-7B, a model that the papers use, from the model hub | one GPU of 24 GB or more |

The word is the environment variable `MMHALLU_PROFILE`. A chapter calls `profile()` once and hands
the result on; it never asks which profile it got. So the same cells run on a laptop and on GPUs.

    >>> profile("tiny").model
    'tiny-llava'
"""

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Profile:
    """What a chapter needs to know about the run it is part of.

    Attributes:
        name: `tiny`, `small` or `full`.
        model: A shipped checkpoint's name, or a hub id such as `llava-hf/llava-1.5-7b-hf`.
        dtype: The weights' type, as torch names it. Free notebook GPUs lack native bfloat16, so `small` uses float16.
        batch_size: Images per forward pass that fit the profile's machine.
        needs: What this profile needs and `tiny` does not, as one plain sentence; empty for `tiny`.
    """

    name: str
    model: str
    dtype: str
    batch_size: int
    needs: str


PROFILES = {
    "tiny": Profile("tiny", "tiny-llava", "float32", 64, ""),
    "small": Profile(
        "small", "HuggingFaceTB/SmolVLM-Instruct", "float16", 8, "It needs a GPU with 16 GB and the model hub."
    ),
    "full": Profile(
        "full", "llava-hf/llava-1.5-7b-hf", "bfloat16", 8, "It needs a GPU with at least 24 GB and the model hub."
    ),
}


def profile(name: str | None = None) -> Profile:
    """Returns the profile called `name`, or the one that `MMHALLU_PROFILE` names, or `tiny`.

    Raises:
        CannotRun: There is no profile of that name.
    """
    wanted = name or os.environ.get("MMHALLU_PROFILE") or "tiny"
    if wanted not in PROFILES:
        asked = "give --profile one of" if name else "set MMHALLU_PROFILE to one of"
        from mmhallu_core.types import CannotRun  # here, not above: everything imports this file

        raise CannotRun(f"there is no profile {wanted!r}; {asked}: {', '.join(PROFILES)}")
    return PROFILES[wanted]


def device(name: str | None = None) -> str:
    """Returns the torch device to compute on: `cuda` where there is one, else `cpu`.

    `name`, or the environment variable `MMHALLU_DEVICE`, chooses another: `cpu`, `cuda`, `cuda:1` or `mps`.
    Apple's `mps` is used on request only: some operations differ there, and results were recorded on the other two.

    Raises:
        CannotRun: The device is unknown, or this machine lacks it.
    """
    import torch  # here, not above: this module must stay cheap to import

    from mmhallu_core.types import CannotRun

    wanted = name or os.environ.get("MMHALLU_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = wanted.partition(":")
    present = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if kind not in present or not (index or "0").isdigit():
        raise CannotRun(f"there is no device {wanted!r}; set MMHALLU_DEVICE to cpu, cuda, cuda:1 or mps")
    if int(index or 0) >= present[kind]:
        raise CannotRun(f"this machine has no device {wanted!r}; unset MMHALLU_DEVICE, or set it to cpu")
    return wanted


def live() -> bool:
    """Whether to run again what a chapter otherwise loads: its one named, recorded run. Set `LIVE=1` to ask for it."""
    return os.environ.get("LIVE", "0") not in ("", "0")
