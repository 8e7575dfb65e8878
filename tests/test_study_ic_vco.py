"""The plan of IC-VCO's study: its list, bars from the printed table, outcomes on made-up letters, one small run."""

from dataclasses import replace

import numpy as np
import pytest

from mmhallu_core.evaluate.diorama import twin
from mmhallu_core.studies import ic_vco as plan
from mmhallu_core.studies import study_of
from mmhallu_core.studies.engine.outcomes import score
from mmhallu_core.studies.engine.run import work


def test_runs_and_contrasts_belong_together():
    runs = plan.runs()
    names = {run.id for run in runs}
    assert len(names) == len(runs) <= 45 and study_of("ic-vco") is plan.STUDY
    assert sum(plan.seconds(run, plan.NUMBERS) for run in runs) <= 150 * 60
    for run in runs:
        assert run.of in (None, plan.SFT) and (run.method in (None, "sft", "control") or plan.objective_of(run))
    for first, second in plan.CONTRASTS.values():
        for group in (first, second):
            assert group in names or f"{group}-0" in names, group
    for claim in plan.CLAIMS:
        for check in claim.checks:
            assert check.contrast in plan.CONTRASTS and check.outcome in plan.OUTCOMES
            assert check.bar is not None or plan.OUTCOMES[check.outcome].small is not None


def test_mdpo_is_asked_about_the_pairs_second_picture():
    run = next(run for run in plan.runs() if run.id == "synthetic-mdpo-0")
    assert not plan.objective_of(run).crop and plan.objective_of(plan.runs()[2]).crop


def test_bars_are_the_smaller_printed_lead():
    bars = {claim.id: claim.checks[0].bar for claim in plan.CLAIMS}
    assert bars["ic-vco-aacc"] == pytest.approx(0.0294) and bars["ic-vco-blink"] == pytest.approx(0.0378)
    assert bars["ic-vco-overall"] == pytest.approx(0.0124)
    gains = [edited - synthetic for synthetic, edited in plan.EDITED.values()]
    assert bars["ic-vco-edited-negatives"] == pytest.approx(min(gains) / 100, abs=1e-9)


def test_outcomes_of_made_up_letters():
    letters = {"hallusionbench": "1100" + "1010", "blink": "10"}
    letters |= {name: "10" for name in plan.CRPE} | dict.fromkeys(plan.AMBER, "1")
    found = {
        name: score(letters, name, plan.OUTCOMES) for name in ("aacc", "facc", "qacc", "crpe_existence", "overall")
    }
    assert found == pytest.approx({
        "aacc": 0.5, "facc": 0.25, "qacc": 0.25, "crpe_existence": 0.5, "overall": np.mean([0.5, 1.0, 0.5, 0.5]),
    })  # fmt: skip
    letters[plan.AMBER[0]] = "0" * 9
    assert score(letters, "overall", plan.OUTCOMES) == pytest.approx(np.mean([0.5, 0.8, 0.5, 0.5]))


def test_sets_of_the_twin_come_in_the_order_that_the_outcomes_read():
    asked = [one.about for one in twin("hallusionbench", 40, 1, pictures=False)]
    for start in range(0, 40, 4):
        figures, questions = ([one[name] for one in asked[start : start + 4]] for name in ("figure", "asked"))
        assert figures[0] == figures[1] != figures[2] == figures[3]
        assert questions[0] == questions[2] != questions[1] == questions[3]


@pytest.mark.slow
def test_a_small_study_runs(tmp_path, monkeypatch):
    small = replace(plan.NUMBERS, steps=2, steps_sft=2, batch=2, scenes=3)
    monkeypatch.setattr(plan, "ASKED", {name: 20 for name in plan.ASKED})
    study = replace(plan.STUDY, numbers=small)
    todo = study.chosen(["sft", "ic-vco-0", "control-0", "no-mask-0", "synthetic-mdpo-0"])
    made = work(study, todo, tmp_path, tell=lambda text: None, progress=False)
    assert made["made"] == [run.id for run in todo] and list((tmp_path / "references").glob("*.safetensors"))
    again = work(study, todo, tmp_path, tell=lambda text: None, progress=False)
    assert again["there"] == [run.id for run in todo] and not again["made"]
