"""The recipe of tiny-llava: draw a pool, learn to see, learn to speak, save.

`mmhallu pretrain tiny-llava` runs this. Each stage is a transformers `Trainer` run that resumes from its last
checkpoint; a finished stage is not repeated. Steps, not minutes, decide when a stage ends, so the same seed
gives the same model on any machine up to rounding.
"""

import json
import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import transformers
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast, Trainer, TrainingArguments, set_seed

from mmhallu_core.models.tiny_llava import new_tiny_llava, tiny_processor
from mmhallu_core.models.tokenizer import train_tokenizer
from mmhallu_core.store import sha256
from mmhallu_core.train.pretrain.branches import answer_loss
from mmhallu_core.train.pretrain.pool import Pool, PoolSpec
from mmhallu_core.train.pretrain.see import SeeDataset, group_ids, see_loss
from mmhallu_core.train.pretrain.speak import SpeakDataset, speak_collator
from mmhallu_core.world.language import corpus
from mmhallu_core.world.prior import ETA, PRIOR

VOCABULARY = 1500
CORPUS = 60_000  # sentences; one tokenizer for every base and for tiny-clip


@dataclass(frozen=True)
class Recipe:
    """Every number of a base model's training; the two dials make the control when both are 0."""

    seed: int = 0
    prior: float = PRIOR
    eta: float = ETA
    scenes: int = 40_000
    pairs: int = 6_000
    see_steps: int = 2_500
    see_batch: int = 64
    see_lr: float = 1.5e-3
    speak_steps: int = 2_200
    speak_batch: int = 32
    speak_lr: float = 1.5e-3


class StageTrainer(Trainer):
    """A `Trainer` with a loss function of our own, which may return numbers to log beside the loss."""

    def __init__(self, loss_function, **kwargs) -> None:
        super().__init__(**kwargs)
        self.loss_function, self.extra = loss_function, {}

    def compute_loss(self, model, inputs, return_outputs=False, **kwargs):
        """See `Trainer.compute_loss`."""
        loss, self.extra = self.loss_function(model, **inputs)
        return loss

    def log(self, logs, *args, **kwargs) -> None:
        """Adds the loss function's own numbers."""
        super().log({**logs, **{name: round(value, 4) for name, value in self.extra.items()}}, *args, **kwargs)


def world_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer of every shipped model, always trained on the same corpus."""
    return train_tokenizer(corpus(CORPUS, seed=0), VOCABULARY)


def run_stage(name: str, model, loss_function, dataset, collator, out: Path, steps: int, batch: int, lr: float,
              seed: int) -> None:  # fmt: skip
    """Trains for `steps` steps, resuming from the newest checkpoint in `out`; log lines go to `out/log.jsonl`."""
    arguments = TrainingArguments(
        output_dir=str(out), max_steps=steps, per_device_train_batch_size=batch, learning_rate=lr,
        lr_scheduler_type="cosine", warmup_steps=min(100, steps // 10), weight_decay=0.02, max_grad_norm=1.0,
        logging_steps=25, save_steps=250, save_total_limit=1, report_to="none", remove_unused_columns=False,
        seed=seed, data_seed=seed, dataloader_num_workers=0, optim="adamw_torch_fused", adam_beta2=0.98,
    )  # fmt: skip
    trainer = StageTrainer(loss_function, model=model, args=arguments, train_dataset=dataset, data_collator=collator)
    checkpoint = transformers.trainer_utils.get_last_checkpoint(str(out)) if out.exists() else None
    trainer.train(resume_from_checkpoint=checkpoint)
    with (out / "log.jsonl").open("w", encoding="utf-8") as log:
        log.writelines(json.dumps(line) + "\n" for line in trainer.state.log_history)


def see(recipe: Recipe, model: LlavaForConditionalGeneration, tokenizer, pool: Pool, out: Path) -> None:
    """Stage 1."""
    groups = group_ids(tokenizer)

    def loss(llava, pixels, labels):
        return see_loss(llava, groups, pixels, labels)

    # The dataset names its items by step, so that a resumed run and an uninterrupted one see the same data.
    data = SeeDataset(pool, recipe.seed, recipe.see_steps * recipe.see_batch)
    run_stage("see", model, loss, data, None, out, recipe.see_steps, recipe.see_batch, recipe.see_lr, recipe.seed)


def speak(recipe: Recipe, model: LlavaForConditionalGeneration, tokenizer, pool: Pool, out: Path) -> None:
    """Stage 2."""

    def loss(llava, labels, weights, **inputs):
        hidden = llava.model(**inputs, use_cache=False).last_hidden_state
        return answer_loss(hidden, llava.lm_head, labels, weights), {}

    data = SpeakDataset(pool, tokenizer, recipe.seed, recipe.speak_steps * recipe.speak_batch, recipe.eta)
    collator = speak_collator(tokenizer.pad_token_id)
    run_stage("speak", model, loss, data, collator, out, recipe.speak_steps, recipe.speak_batch, recipe.speak_lr,
              recipe.seed)  # fmt: skip


def pretrain_tiny_llava(recipe: Recipe, out: Path, command: str) -> Path:
    """Runs or resumes the whole recipe in `out`; returns the folder of the finished model.

    Writes `out/model` (weights, processor, chat template) and `out/run.json` (command, recipe, versions, seconds,
    sha256 of the weights).
    """
    began = time.time()
    out.mkdir(parents=True, exist_ok=True)
    tokenizer = world_tokenizer()
    set_seed(recipe.seed)
    model = new_tiny_llava(tokenizer)
    pool = Pool(PoolSpec(recipe.scenes, recipe.pairs, recipe.seed, recipe.prior), out / "pool")
    for name, stage in (("see", see), ("speak", speak)):
        weights = out / f"{name}.safetensors"
        if not weights.exists():
            stage(recipe, model, tokenizer, pool, out / name)
            safetensors_save(model, weights)
        safetensors_load(model, weights)
    folder = out / "model"
    model.save_pretrained(folder)
    tiny_processor(tokenizer).save_pretrained(folder)
    record = {
        "command": command,
        "recipe": asdict(recipe),
        "versions": versions(),
        "seconds_this_call": round(time.time() - began),
        "parameters": sum(p.numel() for p in model.parameters()),
        "sha256": sha256(folder / "model.safetensors"),
    }
    (out / "run.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return folder


def versions() -> dict[str, str]:
    """What a result depends on besides its seed."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "machine": f"{platform.system()} {platform.machine()}, {torch.get_num_threads()} threads",
    }


def safetensors_save(model, path: Path) -> None:
    """Writes all weights, shared ones once, through a temporary name, so that a half-written file never counts."""
    from safetensors.torch import save_model

    temporary = path.with_suffix(".tmp")
    save_model(model, str(temporary))
    temporary.replace(path)


def safetensors_load(model, path: Path) -> None:
    """Reads what `safetensors_save` wrote."""
    from safetensors.torch import load_model

    load_model(model, str(path))
