"""What is asked of hallucinated words, and heads that are knocked out: against loops and calculations by hand."""

import numpy as np
import pytest
import torch
from explain_cases import hooks, noise, pictures, reading_of

from mmhallu_core.evaluate.chair import Mention
from mmhallu_core.explain.attention import image_attention
from mmhallu_core.explain.heads import heads_of, knocked_out, picked, table
from mmhallu_core.explain.mentions import AS_OFTEN, NEAR, NUMBERS, auroc, look, matched, word_before
from mmhallu_core.explain.perturb import filled
from mmhallu_core.explain.run import explain_all
from mmhallu_core.statistics import auc
from mmhallu_core.studies.engine.outcomes import Outcome, contrast
from mmhallu_core.types import CannotRun

SCENES = 6


def columns(seed=0, count=40):
    """Mentions as made up as they are."""
    random = np.random.default_rng(seed)
    wrong = random.random(count) < 0.4
    kinds = random.choice(["dog", "cat", "tree", "kite"], count, p=[0.5, 0.3, 0.15, 0.05])
    return {
        "scene": np.sort(random.integers(0, SCENES, count)).tolist(), "wrong": wrong.astype(int).tolist(),
        "word": random.integers(0, 20, count).tolist(), "kind": kinds.tolist(),
        "share": (random.random(count).round(1) - 0.2 * wrong).tolist(), "sure": random.random(count).tolist(),
    }  # fmt: skip


def test_auroc_is_that_of_the_ranks():
    found = columns()
    wrong, share, sure = (np.array(found[name]) for name in ("wrong", "share", "sure"))
    top, bottom = auroc(found, SCENES, "share")
    expected = auc(-share[wrong == 1], -share[wrong == 0])
    assert top.shape == (SCENES, SCENES) and top.sum() / bottom.sum() == pytest.approx(expected) and expected > 0.55
    top, bottom = auroc(found, SCENES, "share", "sure")
    assert top.sum() / bottom.sum() == pytest.approx(expected - auc(-sure[wrong == 1], -sure[wrong == 0]))


def test_matching_compares_each_wrong_mention_with_those_like_it():
    found = columns(1)
    found["word"][found["wrong"].index(1)] = 99  # far behind all others, so it has no match
    often = {kind: found["kind"].count(kind) for kind in found["kind"]}
    differences = []
    for i in [i for i, wrong in enumerate(found["wrong"]) if wrong]:
        like = [
            found["share"][j] for j, wrong in enumerate(found["wrong"])
            if not wrong and abs(found["word"][i] - found["word"][j]) <= NEAR
            and 1 / AS_OFTEN <= often[found["kind"][i]] / often[found["kind"][j]] <= AS_OFTEN
        ]  # fmt: skip
        differences += [found["share"][i] - np.mean(like)] if like else []
    top, bottom = matched(found, SCENES, "share")
    assert 3 < len(differences) == sum(found["wrong"]) - 1 and bottom.sum() == pytest.approx(len(differences))
    assert top.sum() / bottom.sum() == pytest.approx(np.mean(differences) / np.std(found["share"]))


def test_an_outcome_of_two_pictures_is_drawn_with_both_and_may_stand_against_zero():
    found = columns(2)
    outcomes = {"auroc": Outcome("", (), lambda a: auroc(a, SCENES, "share"))}
    row = contrast({0: None}, {0: found}, "auroc", outcomes)
    drawn = []
    for scenes in np.random.default_rng(0).integers(0, SCENES, size=(2000, SCENES)):  # as `scene_draws` does
        some = [i for scene in scenes for i, one in enumerate(found["scene"]) if one == scene]
        wrong, share = (np.array(found[name])[some] for name in ("wrong", "share"))
        drawn += [auc(-share[wrong == 1], -share[wrong == 0])] if 0 < sum(wrong) < len(wrong) else []
    assert row["difference"] == row["second"] and row["first"] == 0
    assert row["ci"] == pytest.approx(np.percentile(drawn, [2.5, 97.5]))


