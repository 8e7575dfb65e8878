"""The studies of MED: arms that differ in one thing, a list that survives a stop, sums that find a known effect."""

import json
import os
import time
from dataclasses import asdict, replace

import numpy as np
import pytest

from mmhallu_core.methods.med.arms import ARMS, PICTURES, SPLIT, Stream, Tally, _partner, arm, token_count
from mmhallu_core.methods.med.examples import SAME
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.store import PACKAGE
from mmhallu_core.studies import med as plan
from mmhallu_core.studies import study_of
from mmhallu_core.studies.engine import run as running
from mmhallu_core.studies.engine import summary as ledger
from mmhallu_core.studies.engine.exam import PAIRS, SCENES, other_pairs, pairs_of, scenes_of
from mmhallu_core.studies.engine.outcomes import contrast, over_seeds, score
from mmhallu_core.studies.engine.study import Check
from mmhallu_core.studies.engine.summary import NOT_RUN, checked, read, summary, table, verdict
from mmhallu_core.train.packed import pack
from mmhallu_core.types import CATEGORIES, CannotRun

pytestmark = pytest.mark.long

EDITS = 44
# The same study with next to nothing in it: to see that it runs, not to learn anything.
NUMBERS = replace(plan.NUMBERS, steps=3, scenes=8, per_category=4, same=4, routed=1)
SMALL = replace(plan.STUDY, numbers=NUMBERS)


@pytest.fixture(scope="module")
def vlm():
    return Vlm.load("tiny-llava")


@pytest.fixture(scope="module")
def shown(vlm):
    """Arm to its examples of the first edits, and its counts."""
    count, found = token_count(vlm), {}
    for name, views in ARMS.items():
        tally = Tally(arm(name, Stream(f"{SPLIT}0"), count), count)
        found[name] = [tally(i) for i in range(views * EDITS)], tally
    return found


# ---------------------------------------------------------------- the arms


def test_arms_show_as_many_pictures_and_teach_as_many_tokens(shown):
    counts = {name: tally.to_dict() for name, (_, tally) in shown.items()}
    assert {one["pictures"] for one in counts.values()} == {PICTURES * EDITS}
    assert counts["shuffled"]["tokens"] == counts["med"]["tokens"]
    for one in counts.values():
        assert one["tokens"] == pytest.approx(counts["med"]["tokens"], rel=0.02)
    assert {name: len(examples) for name, (examples, _) in shown.items()} == {n: v * EDITS for n, v in ARMS.items()}


def test_the_count_is_what_training_supervises(shown, vlm):
    examples, tally = shown["med"]
    packed = [pack(one.conversations, len(one.images), vlm.processor.tokenizer) for one in examples]
    assert tally.counts["tokens"] == sum(label != -100 for one in packed for label in one.labels)


def test_arms_show_the_same_pictures_of_each_edit(shown):
    def pictures(name, k):
        views = ARMS[name]
        return sorted(i.tobytes() for one in shown[name][0][k * views : (k + 1) * views] for i in one.images)

    for k in range(EDITS):
        assert all(pictures(name, k) == pictures("med", k) for name in ARMS)


def test_clean_never_shows_a_pair_or_speaks_of_one(shown):
    for one in shown["clean"][0]:
        assert len(one.images) == 1 and one.turns
        assert not any(word in turn.question for turn in one.turns for word in ("images", "first", "second"))


def test_med_teaches_both_orders_and_which_picture_is_meant(shown):
    pairs = [one for one in shown["med"][0] if len(one.images) == 2]
    same = [one for one in pairs if one.images[0].tobytes() == one.images[1].tobytes()]
    assert 0 < len(same) / len(pairs) < 3 * SAME
    assert all(one.turns[1].answer == ("Yes." if one in same else "No.") for one in pairs)
    answers = {}
    for one in pairs:
        for turn in one.turns:
            if turn.question.endswith("image.") and "based on" in turn.question:
                text, which = turn.question.split(" Answer based on the ")
                key = (text, *sorted(i.tobytes() for i in one.images))
                picture = one.images[which.startswith("second")].tobytes()
                answers.setdefault(key, {}).setdefault(picture, set()).add(turn.answer)
    assert len(answers) > EDITS / 2
    for found in answers.values():  # an answer belongs to a picture, wherever it stands, and the two differ
        first, second = found.values()
        assert len(first) == len(second) == 1 and first != second


