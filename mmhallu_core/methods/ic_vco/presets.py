"""The numbers that each method was published with, beside the file they stand in; and ours.

IC-VCO trains in two stages: supervised fine-tuning on its answers (`SFT`), whose adapter is merged, and then its own
loss, with the merged model as the reference. Here the first stage is `mmhallu train sft`, and an adapter's folder given
as `--model` is merged when it is loaded. `UNSAID` has what the trainer here does not take over, and what nobody says.
"""

from dataclasses import dataclass

from mmhallu_core.train.adapt import Adapt
from mmhallu_core.train.spec import TrainSpec

_IC_VCO = "OPPO-Mente-Lab/IC-VCO, scripts/train.sh"
_LORA = Adapt("frozen", "frozen", "lora", 128, 256, 0.05)


@dataclass(frozen=True)
class Preset:
    """Hyperparameters of a training.

    Attributes:
        adapt: which parts learn, and how.
        lr: the highest learning rate; all fall with a cosine.
        warmup: the share of the steps over which it rises.
        batch: examples of a step, of all GPUs together.
        epochs: how often each example comes.
        source: where the numbers stand.
    """

    adapt: Adapt
    lr: float
    warmup: float
    batch: int
    epochs: float
    source: str


SFT = Preset(_LORA, 2e-5, 0.1, 128, 1, _IC_VCO)
PRESETS: dict[str, Preset] = {
    "dpo": Preset(_LORA, 5e-6, 0.1, 64, 1, f"{_IC_VCO}: the same as for ic-vco"),
    "mdpo": Preset(
        Adapt("frozen", "frozen", "lora", 64, 128), 1e-5, 0.1, 32, 3, "luka-group/mDPO, the configuration for Bunny"
    ),
    "vdpo": Preset(_LORA, 1e-6, 0.05, 64, 4, "the training script of V-DPO; its LoRA numbers are IC-VCO's"),
    "svco": Preset(Adapt("frozen", "full", "full"), 1e-6, 0.05, 32, 1, "the training script of S-VCO"),
    "symmpo": Preset(
        Adapt("frozen", "full", "full"), 5e-6, 0.05, 128, 4, "Liuwq-bit/SymMPO, the script that trains all weights"
    ),
    "ic-vco": Preset(_LORA, 5e-6, 0.1, 64, 1, _IC_VCO),
}

UNSAID = {
    "weight decay": "mDPO 0.05, V-DPO 0.05, S-VCO 0.02, SymMPO 0.01; none here, as for IC-VCO.",
    "IC-VCO's vision tower": (
        "Its LoRA goes to modules by the ends of their names, q_proj among them, so SigLIP's attention learns too. "
        "Here the tower is frozen; --vision-tower lora adapts it, with its output and MLP."
    ),
    "the baselines in IC-VCO's tables": (
        "Their scripts are not in the repository. mDPO has a row with edited and one with synthetic negatives, so its "
        "other picture must be the negative, and not a crop of the first as in mDPO's code: --no-crop."
    ),
    "gamma of V-DPO": "Its script leaves it at 1, which is plain DPO.",
}

# The paper's main table, LLaVA-NeXT-Interleave-Qwen-7B, in percent: with synthetic and with edited negatives.
PRINTED: dict[str, dict[str, tuple[float, float]]] = {
    "HallusionBench aAcc": {"mDPO": (61.51, 60.25), "SymMPO": (60.79, 60.57), "IC-VCO": (61.94, 63.51)},
    "AMBER Attr": {"mDPO": (80.27, 80.31), "SymMPO": (80.41, 80.39), "IC-VCO": (81.81, 82.24)},
    "CRPE Exist": {"mDPO": (91.79, 92.27), "SymMPO": (91.83, 92.47), "IC-VCO": (93.16, 94.15)},
    "BLINK": {"mDPO": (44.87, 45.66), "SymMPO": (44.88, 45.19), "IC-VCO": (48.93, 49.44)},
    "Overall": {"mDPO": (61.64, 62.02), "SymMPO": (61.50, 62.11), "IC-VCO": (62.83, 63.35)},
}
PRINTED_BASE = {  # before any training
    "HallusionBench aAcc": 55.59, "AMBER Attr": 79.97, "CRPE Exist": 92.01, "BLINK": 45.13, "Overall": 59.14,
}  # fmt: skip

SMALL = 50_000_000  # parameters below which a model takes larger steps
OURS = TrainSpec(1, Adapt("frozen", "frozen", "lora", 16, 32), micro_batch=4, lr=5e-6)
LR_SMALL = 5e-4
