"""What decides whether a rebuilt model is the shipped one, up to the spread of its seeds."""

import json

import pytest

from maintenance.rebuild import SECTION, chance_outside, compare, headline, judge, main, section, tolerance


def result(seed, recall, chair_i):
    pope = {name: {"strict": {"accuracy": 0.9}} for name in ("random", "popular", "adversarial")}
    scores = {"chair": {"recall": recall, "chair_i": chair_i}, "pope": pope}
    run = {"recipe": {"seed": seed}, "sha256": f"weights of seed {seed}"}
    return {"run": run, "scores": scores, "short_answers": {"all": {"accuracy": 0.8}}}


def rebuild(recall, chair_i=0.2, instructions="AVX2", weights="others"):
    run = {"sha256": weights, "versions": {"machine": f"Linux x86_64, 2 threads, {instructions}"}}
    return {"run": run, "rebuilt": headline(result(0, recall, chair_i))}


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
    assert said.startswith("# A model\n") and said.count(SECTION) == 1 and "| recall | 0.9000 | 0.0400 |\n" in said
    (tmp_path / "rebuild.json").write_text(json.dumps({"rebuilds": [rebuild(0.87, 0.25)]}), encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1  # CHAIR_i is farther off than one seed from the other
    said = card.read_text(encoding="utf-8")
    assert "| recall | 0.9000 | 0.0400 | 0.8700 |" in said
    assert "| chair_i | 0.2000 | 0.0100 | 0.2500 (outside) |" in said


def test_every_rebuild_that_rounds_as_the_command_does_must_be_within():
    stated = tolerance({"base": result(0, 0.90, 0.2), "seed1": result(1, 0.86, 0.21)})
    inside, outside = rebuild(0.89), rebuild(0.85)
    assert judge(stated, [inside])["within"] is True
    assert judge(stated, [inside, outside])["within"] is False
    assert judge(stated, [])["within"] is None


def test_a_rebuild_that_rounds_otherwise_is_shown_and_decides_nothing():
    stated = tolerance({"base": result(0, 0.90, 0.2), "seed1": result(1, 0.86, 0.21)})
    before = [rebuild(0.85, instructions="AVX512"), rebuild(0.84, instructions="NEON")]
    assert judge(stated, before)["within"] is None
    rebuilds = [*before, rebuild(0.90, weights="weights of seed 0")]
    judged = judge(stated, rebuilds)
    assert judged["within"] is True
    assert [one["same_weights"] for one in judged["each"]] == [False, False, True]
    said = section(stated, rebuilds)
    assert "| score | shipped | tolerance | rebuild 1* | rebuild 2* | rebuild 3 |" in said
    assert "| recall | 0.9000 | 0.0400 | 0.8500 (outside) | 0.8400 (outside) | 0.9000 |" in said
    assert "| same weights | | | no | no | yes |" in said
    assert "decides nothing" in said and "decides nothing" not in section(stated, rebuilds[2:])
    rebuilds[1]["run"]["note"] = "in two calls"
    assert section(stated, rebuilds).endswith("\nRebuild 2: in two calls\n")


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
