"""What decides whether a rebuilt model is the shipped one, up to the spread of its seeds."""

import json

import numpy as np
import pytest
from scipy import stats

from mmhallu_core.studies.rebuild import SECTION, chance_outside_range, compare, headline, main, section, tolerance

RECALLS = (0.90, 0.89, 0.88, 0.895, 0.885)


def result(seed, recall, chair_i=0.2):
    pope = {name: {"strict": {"accuracy": 0.9}} for name in ("random", "popular", "adversarial")}
    scores = {"chair": {"recall": recall, "chair_i": chair_i}, "pope": pope}
    return {"run": {"recipe": {"seed": seed}}, "scores": scores, "short_answers": {"all": {"accuracy": 0.8}}}


def five():
    roles = ("base", "seed1", "seed2", "seed3", "seed4")
    return {role: result(seed, recall) for seed, (role, recall) in enumerate(zip(roles, RECALLS, strict=True))}


def test_the_range_is_the_largest_difference_between_two_seeds():
    stated = tolerance({"base": result(0, 0.90), "seed1": result(1, 0.86, 0.21), "seed2": result(2, 0.88, 0.24)})
    assert stated["range"]["recall"] == pytest.approx(0.04)
    assert stated["range"]["chair_i"] == pytest.approx(0.04)
    assert stated["range"]["pope_random"] == stated["tolerance"]["pope_random"] == 0.0
    assert stated["seeds"] == {"base": 0, "seed1": 1, "seed2": 2}


def test_with_many_runs_the_tolerance_is_that_of_a_difference_of_two_normal_scores():
    recalls = np.random.default_rng(1).normal(0.9, 0.01, 200)
    stated = tolerance({f"run{seed}": result(seed, recall) for seed, recall in enumerate(recalls)})
    expected = stats.norm.ppf(0.975) * 2**0.5 * recalls.std(ddof=1)
    assert stated["tolerance"]["recall"] == pytest.approx(expected, rel=0.02)


def test_chance_puts_one_more_run_outside_the_tolerance_in_five_percent_of_cases():
    rng = np.random.default_rng(2)
    outside = 0
    for scores in rng.normal(0.9, 0.01, (4000, 6)):
        stated = tolerance({f"run{seed}": result(seed, recall) for seed, recall in enumerate(scores[:5])})
        outside += abs(scores[5] - scores[0]) > stated["tolerance"]["recall"]
    assert outside / 4000 == pytest.approx(0.05, abs=4 * (0.05 * 0.95 / 4000) ** 0.5)  # four standard errors


def test_one_seed_has_no_spread():
    for seeds in ((0,), (0, 0)):
        with pytest.raises(ValueError, match="spread"):
            tolerance({f"run{n}": result(seed, 0.9) for n, seed in enumerate(seeds)})


def test_a_rebuilt_model_is_compared_score_by_score():
    shipped = headline(result(0, 0.9))
    allowed = dict.fromkeys(shipped, 0.02)
    assert compare(shipped, headline(result(0, 0.915, 0.19)), allowed)["within"]
    off = compare(shipped, headline(result(0, 0.85, 0.19)), allowed)
    assert not off["within"] and not off["scores"]["recall"]["within"] and off["scores"]["chair_i"]["within"]


def test_with_two_runs_a_third_is_outside_their_range_as_often_as_geometry_says():
    # |c - a| > |b - a| for three equal, independent scores: either is the farther one from a
    assert chance_outside_range(2) == pytest.approx(0.5, abs=0.01)
    assert chance_outside_range(5) < chance_outside_range(3) < 0.5


def test_the_card_says_the_tolerance_once_and_the_last_rebuild_decides(tmp_path, monkeypatch):
    for role, one in five().items():
        (tmp_path / f"{role}.json").write_text(json.dumps(one), encoding="utf-8")
    card = tmp_path / "README.md"
    card.write_text("# A model\n", encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["rebuild", "--results", str(tmp_path), "--card", str(card)])

    def ends(rebuilds):
        if rebuilds:
            record = {"rebuilds": [{"rebuilt": headline(one)} for one in rebuilds]}
            (tmp_path / "rebuild.json").write_text(json.dumps(record), encoding="utf-8")
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, card.read_text(encoding="utf-8")

    for _ in range(2):
        code, said = ends([])
        assert code == 0 and said.startswith("# A model\n") and said.count(SECTION) == 1
    bad, good = result(0, 0.5), result(0, 0.89)
    code, said = ends([bad])
    assert code == 1 and "| 0.5000 (outside) |" in said
    code, said = ends([bad, good])
    assert code == 0 and "| 0.5000 (outside) | 0.8900 |" in said and said.count(SECTION) == 1


def test_the_card_says_what_was_outside_by_the_first_rule_and_which_rebuild_came_after_it():
    stated = tolerance(five())
    rebuilds = [headline(result(0, recall)) for recall in (0.879, 0.89, 0.875)]
    assert 0.021 < stated["tolerance"]["recall"] and stated["range"]["recall"] == pytest.approx(0.02)
    said = {n: section(stated, rebuilds[:n]).replace("\n", " ") for n in (0, 2, 3)}
    assert "another rule" not in said[0]
    outside = "By that rule, outside: rebuild 1 in recall (off by 0.0210, range 0.0200)."
    assert outside in said[2] and "no rebuild was made since" in said[2]
    assert outside in said[3] and "rebuild 3 was made after that" in said[3]  # and was never judged by the first rule


def test_the_same_weights_are_not_recorded_twice(tmp_path, monkeypatch):
    for role, one in five().items():
        (tmp_path / f"{role}.json").write_text(json.dumps(one), encoding="utf-8")
    record = {"rebuilds": [{"run": {"sha256": "abc"}, "rebuilt": headline(result(0, 0.89))}]}
    (tmp_path / "rebuild.json").write_text(json.dumps(record), encoding="utf-8")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text(json.dumps({"sha256": "abc"}), encoding="utf-8")
    arguments = [str(tmp_path / "run"), "--results", str(tmp_path), "--card", str(tmp_path / "README.md")]
    monkeypatch.setattr("sys.argv", ["rebuild", *arguments])
    with pytest.raises(SystemExit, match="recorded in .* already"):
        main()
    assert json.loads((tmp_path / "rebuild.json").read_text(encoding="utf-8")) == record
