"""The study's figures and the page of claims: what they draw is what the records hold, and what was not run says so."""

import re
from dataclasses import asdict

import numpy as np
import pytest

from mmhallu_core.chapters import does_med_hold
from mmhallu_core.chapters import what_made_it_work as why
from mmhallu_core.recorded import recorded
from mmhallu_core.store import MissingFile
from mmhallu_core.studies import med as plan
from mmhallu_core.studies.engine import summary as ledger
from mmhallu_core.studies.engine.outcomes import contrast
from mmhallu_core.studies.engine.summary import NOT_RUN, checks, summary
from mmhallu_core.types import CATEGORIES

pytestmark = pytest.mark.long  # a summary with all its intervals

QUESTIONS = 4 * len(CATEGORIES)
HEADLINE = ["med - clean", "med - shuffled", "med - base"]
PER_ARM = {"base": 0.35, "clean": 0.4, "med": 0.75, "vision": 0.6}  # how often an answer is right


def answers(right: float, rng: np.random.Generator) -> dict:
    """What a run may have said, with a chance for every answer to be right."""

    def letters(n: int, good: str, bad: str) -> str:
        return "".join(good if one else bad for one in rng.random(n) < right)

    pairs = {name: letters(QUESTIONS, "1", "0") for name in ("sum", "sum_swapped", "letters")}
    return {
        "there": [4] * 60,
        "captions": [letters(4, "h", "x") for _ in range(60)],
        "pope": [letters(3, "t", "m") + letters(3, "c", "f") for _ in range(60)],
        **pairs,
        "same": letters(20, "s", "d"),
        "different": letters(20, "d", "s"),
        "routed": [letters(2, "1", "0") for _ in range(20)],
    }


def records(only: tuple[str, ...] = ("med-", "clean-", "base-tiny", "vision-")) -> dict:
    """Records of some runs of the plan, as made up as they are small."""
    found = {}
    for run in plan.runs():
        if run.look or run.base != "tiny-llava" and run.arm or not run.id.startswith(only):
            continue
        rng = np.random.default_rng([run.seed, len(run.id)])
        share = PER_ARM[run.id.split("-")[0]]
        tally = {"examples": 2, "pictures": 3480, "turns": 9, "tokens": 61000 + run.seed, "weight": 1.0}
        found[run.id] = {
            "id": run.id, "run": asdict(run), "numbers": asdict(plan.NUMBERS), "answers": answers(share, rng),
            "training": {"study": tally} if run.arm else None,
        }  # fmt: skip
    return found


@pytest.fixture(scope="module")
def some():
    return records()


@pytest.fixture(scope="module")
def found(some):
    return summary(plan.STUDY, some)


@pytest.fixture(scope="module")
def nothing():
    return summary(plan.STUDY, {})


# ---------------------------------------------------------------- contrasts


def row(difference: float, half: float, spread: float = 0.01, seeds: int = 5) -> dict:
    """A contrast with this interval, whose seeds differ from each other by steps of `spread`."""
    each = [difference + spread * (k - (seeds - 1) / 2) for k in range(seeds)]
    return {
        "difference": difference, "ci": [difference - half, difference + half], "p": 0.5, "each": each,
        "seeds": list(range(seeds)),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("one", "outcome", "word"),
    [
        (row(0.1, 0.05), "med_tiny", "better"),
        (row(0.1, 0.05, spread=0.08), "med_tiny", "open"),  # the seeds disagree
        (row(0.1, 0.09), "med_tiny", "open"),  # the interval reaches into what nobody would miss
        (row(-0.1, 0.05), "med_tiny", "worse"),
        (row(0.0, 0.01), "med_tiny", "open"),
        (row(-0.1, 0.05), "chair_matched", "better"),
        (row(0.1, 0.05), "chair_matched", "worse"),
        (row(0.1, 0.05, seeds=1), "med_tiny", "one seed"),
        ({**row(0.1, 0.05), "difference": None}, "med_tiny", "no score"),
    ],
)
def test_a_word_follows_the_rule_of_the_engine(one, outcome, word):
    made = {"contrasts": {"a": {outcome: one}, "b": NOT_RUN}}
    assert why.word_of(plan.STUDY, made, "a", outcome) == word
    assert why.word_of(plan.STUDY, made, "b", outcome) == NOT_RUN


