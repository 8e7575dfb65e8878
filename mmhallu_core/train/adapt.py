"""Which parts of a model learn, and how: each of its three parts frozen, adapted with LoRA, or trained in full.

LoRA (Hu et al., arXiv 2106.09685) leaves every weight W as it is and learns a small addition B A beside it, with few
columns in B and few rows in A. The result, an *adapter*, is a small file that can be put on the model or left off. B
starts at zero, so an untrained adapter changes nothing, and A first moves in the second step.

    tuned = adapt(vlm, Adapt(vision_tower="lora", connector="frozen", decoder="lora", rank=8))

Where the parts are and which of their layers are matrices, `models/families.py` says. A plan that uses LoRA gives a
peft model: `save_pretrained` writes the adapter with the parts trained in full (kept twice in memory, since an adapter
can be switched off), and `peft.PeftModel.from_pretrained` puts both back. Without LoRA it is the model itself.
"""

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Literal

import peft
from torch import nn
from transformers import PreTrainedModel

from mmhallu_core.models.adapters import quiet_peft
from mmhallu_core.models.families import Family, family_of, plain
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.types import CannotRun

How = Literal["frozen", "lora", "full"]
Kind = Literal["lora", "loha"]
PARTS = ("vision_tower", "connector", "decoder")
CONTAINERS = (nn.ModuleList, nn.ModuleDict, nn.ParameterList, nn.ParameterDict)  # peft can hold none of them whole


@dataclass(frozen=True)
class Adapt:
    """A plan. The default is MED's (arXiv 2506.07227, tables 5 and 6): all but the connector, rank 8, alpha 16.

    Attributes:
        vision_tower, connector, decoder: what happens to the part. "lora" puts a pair B A beside every matrix of its
            layers (of the connector: every linear layer); "full" trains all of it, embeddings and norms too. The
            decoder includes the output layer.
        rank: rows of A and columns of B.
        alpha: B A is multiplied by alpha / rank.
        dropout: share of A's inputs set to zero in training.
        kind: what stands beside a matrix where the part says "lora". "loha" (Hyeon-Woo et al., arXiv 2108.06098) takes
            the product, number by number, of two pairs B A of half the rank each: as many numbers learn, and what they
            add can have a rank of up to (rank / 2) squared.
    """

    vision_tower: How = "lora"
    connector: How = "frozen"
    decoder: How = "lora"
    rank: int = 8
    alpha: int = 16
    dropout: float = 0.0
    kind: Kind = "lora"


@dataclass(frozen=True)
class Trainable:
    """What a model would change in training, by part.

    Attributes:
        names: the trainable tensors.
        numbers: how many numbers are in them.
        sizes: how many numbers the part has without any adapter.
    """

    names: dict[str, tuple[str, ...]]
    numbers: dict[str, int]
    sizes: dict[str, int]

    def table(self) -> str:
        """The same, to read."""
        lines = ["part          tensors    trainable           of"]
        for part in PARTS:
            share = f"{100 * self.numbers[part] / max(1, self.sizes[part]):7.2f} %"
            lines.append(f"{part:12} {len(self.names[part]):8} {self.numbers[part]:12,} {self.sizes[part]:12,} {share}")
        return "\n".join(lines)


