#!/usr/bin/env bash
# Qwen3-VL in transformers 5.23: the picture reaches the decoder by more than the image tokens.
#
# Expected: as in Qwen2-VL and in the LLaVA families, all that the decoder knows of a picture passes the module between
# vision tower and decoder (`visual.merger`). Its output set to zero, two pictures are one to the model.
# Seen: they still move the logits. `visual.deepstack_merger_list` adds more of the picture to the hidden states behind
# the first decoder layers. Who removes, edits or reads the picture at the merger alone leaves the other way open.
#
# The models are of the packages' own classes, small and random.
# Ends with 1 when the package behaves otherwise. It installs torch, some gigabytes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check transformers==5.23.0 torch==2.15.0
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import torch
import transformers
from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration, Qwen3VLConfig, Qwen3VLForConditionalGeneration

TOKENS = {"image_token_id": 60, "video_token_id": 61, "vision_start_token_id": 62, "vision_end_token_id": 63}
TEXT = {
    "vocab_size": 64, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 256, "initializer_range": 0.2, "bos_token_id": 1,
    "eos_token_id": 2, "pad_token_id": 0,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]},
}
torch.manual_seed(0)
second = Qwen2VLForConditionalGeneration(Qwen2VLConfig(
    vision_config={"depth": 2, "embed_dim": 32, "hidden_size": 64, "mlp_ratio": 2, "num_heads": 2, "patch_size": 8,
                   "initializer_range": 0.2},
    text_config=TEXT, **TOKENS,
)).eval()
third = Qwen3VLForConditionalGeneration(Qwen3VLConfig(
    vision_config={"depth": 2, "hidden_size": 32, "out_hidden_size": 64, "intermediate_size": 64, "num_heads": 2,
                   "patch_size": 8, "num_position_embeddings": 16, "deepstack_visual_indexes": [0],
                   "initializer_range": 0.2},
    text_config={**TEXT, "head_dim": 16, "rope_parameters": {**TEXT["rope_parameters"], "mrope_interleaved": True}},
    **TOKENS,
)).eval()
ids = torch.tensor([[1, 62, *[60] * 4, 63, 7, 8]])
asked = {
    "input_ids": ids, "attention_mask": torch.ones_like(ids), "mm_token_type_ids": (ids == 60).long(),
    "image_grid_thw": torch.tensor([[1, 4, 4]]),
}


@torch.no_grad()
def apart(model):
    """How far the next word's logits are apart for two pictures."""
    logits = [model(**asked, pixel_values=picture).logits[0, -1] for picture in pictures]
    return float((logits[0] - logits[1]).abs().max())


pictures = [torch.randn(16, 3 * 2 * 8 * 8) for _ in range(2)]
found = {}
for name, model in (("Qwen2-VL", second), ("Qwen3-VL", third)):
    seen = apart(model)
    handle = model.model.visual.merger.register_forward_hook(lambda module, args, output: output * 0)
    found[name] = apart(model)
    handle.remove()
    print(f"  {name}: two pictures move the logits by {seen:.3f}; without the merger by {found[name]:.3f}")
print("transformers", transformers.__version__)
same = found["Qwen2-VL"] == 0 and found["Qwen3-VL"] > 0.01
print("as found" if same else "this has changed")
sys.exit(0 if same else 1)
PYTHON