def test_what_a_claim_rests_on_is_judged_by_its_corrected_p():
    one = row(0.06, 0.035, spread=0.018)
    made = {"contrasts": {"med - clean": {"med_tiny": one}, "clean - base": {"med_tiny": one}}}
    made["contrasts"]["med - shuffled"] = {"med_tiny": row(0.06, 0.035, spread=0.02)}  # a second test
    claimed = {(one.contrast, one.outcome): found for one, found in checks(plan.STUDY, made["contrasts"]).items()}
    headline = claimed["med - clean", "med_tiny"]
    assert headline["p"] < 0.05 <= headline["corrected"]
    assert why.word_of(plan.STUDY, made, "med - clean", "med_tiny") == "open"
    assert why.word_of(plan.STUDY, made, "clean - base", "med_tiny") == "better"


def test_a_forest_shows_every_row_its_seeds_and_what_was_not_run(found):
    shown = why.forest_figure(plan.STUDY, found, HEADLINE, "A title")
    lines = shown.text.splitlines()
    start = lines.index("A title") + 2
    assert len(lines[start:]) == len(HEADLINE) * len(plan.PRIMARY)
    one = found["contrasts"]["med - clean"]["med_tiny"]
    low, high = (100 * side for side in one["ci"])
    line = next(line for line in lines if line.startswith("med - clean") and "MED-tiny" in line)
    assert f"{100 * one['difference']:+.1f} [{low:.1f}, {high:.1f}]" in line and "  5  " in line
    assert line.endswith(why.word_of(plan.STUDY, found, "med - clean", "med_tiny"))
    missing = [line for line in lines[start:] if line.startswith("med - shuffled")]
    assert len(missing) == 3 and all(line.endswith(NOT_RUN) for line in missing)
    assert "not run: med - shuffled" in shown.text and "less is better" in shown.text
    assert 'role="img"' in shown.html and "too small to matter" in shown.html


def test_the_seeds_of_a_contrast_have_it_as_their_mean(found):
    for name in ("med - clean", "med - base"):
        for one in found["contrasts"][name].values():
            assert len(one["each"]) == len(one["seeds"]) == 5
            assert np.mean(one["each"]) == pytest.approx(one["difference"])


def test_looks_at_other_pairs_are_drawn_for_one_outcome(nothing):
    names = [name for name in plan.CONTRASTS if name.startswith(plan.EVAL_SETS)]
    shown = why.forest_figure(plan.STUDY, nothing, names, "Looks", ["med_tiny"])
    assert shown.text.count("MED-tiny, by likelihood  ") == len(names) == 2


# ---------------------------------------------------------------- runs


def test_an_arm_has_its_own_runs_only(some, found):
    assert why.runs_of(found["runs"], "med") == [f"med-{seed}" for seed in plan.SEEDS]
    assert {"base-tiny-llava", "base-tiny-llava-control"} <= set(found["runs"])
    assert why.runs_of(found["runs"], "base-tiny-llava") == ["base-tiny-llava"]
    assert len(why.scores_of(found, "clean", "recall")) == 5 and why.scores_of(found, "shuffled", "recall") == []


def test_every_run_is_a_dot(found):
    shown = why.seeds_figure(found, ["base-tiny-llava", "shuffled", "med"], ["med_tiny"], "Runs")
    scores = [100 * one for one in why.scores_of(found, "med", "med_tiny")]
    line = next(line for line in shown.text.splitlines() if line.startswith("med "))
    assert f"{min(scores):.1f} to {max(scores):.1f}" in line and line.endswith("5")
    assert next(line for line in shown.text.splitlines() if line.startswith("shuffled")).split()[-4:-2] == [
        "not",
        "run",
    ]


def test_two_runs_are_recorded_or_say_that_they_are_made_up(some):
    first, second, source = why.two_runs(some, "clean-0", "med-0")
    assert (first, second) == (some["clean-0"]["answers"], some["med-0"]["answers"]) and "SIMULATED" not in source
    first, second, source = why.two_runs({}, "clean-0", "med-0")
    assert "SIMULATED" in source and len(first["sum"]) == len(second["sum"]) == 264
    assert contrast({0: first}, {0: second}, "med_tiny")["ci"] is not None


