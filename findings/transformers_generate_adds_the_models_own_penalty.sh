#!/usr/bin/env bash
# transformers 5.23, `generate`: what a GenerationConfig leaves open is taken from the model's own.
#
# Expected: `generate(generation_config=GenerationConfig(do_sample=False, max_new_tokens=8))` is greedy search whatever
# the checkpoint's generation_config.json says, since the config that is handed over is complete in itself.
# Seen: a repetition penalty (and `no_repeat_ngram_size`, `num_beams`, ...) of the checkpoint acts all the same. It goes
# only when it is named with its neutral value, each setting by itself.
#
# So two models that are compared "greedily" may be compared by two ways of writing: Qwen2.5-VL's file, for one, has a
# repetition penalty of 1.05.
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
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

torch.manual_seed(0)
config = LlamaConfig(
    vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
    bos_token_id=1, eos_token_id=None, pad_token_id=0, initializer_range=0.3,
)
model = LlamaForCausalLM(config).eval()
prompt = torch.tensor([[1, 5, 9, 5, 9]])


def loop(count=8):
    """Greedy search by its definition: the most probable token, again and again."""
    ids = prompt
    for _ in range(count):
        best = model(ids).logits[:, -1].argmax(-1, keepdim=True)
        ids = torch.cat([ids, best], dim=1)
    return ids[0, prompt.shape[1] :].tolist()


def written(**options):
    return model.generate(prompt, **options)[0, prompt.shape[1] :].tolist()


greedy = loop()
model.generation_config.repetition_penalty = 5.0  # as a checkpoint's generation_config.json may have it
flag = written(do_sample=False, max_new_tokens=8)
own = written(generation_config=GenerationConfig(do_sample=False, max_new_tokens=8))
reset = written(do_sample=False, max_new_tokens=8, repetition_penalty=1.0)
print("transformers", transformers.__version__)
print("  the most probable token, again and again:     ", greedy)
print("  generate(do_sample=False):                    ", flag)
print("  generate(generation_config=GenerationConfig()):", own)
print("  generate(repetition_penalty=1.0):             ", reset)
same = flag != greedy and own == flag and reset == greedy
print("as found" if same else "this has changed")
sys.exit(0 if same else 1)
PYTHON
