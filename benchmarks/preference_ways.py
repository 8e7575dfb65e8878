"""What `bench_preference.py` compares: the library's tries, the plain loop that is the referee, and TRL's DPO."""

import weakref

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from mmhallu_core.methods.ic_vco.pairs import Failed, Pairs, pair_of, records_of
from mmhallu_core.methods.ic_vco.presets import OURS
from mmhallu_core.methods.ic_vco.recipes import Objective, Sides, recipe, stacked
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.train.preference_batch import PreferenceCollator
from mmhallu_core.train.preference_losses import Weights, ic_vco_loss
from mmhallu_core.train.preference_tokens import leaf_sums, written_as
from mmhallu_core.train.prepare import put_on
from mmhallu_core.train.records import PreferenceExample
from mmhallu_core.train.trie import answer_log_probs
from mmhallu_core.world.render import render

BATCH = 4  # examples of a step
SINGLE, MULTI = (0, 1, 4, 5), (2, 3, 6, 7)  # the leaves of IC-VCO's two branches


def material(count: int) -> list:
    """Descriptions of pairs of Diorama, with their pictures."""
    found, i, ask = [], 0, Pairs(10 * count, questions=0)
    while len(found) < count:
        try:
            pair = pair_of(i, ask)
            images = (render(pair.before).image, render(pair.after, style=pair.style).image)
            found += [(record, images) for record in records_of(i, pair, ask, ("before", "after"))]
        except Failed:
            pass
        i += 1
    return found[:count]


def ready(seed: int = 0) -> tuple[Vlm, torch.nn.Module]:
    """tiny-llava with the study's adapter, whose second matrix is not zero, so that the reference differs."""
    vlm = Vlm.load("tiny-llava", "cpu")
    model = put_on(vlm, OURS)
    torch.manual_seed(seed)
    for name, one in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(one, std=0.02)
    return vlm, model.train()


class Tries:
    """The library's way: every example one trie; `ref` keeps the reference's sums where they are given."""

    def __init__(self, vlm: Vlm, model: torch.nn.Module, objective: Objective) -> None:
        self.vlm, self.model, self.made = vlm, model, recipe(objective)
        self.collate = PreferenceCollator(vlm)

    def sums(self, examples: list[PreferenceExample]) -> Tensor:
        """The log-probability of each answer of each example, by the model as it is."""
        batch = self.collate(examples)
        answers = batch.pop("answers")
        return leaf_sums(answer_log_probs(self.model, self.model, batch, answers), answers, self.made.leaves)

    def reference(self, examples: list[PreferenceExample]) -> Tensor:
        """The same without the adapter."""
        with torch.no_grad(), self.model.disable_adapter():
            return self.sums(examples)

    def step(self, examples: list[PreferenceExample], ref: Tensor | None = None) -> float:
        """One step; its loss."""
        ref = self.reference(examples) if ref is None else ref
        loss, _ = self.made.loss(self.sums(examples), ref)
        loss.backward()
        return loss.item()


