"""The plan of the study of ALEAHallu: whole, its runs can be made, and what they say can be read."""

from dataclasses import replace

import numpy as np
import pytest

from mmhallu_core.methods.aleahallu.edit import Learning
from mmhallu_core.methods.aleahallu.locate import MODES
from mmhallu_core.methods.aleahallu.places import places_of
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.studies import aleahallu as plan
from mmhallu_core.studies.aleahallu_exam import OUTCOMES, Sizes
from mmhallu_core.studies.engine.outcomes import contrast, score
from mmhallu_core.studies.engine.summary import rows

RUNS = {run.id: run for run in plan.runs()}
FEW = plan.Numbers(
    recipe=replace(plan.NUMBERS.recipe, rounds=1, located_on=3, prefix=Learning(1, batch=2),
                   edit=Learning(2, batch=2, lr=5e-3)),
    pairs=6, code_pairs=4, sizes=Sizes(4, 2, 3, 2, 8, 4, 2),
)  # fmt: skip


def test_the_plan_keeps_to_its_time_and_every_contrast_has_its_runs():
    assert len(RUNS) == len(plan.runs()) <= 45
    assert sum(plan.seconds(run, plan.NUMBERS) for run in RUNS.values()) <= 100 * 60
    groups = {run.id.rsplit("-", 1)[0] for run in RUNS.values() if run.trains}
    assert {name for pair in plan.CONTRASTS.values() for name in pair} == groups | {plan.BASE}
    for check in (check for claim in plan.CLAIMS for check in claim.checks):
        assert check.contrast in plan.CONTRASTS
        assert check.bar is not None or plan.OUTCOMES[check.outcome].small
    assert set(plan.STUDY.headline) <= set(plan.OUTCOMES) and len({one.id for one in plan.CLAIMS}) == len(plan.CLAIMS)
    assert all(row["verdict"] == "not run" for row in rows(plan.STUDY))


def test_a_run_changes_one_thing_and_a_seed_gives_all_the_same_pairs():
    ours = plan.recipe_of(RUNS["located-1"], plan.NUMBERS)
    assert ours == replace(plan.NUMBERS.recipe, seed=1)
    assert plan.recipe_of(RUNS["two-1"], plan.NUMBERS) == replace(ours, top=2)
    assert plan.recipe_of(RUNS["no-prefix-1"], plan.NUMBERS) == replace(ours, tokens=0)
    assert plan.recipe_of(RUNS["random-1"], plan.NUMBERS) == replace(ours, mode="random")
    assert plan.recipe_of(RUNS["code-0"], plan.NUMBERS) == plan.CODE
    one, two, other = (plan.pairs_for(RUNS[name], FEW) for name in ("located-1", "lora-1", "located-0"))
    assert one == two != other and len(one) == 6


def test_what_is_counted():
    answers = {"spoiled": "1-00-", "counting": "1101", "share": [0.2, 0.4], "styled": ["hx", "h"], "text_kl": [0.5]}
    found = {name: score(answers, name, OUTCOMES) for name in ("spoiled", "counting", "share", "styled_chair_i")}
    assert found == {"spoiled": pytest.approx(1 / 3), "counting": 0.75, "share": pytest.approx(0.3),
                     "styled_chair_i": pytest.approx(1 / 3)}  # fmt: skip
    more = contrast({0: answers}, {0: {**answers, "share": [0.3, 0.5]}}, "share", OUTCOMES)
    assert more["difference"] == pytest.approx(0.1)


@pytest.mark.long
@pytest.mark.parametrize("name", ["located-0", "lora-0", "nullu-0", "code-0"])
def test_a_run_is_made_and_asked(name, tmp_path):
    run, vlm = RUNS[name], Vlm.load("tiny-llava", "cpu")
    vlm, record = plan.train(run, vlm, tmp_path / name, FEW, print)
    answers = plan.ask(vlm, run, FEW, False)
    needed = {one for outcome in OUTCOMES.values() for one in outcome.needs}
    assert needed <= set(answers) and "modes" not in answers
    assert np.shape(answers["share_by_head"]) == (4, len(answers["share_by_head"][0]))
    assert sum(answers["text_kl"]) > 0 and len(answers["odds"]) == 3
    matrix = vlm.model.get_parameter(places_of(vlm)[0, "mlp"]).numel()
    if run.how == "lora":  # as many numbers as an edited matrix has
        assert record["trainable"] == pytest.approx(matrix, rel=0.1)
    else:
        assert all("down_proj" in place for place in record["places"])
        assert len(vlm.edits.edits) == 1


@pytest.mark.long
def test_the_base_has_not_moved_and_says_what_each_mode_names():
    answers = plan.ask(Vlm.load("tiny-llava", "cpu"), RUNS[plan.BASE], FEW, False)
    assert answers["text_kl"] == [0.0] * 2 and "1" not in answers["spoiled"]
    assert set(answers["modes"]) == set(MODES) and answers["modes"]["as_code"]["first"] in range(4)