def test_a_mention_is_looked_at_with_and_without_its_picture():
    reading, other = reading_of("tiny-llava", pictures("tiny-llava")), noise(96, 96, 3)  # "A red umbrella on the beach"
    mentions = [Mention("umbrella", 6, 14, 2, False), Mention("beach", 22, 27, 5, True)]
    first, second = look(reading, mentions, other)
    words, share = [reading.find("umbrella"), reading.find("beach")], image_attention(reading).share
    assert word_before(reading, 6) == reading.find("red") and word_before(reading, 0) is None
    for row, word, before in zip((first, second), words, ("red", "the"), strict=True):
        assert set(row) == set(NUMBERS)
        assert row["share"] == pytest.approx(float(share[:, :, list(word.tokens)].mean()), rel=1e-5)
        assert row["share_before"] == pytest.approx(
            float(share[:, :, list(reading.find(before).tokens)].mean()), rel=1e-5
        )
        (one,) = explain_all(reading, [word])
        assert row["heat"] == pytest.approx(float(one.values[0].clamp(min=0).sum()), rel=1e-3)
        for name, image in (("over_grey", filled(other, "grey")), ("over_other", other)):
            with torch.no_grad():
                scores = [float(reading.scores(reading.encode([[some]]), [word]))
                          for some in (reading.images[0], image)]  # fmt: skip
            assert row[name] == pytest.approx(scores[0] - scores[1], abs=1e-3)
    assert look(reading, [], other) == []


@torch.no_grad()
def test_a_head_that_is_knocked_out_is_one_whose_columns_are_zero():
    reading = reading_of("tiny-llava", pictures("tiny-llava"))
    vlm, before = reading.vlm, hooks(reading.vlm.model)
    assert len(heads_of(vlm)) == 20 and heads_of(vlm)[7] == (1, 2)
    whole = vlm.model(**reading.inputs).logits
    with knocked_out(vlm, [(1, 2), (3, 0)]):
        without = vlm.model(**reading.inputs).logits
    matrices = [list(vlm.family.output_matrices(vlm.model, "attention").values())[layer].weight for layer in (1, 3)]
    kept = [matrix.clone() for matrix in matrices]
    matrices[0][:, 64:96], matrices[1][:, :32] = 0, 0
    expected = vlm.model(**reading.inputs).logits
    for matrix, value in zip(matrices, kept, strict=True):
        matrix.copy_(value)
    torch.testing.assert_close(without, expected)
    assert float((without - whole).abs().max()) > 0.1 and hooks(vlm.model) == before
    torch.testing.assert_close(vlm.model(**reading.inputs).logits, whole)
    with pytest.raises(CannotRun, match=r"no head 1\.5: 4 layers have 5 heads each"), knocked_out(vlm, [(1, 5)]):
        pass


@pytest.mark.long
def test_the_table_of_heads_and_which_one_is_picked():
    whole, there = ["hhx", "hhx"] * 10, [2] * 20
    without = {"0.0": whole, "0.1": ["hh"] * 20, "1.0": ["h"] * 20, "1.1": ["hhxx"] * 20, "2.0": [""] * 20}
    rows = {row["head"]: row for row in table(whole, without, there)}
    assert rows["0.1"]["chair_i"]["difference"] == pytest.approx(-1 / 3) and rows["0.1"]["recall"]["difference"] == 0
    assert rows["1.0"]["recall"]["difference"] == -0.5 and rows["0.0"]["chair_i"]["p"] == 1
    assert rows["2.0"]["chair_i"]["difference"] is None and list(rows)[-1] == "2.0"
    assert rows["0.1"]["chair_i"]["p"] < rows["0.1"]["corrected"] < 0.01
    assert picked(list(rows.values())) == (0, 1), "the other that has no wrong mention costs half of recall"
    assert picked([rows["1.0"]]) == (1, 0)
