"""Put an adapter on a model, whoever trained it, and refuse one that does not fit to its last tensor.

transformers has called the layers by other names over the years, and where a name is not found, peft warns and goes on.
So names are translated (`Family.old_names`), peft is told every layer by its full name, and what it then holds is
compared with the file: a tensor that is left over or missing is an error.
"""

import re
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import peft
import torch
from peft.tuners.tuners_utils import check_target_module_exists
from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict
from peft.utils.other import get_pattern_key
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from mmhallu_core.models.adapter_folders import WEIGHTS, base_hash, read_config, read_run, weights_file
from mmhallu_core.models.families import family_of
from mmhallu_core.store import sha256
from mmhallu_core.types import CannotRun

KINDS = ("LORA", "LOHA", "LOKR")
PREFIX = "base_model.model."
BESIDE = re.compile(r"\.(?:lora|hada|lokr)_")  # where a layer's name ends and that of a tensor beside it begins
NAMED = 3  # tensors that a message names


@contextmanager
def quiet_peft() -> Iterator[None]:
    """Leaves out one warning: peft asks transformers for something by its old name."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
        yield


def put_on(model: PreTrainedModel, folder: Path, before: Collection[Path] = ()) -> PreTrainedModel:
    """Adds an adapter into a model's weights for good; the model is used up.

    In bfloat16 or float16 the sum is rounded to that type, as always when an adapter is merged.

    Args:
        model: the base model, of a known family.
        folder: the adapter's.
        before: adapters that are in the model's weights already.

    Raises:
        CannotRun: when the folder holds no adapter that can be read, or one of another kind than LoRA, LoHa and LoKr;
            when its `run.json` says that its weights were changed or trained on another model; when tensors do not
            fit, are missing or are left over.
    """
    file, kind, run = weights_file(folder), read_config(folder).get("peft_type"), read_run(folder)
    if run and run.get("sha256") != sha256(file):
        raise CannotRun(f"{file} is not the file that its run.json describes; get or train it again")
    if run and run.get("base_sha256") != base_hash(model, before):
        raise CannotRun(f"the adapter in {folder} was trained on other weights than those of this model")
    if kind not in KINDS:
        raise CannotRun(f"the adapter in {folder} is of kind {kind}; those of kind {', '.join(KINDS)} are read")
    try:
        given = {name.removeprefix(PREFIX): tensor for name, tensor in load_file(file).items()}
        config = peft.PeftConfig.from_pretrained(str(folder))
        given = _told_by_todays_names(model, config, given)
        with quiet_peft():
            tuned = peft.get_peft_model(model, config)
        _fill(tuned, given)
        return tuned.merge_and_unload()
    except CannotRun as error:
        raise CannotRun(f"the adapter in {folder} does not fit this model: {error}") from error
    except SafetensorError as error:
        raise CannotRun(f"{file} is damaged ({error}); get or train it again") from error
    except (ValueError, TypeError, RuntimeError, AttributeError, LookupError) as error:  # peft, of odd settings
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CannotRun(f"peft {peft.__version__} cannot use the adapter in {folder}: {reason}") from error


def _told_by_todays_names(
    model: PreTrainedModel, config: peft.PeftConfig, given: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Writes every layer that the settings mean by its full name into them, and renames the tensors."""
    names, modules = _names(model, given), dict(model.named_modules())
    layers = [old for old, new in names.items() if new in modules]
    beside = {BESIDE.split(name)[0] for name in given if BESIDE.search(name)}
    meant = {old for old in layers if config.target_modules and check_target_module_exists(config, old)}
    missing = [f"{old}.*" for old in meant - beside]
    kept: list[str] = []
    for wish in config.modules_to_save or ():
        found = [old for old in layers if f".{old}".endswith(f".{wish}") and _inside(given, old)]
        missing += [] if found else [f"{wish}.*"]
        kept += [names[old] for old in found]
    _require(given, missing, beside - set(layers))
    for pattern in ("rank_pattern", "alpha_pattern"):
        values = getattr(config, pattern, None) or {}
        keys = {names[old]: get_pattern_key(values, old) for old in beside}
        setattr(config, pattern, {new: values[key] for new, key in keys.items() if key in values})
    for choice in ("exclude_modules", "layers_to_transform", "layers_pattern", "task_type", "base_model_name_or_path"):
        setattr(config, choice, None)  # the full names say it all
    config.target_modules, config.modules_to_save = sorted(names[old] for old in beside), sorted(kept) or None
    config.inference_mode = True
    _untie(model, config)
    renamed = {}
    for name, tensor in given.items():
        layer = BESIDE.split(name)[0]
        held = layer.replace(".base_layer.", ".")  # peft also writes embeddings that were not trained
        renamed[PREFIX + names.get(held, layer) + name[len(layer) :]] = tensor
    return renamed


