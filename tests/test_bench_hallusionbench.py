"""HallusionBench: verdicts where the official rule needs a judge, words where a harness counts them."""

import json
import os
import random
from pathlib import Path

import pytest
from bench_contract import answered, check, right_answer

from mmhallu_core.evaluate.benchmark import score
from mmhallu_core.evaluate.benchmarks.hallusionbench import read_results, verdict
from mmhallu_core.evaluate.diorama import benchmark
from mmhallu_core.store import sha256
from mmhallu_core.types import Answer, RecordError

DATA = os.environ.get("MMHALLU_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="MMHALLU_DATA is not set: no HallusionBench files")
ODD = ["", "Yes", "No", "yes.", "NO", "It is, yes", "no... yes?", "**Yes**", "unknown", "Yes, no doubt", "\n", "i know"]

# The leaderboard of the repository's README (judge GPT-4, and a person): question pair, figure, easy, hard, question.
LEADERBOARD = (
    (31.42, 44.22, 79.56, 38.37, 67.58), (28.79, 39.88, 75.60, 37.67, 65.28), (21.76, 28.61, 55.16, 41.40, 56.86),
    (9.45, 25.43, 50.77, 29.07, 47.12), (10.55, 24.86, 49.67, 29.77, 46.94), (7.69, 8.67, 35.60, 30.23, 36.85),
    (16.70, 23.12, 53.63, 39.77, 51.82), (15.16, 20.52, 45.49, 43.49, 48.09), (8.79, 13.01, 39.78, 27.44, 42.78),
)  # fmt: skip

# A whole score file that VLMEvalKit wrote, as its issue 825 shows it: question, figure, question pair.
WRITTEN_BY_VLMEVALKIT = (67.92849631966351, 37.861271676300575, 43.956043956043956)


def rows(sets=4):
    """Rows of the published form: two figures a set, and for VS the first of them is no figure."""
    found = []
    for category, subcategory in (("VD", "ocr"), ("VS", "ocr"), ("VS", "map")):
        for number in range(sets):
            for figure in range(3):
                shown = {0: "0" if category == "VS" else "1", 1: "2", 2: "1"}[figure]
                for question in range(2):
                    name = f"./{category}/{subcategory}/{number}_{figure}.png"
                    found.append(
                        {
                            "category": category, "subcategory": subcategory, "visual_input": shown,
                            "set_id": str(number), "figure_id": str(figure), "question_id": str(question),
                            "question": f"Is it {question}? ", "gt_answer_details": "It is.",
                            "gt_answer": str((figure + question) % 2), "filename": None if shown == "0" else name,
                        }
                    )  # fmt: skip
    return found


def written(folder, name="HallusionBench.json", **more):
    path = folder / name
    path.write_text(json.dumps([{**row, **more} for row in rows()]), encoding="utf-8")
    return path


def by_hand(table, judged):
    """The official rule read once more: rows of the published file, and a digit a row."""
    for row, digit in zip(table, judged, strict=True):
        nothing = row["category"] == "VS" and int(row["figure_id"]) == 0
        row["correct"] = 1 if digit == "1" or (nothing and digit == "2") else 0
    figures, asked, easy, hard = {}, {}, {}, {}
    for row in table:
        one = "_".join([row["category"], row["subcategory"], row["set_id"]])
        if not (row["category"] == "VS" and row["figure_id"] == "0"):
            figures.setdefault(one + "_" + row["figure_id"], []).append(row["correct"])
        asked.setdefault(one + "_" + row["question_id"], []).append(row["correct"])
        (hard if row["visual_input"] == "2" else easy).setdefault(one + "_" + row["question_id"], []).append(
            row["correct"]
        )

    def percent(groups):
        return round(100 * sum(sum(hits) == len(hits) for hits in groups.values()) / len(groups), 4)

    return {
        "a_acc": round(100 * sum(row["correct"] for row in table) / len(table), 4),
        "f_acc": percent(figures), "q_acc": percent(asked), "easy_acc": percent(easy), "hard_acc": percent(hard),
    }  # fmt: skip


def whole_words(table, texts):
    """VLMEvalKit's rule on the questions with a figure, read once more."""
    hits, figures, asked = [], {}, {}
    for row, text in zip(table, texts, strict=True):
        if row["visual_input"] == "0":
            continue
        said = text.lower()
        for mark in ';/[]"{}()=+\\_-><@`,?!':
            said = said.replace(mark, "" if mark + " " in text.lower() or " " + mark in text.lower() else " ")
        words = said.replace(".", "").split()
        word = "Yes" if "yes" in words and "no" not in words else "No" if "no" in words and "yes" not in words else "?"
        hits.append(word == ("Yes" if row["gt_answer"] == "1" else "No"))
        one = f"{row['category']}_{row['subcategory']}_{row['set_id']}"
        figures.setdefault((one, row["figure_id"]), []).append(hits[-1])
        asked.setdefault((one, row["question_id"]), []).append(hits[-1])
    scores = [sum(hits) / len(hits)]
    scores += [sum(all(one) for one in groups.values()) / len(groups) for groups in (figures, asked)]
    names = ("a_acc", "f_acc", "q_acc")
    found = {f"vlmevalkit_{name}_951": value for name, value in zip(names, scores, strict=True)}
    return {**found, "vlmevalkit_mean_951": sum(scores) / 3}


def ids(table):
    parts = ("category", "subcategory", "set_id", "figure_id", "question_id")
    return ["/".join(row[part] for part in parts) for row in table]


def agrees(path, dice, kinds):
    """Official and whole-word scores against the readings above, to the last printed digit."""
    bench, table = benchmark("hallusionbench"), json.loads(path.read_text(encoding="utf-8"))
    questions = bench.read(path)
    digits = [dice.choice(kinds[0]) for _ in table]
    texts = [dice.choice(kinds[1]) for _ in table]
    said = [Answer(name, text) for name, text in zip(ids(table), texts, strict=True)]
    judged = [Answer(name, digit) for name, digit in zip(ids(table), digits, strict=True)]
    dice.shuffle(judged)
    found = score(bench, questions, said, judged, draws=20)
    for name, value in by_hand(table, digits).items():
        assert round(100 * found["official"][name], 4) == value, name
    for name, value in whole_words(table, texts).items():
        assert found["strict"][name] == pytest.approx(value, abs=1e-12), name
    return found


def test_contract(tmp_path):
    bench = benchmark("hallusionbench")
    questions = bench.read(written(tmp_path))
    check(bench, questions)
    assert questions[0].id == "VD/ocr/0/0/0" and questions[0].prompt == "Is it 0?"
    assert questions[0].images == (str(tmp_path / "VD/ocr/0_0.png"),)
    assert [one.images for one in questions if one.about["no_figure"]] == [()] * 16
    found = score(bench, questions, answered(questions, right_answer), draws=20)
    assert found["official"] is None and "official" not in found["ci"]


@pytest.mark.parametrize("seed", range(10))
def test_scores_are_the_published_rules(tmp_path, seed):
    kinds = [(["0", "1", "2"], ODD), (["1"] * 9 + ["2"], ["Yes", "No"]), (["1"], ["yes."]), (["2"], [""])]
    dice = random.Random(seed)
    agrees(written(tmp_path), dice, kinds[seed % len(kinds)])


def test_unclear_is_right_where_there_is_no_figure(tmp_path):
    bench = benchmark("hallusionbench")
    questions = bench.read(written(tmp_path))
    said = answered(questions, lambda q: "I cannot tell without a figure.")
    judged = answered(questions, lambda q: "This is unclear." if q.about["no_figure"] else "correct")
    found = score(bench, questions, said, judged, draws=20)
    assert found["official"]["a_acc"] == found["official"]["q_acc"] == 1
    assert found["official"]["unclear"] == 16 / 72
    assert found["strict"]["a_acc"] == 0  # the strict rule has no judge: what says neither yes nor no is wrong


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("correct", "correct"), ("Incorrect.", "incorrect"), ("The prediction is not incorrect", "incorrect"),
        ("“correct”", "correct"), ("unclear", "unclear"), ("", "unclear"), ("1", "correct"), (" 0\n", "incorrect"),
        ("2", "unclear"), ("10", "unclear"), ("It is correct, not unclear", "correct"),
    ],
)  # fmt: skip
def test_a_verdict_is_searched_in_the_published_order(text, means):
    assert verdict(text) == means


