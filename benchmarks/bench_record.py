"""Recording all activations must cost at most 1.15 times a bare forward pass at width 64, and 1.05 times at 256.

The models are LLaVAs with random weights; `record` keeps what every layer of tower and decoder gives out, and the
connector. Beside it, without a bound: a dictionary filled by plain hooks, as TransformerLens fills its cache, and
nnsight where it is installed. Processor time, one thread.
"""

import sys
import time
from functools import partial
from importlib.util import find_spec
from statistics import median

import torch
from paired import Verdict, judge, ratios, rounds, status
from PIL import Image
from torch import nn
from transformers import LlavaForConditionalGeneration

from mmhallu_core.models.families import family_of
from mmhallu_core.models.record import record
from mmhallu_core.models.tiny_llava import tiny_config
from mmhallu_core.models.vlm import Vlm

BOUNDS = {64: 1.15, 256: 1.05}
ROUNDS, EACH, BATCH, HEAD = 7, 4, 4, 32


def model_of(width: int, vlm: Vlm) -> nn.Module:
    """A LLaVA of a width, with random weights, that reads what tiny-llava reads."""
    config = tiny_config(vlm.processor.tokenizer)
    for part in (config.text_config, config.vision_config):
        part.hidden_size, part.intermediate_size, part.num_attention_heads = width, 4 * width, width // HEAD
    config.text_config.num_key_value_heads, config.text_config.head_dim = width // HEAD, HEAD
    return LlavaForConditionalGeneration(config).eval()


def measured(width: int, vlm: Vlm) -> Verdict:
    """Prints what recording costs at a width."""
    model, images = model_of(width, vlm), [Image.new("RGB", (96, 96), "green")] * BATCH
    inputs = vlm.encode(images, [vlm.prompt("Describe the image.")] * BATCH)
    family = family_of(model)
    modules = [*family.tower_layers(model), *family.connector_modules(model), *family.layers(model)]
    tower = tuple(range(len(family.tower_layers(model))))

    @torch.no_grad()
    def forward(_: int) -> None:
        for _ in range(EACH):
            model(**inputs, use_cache=False, logits_to_keep=1)

    def recording(number: int) -> None:
        with record(model, vision_layers=tower, connector=True):
            forward(number)

    def plain_hooks(number: int) -> None:
        cache: dict[nn.Module, torch.Tensor] = {}
        handles = [one.register_forward_hook(lambda m, args, out: cache.__setitem__(m, out)) for one in modules]
        forward(number)
        for handle in handles:
            handle.remove()

    ways = {"bare": forward, "record": recording, "plain hooks": plain_hooks}
    if find_spec("nnsight"):
        ways["nnsight"] = partial(with_nnsight, model, inputs, modules)
    taken = rounds(ways, ROUNDS, time.process_time)
    verdict = judge(ratios(taken, "record", "bare"), at_most=BOUNDS[width])
    print(f"recording over a bare forward pass at width {width}: {verdict}", flush=True)
    for name in list(ways)[2:]:
        print(f"  {name}: {median(ratios(taken, name, 'bare')):.2f}")
    return verdict


@torch.no_grad()
def with_nnsight(model: nn.Module, inputs: dict, modules: list[nn.Module], _: int) -> None:
    """The same with nnsight."""
    from nnsight import NNsight

    names = {module: name for name, module in model.named_modules()}
    for _ in range(EACH):
        traced = NNsight(model)
        with traced.trace(**inputs, use_cache=False, logits_to_keep=1):
            for module in modules:
                traced.get(names[module]).output.save()


if __name__ == "__main__":
    torch.set_num_threads(1)
    tiny = Vlm.load("tiny-llava", "cpu")
    sys.exit(status([measured(width, tiny) for width in BOUNDS]))
