"""The recipe of tiny-llava: draw a pool, learn to see, learn to speak, settle, learn to compare, save.

`mmhallu pretrain tiny-llava` runs this. Each stage is a transformers `Trainer` run that resumes from its last
checkpoint; a finished stage is not repeated. Steps, not minutes, decide when a stage ends. Another processor adds in
another order, so a rebuild is another model of the recipe, as another seed is: the spread over seeds judges it
(`maintenance/checkpoints.py`).
"""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from transformers import (
    LlavaForConditionalGeneration,
    PreTrainedTokenizerFast,
    TrainingArguments,
    set_seed,
)

from mmhallu_core.models.loading import pick_device
from mmhallu_core.models.tiny_llava import new_tiny_llava, tiny_processor, train_tokenizer
from mmhallu_core.store import sha256
from mmhallu_core.train.losses import answer_loss_of_states
from mmhallu_core.train.machine import versions
from mmhallu_core.train.pretrain.compare import NAMES_AFTER, TELLS_AFTER, compare_loss, rotation, second_picture
from mmhallu_core.train.pretrain.pairs import PairsDataset
from mmhallu_core.train.pretrain.pool import Pool, PoolSpec
from mmhallu_core.train.pretrain.see import SeeDataset, group_ids, see_loss, visual_tokens
from mmhallu_core.train.pretrain.speak import SETTLE_TWO_IMAGES, SpeakDataset, pair_turns, speak_collator
from mmhallu_core.train.trainer import MmTrainer, newest_whole
from mmhallu_core.world.language import corpus
from mmhallu_core.world.prior import ETA, PRIOR

VOCABULARY = 1500
SAVE_STEPS = 250
SEE_WEIGHT = 0.5  # of stage 1's loss in stages 2 and 3
COMPARE_WEIGHT = 0.5  # of the help for pairs in stage 3
CORPUS = 60_000  # sentences; one tokenizer for every base and for tiny-clip


@dataclass(frozen=True)
class Recipe:
    """Every number of a base model's training; the two dials, set to 0 from stage 2 on, make the control."""

    seed: int = 0
    prior: float = PRIOR  # of the scenes of stages 2 and 3
    eta: float = ETA
    scenes: int = 40_000
    pairs: int = 6_000
    see_steps: int = 2_000
    see_batch: int = 64
    see_lr: float = 1.5e-3
    speak_steps: int = 2_000
    speak_batch: int = 32
    speak_lr: float = 1.2e-3
    settle_steps: int = 1_500
    settle_lr: float = 8e-4
    compare_steps: int = 1_800
    compare_batch: int = 24
    compare_share: float = 0.6  # of batches, those about pairs
    compare_lr: float = 8e-4


