"""What the chapter *Build micro-edits* uses: a followed draft, its figures and tables, its records and statements."""

import json
import re
from collections import Counter

import pytest

from maintenance import med_similarity
from mmhallu_core.chapters import build_micro_edits
from mmhallu_core.chapters import build_micro_edits_faults as med_faults
from mmhallu_core.chapters import build_micro_edits_figures as viz
from mmhallu_core.chapters.build_micro_edits import (
    FEW,
    Overheard,
    Step,
    photos_or_recorded,
)
from mmhallu_core.chapters.build_micro_edits_faults import (
    POLICIES,
    Run,
    at_one_dial,
    judging,
    one_wrong,
    share,
    verdicts,
    wrong_replies,
)
from mmhallu_core.chapters.edits import pair_figure
from mmhallu_core.clients.client import Reply, Request
from mmhallu_core.edit.draft import Draft, Rejected
from mmhallu_core.edit.oracle import Oracle
from mmhallu_core.edit.oracle_words import ERRORS
from mmhallu_core.edit.world import WorldSource
from mmhallu_core.recorded import recorded
from mmhallu_core.types import CATEGORIES
from mmhallu_core.world.language import describe, difference


@pytest.fixture(scope="module")
def study():
    return recorded("med-pipeline/faults")


@pytest.fixture(scope="module")
def released():
    return recorded("med-photos/released")


@pytest.fixture(scope="module")
def alike():
    return recorded("med-pipeline/similarity")


# ---------------------------------------------------------------- the study of faults, on drafts made by hand


def test_what_the_oracle_got_wrong_is_listed():
    oracle = Oracle(seed=3, error=0.5)
    ids = [f"draft-{n}/{job}" for n in range(40) for job in ("judge_1", "refine")]
    wrong = wrong_replies(oracle, ids)
    error_types = {one: oracle.error_type_of(one) for one in ids}
    assert sum(map(len, wrong.values())) == sum(error_type is not None for error_type in error_types.values()) > 20
    for draft, replies in wrong.items():
        for reply in replies:
            job, error_type = reply.split(": ")
            assert error_type in ERRORS[job] and error_types[f"{draft}/{job}"] == error_type


def test_a_second_request_counts_under_its_job():
    found = wrong_replies(Oracle(seed=0, error=1.0), ["d/judge_1", "d/judge_1#again"])
    assert [reply.split(": ")[0] for reply in found["d"]] == ["judge_1", "judge_1"]


def test_policies_count_what_they_keep_and_lose():
    # right?, first, second: two right ones of which one is refused by the second, two wrong ones, one let through
    judged = [(True, True, True), (True, True, False), (False, True, False), (False, True, True)]
    found = {name: judging(judged, keeps) for name, keeps in POLICIES.items()}
    assert {name: one["kept"] for name, one in found.items()} == {
        "no judge": 4, "first judge": 4, "second judge": 2, "either": 4, "both": 2,
    }  # fmt: skip
    assert found["both"]["wrong"]["n"] == 1 and found["both"]["loses"]["n"] == 1
    assert found["no judge"]["wrong"]["share"] == 0.5 and found["no judge"]["loses"]["n"] == 0


def rejected(name: str, stage: str, reason: str = "x", detail: str = "") -> Rejected:
    return Rejected(name, stage, reason, detail)


def test_drafts_with_one_wrong_reply_are_followed_to_their_end():
    ended = [rejected("a", "judges"), rejected("b", "plan"), rejected("c", "plan")]
    wrong = {"a": ["recaption: imagined_thing"], "b": ["plan: wrong_object"], "c": ["plan: malformed"] * 2}
    assert one_wrong([Run([], ended, [], wrong)]) == {
        "plan: wrong_object": {"ended at plan": 1},
        "recaption: imagined_thing": {"refused by the judges": 1},
    }


def test_a_share_of_nothing_is_no_share():
    assert share(0, 0) == {"n": 0, "of": 0, "share": None, "ci": None}


# ---------------------------------------------------------------- the study on Diorama, small