def adapt(
    model: Vlm | PreTrainedModel | peft.PeftModel, plan: Adapt, tell: Callable[[str], None] | None = print
) -> PreTrainedModel | peft.PeftModel:
    """Freezes, adapts and frees the parts of a model as planned. The model is modified in place.

    Args:
        model: of any family, without an adapter.
        plan: what happens to each part.
        tell: gets the table of what will be trained; None for silence.

    Returns:
        A peft model when the plan uses LoRA, else the model.

    Raises:
        CannotRun: when nothing would be trained; when the model has an adapter already; when the plan trains the
            decoder in full beside LoRA and its input and output embeddings are one matrix, which peft would tear apart.
        RuntimeError: when the trainable tensors are not exactly those of the plan.
    """
    model = model.model if isinstance(model, Vlm) else model
    if isinstance(model, peft.PeftModel):
        raise CannotRun("the model has an adapter already: merge it first, or load the model again")
    family, how = family_of(model), {part: getattr(plan, part) for part in PARTS}
    full = {name for part in PARTS if how[part] == "full" for name in _parameters(model, family)[part]}
    full -= set(_inside(model, family.unread(model)))
    matrices = sorted(name for part in PARTS if how[part] == "lora" for name in _matrices(model, family)[part])
    if plan.kind == "loha" and (plan.rank % 2 or plan.alpha % 2 or plan.dropout):
        raise CannotRun("a loha adapter halves rank and alpha, which must be even, and knows no dropout of inputs")
    if not full and not matrices:
        raise CannotRun('nothing would be trained: set a part of the plan to "lora" or "full"')
    if not matrices:
        tuned, expected, left = model, full, []
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name in full)
    else:
        if how["decoder"] == "full" and _tied(model):
            raise CannotRun(
                "this model reads and writes words with one matrix, and peft would make two of it: train the decoder "
                'with "lora", or no part with "lora"'
            )
        modules, left = _cover(model, "", full)
        expected = {f"base_model.model.{name}" for name in _in_adapter(model, plan.kind, matrices, modules)}
        tuned = _with_lora(model, plan, matrices, modules)
    _check(tuned, expected)
    if tell is not None:
        tell(trainable(tuned).table())
        if left:
            tell(f"kept frozen, since an adapter holds no single parameters: {', '.join(left)}")
    return tuned


