"""The plans of the studies of heat maps and of looking: whole, and their runs can be made and summed up."""

import shutil
from dataclasses import asdict, replace

import numpy as np
import pytest

from mmhallu_core.explain.run import METHODS
from mmhallu_core.models.adapter_folders import WEIGHTS
from mmhallu_core.models.vlm import SHIPPED, Vlm
from mmhallu_core.store import PACKAGE, sha256
from mmhallu_core.studies import looking, maps, study_of
from mmhallu_core.studies.engine.outcomes import score
from mmhallu_core.studies.engine.run import Skipped
from mmhallu_core.studies.engine.summary import checks, rows, summary
from mmhallu_core.studies.med import runs as med_runs
from mmhallu_core.types import CannotRun

PLANS = {"maps": maps, "looking": looking}
FEW = {
    "maps": maps.Numbers(scenes=2, shuffled=1, agreed=1, steps=2),
    "looking": looking.Numbers(scenes=6, picking=2, pairs=1),
}
OF = {name: {run.id: run for run in plan.runs()} for name, plan in PLANS.items()}


@pytest.fixture(params=PLANS)
def plan(request):
    return PLANS[request.param]


def test_a_plan_is_whole_and_keeps_to_its_time(plan):
    study, made = plan.STUDY, plan.runs()
    assert study_of(study.name) is study and len({run.id for run in made}) == len(made) <= 45
    groups = {run.id for run in made} | {run.id.removesuffix(f"-{run.seed}") for run in made}
    assert {name for pair in study.contrasts.values() for name in pair if name} <= groups
    assert {run.base for run in made} <= set(SHIPPED) and set(study.headline) <= set(study.outcomes)
    for check in (check for claim in study.claims for check in claim.checks):
        outcome = study.outcomes[check.outcome]
        assert check.contrast in study.contrasts and (check.bar or outcome.small)
        assert outcome.parts or study.contrasts[check.contrast][0], "only two runs have a recall to match"
    assert len({claim.id for claim in study.claims}) == len(study.claims)
    assert all(row["verdict"] == "not run" for row in rows(study))


def test_both_studies_together_take_45_minutes_of_one_core():
    assert sum(plan.seconds(run, plan.NUMBERS) for plan in PLANS.values() for run in plan.runs()) <= 45 * 60


def test_every_method_is_tested_on_every_base():
    assert {run.method for run in maps.runs()} == set(maps.METHODS)
    assert {how["method"] for how in maps.METHODS.values()} == set(METHODS)
    assert all(run.beside != run.base for run in maps.runs())


def test_nothing_is_trained(tmp_path):
    with pytest.raises(CannotRun, match="gradcam-0"):
        maps.train(OF["maps"]["gradcam-0"], Vlm.load("tiny-llava", "cpu"), tmp_path, FEW["maps"], print)


def test_adapters_come_from_runs_that_the_study_of_med_has(tmp_path):
    known = {run.id for run in med_runs()}
    wanted = [run for run in looking.runs() if run.trains]
    assert len(wanted) == 13 and all(run.adapter in known for run in wanted)
    with pytest.raises(Skipped, match=r"med/decoder-1: make it with `mmhallu study med --only decoder-1`"):
        looking.train(OF["looking"]["decoder-1"], None, tmp_path / "looking" / "decoder-1", None, print)


@pytest.mark.long
def test_a_recorded_adapter_is_put_on_and_named(tmp_path):
    made = tmp_path / "med" / "med-0"
    shutil.copytree(PACKAGE / "checkpoints" / "tour-adapter", made)
    found, record = looking.train(
        OF["looking"]["med-0"], Vlm.load("tiny-llava", "cpu"), tmp_path / "looking" / "med-0", FEW["looking"], print
    )
    assert found.adapters == (made,) and record["adapter_sha256"] == sha256(made / WEIGHTS) and record["command"]


