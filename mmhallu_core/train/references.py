"""Log-probabilities under the model before training, computed once and kept: what a preference loss compares with.

The reference never changes, so what it says of an answer is a fact about pictures, tokens and weights. It is kept under
a name made of the pictures' content and of the tokens, in safetensors files that each say which weights, which
processor and which precision they belong to. Token by token, so that every method and every mask can use it.

A folder can be filled in pieces: each file is written whole or not at all, and what is there is not computed again.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from mmhallu_core.models.vlm import Vlm
from mmhallu_core.store import json_sha256
from mmhallu_core.types import CannotRun

TELL = {"weights": "other weights", "processor": "another processor", "dtype": "another precision"}


class References:
    """A folder of log-probabilities by the key of an answer (see `preference_batch.Written`).

    Args:
        folder: where they are kept.
        about: what they belong to; see `about`.

    Raises:
        CannotRun: when a file there belongs to something else, or is damaged.
    """

    def __init__(self, folder: Path, about: Mapping[str, str]) -> None:
        self.folder, self.about = Path(folder), dict(about)
        self.known: dict[str, Tensor] = {}
        self.load()

    def load(self) -> None:
        """Reads what is there, also what other processes wrote since."""
        for path in sorted(self.folder.glob("*.safetensors")):
            try:
                with safe_open(path, "pt") as file:
                    found = json.loads((file.metadata() or {}).get("about", "{}"))
                    different = [name for name in self.about if found.get(name) != self.about[name]]
                    if different:
                        raise CannotRun(
                            f"{path} holds log-probabilities of {' and '.join(TELL[name] for name in different)}: give "
                            "another folder, or delete that one"
                        )
                    self.known |= {key: file.get_tensor(key) for key in file.keys() if key not in self.known}
            except (SafetensorError, ValueError) as error:
                raise CannotRun(f"{path} is damaged ({error}): delete it, and what it held is computed anew") from error

    def __contains__(self, key: str) -> bool:
        return key in self.known

    def __getitem__(self, key: str) -> Float[Tensor, " tokens"]:
        """The log-probability of each token of an answer.

        Raises:
            CannotRun: when it was never computed.
        """
        if key not in self.known:
            raise CannotRun(f"{self.folder} lacks an answer of this run: its data changed since it was filled")
        return self.known[key]

    def add(self, found: Mapping[str, Float[Tensor, "..."]]) -> None:
        """Keeps some more, in a file of their own, under its final name only when it is whole."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{json_sha256(sorted(found))[:32]}.safetensors"
        part = path.with_suffix(f".{os.getpid()}.part")
        values = {key: value.detach().cpu().contiguous() for key, value in found.items()}
        save_file(values, part, {"about": json.dumps(self.about)})
        part.replace(path)
        self.known |= values


def about(vlm: Vlm, base_sha256: str) -> dict[str, str]:
    """What log-probabilities of a model depend on besides pictures and tokens.

    Args:
        vlm: the model in the precision that it computes in.
        base_sha256: of its weights, see `models.weights.base_hash`.
    """
    processor = [vlm.processor.image_processor.to_json_string(), vlm.processor.tokenizer.backend_tokenizer.to_str()]
    dtype = str(vlm.model.dtype).removeprefix("torch.")
    return {"weights": base_sha256, "processor": json_sha256(processor), "dtype": dtype}


def keep(references: References, keys: list[str], leaf: Tensor, values: Float[Tensor, " tokens"]) -> None:
    """Keeps a batch: `values` dealt out to its leaves, whose numbers are in `leaf`."""
    counts = torch.bincount(leaf, minlength=len(keys)).tolist()
    references.add(dict(zip(keys, torch.split(values, counts), strict=True)))