def test_result_files_of_the_official_form_are_read(tmp_path):
    answers, verdicts = read_results(written(tmp_path, "r.json", model_prediction="Yes, it is."))
    assert len(answers) == 72 and answers[0] == Answer("VD/ocr/0/0/0", "Yes, it is.") and verdicts == []
    _, verdicts = read_results(written(tmp_path, "r.json", model_prediction="Yes", gpt4v_output_gpt_check=1))
    assert verdicts[5] == Answer("VD/ocr/0/2/1", "1")


def test_a_file_of_another_form_is_refused(tmp_path):
    with pytest.raises(RecordError, match="`gt_answer` must be 0 or 1"):
        benchmark("hallusionbench").read(written(tmp_path, gt_answer="yes"))
    with pytest.raises(RecordError, match="no `set_id`"):
        benchmark("hallusionbench").read(written(tmp_path, set_id=None))


@needs_data
@pytest.mark.parametrize("kinds", [(["0", "1", "2"], ODD), (["1"] * 19 + ["0"], ["Yes", "No"]), (["2"], [""])])
def test_the_official_file_gives_the_official_scores(kinds):
    found = agrees(Path(DATA) / "hallusionbench" / "HallusionBench.json", random.Random(1), kinds)
    assert found["n"] == 1129


@needs_data
def test_the_published_table_counts_what_is_counted_here():
    """Every published percentage is a whole number out of the sizes that the official file gives."""
    bench = benchmark("hallusionbench")
    path = Path(DATA) / "hallusionbench" / "HallusionBench.json"
    assert sha256(path) == bench.sha256[path.name]
    questions = bench.read(None)
    metrics = bench.official(questions, ["1"] * len(questions))
    order = ("q_acc", "f_acc", "easy_acc", "hard_acc", "a_acc")
    sizes = [len(metrics[name].top) for name in order]
    assert sizes == [455, 346, 455, 430, 1129] and len(metrics["a_acc_951"].top) == 951
    words = bench.strict(questions, ["Yes"] * len(questions))
    for name, percent in zip(("a_acc", "f_acc", "q_acc"), WRITTEN_BY_VLMEVALKIT, strict=True):
        size = len(words[f"vlmevalkit_{name}_951"].top)
        assert round(percent * size / 100) / size * 100 == pytest.approx(percent, abs=1e-12)
    for model in LEADERBOARD:
        for percent, size in zip(model, sizes, strict=True):
            assert round(100 * round(percent * size / 100) / size, 2) == pytest.approx(percent, abs=0.011)


