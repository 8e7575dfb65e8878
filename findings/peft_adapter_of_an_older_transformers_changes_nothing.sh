#!/usr/bin/env bash
# An adapter for LLaVA is trained with transformers 4.49 and peft 0.14, and put on the same model with transformers 5.23
# and peft 0.21. Between them the model's layers got other names.
#
# Expected: the adapter acts as before, or loading it is an error.
# Seen: that goes by the layer and the kind. LoRA in the decoder acts as before: peft translates its names. LoRA in the
# projector and LoHa anywhere are loaded with a warning, and the model is its base, to the last digit. With
# `modules_to_save` loading ends in a KeyError.
#
# So a tuned model can be evaluated that was never there, and its scores are those of the base.
# Ends with 1 when the packages behave otherwise. It installs torch, some gigabytes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
python="$folder/venv/bin/python"
install=("$python" -m pip install --quiet --disable-pip-version-check)
"${install[@]}" transformers==5.23.0 peft==0.21.2 torch==2.15.0 requests==2.34.2
"${install[@]}" --no-deps --target "$folder/old" \
    transformers==4.49.0 peft==0.14.0 tokenizers==0.21.4 huggingface-hub==0.29.3

cat > "$folder/write.py" <<'PYTHON'
import sys
from pathlib import Path

import peft
import torch
from safetensors.torch import save_file
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

home = Path(sys.argv[1])
torch.manual_seed(0)
size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
model = LlavaForConditionalGeneration(
    LlavaConfig(
        vision_config=CLIPVisionConfig(**size, image_size=16, patch_size=8),
        text_config=LlamaConfig(**size, num_key_value_heads=2, vocab_size=64),
        image_token_index=60,
    )
).eval()
model.save_pretrained(home / "base")
ids = torch.tensor([[1, 60, 60, 60, 60, 5, 6, 7]])
inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "pixel_values": torch.randn(1, 3, 16, 16)}
save_file(inputs, home / "inputs.safetensors")
plans = {
    "lora-decoder": peft.LoraConfig(target_modules=".*language_model.*q_proj"),
    "lora-projector": peft.LoraConfig(target_modules=["linear_1"]),
    "loha-decoder": peft.LoHaConfig(target_modules=".*language_model.*q_proj"),
    "modules_to_save": peft.LoraConfig(target_modules=".*language_model.*q_proj", modules_to_save=["lm_head"]),
}
logits = {}
for name, plan in plans.items():
    base = LlavaForConditionalGeneration.from_pretrained(home / "base")
    tuned = peft.get_peft_model(base, plan).eval()
    with torch.no_grad():
        for parameter in tuned.parameters():
            if parameter.requires_grad:  # as if trained
                parameter += torch.randn_like(parameter)
        logits[name] = tuned(**inputs).logits
    tuned.save_pretrained(home / name)
save_file(logits, home / "logits.safetensors")
PYTHON

cat > "$folder/read.py" <<'PYTHON'
import sys
import warnings
from pathlib import Path

import peft
import torch
import transformers
from safetensors.torch import load_file
from transformers import LlavaForConditionalGeneration

home = Path(sys.argv[1])
warnings.simplefilter("ignore")
inputs, right = load_file(home / "inputs.safetensors"), load_file(home / "logits.safetensors")


def load():
    return LlavaForConditionalGeneration.from_pretrained(home / "base").eval()


def logits(model):
    with torch.no_grad():
        return model(**inputs).logits


print(f"written by transformers 4.49.0 and peft 0.14.0, read by {transformers.__version__} and {peft.__version__}")
base, same = logits(load()), True
seen_before = {
    "lora-decoder": "as before",
    "lora-projector": "as its base",
    "loha-decoder": "as its base",
    "modules_to_save": "KeyError",
}
for name, before in seen_before.items():
    try:
        found = logits(peft.PeftModel.from_pretrained(load(), str(home / name)))
    except KeyError:
        seen = "KeyError"
    else:
        close = torch.allclose(found, right[name], atol=1e-4)
        seen = "as before" if close else "as its base" if torch.equal(found, base) else "otherwise"
    moved = (right[name] - base).abs().max().item()
    print(f"  {name}: expected as before (its logits differ from the base's by {moved:.2f}); seen: {seen}")
    same = same and seen == before
print("as found" if same else "this has changed")
sys.exit(0 if same else 1)
PYTHON

PYTHONPATH="$folder/old" "$python" "$folder/write.py" "$folder" 2> "$folder/log" || { cat "$folder/log"; exit 1; }
"$python" "$folder/read.py" "$folder" 2> "$folder/log" || { tail -3 "$folder/log"; exit 1; }
