"""What decides whether a rebuilt model is the shipped one, up to the spread of its seeds."""

import json

import pytest

from mmhallu_core.studies.rebuild import SECTION, chance_outside, compare, headline, judge, main, section, tolerance


def result(seed, recall, chair_i):
    pope = {name: {"strict": {"accuracy": 0.9}} for name in ("random", "popular", "adversarial")}
    scores = {"chair": {"recall": recall, "chair_i": chair_i}, "pope": pope}
    return {"run": {"recipe": {"seed": seed}}, "scores": scores, "short_answers": {"all": {"accuracy": 0.8}}}


def test_the_tolerance_is_the_largest_difference_between_two_seeds():
    stated = tolerance({"base": result(0, 0.90, 0.2), "seed1": result(1, 0.86, 0.21), "seed2": result(2, 0.88, 0.24)})
    assert stated["tolerance"]["recall"] == pytest.approx(0.04)
    assert stated["tolerance"]["chair_i"] == pytest.approx(0.04)
    assert stated["tolerance"]["pope_random"] == 0.0
    assert stated["seeds"] == {"base": 0, "seed1": 1, "seed2": 2}


def test_one_seed_has_no_spread():
    for seeds in ((0,), (0, 0)):
        with pytest.raises(ValueError, match="spread"):
            tolerance({f"run{n}": result(seed, 0.9, 0.2) for n, seed in enumerate(seeds)})


def test_a_rebuilt_model_is_compared_score_by_score():
    shipped = headline(result(0, 0.9, 0.2))
    allowed = dict.fromkeys(shipped, 0.02)
    assert compare(shipped, headline(result(0, 0.915, 0.19)), allowed)["within"]
    off = compare(shipped, headline(result(0, 0.85, 0.19)), allowed)
    assert not off["within"] and not off["scores"]["recall"]["within"] and off["scores"]["chair_i"]["within"]


def test_with_two_runs_a_third_is_outside_as_often_as_geometry_says():
    # |c - a| > |b - a| for three equal, independent scores: either is the farther one from a
    assert chance_outside(2) == pytest.approx(0.5, abs=0.01)
    assert chance_outside(5) < chance_outside(3) < 0.5


def test_the_card_says_the_tolerance_once_and_the_rebuild_when_there_is_one(tmp_path, monkeypatch):
    results = {"base": result(0, 0.90, 0.2), "seed1": result(1, 0.86, 0.21)}
    for role, one in results.items():
        (tmp_path / f"{role}.json").write_text(json.dumps(one), encoding="utf-8")
    card = tmp_path / "README.md"
    card.write_text("# A model\n", encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["rebuild", "--results", str(tmp_path), "--card", str(card)])
    for _ in range(2):
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 0
    said = card.read_text(encoding="utf-8")
    assert said.startswith("# A model\n") and said.count(SECTION) == 1 and "| recall | 0.0400 |" in said
    rebuilds = [{"rebuilt": headline(result(0, 0.87, 0.25))}]
    (tmp_path / "rebuild.json").write_text(json.dumps({"rebuilds": rebuilds}), encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1  # CHAIR_i is farther off than one seed from the other
    said = card.read_text(encoding="utf-8")
    assert "| recall | 0.9000 | 0.8700 | 0.8700 | 0.0400 | yes |" in said
    assert "| chair_i | 0.2000 | 0.2500 (outside) | 0.2500 | 0.0100 | no |" in said


def test_the_mean_of_the_rebuilds_decides_and_each_is_shown():
    stated = tolerance({"base": result(0, 0.90, 0.2), "seed1": result(1, 0.86, 0.21)})
    rebuilds = [headline(result(0, recall, 0.2)) for recall in (0.85, 0.89)]
    judged = judge(stated, rebuilds)
    assert [one["within"] for one in judged["each"]] == [False, True] and judged["mean"]["within"]
    assert "| recall | 0.9000 | 0.8500 (outside) | 0.8900 | 0.8700 | 0.0400 | yes |" in section(stated, rebuilds)
    assert not judge(stated, [rebuilds[0], headline(result(0, 0.86, 0.2))])["mean"]["within"]


def test_the_card_says_which_seeds_came_later_and_what_was_outside_without_them():
    first = {"base": result(0, 0.90, 0.2), "seed1": result(1, 0.89, 0.2), "seed2": result(2, 0.895, 0.2)}
    rebuilt = headline(result(0, 0.88, 0.2))
    said = {}
    for name, results in {"three": first, "four": first | {"seed3": result(3, 0.88, 0.2)}}.items():
        stated = tolerance(results)
        said[name] = section(stated, [rebuilt])
    assert "| recall | 0.9000 | 0.8800 (outside) | 0.8800 | 0.0100 | no |" in said["three"]
    assert "| recall | 0.9000 | 0.8800 | 0.8800 | 0.0200 | yes |" in said["four"]
    later = "because of it: seed3. Against the first seeds alone"
    assert later not in said["three"].replace("\n", " ") and later in said["four"].replace("\n", " ")
    assert "recall (tolerance 0.0100) was outside" in said["four"]


def test_the_same_weights_are_not_recorded_twice(tmp_path, monkeypatch):
    for role, one in {"base": result(0, 0.90, 0.2), "seed1": result(1, 0.86, 0.21)}.items():
        (tmp_path / f"{role}.json").write_text(json.dumps(one), encoding="utf-8")
    record = {"rebuilds": [{"run": {"sha256": "abc"}, "rebuilt": headline(result(0, 0.89, 0.2))}]}
    (tmp_path / "rebuild.json").write_text(json.dumps(record), encoding="utf-8")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text(json.dumps({"sha256": "abc"}), encoding="utf-8")
    arguments = [str(tmp_path / "run"), "--results", str(tmp_path), "--card", str(tmp_path / "README.md")]
    monkeypatch.setattr("sys.argv", ["rebuild", *arguments])
    with pytest.raises(SystemExit, match="recorded in .* already"):
        main()
    assert json.loads((tmp_path / "rebuild.json").read_text(encoding="utf-8")) == record