def _with_lora(model: PreTrainedModel, plan: Adapt, matrices: list[str], modules: list[str]) -> peft.PeftModel:
    """The peft model with exactly these matrices adapted and these modules trained."""
    where = {"target_modules": matrices, "modules_to_save": modules or None}
    if plan.kind == "loha":
        config = peft.LoHaConfig(r=plan.rank // 2, alpha=plan.alpha // 2, **where)
    else:
        config = peft.LoraConfig(r=plan.rank, lora_alpha=plan.alpha, lora_dropout=plan.dropout, **where)
    with quiet_peft():
        tuned = peft.get_peft_model(model, config)
    tuned.peft_config["default"].target_modules = matrices  # peft shortened the names; whole ones tell a reader more
    return tuned


def trainable(model: nn.Module) -> Trainable:
    """The trainable tensors of a model, with or without an adapter, by part."""
    family, base = family_of(model), plain(model)
    names: dict[str, list[str]] = {part: [] for part in PARTS}
    numbers, sizes = dict.fromkeys(PARTS, 0), dict.fromkeys(PARTS, 0)
    head = _head(base)
    for name, parameter in model.named_parameters():
        part = _part(_without_peft(name), family, head)
        added = any(mark in name for mark in (".lora_", ".hada_", ".modules_to_save."))
        sizes[part] += 0 if added else parameter.numel()
        if parameter.requires_grad:
            names[part].append(name)
            numbers[part] += parameter.numel()
    return Trainable({part: tuple(found) for part, found in names.items()}, numbers, sizes)


def merge(model: PreTrainedModel | peft.PeftModel) -> PreTrainedModel:
    """The model with its adapter added into its weights for good; it then saves and loads without peft."""
    return model.merge_and_unload() if isinstance(model, peft.PeftModel) else model


def _parameters(model: PreTrainedModel, family: Family) -> dict[str, list[str]]:
    """The names of a plain model's parameters, by part; a matrix in two places counts at the first."""
    found: dict[str, list[str]] = {part: [] for part in PARTS}
    head = _head(model)
    for name, _ in model.named_parameters():
        found[_part(name, family, head)].append(name)
    return found


def _matrices(model: PreTrainedModel, family: Family) -> dict[str, list[str]]:
    """The names of the layers that LoRA goes beside, by part."""
    unread = tuple(f"{path}." for path in family.unread(model))
    connector = [module for path in family.connector for module in _modules(model, path)]
    return {
        "vision_tower": [name for name in family.tower_matrices(model) if not name.startswith(unread)],
        "connector": [name for name, module in connector if isinstance(module, nn.Linear)],
        "decoder": list(family.decoder_matrices(model)),
    }


def _modules(model: nn.Module, path: str) -> list[tuple[str, nn.Module]]:
    """The module at a path and all inside it, by their full names; none when a single parameter is there."""
    parent, _, last = path.rpartition(".")
    module = getattr(model.get_submodule(parent), last, None)
    return list(module.named_modules(prefix=path)) if isinstance(module, nn.Module) else []


def _inside(model: nn.Module, paths: Collection[str]) -> list[str]:
    """The names of the parameters under some paths, which need not exist."""
    under = tuple(f"{path}." for path in paths)
    return [name for name, _ in model.named_parameters() if name.startswith(under)]


def _head(model: PreTrainedModel) -> str:
    """The path of the layer that gives the logits."""
    head = model.get_output_embeddings()
    return next(name for name, module in model.named_modules() if module is head)


def _tied(model: PreTrainedModel) -> bool:
    """Whether words are read and written with one matrix."""
    return model.get_input_embeddings().weight is model.get_output_embeddings().weight


def _part(name: str, family: Family, head: str) -> str:
    """The part that a parameter belongs to. The connector comes first: it may lie inside the tower's path."""
    places = {"connector": family.connector, "vision_tower": (family.vision_tower,), "decoder": (family.decoder, head)}
    for part, paths in places.items():
        if any(name == path or name.startswith(f"{path}.") for path in paths):
            return part
    raise CannotRun(f"the description of {family.name} in models/families.py has no place for the parameter {name}")


def _without_peft(name: str) -> str:
    """A parameter's name as it was before peft wrapped its layer."""
    wrapping = r"\.(base_layer|original_module|(modules_to_save|lora_A|lora_B)\.default)(?=\.)"
    return re.sub(wrapping, "", name.removeprefix("base_model.model."))


def _cover(module: nn.Module, path: str, wanted: Collection[str]) -> tuple[list[str], list[str]]:
    """The largest modules that hold wanted parameters and no others, and the wanted parameters in none of them."""
    prefix = f"{path}." if path else ""
    inside = [prefix + name for name, _ in module.named_parameters()]
    if inside and not isinstance(module, CONTAINERS) and all(name in wanted for name in inside):
        return [path], []
    loose = [prefix + name for name, _ in module.named_parameters(recurse=False) if prefix + name in wanted]
    modules: list[str] = []
    for name, child in module.named_children():
        more, left = _cover(child, prefix + name, wanted)
        modules, loose = modules + more, loose + left
    return modules, loose


def _in_adapter(model: nn.Module, kind: Kind, matrices: list[str], modules: list[str]) -> Iterator[str]:
    """The names under which peft should hold what is trained, said without asking peft."""
    pieces = {
        "lora": ("lora_A.default.weight", "lora_B.default.weight"),
        "loha": tuple(f"hada_w{pair}_{matrix}.default" for pair in (1, 2) for matrix in "ab"),
    }
    for name in matrices:
        yield from (f"{name}.{piece}" for piece in pieces[kind])
    for path in modules:
        for name, _ in model.get_submodule(path).named_parameters():
            yield f"{path}.modules_to_save.default.{name}"


def _check(model: nn.Module, expected: Collection[str]) -> None:
    """Raises unless exactly the expected tensors are trainable."""
    found = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    if found != set(expected):
        extra, missing = sorted(found - set(expected))[:3], sorted(set(expected) - found)[:3]
        raise RuntimeError(f"the trainable tensors are not the plan's: too many {extra}, missing {missing}")