def test_every_stage_is_followed_and_an_exact_oracle_makes_no_fault(monkeypatch):
    """The pipeline without CLIP, which takes seconds to load."""
    source = WorldSource(2, 11)
    drafts = [source.draft(i) for i in range(11)]
    monkeypatch.setattr(build_micro_edits, "world_pipeline", without_clip)
    steps = build_micro_edits.trace(drafts[0], Oracle(2))
    names = ["filter", "plan", "edit", "complete", "recaption", "difference", "judges", "refine", "question"]
    assert [step.stage for step in steps] == names
    jobs = [request.id.rpartition("/")[2] for step in steps for request, _ in step.calls]
    assert jobs == ["filter", "plan", "complete", "recaption", "difference", "judge_1", "judge_2", "refine"]
    shown = viz.steps_table(steps, "One pair")
    for step in steps:
        assert f"\n{step.stage}\n" in shown.text and f">{step.stage}</th>" in shown.html
    inside, outside = viz.changed(steps[2].after)
    assert inside > 0 and outside == 0 and f"{inside} pixels differ" in shown.text
    assert steps[-1].after.question in shown.text and "nowrap" not in shown.html


def test_a_trace_ends_where_its_draft_ends(monkeypatch):
    monkeypatch.setattr(build_micro_edits, "world_pipeline", without_clip)
    steps = build_micro_edits.trace(WorldSource(2, 3).draft(0), Unreadable())
    assert [step.stage for step in steps] == ["filter"] and isinstance(steps[-1].after, Rejected)
    assert "rejected, unreadable_reply" in viz.steps_table(steps, "One pair").text


def test_verdicts_are_read_from_what_the_judges_stage_says(monkeypatch):
    monkeypatch.setattr(build_micro_edits, "world_pipeline", without_clip)
    steps = build_micro_edits.trace(WorldSource(2, 3).draft(0), Oracle(2))
    (judged,) = (step for step in steps if step.stage == "judges")
    assert list(verdicts(judged.before, judged.after)) == [(True, True, True)]
    for yes, wanted in (("first", (True, True, False)), ("second", (True, False, True))):
        no = rejected("a", "judges", "judges_disagree", f"the {yes} judge says yes, the other no; asked for: x")
        assert list(verdicts(judged.before, no)) == [wanted]
    assert list(verdicts(judged.before, rejected("a", "judges", "another_difference"))) == [(True, False, False)]
    assert not list(verdicts(judged.before, rejected("a", "judges", "unreadable_reply")))


class Unreadable:
    """An annotator that never keeps a form."""

    about = {"kind": "oracle"}

    def ask(self, request: Request) -> Reply:
        return Reply(request.id, "I would rather not.")


def without_clip(seed, n, client):
    from mmhallu_core.edit.stages import asked
    from mmhallu_core.edit.world import world_editor

    return WorldSource(seed, n), [
        ("filter", asked.editability(client)), ("plan", asked.plan(client)), ("edit", world_editor()),
        ("complete", asked.complete(client)), ("recaption", asked.recaption(client)),
        ("difference", asked.difference(client, see_pictures=True)), ("judges", asked.judges(client)),
        ("refine", asked.refine(client)), ("question", asked.question(seed)),
    ]  # fmt: skip


@pytest.mark.slow
def test_the_study_made_again_on_one_seed_is_part_of_the_record(study):
    seed, dial = study["seeds"][0], 0.1
    now = med_faults.measure((seed,), (dial,), med_faults.DRAFTS, progress=False)["dials"][str(dial)]
    then = study["dials"][str(dial)]["by_seed"][0]
    assert {**now["by_seed"][0], "ci": pytest.approx(then["ci"])} == then  # the last digit of an interval may differ


# ---------------------------------------------------------------- records, and what the chapter says of them


def test_counts_of_the_record_add_up(study):
    for one in study["dials"].values():
        assert one["samples"] + sum(one["rejected"].values()) == one["drafts"]
        assert sum(seed["of"] for seed in one["by_seed"]) == one["samples"]
        assert sum(seed["n"] for seed in one["by_seed"]) == one["any"]["n"]
        assert one["any"]["n"] <= sum(fault["n"] for fault in one["faults"].values())
        for row in (one["any"], *one["faults"].values(), *(judged["wrong"] for judged in one["judged"].values())):
            assert row["ci"][0] - 1e-9 <= row["share"] <= row["ci"][1] + 1e-9