def world_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer of every shipped model, always trained on the same corpus."""
    return train_tokenizer(corpus(CORPUS, seed=0), VOCABULARY)


def run_stage(
    model, loss_function, dataset, collator, out: Path, steps: int, batch: int, lr: float, seed: int
) -> None:  # fmt: skip
    """Trains for `steps` steps, resuming from the newest checkpoint in `out`; log lines go to `out/log.jsonl`."""
    arguments = TrainingArguments(
        output_dir=str(out), max_steps=steps, per_device_train_batch_size=batch, learning_rate=lr,
        lr_scheduler_type="cosine", warmup_steps=min(100, steps // 10), weight_decay=0.02, max_grad_norm=1.0,
        logging_steps=25, save_steps=SAVE_STEPS, save_total_limit=1, report_to="none", remove_unused_columns=False,
        seed=seed, dataloader_num_workers=0, dataloader_pin_memory=False, optim="adamw_torch_fused", adam_beta2=0.98,
        use_cpu=pick_device().type == "cpu",
    )  # fmt: skip
    trainer = MmTrainer(loss_function, model=model, args=arguments, train_dataset=dataset, data_collator=collator)
    trainer.train(resume_from_checkpoint=newest_whole(out))
    with (out / "log.jsonl").open("w", encoding="utf-8") as log:
        log.writelines(json.dumps(line) + "\n" for line in trainer.state.log_history)


def see(recipe: Recipe, model: LlavaForConditionalGeneration, tokenizer, pool: Pool, out: Path) -> None:
    """Stage 1."""
    groups = group_ids(tokenizer)

    def loss(llava, pixels, labels):
        return see_loss(visual_tokens(llava, pixels), llava.get_input_embeddings().weight, groups, labels)

    data = SeeDataset(pool, recipe.seed, recipe.see_steps * recipe.see_batch)
    run_stage(model, loss, data, None, out, recipe.see_steps, recipe.see_batch, recipe.see_lr, recipe.seed)


def speak(recipe: Recipe, model: LlavaForConditionalGeneration, tokenizer, pool: Pool, out: Path) -> None:
    """Stage 2; visual tokens go on learning words beside it, since sentences alone teach them slowly."""
    batch = recipe.speak_batch
    data = SpeakDataset(pool, tokenizer, recipe, first=0, length=recipe.speak_steps * batch)
    loss = speak_loss(group_ids(tokenizer), turned=None)
    run_stage(model, loss, data, speak_collator(tokenizer.pad_token_id), out, recipe.speak_steps, batch,
              recipe.speak_lr, recipe.seed)  # fmt: skip


def settle(recipe: Recipe, model: LlavaForConditionalGeneration, tokenizer, pool: Pool, out: Path) -> None:
    """Stage 3: stage 2 goes on with new items from a lower rate, with more pairs, and with help to compare them."""
    batch = recipe.speak_batch
    data = SpeakDataset(pool, tokenizer, recipe, first=recipe.speak_steps * batch, length=recipe.settle_steps * batch,
                        two_images=SETTLE_TWO_IMAGES, turns_of_pair=pair_turns)  # fmt: skip
    loss = speak_loss(group_ids(tokenizer), rotation(model.config.text_config.hidden_size))
    run_stage(model, loss, data, speak_collator(tokenizer.pad_token_id), out, recipe.settle_steps, batch,
              recipe.settle_lr, recipe.seed)  # fmt: skip


def compare(recipe: Recipe, model: LlavaForConditionalGeneration, tokenizer, pool: Pool | None, out: Path) -> None:
    """Stage 4: pairs that are never shown twice, beside single pictures; it draws as it goes and needs no pool."""
    data = PairsDataset(tokenizer, recipe, recipe.compare_steps * recipe.compare_batch)
    loss = speak_loss(group_ids(tokenizer), rotation(model.config.text_config.hidden_size))
    run_stage(model, loss, data, speak_collator(tokenizer.pad_token_id), out, recipe.compare_steps,
              recipe.compare_batch, recipe.compare_lr, recipe.seed)  # fmt: skip


def speak_loss(groups: dict[str, list[int]], turned):
    """The loss of stages 2 and 3; with a rotation, also that of `compare` where a batch is about pairs."""

    def loss(llava, labels, weights, cells, **inputs):
        pairs = turned is not None and len(cells) == 2 * len(labels)
        output = llava.model(**inputs, use_cache=False, output_hidden_states=pairs)
        said = answer_loss_of_states(output.last_hidden_state, llava.lm_head, labels, weights)
        pictures = output.image_hidden_states  # of each picture from transformers 5.24 on, else all in one
        pictures = torch.cat(pictures) if isinstance(pictures, list | tuple) else pictures
        tokens = pictures.unflatten(0, (len(cells), -1))
        words = llava.get_input_embeddings().weight
        seen, right = see_loss(tokens, words, groups, cells)
        total = said + SEE_WEIGHT * seen
        if pairs:
            is_image = inputs["input_ids"] == llava.config.image_token_id
            named, told = (second_picture(output.hidden_states[k], is_image) for k in (NAMES_AFTER, TELLS_AFTER))
            compared, more = compare_loss(
                named, told, words, groups, cells.unflatten(0, (-1, 2)), turned.to(words.device)
            )
            total, right = total + COMPARE_WEIGHT * compared, {**right, "compared": compared.item(), **more}
        return total, {"said": said.item(), "seen": seen.item(), **right}

    return loss


def pretrain_tiny_llava(recipe: Recipe, out: Path, command: str) -> Path:
    """Runs or resumes the whole recipe in `out`; returns the folder of the finished model.

    Writes `out/model` (weights, processor, chat template) and `out/run.json` (command, recipe, versions, seconds,
    sha256 of the weights).
    """
    began, resumed = time.time(), out.exists()
    out.mkdir(parents=True, exist_ok=True)
    tokenizer = world_tokenizer()
    set_seed(recipe.seed)
    model = new_tiny_llava(tokenizer)
    # Base and control share stage 1, which has no sentences: same eyes, different habits.
    stages = (
        ("see", see, PRIOR), ("speak", speak, recipe.prior), ("settle", settle, recipe.prior),
        ("compare", compare, None),
    )  # fmt: skip
    for name, stage, prior in stages:
        weights = out / f"{name}.safetensors"
        if not weights.exists():
            pool = None
            if prior is not None:
                pool = Pool(PoolSpec(recipe.scenes, recipe.pairs, recipe.seed, prior), out / f"pool-prior{prior:g}")
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
        "seconds": round(time.time() - began),
        "resumed": resumed,  # then the seconds are those of the last call only
        "parameters": sum(p.numel() for p in model.parameters()),
        "sha256": sha256(folder / "model.safetensors"),
    }
    (out / "run.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return folder


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
