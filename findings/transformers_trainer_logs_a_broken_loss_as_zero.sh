#!/usr/bin/env bash
# transformers 5.23, `Trainer`: a loss that is no number stands in the log as 0.0, which is what a perfect model has.
#
# Expected: when a training breaks, its log shows nan or inf, or the training ends.
# Seen: `logging_nan_inf_filter` is on by default. With a line a step, every loss after the break is logged as 0.0. The
# mean over the whole training, which `train` returns, is finite. The training goes on to its end and its weights are
# all nan. Only `grad_norm` says so.
#
# So a learning rate that is too large looks like a training that has learned everything, and its adapter is saved. Set
# `logging_nan_inf_filter=False` and look at the weights before they are written.
# Ends with 1 when the package behaves otherwise. It installs torch, some gigabytes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  transformers==5.23.0 torch==2.15.0 accelerate==1.14.0
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import math
import sys

import torch
import transformers
from transformers import PrinterCallback, Trainer, TrainingArguments


class Line(torch.nn.Module):
    """One weight and one bias."""

    def __init__(self):
        super().__init__()
        self.line = torch.nn.Linear(1, 1)

    def forward(self, x, labels):
        return {"loss": torch.nn.functional.mse_loss(self.line(x), labels)}


def trained(**options):
    """The losses in the log, the mean that `train` returns, and the weights; the learning rate is far too large."""
    torch.manual_seed(0)
    examples = [{"x": torch.tensor([float(i)]), "labels": torch.tensor([2.0 * i])} for i in range(8)]
    arguments = TrainingArguments(
        output_dir="out", max_steps=6, learning_rate=1e38, lr_scheduler_type="constant", logging_steps=1,
        per_device_train_batch_size=4, report_to="none", save_strategy="no", use_cpu=True, disable_tqdm=True, **options,
    )
    model = Line()
    trainer = Trainer(model, arguments, train_dataset=examples)
    trainer.remove_callback(PrinterCallback)
    mean = trainer.train().training_loss
    losses = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    return losses, mean, [value.item() for value in model.parameters()]


losses, mean, weights = trained()
honest, honest_mean, _ = trained(logging_nan_inf_filter=False)
print("transformers", transformers.__version__)
print("  weights after the training:    ", weights)
print("  losses in the log, by default: ", losses, "mean", mean)
print("  logging_nan_inf_filter=False:  ", honest, "mean", honest_mean)
broken = all(math.isnan(one) for one in weights)
hidden = losses[0] > 1 and losses[-4:] == [0.0] * 4 and math.isfinite(mean)
same = broken and hidden and math.isnan(honest[-1]) and math.isnan(honest_mean)
print("as found" if same else "this has changed")
sys.exit(0 if same else 1)
PYTHON