def test_shuffled_pairs_get_the_words_of_another_edit_of_their_category(shown):
    assert sorted(_partner(k, 11) for k in range(44)) == list(range(44))
    assert all(_partner(k, 11) % 11 == k % 11 and _partner(k, 11) != k for k in range(44))
    said = {
        name: sorted(turn.answer for one in shown[name][0] if len(one.images) == 2 for turn in one.turns)
        for name in ("med", "shuffled")
    }
    assert said["med"] == said["shuffled"]
    stream = Stream(f"{SPLIT}0")
    rows = [{turn.answer for one in shown[n][0][4 * 3 : 4 * 4] for turn in one.turns} for n in ("med", "shuffled")]
    assert stream(3).category == CATEGORIES[3] and rows[0] != rows[1]


def test_streams_leave_categories_out_and_share_no_scene_with_an_exam():
    few = Stream(f"{SPLIT}0", CATEGORIES[:2])
    assert {few(k).category for k in range(8)} == set(CATEGORIES[:2])
    trained = {(s.place, s.things) for k in range(88) for e in [Stream(f"{SPLIT}0")(k)] for s in (e.before, e.after)}
    asked = scenes_of(plan.NUMBERS.scenes).data.scenes.values()
    assert not trained & {(scene.place, scene.things) for scene in asked}
    assert not any(name.startswith(SPLIT) or SPLIT.startswith(name) for name in (SCENES, PAIRS, "med-tiny/0"))


# ---------------------------------------------------------------- the plan


def test_the_plan_is_within_its_budget_and_names_no_run_twice():
    runs = plan.runs()
    assert len({run.id for run in runs}) == len(runs)
    trained = [run for run in runs if run.arm]
    assert len(trained) == 15 + 4 + 6 + 6 + 1 and len(runs) == 43
    assert plan.NUMBERS.seconds_train / 2 <= 150 and plan.NUMBERS.seconds_exam / 2 <= 60  # two runs on two cores
    for run in trained:
        assert plan.spec_of(run, plan.NUMBERS).micro_batch == 2 * ARMS[run.arm]
    assert {run.of for run in runs if run.look} <= {run.id for run in runs}
    assert [run.id for run in plan.STUDY.chosen(["clean-1", "med-0"])] == ["med-0", "clean-1"]
    with pytest.raises(KeyError, match="med-99"):
        plan.STUDY.chosen(["med-99"])


def test_other_pairs_are_med_tinys_with_other_pictures():
    real, plain = other_pairs("real", 4), pairs_of(4)
    assert [one.options for one in real] == [one.options for one in plain]
    assert all(a.images != b.images for a, b in zip(real, plain, strict=True))
    with pytest.raises(KeyError, match="inpainted"):
        other_pairs("inpainted", 4)


# ---------------------------------------------------------------- running