def test_the_chapter_says_what_the_study_found(study):
    dials, ends = study["dials"], study["one_wrong"]["ends"]
    assert study["holds"] == med_faults.holds(dials)
    above = [dial for dial in dials if float(dial) > 0]
    assert study["holds"] == {"sound": True, "weak_spot": True, "helps": dict.fromkeys(list(POLICIES)[1:], above)}
    for dial in above:  # "about as fast as the dial"
        assert 0.5 < dials[dial]["any"]["share"] / float(dial) < 1.5
    for error_type in ("difference: wrong_object", "difference: wrong_direction", "recaption: imagined_thing"):
        assert set(ends[error_type]) == {"refused by the judges"}
    for error_type in ("difference: wrong_category", "refine: wrong_object", "refine: wrong_direction"):
        assert set(ends[error_type]) == {"sample, with a fault"}
    assert set(ends["plan: wrong_object"]) == {"ended at edit"}
    judged = dials["0.2"]["judged"]
    both, either = judged["both"], judged["either"]
    assert both["wrong"]["share"] == min(one["wrong"]["share"] for one in judged.values())
    assert both["loses"]["n"] == max(one["loses"]["n"] for one in judged.values())
    assert either["wrong"]["n"] > 3 * both["wrong"]["n"] and either["loses"]["share"] < 0.05


def test_the_chapter_says_what_the_filter_drops(alike):
    rows = alike["modes"]["projected"]
    kept = {name: rows[name]["training"]["share"] for name in CATEGORIES}
    assert min(kept, key=kept.get) == "Scene" and rows["Scene"]["benchmark"]["share"] < 0.05
    assert sorted(kept, key=kept.get)[1:3] == ["Universality", "Negation"]
    assert all(rows[name]["benchmark"]["share"] > 0.9 for name in ("Spatial Relation", "Action Relation"))
    assert rows["Part Relation"]["benchmark"]["share"] > 0.9
    for name in (*CATEGORIES, "all"):
        middle = alike["quantiles"].index(0.5)
        pooled = alike["modes"]["pooled"][name]
        assert pooled["quantiles"][middle] > rows[name]["quantiles"][middle]
        for line in ("training", "benchmark"):
            assert pooled[line]["n"] >= rows[name][line]["n"]
    assert med_similarity.uneven(rows, "training") == ["Scene", "Universality"]


def test_the_chapter_says_how_photos_differ(released):
    clear = "pixels_that_differ_by_more_than_8_percent"
    assert released["pairs"] - released["pairs_of_two_sizes"] < 5 < released["shape_is_off_by_percent"]["max"]
    assert released["edited"][clear]["median"] > 50
    assert released["original_scaled_there_and_back"][clear]["median"] < 10
    run = recorded("med-photos/run")
    assert len(run["categories"]) == 3 and run["samples"] > 0.9 * run["photos"]
    assert run["pairs_with_a_change_outside_the_mask"] == 0
    assert run["share_of_the_photo_percent"]["three_quarters"] < 5


@pytest.mark.parametrize("name", ["faults", "similarity"])
def test_records_hold_numbers_and_no_sentences(name):
    record = recorded(f"med-pipeline/{name}")
    assert {"kind", "command", "commit", "versions"} <= set(record)
    texts = re.findall(r'"((?:[^"\\]|\\.)*)"', json.dumps(record))
    assert max(map(len, texts)) <= 80


def test_a_threshold_counts_with_an_interval():
    found = med_similarity.kept([0.5, 0.7, 0.9, 0.99], 0.7)
    assert (found["n"], found["of"], found["share"]) == (3, 4, 0.75) and found["ci"][0] < 0.75 < found["ci"][1]


# ---------------------------------------------------------------- figures and tables


def alt_of(twin) -> str:
    (alt,) = re.findall(r'<svg[^>]* aria-label="([^"]+)"', twin.html)
    assert len(alt) > 60 and twin.text.startswith("Figure: ")
    return alt


def test_the_dial_figure_has_words_and_numbers(study):
    twin = viz.dial_figure(study["dials"], "Faults")
    last = study["dials"]["0.3"]
    assert f"{100 * last['faults']['answer']['share']:.0f}" in alt_of(twin)
    assert f"{100 * last['any']['share']:.1f}" in twin.text and "edited caption" in twin.text


