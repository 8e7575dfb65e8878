"""Preference training on the one trainer: probabilities of whole answers, against those of the model as it was.

A recipe says how many answers an example has and what their probabilities cost (`preference_losses.py`). The rest is
here and the same for all methods: the answers of an example as one trie (`trie.py`), the reference's probabilities
computed before the first step and kept (`references.py`), and each micro-batch's share of the step's mean loss.
"""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from tqdm.auto import tqdm

from mmhallu_core.models.vlm import Vlm
from mmhallu_core.train.preference_batch import PreferenceCollator
from mmhallu_core.train.preference_tokens import leaf_sums
from mmhallu_core.train.prepare import Prepared, put_on
from mmhallu_core.train.records import Numbered
from mmhallu_core.train.references import References, about, keep
from mmhallu_core.train.spec import TrainSpec, processes, rank
from mmhallu_core.train.trie import answer_log_probs

Sums = Float[Tensor, "examples leaves"]


@dataclass(frozen=True)
class PreferenceRecipe:
    """A method, as `run.train` takes it.

    Attributes:
        about: all that the loss depends on, as JSON values.
        leaves: answers of an example.
        loss: (policy, reference) gives the mean loss of some examples, and numbers to log.
        references: folder of the reference's log-probabilities, which several runs may share; the run's own when None.
    """

    about: Mapping[str, Any]
    leaves: int
    loss: Callable[[Sums, Sums], tuple[Tensor, dict[str, float]]]
    references: Path | None = None

    def prepare(self, vlm: Vlm, spec: TrainSpec, out: Path, base_sha256: str) -> Prepared:
        """The model, its loss and its batches; see `prepare.Recipe`.

        Raises:
            CannotRun: when plan, precision or attention do not go with the model, or the kept log-probabilities
                belong to another one.
        """
        model = put_on(vlm, spec)
        references = References(self.references or out / "references", about(vlm, base_sha256))
        collate = PreferenceCollator(vlm, references, together=not spec.checkpointing)

        def loss(
            wrapped: nn.Module, answers: Mapping[str, Tensor], totals: Tensor | None = None, **inputs: Any
        ) -> tuple[Tensor, dict[str, float]]:
            values = answer_log_probs(wrapped, model, inputs, answers)
            sums = [leaf_sums(one.to(values), answers, self.leaves) for one in (values, answers["ref"])]
            found, told = self.loss(*sums)
            share = 1.0 if totals is None else float(answers["count"] / totals[0])
            return found * share, {name: value * share for name, value in told.items()}

        def begin(examples: Numbered, tell: bool) -> None:
            refer(model, collate, references, examples, spec, tell)

        return Prepared(vlm, model, loss, collate, _examples, begin)


def _examples(batch: Mapping[str, Any]) -> Tensor:
    """How many examples a micro-batch has."""
    return batch["answers"]["count"][None].float()


@torch.no_grad()
def refer(
    model: nn.Module,
    collate: PreferenceCollator,
    references: References,
    examples: Numbered,
    spec: TrainSpec,
    tell: bool = False,
) -> None:
    """Computes the log-probabilities that a run will compare with; each process takes its share of the examples.

    Args:
        model: before its first step, when its adapter still adds nothing; so it is switched off, which is faster.
        collate: makes its batches.
        references: where they are kept; what is there is not computed again.
        examples: of the run. Where their maker says how many there are, later epochs bring nothing new.
        spec: gives the size of a batch and the precision.
        tell: whether to show a bar on standard error.
    """
    count = min(len(examples), len(examples.make) if hasattr(examples.make, "__len__") else len(examples))
    device = collate.vlm.model.device.type
    mixed = torch.autocast(device, getattr(torch, spec.dtype), enabled=spec.dtype != "float32")
    starts = range(rank() * spec.micro_batch, count, processes() * spec.micro_batch)
    model.eval()
    for start in tqdm(starts, desc="reference", unit="batch", disable=not tell):
        batch, keys = collate.read([examples.make(i) for i in range(start, min(count, start + spec.micro_batch))])
        if all(key in references for key in keys):
            continue
        answers = batch.pop("answers")
        with mixed, model.disable_adapter() if hasattr(model, "disable_adapter") else nullcontext():
            keep(references, keys, answers["leaf"], answer_log_probs(model, model, batch, answers))
    if processes() > 1:
        torch.distributed.barrier()
        references.load()
