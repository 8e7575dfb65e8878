#!/usr/bin/env bash
# transformers 5.23, `generate`: a model whose numbers are nan answers, and says nothing about it.
#
# Expected: an error, as with `do_sample=True`, where torch refuses to draw from such probabilities.
# Seen: greedy search takes the largest of the logits, and where one is nan that is the first nan. With all of them nan it
# writes token 0 again and again. In most vocabularies that is a special token, which the decoder leaves out: the answer
# is an empty text. No warning is given.
#
# So damaged weights, or float16 where numbers grow too large, give a file of empty answers, and a scorer that reads an
# empty answer as a yes (POPE's own does) gives them full recall.
# Ends with 1 when the package behaves otherwise. It installs torch, some gigabytes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check transformers==5.23.0 torch==2.15.0
"$folder/venv/bin/python" - <<'PYTHON'
import sys
import warnings

import torch
import transformers
from transformers import LlamaConfig, LlamaForCausalLM

torch.manual_seed(0)
config = LlamaConfig(
    vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, bos_token_id=1,
    eos_token_id=2, pad_token_id=2,
)
model = LlamaForCausalLM(config).eval()
with torch.no_grad():
    model.model.layers[0].mlp.down_proj.weight[3, 5] = float("nan")  # one weight of thousands
prompt = torch.tensor([[1, 5, 9, 7]])
with warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always")
    new = model.generate(prompt, do_sample=False, max_new_tokens=6)[0, 4:].tolist()
told = [str(one.message) for one in warned]
try:
    model.generate(prompt, do_sample=True, max_new_tokens=6)
    drawn = "no error"
except RuntimeError as error:
    drawn = str(error).splitlines()[0]
print("transformers", transformers.__version__)
print("  greedy search writes the tokens:", new)
print("  its warnings:                   ", told)
print("  sampling:                       ", drawn)
same = new == [0] * 6 and not any("nan" in text.lower() for text in told) and "nan" in drawn
print("as found" if same else "this has changed")
sys.exit(0 if same else 1)
PYTHON
