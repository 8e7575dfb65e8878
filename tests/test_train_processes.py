"""Training in two processes: the same losses as in one at the same number of examples a step, and after a kill."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mmhallu_core.methods.ic_vco.recipes import recipe
from mmhallu_core.models.adapter_folders import WEIGHTS
from mmhallu_core.models.tiny_random import build
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.train.run import train
from mmhallu_core.train.spec import processes
from mmhallu_core.types import CannotRun
from tests import two_preferences
from tests.preference_data import maker
from tests.two_processes import DATA, SPEC, make

ROOT = Path(__file__).parents[1]


def record(folder):
    return json.loads((folder / "run.json").read_text(encoding="utf-8"))


def in_two(module, *words):
    """Runs a module in two processes of torchrun."""
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", module]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "MMHALLU_DEVICE": "cpu"}
    done = subprocess.run(
        [*start, *map(str, words)], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done


@pytest.mark.slow
def test_two_processes_share_preferences_and_the_rows_that_distil(tmp_path):
    base = build("qwen2_vl", tmp_path / "base")
    in_two("tests.two_preferences", tmp_path, base)
    alone, made = dataclasses.replace(two_preferences.SPEC, micro_batch=4), two_preferences.OBJECTIVE
    one = train(Vlm.load(base, "cpu"), maker(made), alone, tmp_path / "one", "a test", recipe=recipe(made)).record
    two = record(tmp_path / "two")
    assert (one["examples"], one["processes"]) == (two["examples"], 1) and two["processes"] == 2
    assert one["losses"] == pytest.approx(two["losses"], abs=1.5e-4)  # each is rounded to 1e-4
    assert one["data_sha256"] == two["data_sha256"]
    assert one["loss"]["margin"] == pytest.approx(two["loss"]["margin"], abs=2e-3) and one["loss"]["margin"] > 0


@pytest.mark.slow
def test_two_processes_take_the_steps_of_one(tmp_path):
    base = build("qwen2_vl", tmp_path / "base")
    done = in_two("tests.two_processes", tmp_path, base)
    assert done.stdout.count("world size 2 wrapped in DistributedDataParallel") == 2, "two processes, and both wrapped"

    alone = dataclasses.replace(SPEC, micro_batch=4)
    one = train(Vlm.load(base, "cpu"), make, alone, tmp_path / "one", "a test", DATA).record
    two = record(tmp_path / "plain" / "whole")
    assert (one["examples"], one["processes"]) == (32, 1) and (two["examples"], two["processes"]) == (32, 2)
    assert one["losses"] == pytest.approx(two["losses"], abs=1.5e-4)  # each is rounded to 1e-4
    for name in ("first", "final"):
        assert one["loss"][name] == pytest.approx(two["loss"][name], abs=1e-4)
    for name in ("answers", "consistency"):
        assert one["loss"][name] == pytest.approx(two["loss"][name], abs=2e-4) and one["loss"][name] > 0
    first, second = (load_file(folder / WEIGHTS) for folder in (tmp_path / "one", tmp_path / "plain" / "whole"))
    close = [torch.allclose(first[name], second[name], atol=2e-3) for name in first]  # Adam turns rounding into steps
    assert set(first) == set(second) and sum(close) > 0.9 * len(close)
    for kind in ("plain", "dropout"):
        whole, broken = (record(tmp_path / kind / name) for name in ("whole", "broken"))
        assert broken["resumed"] and not whole["resumed"]
        assert whole["sha256"] == broken["sha256"] and whole["losses"] == broken["losses"]


@pytest.mark.parametrize("name", ["cpu", "gpus", "fsdp"])
def test_the_shipped_files_are_read_by_accelerate(name):
    from accelerate.commands.config.config_args import load_config_from_file

    found = load_config_from_file(str(ROOT / "mmhallu_core" / "train" / "accelerate" / f"{name}.yaml"))
    assert found.num_processes > 1 and found.distributed_type != "MULTI_CPU", "which starts one process"
    assert (found.fsdp_config != {}) == (name == "fsdp")


def test_several_processes_that_were_not_started_are_an_error(monkeypatch):
    """What `accelerate launch --cpu --num_processes 2` leaves in the environment of the one process that it starts."""
    for name, value in {"ACCELERATE_DYNAMO_MODE": "default", "MASTER_PORT": "29500"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with pytest.raises(CannotRun, match="--nproc_per_node"):
        processes()
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert processes() == 2
