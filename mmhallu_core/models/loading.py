"""Find a model, load it, and refuse to go on with one that is not whole.

A model is a checkpoint shipped with this package, a folder, or an id on the model hub, looked up in this machine's
cache and then on the hub, unless `MMHALLU_OFFLINE` (or `HF_HUB_OFFLINE`) is set. Weights that are missing from a file
are an error here; `from_pretrained` draws them at random.
"""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForImageTextToText, AutoProcessor, PreTrainedModel, ProcessorMixin
from transformers.utils import logging

from mmhallu_core import config
from mmhallu_core.store import checkpoint_folder, is_offline
from mmhallu_core.types import CannotRun

SHIPPED = ("tiny-llava", "tiny-llava-control", "tiny-llava-seed1", "tiny-llava-seed2")
SAFE = {"trust_remote_code": False}  # None would ask on the terminal, and run a model folder's code on "yes"
SMALL = 50_000_000  # bytes of weights that load before anybody looks
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def pick_device(name: str | None = None) -> torch.device:
    """The device to run on: `name`, else what MMHALLU_DEVICE says, else CUDA when there is one, else the CPU.

    Raises:
        CannotRun: when there is no such device.
    """
    return torch.device(config.device(name))


def load_parts(
    name: str | Path,
    device: str | None = None,
    dtype: str | torch.dtype | None = None,
    device_map: str | dict[str, Any] | None = None,
    attention: str | None = None,
) -> tuple[PreTrainedModel, ProcessorMixin]:
    """Loads a model and its processor; `Vlm.load` says what the arguments mean.

    Raises:
        CannotRun: when there is no such model or device, or its files are damaged, incomplete, of another kind, or of
            a kind that can hold code.
    """
    source, local = _source(name)
    place = None if device_map is not None else pick_device(device)
    options = {"local_files_only": local or is_offline(), **SAFE}
    weights = {"dtype": dtype, "device_map": device_map, "attn_implementation": attention}
    weights = {key: value for key, value in weights.items() if value is not None} | {"use_safetensors": True}
    try:
        processor = AutoProcessor.from_pretrained(source, **options)
    except Exception as error:  # the tokenizers library raises bare Exceptions on damaged files
        raise CannotRun(_advice(name, source, local, "processor", error)) from error
    try:
        with _bar(source):
            model, found = AutoModelForImageTextToText.from_pretrained(
                source, **options, **weights, output_loading_info=True
            )
    except Exception as error:  # wrong types in a config.json fail in any way
        raise CannotRun(_advice(name, source, local, "model", error)) from error
    if getattr(model, "peft_config", None):  # put on by transformers, which does not say what it left out
        raise CannotRun(
            f"{name} on the hub is an adapter: download it (`hf download {name} --local-dir FOLDER`) and name its "
            "folder, so that it is checked"
        )
    if found["missing_keys"]:
        some = ", ".join(sorted(found["missing_keys"])[:3])
        raise CannotRun(
            f"{name} lacks {len(found['missing_keys'])} weights that its config.json calls for, such as {some}; "
            "get its files again, or load the folder that training saved last"
        )
    if not isinstance(processor, ProcessorMixin):  # a lone tokenizer
        raise CannotRun(f"{name} has a tokenizer and nothing for pictures; its processor's files are missing")
    if processor.chat_template is None:  # older folders keep it with the tokenizer
        processor.chat_template = processor.tokenizer.chat_template
    if processor.chat_template is None:
        raise CannotRun(
            f"{name} has no chat template, so a question cannot be put to it in the form that it learned: take the "
            "model's instruction-tuned version, or put its chat_template.jinja beside its config.json"
        )
    if processor.tokenizer.pad_token is None:
        processor.tokenizer.pad_token = processor.tokenizer.eos_token
    return (model if place is None else model.to(place)).eval(), processor


@contextmanager
def quiet_progress() -> Iterator[None]:
    """No progress bars of transformers: a small model is there, or written, at once. A large one keeps its bar."""
    enabled = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if enabled:
            logging.enable_progress_bar()


def _bar(source: Path | str) -> AbstractContextManager[None]:
    """A bar for what takes time to read: everything but a folder with a small file of weights."""
    weights = Path(source) / "model.safetensors"
    return quiet_progress() if weights.is_file() and weights.stat().st_size < SMALL else nullcontext()


def _source(name: str | Path) -> tuple[Path | str, bool]:
    """What to hand to `from_pretrained`, and whether it is a folder of this machine."""
    if str(name) in SHIPPED:
        return checkpoint_folder(str(name)), True
    if (Path(name) / "config.json").is_file():
        return Path(name), True
    if HUB_ID.fullmatch(str(name)) and not Path(name).exists():
        return str(name), False
    raise CannotRun(
        f"{name} is neither a shipped model ({', '.join(SHIPPED)}) nor a folder with a config.json, "
        "and a model on the hub is named owner/name"
    )


def _advice(name: str | Path, source: Path | str, local: bool, part: str, error: Exception) -> str:
    """One message for everything that can go wrong with files: what, why, and what to do."""
    reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no more is known'}"
    if "custom code" in str(error):  # transformers' words for `auto_map` in one of the model's JSON files
        return (
            f"{name} brings Python code of its own (auto_map in its JSON files), which is never run here: it could do "
            "anything on this machine. Take a model that transformers knows by itself"
        )
    if local and any(Path(source).glob("*.bin")) and not any(Path(source).glob("*.safetensors")):
        return (
            f"{source} holds its weights in a .bin file, which is not opened: it can hold code that runs when it is "
            "read. Save the model again where you trust it, with save_pretrained, which writes safetensors"
        )
    if local:
        return f"{source} does not load as an image-text-to-text {part} ({reason}); get or save its files again"
    if is_offline():
        return (
            f"{name} is no folder here, and as a hub id it is not whole in this machine's cache ({reason}); "
            "MMHALLU_OFFLINE is set, so it was not fetched: unset it, or name a folder"
        )
    return (
        f"{name} is no folder here, and could not be had from the model hub ({reason}); check the name, the "
        "connection, and whether the model asks you to accept its licence (an adapter is downloaded first, and its "
        "folder named)"
    )
