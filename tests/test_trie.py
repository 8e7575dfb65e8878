"""The trie of a preference example: probabilities and gradients of separate sequences, at a part of the cost."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from mmhallu_core.models.tiny_random import build
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.train import trie
from mmhallu_core.train.preference_batch import PreferenceCollator
from mmhallu_core.train.preference_tokens import leaf_sums
from mmhallu_core.train.records import Leaf, PreferenceExample

pytestmark = pytest.mark.long

FAMILIES = (
    "llava", "qwen2_vl", "qwen2_5_vl", "qwen3_vl", "llava_next", "internvl", "smolvlm", "llava_onevision",
)  # fmt: skip
ANSWERS = ("A red dog and two cars are here.", "A red dog and one tree are there.")


def picture(seed, size=(40, 56)):
    random = np.random.default_rng(seed)
    return Image.fromarray(random.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def example(name, first, second, answers=ANSWERS, question="What is there?"):
    """Both questions about both pictures, each picture alone, and no picture: ten leaves."""
    leaves = [
        Leaf((0, 1), f"{question} Answer based on the {which} image.", said)
        for which in ("first", "second") for said in answers
    ]  # fmt: skip
    leaves += [Leaf((one,), question, said, ((2, 5),)) for one in (0, 1) for said in answers]
    leaves += [Leaf((), question, said) for said in answers]
    return PreferenceExample(name, (picture(first), picture(second)), tuple(leaves))


def two(family):
    """Two examples of different lengths, so that the shorter one is padded; their pictures differ in shape."""
    leaves = example("b", 3, 4, ("Yes.", "No, none."), "Is it?").leaves
    return [example("a", 1, 2), PreferenceExample("b", (picture(3, (64, 30)), picture(4, (30, 64))), leaves)]


def in_double(vlm):
    """The model in float64, with norms that stay in it."""
    vlm.model.double().eval()
    for module in vlm.model.modules():
        if type(module).__name__.endswith("RMSNorm"):
            module.forward = _norm.__get__(module)
    return vlm


def _norm(self, hidden):
    scale = hidden.square().mean(-1, keepdim=True) + getattr(self, "variance_epsilon", getattr(self, "eps", 1e-6))
    return self.weight * hidden * scale.rsqrt()


def loss_and_gradients(vlm, examples, rows, together=True):
    """A loss in which every leaf counts otherwise, and what it does to every parameter."""
    vlm.model.zero_grad()
    batch = PreferenceCollator(vlm, rows=rows, together=together)(examples)
    answers = batch.pop("answers")
    values = trie.answer_log_probs(vlm.model, vlm.model, batch, answers)
    sums = leaf_sums(values, answers, 10)
    weights = torch.linspace(-1, 2, sums.numel(), dtype=sums.dtype).view_as(sums)
    loss = nn.functional.logsigmoid(0.1 * sums * weights).sum()
    loss.backward()
    found = {name: one.grad.clone() for name, one in vlm.model.named_parameters() if one.grad is not None}
    return sums.detach(), loss.item(), found, batch


def test_builds_one_node_for_every_distinct_beginning():
    random = np.random.default_rng(0)
    for _ in range(50):
        sequences = [random.integers(0, 3, random.integers(1, 9)).tolist() for _ in range(random.integers(1, 7))]
        made = trie.build(sequences)
        beginnings = {tuple(one[:n]) for one in sequences for n in range(1, len(one) + 1)}
        assert len(made.keys) == len(beginnings)
        allowed = trie.may_look(torch.tensor([made.ends]))[0]
        for sequence, path in zip(sequences, made.paths, strict=True):
            assert [made.keys[node] for node in path] == sequence
            for place, node in enumerate(path):
                assert allowed[node].nonzero()[:, 0].tolist() == path[: place + 1], (
                    "a token sees its own sequence alone"
                )


def test_attention_in_parts_is_attention_under_the_mask(monkeypatch):
    monkeypatch.setattr(trie, "PART", 4)
    ends = torch.tensor([trie.build([[1, 2, 3, 4, 5, 6], [1, 2, 7, 8], [9, 9, 9, 9]]).ends, [12] * 9 + [10, 11, 12]])
    mask = trie.trie_mask(ends, torch.float64)
    query, key, value = (torch.randn(2, 3, 12, 8, dtype=torch.float64) for _ in range(3))
    whole = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    with trie.InParts(ends, mask) as cut:
        parts = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        other = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=torch.zeros_like(mask))
    assert torch.allclose(parts, whole, rtol=0, atol=1e-12) and not torch.allclose(other, whole)
    assert [keys.tolist() for _, keys, _ in cut.parts][0] == [0, 1, 2, 3] and len(cut.parts) == 3


@pytest.mark.parametrize(
    "family, attention",
    [*((family, "sdpa") for family in (*FAMILIES, "tiny-llava")), ("llava", "eager"), ("qwen2_vl", "eager")],
)
def test_equals_separate_sequences_in_loss_and_every_gradient(family, attention, tmp_path, monkeypatch):
    monkeypatch.setattr(trie, "PART", 48)  # so that attention is cut in these short rows, too
    to_float = torch.Tensor.float  # Qwen's vision tower turns its angles in float32, whatever the model is in
    monkeypatch.setattr(torch.Tensor, "float", lambda self: self if self.dtype == torch.float64 else to_float(self))
    name = family if family == "tiny-llava" else build(family, tmp_path / family)
    vlm = in_double(Vlm.load(name, "cpu", "float64", attention=attention))
    examples = two(family)
    sums, loss, found, inputs = loss_and_gradients(vlm, examples, rows=False)
    plain_sums, plain_loss, plain_found, plain_inputs = loss_and_gradients(vlm, examples, rows=True)
    near = 1e-9 if attention == "sdpa" else 1e-4  # eager takes its softmax in float32, whatever the model is in
    assert torch.allclose(sums, plain_sums, rtol=0, atol=near) and loss == pytest.approx(plain_loss, abs=near)
    assert set(found) == set(plain_found) and any("vision" in one or "visual" in one for one in found)
    for one, gradient in plain_found.items():
        assert torch.allclose(found[one], gradient, rtol=0, atol=near), one
    assert inputs["input_ids"].numel() < 0.55 * plain_inputs["input_ids"].numel()


def test_a_row_for_each_example_is_filled_up_and_gives_the_same(tmp_path):
    vlm = in_double(Vlm.load(build("llava", tmp_path / "llava"), "cpu", "float64"))
    sums, loss, found, inputs = loss_and_gradients(vlm, two("llava"), rows=False)
    filled_sums, filled_loss, filled, filled_inputs = loss_and_gradients(vlm, two("llava"), False, together=False)
    assert len(inputs["input_ids"]) == 1 and len(filled_inputs["input_ids"]) == 2
    assert inputs["input_ids"].numel() < filled_inputs["input_ids"].numel()
    assert torch.allclose(sums, filled_sums, rtol=0, atol=1e-9) and loss == pytest.approx(filled_loss, abs=1e-9)
    assert all(torch.allclose(found[one], gradient, rtol=0, atol=1e-9) for one, gradient in filled.items())
