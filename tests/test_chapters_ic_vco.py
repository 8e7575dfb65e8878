"""What the two chapters on IC-VCO compute: which sides are compared, one step, the widget's gradient and words."""

import math

import pytest
import torch

from mmhallu_core.chapters import does_ic_vco_hold
from mmhallu_core.chapters import one_context_two_pictures as one_context
from mmhallu_core.chapters import preference_from_pictures as preference
from mmhallu_core.methods.ic_vco.recipes import METHODS
from mmhallu_core.models.tiny_random import build
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.world.prior import sample_scene
from tests.preference_data import picture
from tests.preference_data import preference as made_up


def contexts(method):
    """For each comparison of a method, whether its sides share pictures and question."""
    found = preference.compared(made_up(), method)
    return [(a.pictures, a.question) == (b.pictures, b.question) for a, b in found]


def test_the_table_says_what_the_losses_compare():
    assert contexts("dpo") == [True] and contexts("mdpo") == [True, False]
    assert contexts("svco") == [False] * 4 and contexts("symmpo") == [True, True]
    assert contexts("ic-vco") == [True] * 4
    answers = [(a.answer, b.answer) for a, b in preference.compared(made_up(), "ic-vco")]
    assert all(a != b for a, b in answers) and len(set(answers)) == 2
    said = str(preference.comparisons_table(made_up()))
    assert "y', m'" in said and "y, no picture" in said and "asked of the second image" in said


@pytest.mark.long
def test_a_step_moves_the_cells_and_leaves_the_model_as_it_was(tmp_path):
    vlm = Vlm.load(build("llava", tmp_path / "llava"), "cpu")
    images, record = (picture(0), picture(1)), made_up()
    before = {name: one.clone() for name, one in vlm.model.named_parameters()}
    found = preference.step_changes(vlm, record, images, size=0.01)
    assert set(found) == set(METHODS)
    assert found["dpo"][0] > found["dpo"][1], "the better answer gains on the worse one"
    assert all(torch.equal(one, before[name]) for name, one in vlm.model.named_parameters())


@pytest.mark.parametrize("beta, teacher, student", [(0.1, 20, 0), (0.5, 5, -5), (0.1, -5, -20), (0.1, 5, 20)])
def test_the_push_is_minus_the_gradient(beta, teacher, student):
    found = one_context.slopes(beta, teacher, student)
    p_multi, p_single = (1 / (1 + math.exp(-beta * one)) for one in (teacher, student))
    is_open = teacher > 0 and student < teacher
    assert found["DPO"] == pytest.approx(1.75 / 2 * beta * (1 - p_single))
    assert found["distillation"] == pytest.approx(0.4 / 2 * beta * (p_multi - p_single) if is_open else 0.0)


def test_the_dial_says_which_gates_are_open():
    dial = one_context.gradient_dial(sample_scene("dial/1"))
    both, wrong, surer = (
        " ".join(dial.text("0.1", *some).split()) for some in (("20", "0"), ("-5", "-20"), ("5", "20"))
    )
    assert "both gates are open" in both and "is not right, and surer" in wrong
    assert "distillation is off" in surer and "distillation +0.0000" in surer


def test_a_constant_changes_the_size_of_a_gradient():
    said = str(one_context.constants_table([-1.0, 0.0, 1.0]))
    assert "1.46" in said and "1.00" in said and "0.54" in said


def test_the_fits_are_told_in_words():
    one = one_context.Closed("Is it red?", ("Yes.", "No."), torch.tensor([[0.9, 0.1], [0.6, 0.4]]).double().log(), 0.8)
    bias = one.bias(1.0)
    assert bias == pytest.approx(math.log((0.9 * math.e + 0.1) / (0.6 + 0.4 * math.e)))
    told = str(one_context.fits_figure(one, 1.0))
    assert f"DPO's own policy it is {1 - bias:.2f}" in told and "where pictures are swapped at 1.00" in told


def test_the_printed_gains_and_what_the_anchors_count():
    rows = str(does_ic_vco_hold.arithmetic_table()).splitlines()
    gains = {row.split("  ")[0]: row.split()[-1] for row in rows if ", " in row}
    assert [gains[f"Overall, {name}"] for name in ("mDPO", "SymMPO", "IC-VCO")] == ["+0.38", "+0.61", "+0.52"]
    assert [gains[f"HallusionBench aAcc, {name}"] for name in ("mDPO", "SymMPO")] == ["-1.26", "-0.22"]
    assert does_ic_vco_hold.factors("paper") == pytest.approx([0.875, 0.875, 0.2, 0.375, 0.375])
    assert does_ic_vco_hold.factors("as_shipped") == pytest.approx([0.875, 1.75, 0.2, 0.375, 0.75])