def test_made_up_arms_have_the_mean_and_the_spread_asked_for():
    arm = why.arm_of(0.6, 0.05, 200, 4000, np.random.default_rng(0))
    shares = [one["sum"].count("1") / 4000 for one in arm.values()]
    assert np.mean(shares) == pytest.approx(0.6, abs=0.015) and np.std(shares) == pytest.approx(0.05, abs=0.012)


# ---------------------------------------------------------------- closer


def test_categories_are_beside_what_one_picture_gives(some):
    bounds = why.one_picture_bound(4)
    assert list(bounds) == list(CATEGORIES) and bounds["Scene"] > 0.5
    assert {share for name, share in bounds.items() if name != "Scene"} == {0.5}
    shares = why.categories(some)
    text = why.category_figure(shares, ["base-tiny-llava", "clean", "med"], bounds, "By category").text
    share = np.mean([shares[name]["Counting"] for name in why.runs_of(shares, "med")])
    assert next(line for line in text.splitlines() if line.startswith("Counting")).split()[-1] == f"{100 * share:.0f}"
    above = sum(np.mean([shares[f"med-{seed}"][name] for seed in plan.SEEDS]) > bounds[name] for name in bounds)
    assert f"med lies above it in {above} categories" in text
    assert "med: not run" in why.category_figure({}, ["med"], bounds, "By category").text


# ---------------------------------------------------------------- the page


def test_short_answers_say_what_the_records_say():
    said = does_med_hold.short_answers()
    # the rule that the text explains leads, the blanks come after it; and no rule that reads the answer key
    assert re.search(r"reads what the options say has 61\.8%.*blanks .* more away: 68\.5%", said[3].why)
    assert "has 82.9%" in said[4].why and "blanks" not in said[4].why and said[3].verdict == "yes"
    means = [one["agrees"] for one in recorded("med-table/averages")["rows"].values()]
    assert said[0].why.startswith(f"{means.count(True)} of {len(means) - means.count(None)} rows agree; ")
    assert "at most 0.3 of the 11.9 points" in said[1].why  # the label that differs between two versions
    assert [one.asked for one in said[5:-1]] == [claim.claim for claim in plan.CLAIMS]
    assert {one.kind for one in said[:5]} == {"recomputed"} and {one.kind for one in said[5:-1]} == {"diorama"}
    assert said[-1].verdict == "not tested"
    text = does_med_hold.answers_table(said, "In short").text
    assert "replicated" not in text and all(one.verdict in text for one in said)


def test_a_claim_is_shown_with_all_its_checks(found):
    rows = {one["id"]: one for one in ledger.rows(plan.STUDY, found)}
    cards = does_med_hold.claim_cards(list(rows.values()))
    ability = rows["med-general-ability"]
    assert len(ability["evidence"]) == 2 and ability["verdict"] == "holds in Diorama"
    for one in ability["evidence"]:
        low, high = (100 * side for side in one["interval"])
        label = plan.STUDY.outcomes[one["outcome"]].label
        shown = f"measured: {one['contrast']}, {label} "
        line = next(line for line in cards.text.splitlines() if line.startswith(shown))
        assert f"{100 * one['effect']:.1f} [{low:.1f}, {high:.1f}] points" in line and "bar 1; 5 seeds, p 0.0" in line
        assert line.endswith(f"corrected for {found['tests']} tests")
    assert "38.48 to 47.55" in cards.text and "nowrap" not in cards.html
    assert cards.text.count("would count as holding") == len(plan.CLAIMS)
    short = does_med_hold._claim(ability)
    assert does_med_hold.OTHER in short.why  # another outcome than the paper's is said in the row
    assert short.verdict == "holds in Diorama" and "more than one check" in short.why and "5 seeds" in short.why


def test_a_missing_claim_stops_the_page(monkeypatch, tmp_path):
    monkeypatch.setattr("mmhallu_core.recorded.results_folder", lambda: tmp_path)
    with pytest.raises(MissingFile, match="no recorded result"):
        does_med_hold.claims()
    ledger.write_rows(tmp_path / "claims", plan.STUDY)
    assert {one["verdict"] for one in does_med_hold.claims()} == {NOT_RUN}