@needs_data
def test_the_sample_answers_are_scored():
    bench, folder = benchmark("hallusionbench"), Path(DATA) / "hallusionbench"
    questions = bench.read(None)
    answers, verdicts = read_results(folder / "HallusionBench_result_sample.json")
    assert len(answers) == 254 and verdicts == []
    found = score(bench, questions, answers, subset=True, draws=20)
    assert found["n"] == 254 and found["coverage"] == 254 / 1129 and found["official"] is None
    table = json.loads((folder / "HallusionBench.json").read_text(encoding="utf-8"))
    texts = {one.id: one.answer for one in answers}
    kept = [row for row, name in zip(table, ids(table), strict=True) if name in texts]
    for name, value in whole_words(kept, [texts[one] for one in ids(kept)]).items():
        assert found["strict"][name] == pytest.approx(value, abs=1e-12), name
    # The sample has no verdicts; any will do to compare the two readings of the rule on its 254 questions.
    judged = [Answer(one.id, "1" if one.answer.startswith("Yes") else "0") for one in answers]
    official = score(bench, questions, answers, judged, subset=True, draws=20)["official"]
    digits = {one.id: one.answer for one in judged}
    for name, value in by_hand(kept, [digits[one] for one in ids(kept)]).items():
        assert round(100 * official[name], 4) == value, name