@pytest.mark.long(15)
def test_two_arms_end_to_end_and_then_nothing_is_left_to_do(tmp_path, monkeypatch):
    out, keep, said = tmp_path / "out", tmp_path / "keep", []
    todo = [*SMALL.chosen(["med-0", "clean-0"]), plan.Run("base-elsewhere", "not on this machine", base="elsewhere")]
    found = running.work(SMALL, todo, out, keep, said.append, progress=False)
    assert found["made"] == ["med-0", "clean-0"] and list(found["skipped"]) == ["base-elsewhere"]
    assert "put its folder at" in found["skipped"]["base-elsewhere"]
    assert any("left" in line for line in said)
    counts = {}
    for name in found["made"]:
        record = json.loads((keep / f"{name}.json").read_text(encoding="utf-8"))
        trained = json.loads((out / name / "run.json").read_text(encoding="utf-8"))
        assert record["training"]["sha256"] == trained["sha256"] and trained["study"]["pictures"] == 3 * 2 * PICTURES
        counts[name] = trained["study"]
        assert len(record["answers"]["captions"]) == len(record["answers"]["pope"]) == NUMBERS.scenes
        assert len(record["answers"]["sum"]) == 44 and set(record["answers"]["sum"]) <= {"0", "1"}
        assert os.path.getsize(keep / f"{name}.json") < 10_000
        assert not (out / name / "lock").exists()
    assert counts["med-0"]["tokens"] == pytest.approx(counts["clean-0"]["tokens"], rel=0.05)  # six edits only
    monkeypatch.setattr(running, "perform", lambda *_: pytest.fail("a run was made again"))
    again = running.work(SMALL, todo[:2], out, keep, said.append, progress=False)
    assert again["there"] == ["med-0", "clean-0"] and not again["made"]
    with pytest.raises(CannotRun, match="another plan"):
        other = replace(SMALL, numbers=replace(NUMBERS, steps=4))
        running.work(other, todo[:1], out, None, said.append, progress=False)
    shown = summary(SMALL, read(out))
    contrasts = shown["contrasts"]
    assert contrasts["med - clean"]["med_tiny"]["seeds"] == [0] and contrasts["med - shuffled"] == NOT_RUN
    rows = ledger.rows(SMALL, shown)
    assert "med - clean (n=1)" in table(SMALL, shown, rows)
    assert {row["verdict"] for row in rows if row["id"] == "med-pope-control"} == {"open"}  # one seed decides nothing


def test_a_lock_is_held_by_one_and_taken_over_from_the_dead(tmp_path):
    with running.claimed(tmp_path) as first:
        assert first is not None
        with running.claimed(tmp_path) as second:
            assert second is None
        assert first.exists()
        old = time.time() - running.STALE - 5
        os.utime(first, (old, old))
        with running.claimed(tmp_path) as third:
            assert third is not None


def test_a_failed_run_leaves_no_record_and_no_lock(tmp_path, monkeypatch):
    monkeypatch.setattr(running, "perform", lambda *_: (_ for _ in ()).throw(CannotRun("no")))
    todo = SMALL.chosen(["med-0"])
    with pytest.raises(CannotRun, match="no"):
        running.work(SMALL, todo, tmp_path, None, lambda _: None, progress=False)
    assert not list((tmp_path / "med-0").iterdir())


# ---------------------------------------------------------------- sums


def answers(rng, wrong, right, yes):
    """Made-up answers: chance of a hallucinated mention, of a right pair, of a right POPE answer."""
    marked = ["".join(rng.choice(["h", "x"], p=[1 - wrong, wrong]) for _ in range(4)) for _ in range(300)]
    bits = lambda n, p: "".join("1" if rng.random() < p else "0" for _ in range(n))  # noqa: E731
    pope = ["".join(("t" if rng.random() < yes else "m") + ("c" if rng.random() < yes else "f") for _ in range(3))
            for _ in range(300)]  # fmt: skip
    pairs = {name: bits(132, right) for name in ("sum", "sum_swapped", "letters")}
    told = {"same": "s" * 66, "different": "d" * 66, "routed": ["11"] * 44}
    return {"there": [4] * 300, "captions": marked, "pope": pope, **pairs, **told}


def records(effect):
    """Five seeds of med and clean, and the base, with a known effect of med."""
    found = {}
    for run in plan.runs():
        if run.look or run.id.rpartition("-")[0] not in ("med", "clean", "base-tiny"):
            continue
        rng = np.random.default_rng([run.seed, len(run.id)])
        gain = effect if run.arm == "med" else 0.0
        shift = 0.01 * rng.standard_normal()
        made = answers(rng, 0.25 - gain / 2 + shift, 0.4 + gain + shift, 0.8 + gain / 4 + shift)
        found[run.id] = {"id": run.id, "run": asdict(run), "numbers": asdict(plan.NUMBERS), "answers": made}
    return found


