"""The plan of the study of repairs without training: whole, and its runs can be made and summed up."""

from dataclasses import replace

import pytest

from mmhallu_core.methods.baselines import DECODINGS
from mmhallu_core.models.vlm import SHIPPED, Vlm
from mmhallu_core.studies import baselines as plan
from mmhallu_core.studies.engine.outcomes import score
from mmhallu_core.studies.engine.study import Study
from mmhallu_core.studies.engine.summary import checks, rows, summary
from mmhallu_core.types import CannotRun

FEW = plan.Numbers(scenes=4, rounds=2, timed=2)
RUNS = {run.id: run for run in plan.runs()}


@pytest.fixture
def vlm():
    return Vlm.load("tiny-llava", "cpu")


def test_every_base_is_asked_in_every_way_and_every_contrast_has_its_runs():
    groups = {run.id.rsplit("-", 1)[0] for run in RUNS.values()}
    assert len(RUNS) == len(plan.runs()) == len(groups) * len(plan.BASES) and set(plan.BASES) <= set(SHIPPED)
    assert {name for pair in plan.CONTRASTS.values() for name in pair} == groups
    assert {run.decode for run in RUNS.values()} == {"greedy", *DECODINGS}
    assert not any(run.trains for run in RUNS.values())
    assert all(RUNS[f"{name}-{run.seed}"].base == run.base for run in RUNS.values() for name in groups)


def test_it_keeps_to_the_time_that_a_study_may_take():
    assert len(RUNS) <= 45 and sum(plan.seconds(run, plan.NUMBERS) for run in RUNS.values()) <= 160 * 60


def test_every_check_names_a_contrast_and_an_outcome_with_a_bar():
    assert len({claim.id for claim in plan.CLAIMS}) == len(plan.CLAIMS)
    for check in (check for claim in plan.CLAIMS for check in claim.checks):
        assert check.contrast in plan.CONTRASTS and plan.OUTCOMES[check.outcome].small
    assert set(plan.STUDY.headline) <= set(plan.OUTCOMES)
    assert all(row["verdict"] == "not run" for row in rows(plan.STUDY))


def test_nothing_is_trained(vlm, tmp_path):
    with pytest.raises(CannotRun, match="vcd-0"):
        plan.train(RUNS["vcd-0"], vlm, tmp_path, FEW, print)


@pytest.mark.long
def test_a_run_is_asked_in_its_own_way_and_timed_beside_greedy_search(vlm):
    answers = plan.ask(vlm, RUNS["vcd-0"], FEW, False)
    assert answers["decoding"] == {"name": "vcd", "weight": 1.0, "cut": 0.1, "step": 500, "seed": 0}
    assert len(answers["captions"]) == 4 and all(2 <= len(row) <= 6 for row in answers["pope"])
    assert [len(one) for one in answers["cost"].values()] == [2, 2] and vlm.decoding.about == answers["decoding"]
    own, greedy = (sum(answers["cost"][name]) for name in ("own", "greedy"))
    assert score(answers, "cost", plan.OUTCOMES) == pytest.approx(own / greedy) and min(own, greedy) > 0


@pytest.mark.long
def test_the_control_says_yes_as_often_as_its_repair(vlm):
    said = {}
    for name in ("greedy", "no-picture", "yes-as-no-picture"):
        answers = plan.ask(vlm, RUNS[f"{name}-0"], replace(FEW, scenes=8), False)
        said[name] = score(answers, "pope_yes", plan.OUTCOMES)
    assert said["yes-as-no-picture"] == said["no-picture"] != said["greedy"]


def made(pope: list[str], captions: list[str], ratio: float) -> dict:
    return {"there": [3] * 6, "captions": captions, "pope": pope, "cost": {"own": [ratio] * 2, "greedy": [1.0] * 2}}


@pytest.mark.long
def test_a_summary_tells_a_gain_from_a_shift_towards_yes():
    """A repair that is right more often than greedy search, and no more often than its control, is only a shift."""
    plain, moved = ["tmtmcc"] * 6, ["ttttcf"] * 6
    records = {}
    for seed in range(3):
        for name, pope in (("greedy", plain), ("vcd", moved), ("yes-as-vcd", moved)):
            answers = made([*pope[:5], pope[5] if seed else "ttttcc"], ["hhx"] * 6, 1.0 if name == "greedy" else 2.0)
            records[f"{name}-{seed}"] = {"run": {"seed": seed}, "answers": answers}
    study: Study = replace(plan.STUDY, runs=list)
    found = summary(study, records)
    assert found["runs"]["vcd-1"]["pope_yes"] == pytest.approx(5 / 6) and found["runs"]["vcd-1"]["cost"] == 2
    assert found["contrasts"]["pai - greedy"] == "not run"
    assert found["contrasts"]["vcd - greedy"]["pope_adversarial_f1"]["difference"] > 0.15
    assert found["contrasts"]["vcd - as many yes"]["pope_adversarial_f1"]["difference"] == 0
    verdicts = checks(study, found["contrasts"])
    said = {check.contrast: one["verdict"] for check, one in verdicts.items() if check.outcome == "pope_adversarial_f1"}
    assert said["vcd - greedy"] == "holds" and said["vcd - as many yes"] == "open"