def _inside(given: Mapping[str, Tensor], layer: str) -> bool:
    """Whether there are tensors of a layer itself."""
    return any(name.startswith(f"{layer}.") and not BESIDE.search(name) for name in given)


def _names(model: PreTrainedModel, given: Mapping[str, Tensor]) -> dict[str, str]:
    """How all layers and tensors of a model were called when an adapter was written, and how they are called today.

    No file says when it was written: taken is the time of which the fewest names are strange.
    """
    today = dict.fromkeys([*dict(model.named_modules()), *model.state_dict()])
    used = {BESIDE.split(name)[0] for name in given}
    times = [{_before(name, time): name for name in today} for time in ((), *family_of(model).old_names)]
    return min(times, key=lambda names: len(used - set(names)))


def _before(name: str, time: tuple[tuple[str, str], ...]) -> str:
    """What a name of today was at an earlier time; the first beginning that fits is exchanged."""
    for new, old in time:
        if name.startswith(new):
            return old + name.removeprefix(new)
    return name


def _untie(model: PreTrainedModel, config: peft.PeftConfig) -> None:
    """Makes two matrices of one where an adapter stands beside only its reading or only its writing side."""
    ends = (model.get_input_embeddings(), model.get_output_embeddings())
    adapted = any(model.get_submodule(name) in ends for name in config.target_modules)
    if not adapted or ends[0].weight is not ends[1].weight:
        return
    if getattr(config, "ensure_weight_tying", False):
        raise CannotRun("with ensure_weight_tying on a shared matrix, peft would add the same change to it twice")
    ends[1].weight = nn.Parameter(ends[1].weight.detach().clone())
    for settings in (model.config, model.config.get_text_config()):
        settings.tie_word_embeddings = False


def _fill(tuned: peft.PeftModel, given: dict[str, Tensor]) -> None:
    """Copies the tensors into place; CannotRun when some are missing, left over or of another size."""
    places = get_peft_model_state_dict(tuned, save_embedding_layers=False)
    base = tuned.get_base_model().state_dict()
    for name in set(given) - set(places):
        layer = name.removeprefix(PREFIX).removesuffix(".weight")
        held = base.get(f"{layer}.base_layer.weight", base.get(f"{layer}.weight"))
        if held is not None and held.shape == given[name].shape and torch.equal(held.to(given[name]), given[name]):
            del given[name]  # as it is in memory already
    _require(given, set(places) - set(given), set(given) - set(places))
    sizes = [f"{name} of size {tuple(one.shape)}" for name, one in given.items() if one.shape != places[name].shape]
    _require(given, [], sizes)
    set_peft_model_state_dict(tuned, given)
    held = get_peft_model_state_dict(tuned, save_embedding_layers=False)
    _require(given, [name for name, one in given.items() if not torch.equal(held[name].to(one), one)], [])


def _require(given: Mapping[str, Tensor], missing: Collection[str], left: Collection[str]) -> None:
    """Raises when tensors are missing or left over, and names some."""
    said = []
    for names, what in ((missing, "lacks"), (left, "has no place for")):
        if names:
            some = ", ".join(sorted(names)[:NAMED]) + (", ..." if len(names) > NAMED else "")
            said.append(f"{what} {len(names)} ({some})")
    if said:
        raise CannotRun(f"of the {len(given)} tensors in {WEIGHTS}, it {' and '.join(said)}")