def test_a_known_effect_is_found_and_none_is_made_up(tmp_path):
    strong, none = (summary(plan.STUDY, records(effect)) for effect in (0.3, 0.0))
    row = strong["contrasts"]["med - clean"]
    assert row["med_tiny"]["difference"] == pytest.approx(0.3, abs=0.08) and row["med_tiny"]["seeds"] == [0, 1, 2, 3, 4]
    assert row["chair_i"]["difference"] == pytest.approx(-0.15, abs=0.03)
    assert row["chair_matched"]["difference"] < -0.1 and 0 < row["chair_matched"]["recall"] < 1
    assert strong["contrasts"]["med - shuffled"] == NOT_RUN
    assert strong["runs"]["med-0"]["stays_right"] is not None
    claims = {row["id"]: row for row in ledger.rows(plan.STUDY, strong)}
    for name in (
        "med-differences",
        "med-differences-likelihood",
        "med-captions",
        "med-captions-control",
        "med-pope-control",
    ):
        assert claims[name]["verdict"] == "holds in Diorama", name
        assert all(one["corrected"] >= one["p"] and one["interval"][0] > one["bar"] for one in claims[name]["evidence"])
    assert claims["med-differences-control"]["verdict"] == NOT_RUN  # no shuffled runs
    quiet = [row["verdict"] for row in ledger.rows(plan.STUDY, none) if row["asks"] == "control"]
    assert len(quiet) == 4 and not any("holds" in word.split() for word in quiet)
    paths = ledger.write_rows(tmp_path, plan.STUDY, strong)
    assert len(paths) == len(plan.CLAIMS) and json.loads(paths[0].read_text(encoding="utf-8"))["kind"] == "diorama"


def test_an_interval_counts_runs_and_pictures():
    rng = np.random.default_rng(3)
    groups = [{s: answers(rng, 0.25, right, 0.8) for s in range(3)} for right in (0.4, 0.6)]
    found = contrast(*groups, "med_tiny")
    middle = found["difference"]
    for side in (0, 1):
        both = [abs(found[name][side] - middle) for name in ("ci_runs", "ci_pictures")]
        assert abs(found["ci"][side] - middle) == pytest.approx(np.hypot(*both))
    assert middle == pytest.approx(np.mean([score(groups[1][s], "med_tiny") - score(groups[0][s], "med_tiny")
                                            for s in range(3)]))  # fmt: skip
    alone = contrast({0: groups[0][0]}, {0: groups[1][0]}, "med_tiny")
    assert alone["ci_runs"] is None and alone["ci"] == pytest.approx(alone["ci_pictures"]) and alone["p"] is None
    with pytest.raises(ValueError, match="same seeds"):
        contrast({0: groups[0][0]}, {1: groups[1][0]}, "med_tiny")


def test_both_verdicts_ask_for_the_same_evidence():
    assert verdict([0.03, 0.2], 0.02, 0.01) == "holds" and verdict([0.03, 0.2], 0.02, 0.2) == "open"
    assert verdict([0.01, 0.2], 0.02, 0.01) == "open"  # not beyond the bar
    assert verdict([-0.2, 0.01], 0.02, 0.01) == "does not hold" and verdict([-0.2, 0.01], 0.02, 0.2) == "open"
    assert verdict([-0.2, -0.05], 0.02, None) == verdict(None, 0.02, 0.001) == "open"


def test_a_check_is_a_t_test_against_its_bar_in_the_claims_direction():
    from scipy.stats import ttest_1samp

    each = [-0.05, -0.03, -0.06, -0.02]
    row = {"difference": -0.04, "ci": [-0.07, -0.01], "seeds": [0, 1, 2, 3], "each": each}
    less = checked(plan.STUDY, Check("med - clean", "chair_matched"), row)  # less is better
    assert less["effect"] == 0.04 and less["interval"] == [0.01, 0.07] and less["bar"] == 0.01
    assert less["p"] == pytest.approx(ttest_1samp([-one for one in each], 0.01).pvalue)
    falls = checked(plan.STUDY, Check("vision tower only - med", "med_tiny", 0.03, falls=True), row)
    assert falls["effect"] == 0.04 and falls["p"] == pytest.approx(ttest_1samp([-one for one in each], 0.03).pvalue)
    rises = checked(plan.STUDY, Check("med - clean", "med_tiny"), row)
    assert rises["effect"] == -0.04 and rises["p"] == pytest.approx(ttest_1samp(each, 0.02).pvalue)
    assert over_seeds([0.1])["p"] is None


