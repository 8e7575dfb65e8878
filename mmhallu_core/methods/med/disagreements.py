"""Where MED's paper says two things about its training, both of them, and which of the two a preset follows.

The rule is simple: a table of hyperparameters is what somebody typed into a configuration, so it goes before prose.
What the paper says twice about its *results* is in `studies.med_table_printed`.
"""

from dataclasses import dataclass

from mmhallu_core.methods.med.presets import PAPER, Source


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
