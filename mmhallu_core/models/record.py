"""Look inside a model while it runs, and change what is there.

`record` hangs hooks on a model's layers and keeps what passes; `edit` hangs one that replaces it. Both are context
managers: when the block ends, also by an error, the hooks are gone and the model is as it was.

    with record(vlm.model, layers=(0, 3), attentions=True) as seen:
        vlm.model(**inputs)
    seen.states[3]  # (batch, tokens, width): what decoder layer 3 gave out

Attention maps exist only in "eager" attention; asking for them switches the decoder to it inside the block.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from mmhallu_core.models.families import family_of, plain

WRITERS = ("attention", "mlp")  # the parts of a decoder layer that add to the states


@dataclass
class Recording:
    """What passed while a block ran; the calls of one `generate` are joined.

    Attributes:
        embedding_calls, state_calls, attention_calls, vision_calls, connector_calls, deepstack_calls, write_calls: one
            tensor for each time the module ran. The properties below join them.
    """

    embedding_calls: list[Tensor] = field(default_factory=list)
    state_calls: dict[int, list[Tensor]] = field(default_factory=dict)
    attention_calls: dict[int, list[Tensor]] = field(default_factory=dict)
    vision_calls: dict[int, list[Tensor]] = field(default_factory=dict)
    connector_calls: list[Tensor] = field(default_factory=list)
    deepstack_calls: dict[int, list[Tensor]] = field(default_factory=dict)
    write_calls: dict[tuple[int, str], list[Tensor]] = field(default_factory=dict)

    @property
    def embeddings(self) -> Float[Tensor, "batch tokens width"]:
        """What went into the decoder's first layer: words, and pictures after the connector, in the prompt's order."""
        return _join(self.embedding_calls, dim=1)

    @property
    def states(self) -> dict[int, Float[Tensor, "batch tokens width"]]:
        """What each recorded decoder layer gave out (before the decoder's last norm)."""
        return {layer: _join(calls, dim=1) for layer, calls in self.state_calls.items() if calls}

    @property
    def attentions(self) -> dict[int, Float[Tensor, "batch heads queries keys"]]:
        """How much each token looked at each other; in a cross-attention layer, at each part of the pictures.

        A row sums to one. The last token of a `generate` is never read, so it has no row.
        """
        return {layer: _join_maps(calls) for layer, calls in self.attention_calls.items() if calls}

    @property
    def writes(self) -> dict[tuple[int, str], Float[Tensor, "batch tokens width"]]:
        """What a recorded layer's attention and its MLP added to the states, by number and "attention" or "mlp"."""
        return {place: _join(calls, dim=1) for place, calls in self.write_calls.items() if calls}

    @property
    def vision(self) -> dict[int, Float[Tensor, "..."]]:
        """What each recorded layer of the vision tower gave out, in the tower's own order and shape.

        `Family.raster` puts it as the picture has it.
        """
        return {layer: _join(calls, dim=0) for layer, calls in self.vision_calls.items() if calls}

    @property
    def connector(self) -> Float[Tensor, "..."]:
        """What the connector gave out, in its own order. In the prompt's order it is part of `embeddings`."""
        return _join(self.connector_calls, dim=0)

    @property
    def deepstack(self) -> dict[int, Float[Tensor, "tokens width"]]:
        """What is added to the image tokens once more, by the number of the decoder layer behind which it is added.

        Recorded with the connector, in the order of the image tokens. Empty but for Qwen3-VL: all other families read a
        picture once.
        """
        return {layer: _join(calls, dim=0) for layer, calls in self.deepstack_calls.items() if calls}


@contextmanager
def record(
    model: nn.Module,
    layers: Sequence[int] | None = None,
    attentions: bool = False,
    vision_layers: Sequence[int] = (),
    connector: bool = False,
    gradients: bool = False,
    writes: bool = False,
) -> Iterator[Recording]:
    """Records what passes through a model while the block runs: one forward pass, or one call of `generate`.

    Args:
        model: a model of a known family, with or without an adapter.
        layers: numbers of the decoder layers to record, from 0; all when None.
        attentions: record these layers' attention maps too, with eager attention.
        vision_layers: numbers of the vision tower's layers to record.
        connector: record what the connector gives out, and the deepstack where there is one.
        gradients: keep the tensors in the graph, so that gradients can be taken with respect to them.
        writes: record what these layers' attention and MLP add to the states, too.

    Raises:
        CannotRun: when the model's family is not known.
        IndexError: when there is no layer of a number.
    """
    family, seen = family_of(model), Recording()
    decoder, tower = family.layers(model), family.tower_layers(model)
    numbers = _checked(range(len(decoder)) if layers is None else layers, len(decoder))

    def keep(calls: list[Tensor], value: Tensor) -> None:
        calls.append(value if gradients else value.detach())

    def store(module: nn.Module, calls: list[Tensor], part: int = 0) -> None:
        def hook(module, args, output):
            keep(calls, output[part] if isinstance(output, tuple) else output)

        stack.callback(module.register_forward_hook(hook).remove)

    def enter(module, args, kwargs) -> None:
        keep(seen.embedding_calls, args[0] if args else kwargs["hidden_states"])

    with ExitStack() as stack:
        stack.callback(decoder[0].register_forward_pre_hook(enter, with_kwargs=True).remove)
        for number in numbers:
            store(decoder[number], seen.state_calls.setdefault(number, []))
        for part in WRITERS if writes else ():
            matrices = list(family.output_matrices(model, part).values())
            for number in numbers:
                store(matrices[number], seen.write_calls.setdefault((number, part), []))
        for number in _checked(vision_layers, len(tower)):
            store(tower[number], seen.vision_calls.setdefault(number, []))
        if connector:
            first, *later = family.connector_modules(model)
            store(first, seen.connector_calls)
            for number, module in enumerate(later):
                store(module, seen.deepstack_calls.setdefault(number, []))
        if attentions:
            stack.enter_context(eager_attention(model))
            for number in numbers:
                store(family.attention_module(model, number), seen.attention_calls.setdefault(number, []), part=1)
        yield seen


@contextmanager
def edit(
    model: nn.Module,
    change: Callable[[Tensor, int], Tensor],
    layers: Sequence[int] | None = None,
    where: str = "decoder",
    at: Bool[Tensor, "batch tokens"] | None = None,
) -> Iterator[None]:
    """Replaces what layers give out while the block runs.

    Args:
        model: a model of a known family, with or without an adapter.
        change: (what the layer gave out, the layer's number) gives what goes on instead, of the same shape.
        layers: numbers of the layers to change, from 0; all when None.
        where: "decoder", "attention" or "mlp" (what these add to the decoder's states), "vision" (the tower's layers)
            or "connector" (number 0; in Qwen3-VL number 1 and on are its deepstack, by which the picture reaches later
            layers: without `layers` all are changed).
        at: not for vision and connector. The tokens to change; all when None. The later steps of `generate`, each
            of one token, have another shape and stay as they are.

    Raises:
        CannotRun: when the model's family is not known.
        IndexError: when there is no layer of a number.
        ValueError: when `where` is none of these, or `change` gives another shape.
    """
    family = family_of(model)
    places = {"decoder": family.layers, "vision": family.tower_layers, "connector": family.connector_modules}
    if where not in (*places, *WRITERS) or (at is not None and where in ("vision", "connector")):
        known = ", ".join((*places, *WRITERS))
        raise ValueError(f"`where` is one of {known}, got {where!r}; vision and connector take no `at`")
    modules = list(family.output_matrices(model, where).values()) if where in WRITERS else places[where](model)

    def changed(value: Tensor, number: int) -> Tensor:
        if at is not None and at.shape != value.shape[:2]:
            return value
        new = change(value, number)
        if new.shape != value.shape:
            raise ValueError(
                f"layer {number} gives out {tuple(value.shape)}, and the change made it {tuple(new.shape)}"
            )
        return new if at is None else torch.where(at.to(value.device)[..., None], new, value)

    def hang(number: int) -> None:
        def hook(module, args, output):
            if isinstance(output, tuple):
                return (changed(output[0], number), *output[1:])
            return changed(output, number)

        # First of all hooks: transformers hangs its own on the tower's layers, and some connectors read what those saw.
        stack.callback(modules[number].register_forward_hook(hook, prepend=True).remove)

    with ExitStack() as stack:
        for number in _checked(range(len(modules)) if layers is None else layers, len(modules)):
            hang(number)
        yield


@contextmanager
def eager_attention(model: nn.Module, form: str = "eager") -> Iterator[None]:
    """Lets the decoder compute attention step by step, or in another registered form, and after the block as before."""
    decoder = plain(model).get_submodule(family_of(model).decoder)
    former = decoder.config._attn_implementation
    decoder.set_attn_implementation(form)
    try:
        yield
    finally:
        decoder.set_attn_implementation(former)


def _checked(numbers: Sequence[int], count: int) -> list[int]:
    """The numbers in order, without repetition; raises IndexError when one is not a layer's."""
    wrong = [number for number in numbers if not 0 <= number < count]
    if wrong:
        raise IndexError(f"there is no layer {wrong[0]}: they are numbered 0 to {count - 1}")
    return sorted(set(numbers))


def _join(calls: list[Tensor], dim: int) -> Tensor:
    """Joins the calls of a module. A single one is handed on as it is, so that gradients can be taken."""
    return calls[0] if len(calls) == 1 else torch.cat(calls, dim)


def _join_maps(calls: list[Tensor]) -> Float[Tensor, "batch heads queries keys"]:
    """Joins the maps of several steps: later steps see more keys, so earlier rows get zeros for those."""
    keys = max(call.shape[-1] for call in calls)
    wide = [call if call.shape[-1] == keys else functional.pad(call, (0, keys - call.shape[-1])) for call in calls]
    return _join(wide, dim=2)
