#!/usr/bin/env bash
# `transformers serve` 5.23, which speaks OpenAI's form of HTTP: what a request's `temperature` does.
#
# Expected: as with other servers of that form, temperature 1 or 2 draws each reply anew, and no reply is the same as the
# one before. With OpenAI, temperature 1 is what happens when the field is left out.
# Seen: the replies are equal, at temperature 2 too. The server hands the number on and leaves `do_sample` as the model's
# own generation config has it, and that is off unless a model's maker switched it on. Only temperature 0 changes
# anything: it switches drawing off. Asked with `do_sample` in the field `generation_config`, the same model draws.
#
# So a self-consistency score, a spread over samples or a "judge asked five times" comes out as perfect agreement.
# The model is one of the package's own classes, small and random. It installs torch, some gigabytes.
# Ends with 1 when the package behaves otherwise.
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check "transformers[serving]==5.23.0" torch==2.15.0
export HF_HUB_OFFLINE=1 HF_HOME="$folder/hub"
"$folder/venv/bin/python" - "$folder/model" <<'PYTHON'
import sys

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

words = ["<unk>", "</s>", *(f"w{number}" for number in range(62))]
made = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="<unk>"))
made.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, unk_token="<unk>", eos_token="</s>", pad_token="</s>")
tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }} {% endfor %}"
tokenizer.save_pretrained(sys.argv[1])
torch.manual_seed(0)
config = LlamaConfig(
    vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
    num_key_value_heads=2, bos_token_id=1, eos_token_id=1, pad_token_id=1,
)
LlamaForCausalLM(config).save_pretrained(sys.argv[1])
PYTHON
port=$("$folder/venv/bin/python" -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$folder/venv/bin/transformers" serve "$folder/model" --host 127.0.0.1 --port "$port" --device cpu >"$folder/log" 2>&1 &
server=$!
"$folder/venv/bin/python" - "$folder/model" "http://127.0.0.1:$port" <<'PYTHON'
import json
import sys
import time
import urllib.error
import urllib.request

import transformers

model, address = sys.argv[1:]


def post(**fields):
    """The text of one reply of twelve words."""
    asked = {"model": model, "messages": [{"role": "user", "content": "w1 w2 w3"}], "max_tokens": 12, **fields}
    request = urllib.request.Request(f"{address}/v1/chat/completions", json.dumps(asked).encode())
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=120) as reply:
        return json.load(reply)["choices"][0]["message"]["content"]


for _ in range(240):
    try:
        urllib.request.urlopen(f"{address}/health", timeout=5)
        break
    except (urllib.error.URLError, OSError):
        time.sleep(0.5)
print("transformers", transformers.__version__)
drawing = json.dumps({"do_sample": True, "max_new_tokens": 12})
asked = {
    "no temperature": {}, "temperature 0": {"temperature": 0}, "temperature 1": {"temperature": 1.0},
    "temperature 2": {"temperature": 2.0}, "do_sample": {"generation_config": drawing},
}
found = {name: len({post(**fields) for _ in range(4)}) for name, fields in asked.items()}
for name, count in found.items():
    print(f"  {name:<15} {count} different replies of 4")
print("expected: 4 of 4 at temperature 1 and 2; seen: 1")
same = found["temperature 1"] == found["temperature 2"] == 1 and found["do_sample"] > 1
print("as found" if same else "this has changed")
sys.exit(0 if same else 1)
PYTHON
