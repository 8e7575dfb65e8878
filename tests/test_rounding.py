"""One way to round: what a fresh process does when it is told, and what it leaves alone."""

import json
import os
import subprocess
import sys

import pytest
import torch
import transformers

from mmhallu_core.store import PACKAGE
from mmhallu_core.train.rounding import AVX2, THREADS

pytestmark = pytest.mark.long  # every test starts processes of its own
avx2 = pytest.mark.skipif(not torch.cpu.get_capabilities().get("avx2"), reason="this processor has no AVX2")


def in_a_fresh_process(code, **environment):
    """What `code` prints in a process whose environment says nothing of rounding but `environment`."""
    clean = {name: value for name, value in os.environ.items() if name not in {*AVX2, "OMP_NUM_THREADS"}}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=clean | environment, capture_output=True, text=True, check=True, timeout=120
    )
    return ran.stdout.strip()


SAYS = "from mmhallu_core.train.rounding import round_alike, rounding; round_alike(); print(rounding())"


@avx2
def test_a_command_reckons_with_avx2_and_two_threads():
    assert in_a_fresh_process(SAYS) == f"{THREADS} threads, AVX2"


@avx2
def test_what_the_user_has_set_stays():
    assert in_a_fresh_process(SAYS, OMP_NUM_THREADS="1", ATEN_CPU_CAPABILITY="default") == "1 threads, DEFAULT"


SUM = """
import torch
from mmhallu_core.train.rounding import round_alike
round_alike()
torch.manual_seed(0)
model = torch.nn.TransformerEncoderLayer(96, 4, batch_first=True)
x = torch.randn(8, 50, 96)
loss = model(x).softmax(-1).pow(2).sum()
loss.backward()
import hashlib
print(hashlib.sha256(b"".join(p.grad.numpy().tobytes() for p in model.parameters())).hexdigest())
"""


@avx2
def test_the_instructions_of_the_processor_no_longer_show():
    """The same digits from whatever the processor would have chosen and from AVX2 set by hand for every library."""
    by_hand = SUM.replace("round_alike()\n", "torch.set_num_threads(2)\n", 1)
    assert in_a_fresh_process(SUM) == in_a_fresh_process(by_hand, **AVX2)


ONE_STEP = """
from dataclasses import replace
from pathlib import Path
from mmhallu_core.tour.run import LONG, train_adapter
from mmhallu_core.train.rounding import round_alike
round_alike()
print(repr(train_adapter(Path(FOLDER), spec=replace(LONG, steps=1))["loss"]["first"]))
"""


@avx2
def test_another_machine_gave_the_same_digits(tmp_path):
    """The shipped adapter was trained on another machine, and its first loss comes back to the last digit."""
    recorded = json.loads((PACKAGE / "checkpoints" / "tour-adapter" / "run.json").read_text(encoding="utf-8"))
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    if not versions.items() <= recorded["versions"].items():
        pytest.skip(f"recorded with {recorded['versions']}")
    if "AMD" not in torch.cpu.get_capabilities()["cpu_name"]:
        pytest.skip("tried on AMD's processors only")
    code = ONE_STEP.replace("FOLDER", repr(str(tmp_path)))
    assert float(in_a_fresh_process(code).splitlines()[-1]) == recorded["loss"]["first"]
