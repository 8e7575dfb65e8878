"""Edits of weights: put in and taken out to the last bit, in any order; refused where they do not belong."""

import random

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from typer.testing import CliRunner

from mmhallu_core.cli import app
from mmhallu_core.methods.aleahallu.pairs import world_pairs
from mmhallu_core.models.adapter_folders import base_hash
from mmhallu_core.models.edits import FILE, Edit, EditStack
from mmhallu_core.models.tiny_random import build
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.train.run import base_info
from mmhallu_core.types import CannotRun

NAMES = ("0.weight", "1.weight", "2.weight")


def small(dtype):
    torch.manual_seed(3)
    return nn.Sequential(*(nn.Linear(16, 12, bias=False) for _ in NAMES)).to(dtype)


def drawn(number):
    """A random edit of one to three matrices, some of them in a few rows alone."""
    dice, draw = random.Random(number), torch.Generator().manual_seed(number)
    deltas, rows = {}, {}
    for name in dice.sample(NAMES, dice.randint(1, 3)):
        if dice.random() < 0.5:
            rows[name] = torch.tensor(sorted(dice.sample(range(12), 4)))
        deltas[name] = torch.randn(4 if name in rows else 12, 16, generator=draw) * 0.1
    return Edit("small", "sha", deltas, rows)


def right(model, edits):
    """What the weights must be: the sum in float32, one edit after the other, rounded once."""
    found = {}
    for name, weight in model.state_dict().items():
        value = weight.float().clone()
        for edit in edits:
            for place, row in enumerate(edit.deltas.get(name, ())):
                value[edit.rows[name][place] if name in edit.rows else place] += row
        found[name] = value.to(weight.dtype)
    return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_hundred_edits_in_any_order_leave_no_trace(dtype):
    model, before, dice = small(dtype), small(dtype), random.Random(0)
    stack, inside = EditStack(model, "sha"), []
    todo = [drawn(number) for number in range(100)]
    while todo or inside:
        if todo and dice.random() < 0.6:
            inside.append(todo.pop())
            stack.apply(inside[-1])
        elif inside:
            stack.undo(inside.pop(dice.randrange(len(inside))))
        if dice.random() < 0.2:
            wanted = right(before, inside)
            assert all(torch.equal(value, wanted[name]) for name, value in model.state_dict().items())
    for name, value in model.state_dict().items():
        assert torch.equal(value, before.state_dict()[name])


def test_adding_and_subtracting_instead_would_leave_traces():
    weight = small(torch.bfloat16)[0].weight.detach()
    delta = 0.1 * torch.randn_like(weight)
    assert ((weight + delta - delta) != weight).float().mean() > 0.2


@pytest.mark.parametrize(
    "edit, says",
    [
        (Edit("small", "other", {"0.weight": torch.ones(12, 16)}), "other weights"),
        (Edit("small", "sha", {"0.weight": torch.ones(12, 16), "9.weight": torch.ones(12, 16)}), "no 9.weight"),
        (Edit("small", "sha", {"0.weight": torch.ones(12, 15)}), r"takes \(12, 16\)"),
        (Edit("small", "sha", {"0.weight": torch.ones(1, 16)}, {"0.weight": torch.tensor([12])}), "has 12 rows"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(edit, says):
    model, before = small(torch.float32), small(torch.float32)
    stack = EditStack(model, "sha")
    with pytest.raises(CannotRun, match=says):
        stack.apply(edit)
    assert not stack.edits
    assert all(torch.equal(value, before.get_parameter(name)) for name, value in model.named_parameters())
    with pytest.raises(ValueError):
        stack.undo(edit)


def test_a_file_comes_back_and_a_damaged_one_says_so(tmp_path):
    edit = drawn(5)
    edit.write(tmp_path)
    again = Edit.read(tmp_path)
    assert (again.base, again.base_sha256, set(again.rows)) == ("small", "sha", set(edit.rows))
    assert all(torch.equal(again.deltas[name], delta) for name, delta in edit.deltas.items())
    (tmp_path / FILE).write_bytes((tmp_path / FILE).read_bytes()[:-7])
    with pytest.raises(CannotRun, match="damaged"):
        Edit.read(tmp_path)
    save_file({"0.weight": torch.ones(2)}, tmp_path / FILE)
    with pytest.raises(CannotRun, match="which base"):
        Edit.read(tmp_path)
    with pytest.raises(CannotRun, match="no edit"):
        Edit.read(tmp_path / "nothing")
    with pytest.raises(CannotRun, match="no number"):
        Edit("small", "sha", {"0.weight": torch.tensor([[float("nan")]])}).write(tmp_path)


def test_a_model_is_loaded_and_asked_with_edits(tmp_path):
    base = Vlm.load(build("llava", tmp_path / "base"), "cpu")
    name = "model.language_model.layers.1.mlp.down_proj.weight"
    sha, shape = base_hash(base.model), base.model.get_parameter(name).shape
    for number, folder in enumerate(("one", "two")):
        Edit("../base", sha, {name: torch.full(shape, 0.5 + number)}).write(tmp_path / folder)
    both = Vlm.load(tmp_path / "base", "cpu", edits=[tmp_path / "one", tmp_path / "two"])
    assert both.name.endswith("base with one with two")
    for key, value in both.model.state_dict().items():
        wanted = base.model.state_dict()[key]
        assert torch.equal(value, wanted + 0.5 + 1.5 if key == name else wanted)
    both.edits.undo(both.edits.edits[0])
    alone = Vlm.load(tmp_path / "two", "cpu")  # an edit's folder is a model, wherever its base's name is seen from
    assert torch.equal(alone.model.get_parameter(name), both.model.get_parameter(name))
    with pytest.raises(CannotRun, match="take them out"):
        base_info(both, tmp_path)
    with pytest.raises(CannotRun, match="before edits"):
        both.with_adapter("tour-adapter")
    build("llava", tmp_path / "other", seed=1)
    with pytest.raises(CannotRun, match="other weights"):
        Vlm.load(tmp_path / "other", "cpu", edits=[tmp_path / "one"])
    (tmp_path / "a.png").write_bytes(next(world_pairs("ask")).image)
    words = [
        "ask",
        str(tmp_path / "a.png"),
        "What?",
        "--model",
        str(tmp_path / "base"),
        "--max-new-tokens",
        "2",
        "--json",
    ]
    said = CliRunner().invoke(app, [*words, "--edit", str(tmp_path / "one")])
    assert said.exit_code == 0 and "base with one" in said.stdout
