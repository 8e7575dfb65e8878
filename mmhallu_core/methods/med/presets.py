"""The numbers that MED was fine-tuned with, each beside the row of the table that it stands in.

The paper (arXiv 2506.07227) prints three tables in its appendix C: table 5 for Qwen2-VL and Qwen2.5-VL, table 6 for
LLaVA, table 7 for Llama. `PRESETS` holds them, one preset for each of the four models, and `Preset.sources` says for
every field where it stands. Where the paper says two things, `DISAGREEMENTS` has both, and a table of hyperparameters,
which somebody typed into a configuration, goes before prose. What it leaves open, this library takes so: the batch size
is one GPU's, as LLaMA-Factory has it; one epoch; bfloat16 where there is one; no weight decay; gradients clipped at
norm 1; no text cut; LoRA on every matrix of the decoder's and an unfrozen tower's layers, none on the connector.

    >>> PRESETS["qwen2_5_vl"].lr, str(PRESETS["qwen2_5_vl"].sources["lr"])
    (0.0001, 'arXiv 2506.07227, Table 5, Learning Rate')

Nothing here loads torch. `one_gpu.py` turns a preset into a run on a single GPU.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

PAPER = "arXiv 2506.07227"


@dataclass(frozen=True)
class Source:
    """Where a number stands: paper, table (or section), row (or the words that say it)."""

    paper: str
    table: str
    row: str

    def __str__(self) -> str:
        return f"{self.paper}, {self.table}, {self.row}"


@dataclass(frozen=True)
class Preset:
    """One column of hyperparameters, as printed.

    Attributes:
        name: the model's family, as in `models.families`.
        model: the model as the paper names it.
        hub_id: the weights of that model in transformers' form. The paper gives a name and no id.
        rank, alpha, dropout: of LoRA.
        target: which matrices get LoRA; "all" is LLaMA-Factory's word for every linear layer of the parts that learn.
        gpus: how many, of what kind is in `gpu`.
        gpu: the kind.
        batch: "Batch Size", which we read as that of one GPU.
        accumulation: batches whose gradients are added before a step.
        warmup: the share of all steps over which the learning rate rises.
        lr: the highest learning rate.
        scheduler: how it falls afterwards.
        vision_tower: whether "Unfreeze Vision Tower" says True.
        consistency: the mode of `train.losses` that the training code runs.
        sources: for each of the fields above, where it stands.
    """

    name: str
    model: str
    hub_id: str
    rank: int
    alpha: int
    dropout: float
    target: str
    gpus: int
    gpu: str
    batch: int
    accumulation: int
    warmup: float
    lr: float
    scheduler: str
    vision_tower: bool
    consistency: str
    sources: Mapping[str, Source]

    @property
    def effective_batch(self) -> int:
        """Examples for each step of the optimizer, over all GPUs."""
        return self.gpus * self.batch * self.accumulation


# The row of each field in tables 5, 6 and 7, which have the same rows.
ROWS = {
    "rank": "LoRA Rank",
    "alpha": "LoRA α",
    "dropout": "LoRA Dropout",
    "target": "LoRA Target",
    "gpus": "GPU",
    "gpu": "GPU",
    "batch": "Batch Size",
    "accumulation": "Gradient Accumulation Steps",
    "warmup": "Warmup Ratio",
    "lr": "Learning Rate",
    "scheduler": "Learning Rate Scheduler",
    "vision_tower": "Unfreeze Vision Tower",
}
_SAME = {
    "rank": 8, "alpha": 16, "dropout": 0.1, "target": "all", "gpus": 8, "gpu": "NVIDIA A800", "accumulation": 8,
    "warmup": 0.1, "scheduler": "cosine", "consistency": "none",
}  # fmt: skip


def _preset(name: str, model: str, hub_id: str, table: int, **values) -> Preset:
    """A preset whose numbers all stand in one table."""
    sources = {
        **{field: Source(PAPER, f"Table {table}", row) for field, row in ROWS.items()},
        "name": Source("transformers", "the model's config.json", "model_type"),
        "model": Source(PAPER, "Section 5.1", "Models include ..."),
        "hub_id": Source("the model hub", "the model's page", "the id of the transformers form"),
        "consistency": Source(PAPER, "Section 5.1", "using our SFT loss (Equation 7)"),
    }
    return Preset(name=name, model=model, hub_id=hub_id, sources=MappingProxyType(sources), **{**_SAME, **values})


_QWEN = {"batch": 16, "lr": 1e-4, "vision_tower": True}
PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        preset.name: preset
        for preset in (
            _preset("qwen2_vl", "Qwen2-VL-7B", "Qwen/Qwen2-VL-7B-Instruct", 5, **_QWEN),
            _preset("qwen2_5_vl", "Qwen2.5-VL-7B", "Qwen/Qwen2.5-VL-7B-Instruct", 5, **_QWEN),
            _preset("llava_next", "LLaVA-V1.6-Vicuna-7B", "llava-hf/llava-v1.6-vicuna-7b-hf", 6,
                    batch=1, lr=1e-5, vision_tower=False),
            _preset("mllama", "LLaMA-3.2-Vision-Instruct-11B", "meta-llama/Llama-3.2-11B-Vision-Instruct", 7,
                    batch=4, accumulation=4, lr=1e-5, vision_tower=True),
        )
    }
)  # fmt: skip


@dataclass(frozen=True)
class Disagreement:
    """Two statements that cannot both hold.

    Attributes:
        about: the fields of `Preset` that are at stake.
        presets: the presets that it concerns.
        one, other: what is said, with its place; `one` is what the presets follow.
        why: why the presets follow it.
    """

    about: tuple[str, ...]
    presets: tuple[str, ...]
    one: tuple[Source, str]
    other: tuple[Source, str]
    why: str


_EVERY = ("qwen2_vl", "qwen2_5_vl", "llava_next", "mllama")
DISAGREEMENTS = (
    Disagreement(
        ("rank", "alpha", "target"), _EVERY,
        (Source(PAPER, "Tables 5 to 7", "LoRA Rank, LoRA α, LoRA Target"), "LoRA of rank 8 on all linear layers"),
        (Source(PAPER, "Section 6", "Limitations"), "full fine-tuning of the vision and language components"),
        "The tables give LoRA's three numbers for each model, and the conclusion gives none for full fine-tuning.",
    ),
    Disagreement(
        ("vision_tower",), ("llava_next",),
        (Source(PAPER, "Table 6", "Unfreeze Vision Tower"), "False: LLaVA's vision tower is frozen"),
        (Source(PAPER, "Section 5.4", "our full method"), "the vision tower and the language model are tuned jointly"),
        "Section 5.4 reports the two Qwen models alone; for LLaVA only the table speaks.",
    ),
    Disagreement(
        ("lr", "batch", "accumulation", "vision_tower"), _EVERY,
        (Source(PAPER, "Tables 5 to 7", "Learning Rate, Batch Size, Gradient Accumulation Steps"),
         "learning rates of 1e-4 and 1e-5, and 1,024, 64 or 128 examples a step"),
        (Source(PAPER, "Section 5.1", "for fair comparison"), "consistent hyperparameters for all models"),
        "The numbers differ by a factor of ten and of sixteen; gains of different models are not comparable.",
    ),
    Disagreement(
        ("consistency",), _EVERY,
        (Source(PAPER, "Section 5.1", "using our SFT loss (Equation 7)"), "the loss of captions alone"),
        (Source(PAPER, "Abstract and Sections 1 and 6", "feature-level consistency"), "a consistency loss on features"),
        "That loss has no equation, no weight, no row in a table or an ablation, and no code.",
    ),
)  # fmt: skip