def test_the_similarity_figure_has_words_and_numbers(alike):
    twin = viz.similarity_figure(alike, "Alike")
    assert all(name in alt_of(twin) and name in twin.text for name in CATEGORIES)
    assert "projected" in twin.text and "pooled" in twin.text


def test_ends_are_merged_and_none_is_lost(study):
    ends = study["one_wrong"]["ends"]
    twin = viz.ends_table(ends, "Ends")
    numbers = Counter(map(int, re.findall(r"<td[^>]*>(\d+)</td>", twin.html)))
    assert sum(value * n for value, n in numbers.items()) == sum(sum(found.values()) for found in ends.values())
    rows = [line.split("  ")[0] for line in twin.text.splitlines()[2:]]
    assert rows[0] == "filter: wrong verdict" and rows[-1] == "any stage: malformed" and len(set(rows)) == len(rows)
    assert rows.index("judges: wrong verdict") < rows.index("refine: wrong object")
    late = viz.ends_table(
        {"refine: malformed": {"ended at refine": 2}, "plan: malformed": {"sample, right": 3}}, "Ends"
    )
    assert re.search(r"ended after the judges +sample, right\nany stage: malformed +2 +3", late.text)


def test_the_pair_has_its_difference_above_and_its_scenes_in_words():
    edit = WorldSource(2, 3).edit(1)
    twin = pair_figure(edit, 48)
    assert difference(edit).text in alt_of(twin) and edit.category in twin.text
    assert describe(edit.before, "full").text in twin.text and describe(edit.after, "full").text in twin.text


def test_other_tables_say_what_they_are_given(study):
    judged = study["dials"]["0.1"]["judged"]
    twin = viz.judges_table(judged, "Judges")
    assert all(name in twin.text and str(one["kept"]) in twin.text for name, one in judged.items())
    twin = viz.ends_of_drafts(7, {"judges/judges_disagree": 3}, "Ends")
    assert re.search(r"judges: judges disagree +3", twin.text) and re.search(r"became a sample +7", twin.text)


def test_photos_stand_beside_each_other(released):
    spread = {"median": 12.5, "quarter": 3.0, "three_quarters": 20.0}
    twin = viz.photos_table({"now": released}, {"samples": 4, "share_of_the_photo_percent": spread}, "Photos")
    middle = released["edited"]["pixels_that_differ_by_more_than_8_percent"]["median"]
    assert "at most 12.5 [3.0, 20.0]" in twin.text and f"{middle:.1f} [" in twin.text
    assert re.search(rf"released, now +{released['pairs']} +{released['pairs_of_two_sizes']} ", twin.text)


# ---------------------------------------------------------------- now or recorded


def test_without_photos_the_record_is_shown(monkeypatch, tmp_path, released):
    monkeypatch.setenv("MMHALLU_DATA", str(tmp_path))
    rows, how = photos_or_recorded()
    assert rows == {"all, recorded": released} and "mmhallu data get med_bench" in how


@pytest.mark.long
def test_the_released_photos_compared_now_are_part_of_the_record(released):
    rows, how = photos_or_recorded()
    if len(rows) == 1:
        pytest.skip(f"needs the released photos: {how.splitlines()[-1]}")
    (now,) = (row for name, row in rows.items() if "now" in name)
    assert now["pairs"] == FEW
    for key in ("edited", "original_scaled_there_and_back"):
        for name, spread in now[key].items():
            assert released[key][name]["min"] <= spread["min"] and spread["max"] <= released[key][name]["max"]


def test_overheard_changes_nothing():
    client = Overheard(Unreadable())
    request = Request("d/filter", "?")
    assert client.ask(request).text == "I would rather not." and client.about == Unreadable.about
    assert client.calls[0][0] is request


def test_at_one_dial_sums_over_seeds():
    runs = [Run([], [rejected("a", "plan", "no_category_suits")], [], {"a": ["plan: malformed"]}) for _ in range(2)]
    found = at_one_dial(runs, 2)
    assert found["rejected"] == {"plan/no_category_suits": 2} and found["wrong_replies"] == 2
    assert found["samples"] == 0 and found["any"]["share"] is None


def test_steps_are_of_drafts():
    step = Step("question", Draft("d", b""), Draft("d", b"", question="What changed?"), ())
    assert "What changed?" in viz.steps_table([step], "One").text