@pytest.mark.long
@pytest.mark.parametrize("name", ["gradcam-0", "edges-0"])
def test_a_method_is_tested_on_a_few_scenes(name):
    answers = maps.ask(Vlm.load("tiny-llava", "cpu"), OF["maps"][name], FEW["maps"], False)
    assert len(answers["words"]) == 2 and len(answers["agreement"]) == len(answers["kept"]) == 1
    found = {key: score(answers, key, maps.OUTCOMES) for key in maps.OUTCOMES}
    for key in ("pointing", "energy", "insertion_grey", "deletion_blur"):
        assert 0 <= found[key] <= 1
    assert 0 < found["area"] < 0.5 and set(answers) >= {need for one in maps.OUTCOMES.values() for need in one.needs}
    if name == "edges-0":
        assert found["agreement"] == 1 and found["change_decoder"] == found["change_vision"] == 0
    else:
        assert found["change_decoder"] > 0 and len(answers["kept"][0]) == len(answers["stages"]) == 9


@pytest.mark.long
def test_every_part_of_looking_is_asked_on_a_few_scenes():
    vlm, few = Vlm.load("tiny-llava", "cpu"), FEW["looking"]
    answers = {one: looking.ask(vlm, OF["looking"][one], few, False) for one in ("words-0", "whole-0", "base")}
    mentions = answers["words-0"]["mentions"]
    captions = answers["whole-0"]["captions"]
    assert [mentions["scene"].count(i) for i in range(6)] == list(map(len, captions)), "the same mentions"
    assert [wrong == "x" for wrong in "".join(captions)] == [bool(one) for one in mentions["wrong"]]
    assert answers["base"]["category"] == ["Counting", "Spatial Relation"]
    for key in ("edited_gradcam", "edited_attention", "edited_counting", "edited_spatial"):
        assert 0 < score(answers["base"], key, looking.OUTCOMES) < 1
    pair = [score(answers["base"], f"edited_{one}", looking.OUTCOMES) for one in ("counting", "spatial")]
    assert score(answers["base"], "edited_gradcam", looking.OUTCOMES) == pytest.approx(np.mean(pair))


@pytest.mark.long
def test_a_head_is_picked_on_other_scenes(monkeypatch):
    monkeypatch.setattr(looking, "heads_of", lambda vlm: [(0, 1), (3, 4)])
    few = replace(FEW["looking"], scenes=2)
    found = looking.ask(Vlm.load("tiny-llava", "cpu"), OF["looking"]["knocked-0"], few, False)
    assert tuple(found["head"]) in ((0, 1), (3, 4)) and {row["head"] for row in found["heads"]} == {"0.1", "3.4"}
    assert len(found["captions"]) == len(found["there"]) == 2


@pytest.mark.long
def test_a_summary_tells_words_that_look_away():
    """Made-up mentions: wrong ones have a smaller share, and the gain tells them apart perfectly."""
    records = {}
    for seed in range(3):
        random = np.random.default_rng(seed)
        wrong = np.tile([0, 0, 1], 40)
        mentions = {name: random.random(120) for name in looking.COLUMNS}
        mentions["share"] = mentions["share"] - 0.3 * wrong
        mentions["over_other"] = 1 - wrong + 0.5 * random.random(120)
        mentions |= {"scene": np.repeat(range(40), 3), "wrong": wrong, "word": np.tile([4, 5, 6], 40),
                     "kind": ["dog"] * 120}  # fmt: skip
        answers = {"scenes": 40, "mentions": {name: list(values) for name, values in mentions.items()}}
        records[f"words-{seed}"] = {"run": asdict(OF["looking"][f"words-{seed}"]), "answers": answers}
    found = summary(looking.STUDY, records)
    row = found["contrasts"]["words"]
    assert row["auroc_over_other"]["difference"] == 1 and row["share"]["ci"][1] < -0.2 < row["heat"]["ci"][1]
    assert found["contrasts"]["med - base"] == "not run"
    verdicts = {check.outcome: one["verdict"] for check, one in checks(looking.STUDY, found["contrasts"]).items()}
    assert verdicts["share"] == "holds" and verdicts["heat"] != "holds"
