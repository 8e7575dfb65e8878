"""The folder of an adapter: what is in it, and which base model it names, by a name and by a hash.

peft, TRL, LLaMA-Factory and this library write `adapter_config.json` and `adapter_model.safetensors`. The first names
the base model. This library also writes `run.json`, which knows it by its hash too.
"""

import hashlib
import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from mmhallu_core.models.loading import HUB_ID, SHIPPED
from mmhallu_core.store import PACKAGE, json_sha256, sha256
from mmhallu_core.types import CannotRun

SHIPPED_ADAPTERS = ("tour-adapter",)
CONFIG, WEIGHTS, UNSAFE = "adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"


def adapter_folder(name: str | Path) -> Path | None:
    """The folder of a shipped adapter, or `name` if it is the folder of an adapter; None for a model or nothing."""
    folder = PACKAGE / "checkpoints" / str(name) if str(name) in SHIPPED_ADAPTERS else Path(name)
    return folder if any((folder / file).is_file() for file in (CONFIG, WEIGHTS, UNSAFE)) else None


def weights_file(folder: Path) -> Path:
    """The adapter's file of weights.

    Raises:
        CannotRun: when there is none, or one in a form that can hold code.
    """
    if (folder / WEIGHTS).is_file():
        return folder / WEIGHTS
    if (folder / UNSAFE).is_file():
        raise CannotRun(
            f"{folder / UNSAFE} is not opened: a .bin file can hold code that runs when it is read. Save the adapter "
            f"again where you trust it, with peft's save_pretrained, which writes {WEIGHTS}"
        )
    raise CannotRun(f"{folder} holds no adapter: {WEIGHTS} and {CONFIG} belong in it")


def read_config(folder: Path) -> dict[str, Any]:
    """What `adapter_config.json` holds.

    Raises:
        CannotRun: when it is not there, or is no JSON object.
    """
    return _read(folder / CONFIG)


def read_run(folder: Path) -> dict[str, Any]:
    """What `run.json` holds, which this library writes; nothing for adapters from elsewhere.

    Raises:
        CannotRun: when it is there and is no JSON object.
    """
    return _read(folder / "run.json") if (folder / "run.json").is_file() else {}


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CannotRun(f"{file.parent} holds no adapter: {WEIGHTS} and {CONFIG} belong in it") from None
    except (ValueError, RecursionError) as error:
        raise CannotRun(f"{file} is damaged ({error}); get or train the adapter again") from None
    if not isinstance(found, dict):
        raise CannotRun(f"{file} is damaged (it holds no object); get or train the adapter again")
    return found


def base_name(base: str, folder: Path) -> tuple[str, str]:
    """How an adapter in `folder` names its base model: for peft, and for `run.json`.

    A shipped model or a hub id is its own name. A folder is named by its whole path, so that the adapter may move, and
    in `run.json` by its place seen from the adapter, so that both may move together.
    """
    if base in (*SHIPPED, *SHIPPED_ADAPTERS) or not Path(base).is_dir():
        return base, base
    whole = Path(base).resolve()
    try:
        return str(whole), Path(os.path.relpath(whole, folder.resolve())).as_posix()
    except ValueError:  # on another drive
        return str(whole), str(whole)


def base_of(folder: Path) -> str:
    """The base model that an adapter names: a shipped model, a folder that is here, or else a hub id.

    Raises:
        CannotRun: when it names none, or only folders that are not here.
    """
    found = (read_run(folder).get("base"), read_config(folder).get("base_model_name_or_path"))
    named = [name for name in dict.fromkeys(found) if isinstance(name, str) and name]
    for name in named:
        if name in (*SHIPPED, *SHIPPED_ADAPTERS):
            return name
        for place in (folder / name, Path(name)):
            if place.is_dir() and place.resolve() != folder.resolve():
                return os.path.normpath(place)
    for name in named:
        if HUB_ID.fullmatch(name):
            return name
    tried = f"{' and '.join(named)} is not here" if named else "its files name none"
    raise CannotRun(
        f"the adapter in {folder} needs its base model, and {tried}. Write the base model's name or folder as "
        f"base_model_name_or_path in {CONFIG}, or name it: Vlm.load(BASE, adapters=[{str(folder)!r}])"
    )


def chain(name: str | Path) -> tuple[str, list[Path]]:
    """The model behind a name, and the adapters to put on it one after the other; none where it is no adapter.

    Raises:
        CannotRun: see `base_of`; also when adapters name each other.
    """
    adapters: list[Path] = []
    while (folder := adapter_folder(name)) is not None:
        if folder.resolve() in {one.resolve() for one in adapters}:
            raise CannotRun(f"the adapters in {' and '.join(map(str, adapters))} name each other as base model")
        adapters.insert(0, folder)
        name = base_of(folder)
    return str(name), adapters


def weights_sha256(model: PreTrainedModel) -> str:
    """The hash of a model's parameters as they are in memory, adapters included, whatever file they came from."""
    digest = hashlib.sha256()
    for name, tensor in model.named_parameters():
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        if not tensor.is_meta:  # accelerate may have left it on disk
            digest.update(tensor.detach().flatten().contiguous().view(torch.uint8).cpu().numpy())
    return digest.hexdigest()


def base_hash(model: PreTrainedModel, adapters: Collection[Path] = ()) -> str:
    """The hash of the weights that an adapter is trained on.

    Args:
        model: as it was loaded. Its file of weights is hashed, or its tensors where the file is elsewhere (a hub's
            cache).
        adapters: folders of those that were added into its weights, in their order.
    """
    file = Path(model.name_or_path) / "model.safetensors"
    base = sha256(file) if file.is_file() else weights_sha256(model)
    return json_sha256([base, *(sha256(folder / WEIGHTS) for folder in adapters)]) if adapters else base
