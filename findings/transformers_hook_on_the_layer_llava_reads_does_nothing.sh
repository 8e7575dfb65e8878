#!/usr/bin/env bash
# transformers 5.24, LLaVA: a forward hook that replaces what a vision layer gives out works in the first call and no more.
#
# Expected: PyTorch passes on what a forward hook returns, so a hook on a layer changes all that is computed from it.
# Seen: LLaVA's connector does not read the layer's output. It reads `hidden_states[vision_feature_layer]`, and since
# version 5 these are collected by forward hooks of transformers' own. They are hung up in the first call and stay. A hook
# that was there before runs first and is obeyed; one that is registered later runs behind them, and the very layer that
# is read (the last but one in LLaVA-1.5) keeps its old output for the connector. No error, no warning.
#
# So an ablation, a patched activation or a Grad-CAM by replacing the output of that layer works in a test of one call,
# and does nothing, or has no gradient, in the loop that follows. `register_forward_hook(hook, prepend=True)` is obeyed.
# Ends with 1 when the package behaves otherwise. It installs torch, some gigabytes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check transformers==5.24.0 torch==2.15.0
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import torch
import transformers
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

torch.manual_seed(0)
config = LlavaConfig(
    vision_config=CLIPVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=2, image_size=32, patch_size=8
    ),
    text_config=LlamaConfig(
        vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2
    ),
    image_token_index=63, image_seq_length=16, vision_feature_layer=-2,
)
model = LlavaForConditionalGeneration(config).eval()
inputs = {"input_ids": torch.tensor([[1, *[63] * 16, 5, 9]]), "pixel_values": torch.randn(1, 3, 32, 32)}
layer = model.model.vision_tower.encoder.layers[1]  # of three: the last but one


@torch.no_grad()
def changed(**options):
    """How far the logits move when the layer's output is replaced by ones."""
    replaced = lambda module, args, output: torch.ones_like(output)
    handle = layer.register_forward_hook(replaced, **options)
    with_hook = model(**inputs).logits
    handle.remove()
    return float((with_hook - model(**inputs).logits).abs().max())


first, second, prepended = changed(), changed(), changed(prepend=True)
print("transformers", transformers.__version__)
print("  the logits move by, in the first call:", first)
print("  the same hook, in the next call:      ", second)
print("  with prepend=True:                    ", prepended)
same = first > 1e-4 and second == 0 and prepended > 1e-4
print("as found" if same else "this has changed")
sys.exit(0 if same else 1)
PYTHON