def test_claims_are_written_down_before_anything_is_measured():
    for row in ledger.rows(plan.STUDY):
        assert row["verdict"] == NOT_RUN and row["measured"] is None and row["holds_if"] and row["source"]
        path = PACKAGE.parent / "results" / "claims" / f"{row['id']}.json"
        written = json.loads(path.read_text(encoding="utf-8"))
        for name in ("claim", "source", "asks", "reported", "holds_if", "planned_seeds"):
            assert written[name] == json.loads(json.dumps(row[name])), f"{path.name} and the plan disagree on {name}"


def test_each_question_against_equal_clean_data_has_a_row_of_its_own():
    for claim in plan.CLAIMS:
        against = {check.contrast.partition(",")[0].rpartition(" - ")[2] for check in claim.checks}
        assert (against <= {"clean", "shuffled"}) == (claim.asks == "control"), claim.id


def rounded(value):
    """A record with its numbers cut where another machine may round another way."""
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return round(value, 6) if isinstance(value, float) else value


def test_summary_and_claims_are_those_of_the_recorded_runs():
    folder = PACKAGE.parent / "results" / "med" / "runs"
    runs = read(folder)
    assert set(runs) <= {run.id for run in plan.runs()} and all(one["id"] == key for key, one in runs.items())
    found = json.loads(json.dumps(summary(plan.STUDY, runs)))
    assert rounded(json.loads((folder / "summary.json").read_text(encoding="utf-8"))) == rounded(found)
    for row in ledger.rows(plan.STUDY, found):
        path = PACKAGE.parent / "results" / "claims" / f"{row['id']}.json"
        assert rounded(json.loads(path.read_text(encoding="utf-8"))) == rounded(json.loads(json.dumps(row))), path.name


def test_the_command_lists_the_plan_and_refuses_what_it_does_not_know():
    from typer.testing import CliRunner

    from mmhallu_core.cli import app

    said = CliRunner().invoke(app, ["study", "med", "--list", "--json"])
    listed = json.loads(said.stdout)
    assert study_of("med") is plan.STUDY
    assert said.exit_code == 0 and len(listed["runs"]) == len(plan.runs()) and listed["hours"] / 2 < 160 / 60
    for words in (["study", "nothing"], ["study", "med"], ["study", "med", "--out", "x", "--only", "nothing"]):
        assert CliRunner().invoke(app, words).exit_code == 2


def test_the_preset_of_the_command_line_is_the_studys_recipe(vlm):
    """The same numbers and the same examples: `mmhallu train sft --preset diorama` is the run med-0."""
    from mmhallu_core.methods.med.sft import Sft, _stream, spec_of

    (run,) = plan.STUDY.chosen(["med-0"])
    asked = Sft(preset="diorama")
    assert spec_of(asked, vlm) == plan.spec_of(run, plan.NUMBERS)
    assert (plan.NUMBERS.steps, plan.NUMBERS.edits, plan.NUMBERS.lr) == (600, 2, 2e-3)
    ours, studys = _stream(asked, vlm), arm("med", Stream(f"{SPLIT}{run.seed}"), token_count(vlm))
    for i in range(12):
        assert ours(i).turns == studys(i).turns
        assert [one.tobytes() for one in ours(i).images] == [one.tobytes() for one in studys(i).images]


def test_the_examples_of_the_study_are_those_of_its_first_runs(vlm):
    """The hash that a run of 50 steps had before trainer and builder were rewritten, with one batch drawn ahead."""
    from mmhallu_core.train.records import Numbered

    make = arm("med", Stream(f"{SPLIT}0"), token_count(vlm))
    assert Numbered(make, 408, hashes=True).digest(408) == (
        "6f410c10baec7ba0871f42c2408cd6e1bfab9c54f7102b3377cf88d974bb6093"
    )