class Plain:
    """Eight sequences in two batches; the texts were split into tokens once, before training."""

    def __init__(self, vlm: Vlm, model: torch.nn.Module, examples: list[PreferenceExample]) -> None:
        self.vlm, self.model = vlm, model
        self.written = {one.id: [written_as(vlm, one, leaf) for leaf in one.leaves] for one in examples}

    def branch(self, examples: list[PreferenceExample], leaves: tuple[int, ...], inputs: dict | None = None) -> Tensor:
        """(examples, leaves): the log-probabilities of some answers of each example."""
        written = [self.written[one.id][k] for one in examples for k in leaves]
        inputs = self.batch(examples, leaves) if inputs is None else inputs
        logs = self.model(**inputs, use_cache=False).logits[:, :-1].log_softmax(-1)
        logs = logs.gather(2, inputs["input_ids"][:, 1:, None])[..., 0]
        kept = torch.zeros(logs.shape)
        ends = inputs["attention_mask"].sum(1).tolist()
        for row, (one, end) in enumerate(zip(written, ends, strict=True)):
            kept[row, end - len(one.kept) - 1 : end - 1] = torch.tensor(one.kept, dtype=torch.float)
        return (logs * kept).sum(1).view(len(examples), len(leaves))

    def batch(self, examples: list[PreferenceExample], leaves: tuple[int, ...]) -> dict:
        """What the model reads."""
        written = [self.written[one.id][k] for one in examples for k in leaves]
        return self.vlm.encode([list(one.images) for one in written], [one.text for one in written], "right")

    def both(self, examples: list[PreferenceExample], leaves: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """A branch under the model and under the reference."""
        inputs = self.batch(examples, leaves)
        with torch.no_grad(), self.model.disable_adapter():
            ref = self.branch(examples, leaves, inputs)
        return self.branch(examples, leaves, inputs), ref

    def step(self, examples: list[PreferenceExample], ref: Tensor | None = None) -> float:
        """One step with one backward pass; its loss."""
        found = []
        for leaves in (SINGLE, MULTI):
            if ref is None:
                found.append(self.both(examples, leaves))
            else:
                found.append((self.branch(examples, leaves), ref[:, list(leaves)]))
        single, multi = (Sides(*one) for one in found)
        loss = ic_vco_loss(*(stacked(sides(0, 1), sides(2, 3)) for sides in (single, multi)))
        loss.backward()
        return loss.item()

    def apart(self, examples: list[PreferenceExample]) -> float:
        """One step with a backward pass for each branch: the teacher first, whose gradient distillation stops."""
        policy, ref = self.both(examples, MULTI)
        sides = Sides(policy, ref)
        multi = stacked(sides(0, 1), sides(2, 3))
        still = stacked(*(Sides(policy.detach(), ref)(k, k + 1) for k in (0, 2)))
        usual = Weights()
        first = ic_vco_loss(still, multi, Weights(0.0, usual.multi, usual.anchor, 0.0))
        first.backward()
        del policy, sides, multi
        sides = Sides(*self.both(examples, SINGLE))
        second = ic_vco_loss(stacked(sides(0, 1), sides(2, 3)), still, Weights(usual.single, 0.0, usual.anchor))
        second.backward()
        return first.item() + second.item()


class Peak(TorchDispatchMode):
    """While open, counts the bytes of all tensors made since and still alive; `most` is the largest count."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self.seen: dict[int, weakref.ref] = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        for one in torch.utils._pytree.tree_leaves(found):
            if isinstance(one, Tensor):
                self._count(one.untyped_storage())
        return found

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self.seen:
            return

        def gone(_: object) -> None:
            del self.seen[key]
            self.now -= size

        self.seen[key] = weakref.ref(storage, gone)
        self.now += size
        self.most = max(self.most, self.now)


class Trl:
    """TRL's DPOTrainer on the first picture of each example, with the adapter of another model.

    Raises:
        ImportError: when TRL is not installed.
    """

    def __init__(self, records: list, tuned: torch.nn.Module, folder: str) -> None:
        from datasets import Dataset
        from peft import LoraConfig
        from trl import DPOConfig, DPOTrainer

        vlm = Vlm.load("tiny-llava", "cpu")
        rows = [{
            "images": [images[0]], "prompt": [{"role": "user", "content": record.prompt}],
            "chosen": [{"role": "assistant", "content": record.chosen}],
            "rejected": [{"role": "assistant", "content": record.rejected}],
        } for record, images in records]  # fmt: skip
        given = DPOConfig(
            folder, per_device_train_batch_size=BATCH, gradient_checkpointing=False, bf16=False, beta=0.1,
            max_length=None, report_to="none", use_cpu=True,
        )  # fmt: skip
        where = tuned.peft_config["default"].target_modules
        lora = LoraConfig(r=OURS.adapt.rank, lora_alpha=OURS.adapt.alpha, target_modules=where)
        self.trainer = DPOTrainer(
            vlm.model, args=given, train_dataset=Dataset.from_list(rows), processing_class=vlm.processor,
            peft_config=lora,
        )  # fmt: skip
        self.model, values = self.trainer.model.train(), dict(tuned.named_parameters())
        for name, one in self.model.named_parameters():
            if one.requires_grad:
                one.data.copy_(values[name])
        self.rows = rows

    def step(self, which: list[int]) -> float:
        """One step on some of the examples; its loss."""
        inputs = self.trainer.data_collator([dict(self.rows[i]) for i in which])
        loss = self.trainer.compute_loss(self.model, inputs)
        loss.backward()
        return loss.item()


def peak(step, model: torch.nn.Module, *arguments) -> int:
    """The most bytes alive at once in a step, above those before it, gradients of the parameters left out."""
    step(*arguments)  # so that gradients have their place already
    model.zero_grad(set_to_none=False)
    with Peak() as counted:
        step(*arguments)
    return counted.most
