"""Files of answers as people have them: the authors' own result files, answers without ids, and files that are none."""

import json
import os
import random
from pathlib import Path

import pytest
from bench_contract import right_answer
from quick_cli import run
from test_bench_types import ROWS, write

from mmhallu_core.data.answers import read_answers, read_captions
from mmhallu_core.evaluate.benchmark import score
from mmhallu_core.evaluate.diorama import benchmark
from mmhallu_core.types import Answer, CannotRun, RecordError

DATA = os.environ.get("MMHALLU_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="MMHALLU_DATA is not set: no public data")

POPE = [
    {"question_id": 1, "image": "a.jpg", "text": "Is there a dog in the image?", "label": "yes"},
    {"question_id": 2, "image": "a.jpg", "text": "Is there a cat in the image?", "label": "no"},
    {"question_id": 3, "image": "b.jpg", "text": "Is there a cup in the image?", "label": "yes"},
]


def scored(*words):
    """The result of a command that must work."""
    code, out, err = run("score", *words, "--json")
    assert code == 0, err
    return json.loads(out)


def refused(*words):
    """What a command says that must not work."""
    code, out, _ = run("score", *words, "--json")
    assert code == 2
    return json.loads(out)["error"]


# ---------------------------------------------------------------- which column is the answer


def test_answers_added_to_popes_questions_are_refused_until_their_column_is_named(tmp_path):
    questions = write(tmp_path / "q.json", POPE)
    added = write(tmp_path / "a.json", [{**one, "response": one["label"].capitalize()} for one in POPE])
    words = ["pope", "--questions", questions, "--answers", added]
    assert "line 1: `text`, `response` could each be the answer; say which one with --answer-key" in refused(*words)
    assert scored(*words, "--answer-key", "response")["strict"]["accuracy"] == 1
    assert "each answer is its own question" in refused(*words, "--answer-key", "text")
    assert "no column `reply`; there are question_id, image" in refused(*words, "--answer-key", "reply")
    same = ["pope", "--questions", added, "--answers", added, "--answer-key", "response"]
    assert scored(*same)["strict"]["accuracy"] == 1, "one file may hold both"


def test_mmvps_own_form_does_not_score_the_right_answers(tmp_path):
    """Its script writes the right answer under `answer`, and the model's under `response`."""
    questions = write(tmp_path / "q.jsonl", ROWS["mmvp"])
    rows = [{"question_id": n, "prompt": "?", "answer": f"({right})", "response": f"({said})"}
            for n, right, said in ((1, "a", "a"), (2, "b", "a"))]  # fmt: skip
    words = ["mmvp", "--questions", questions, "--answers", write(tmp_path / "a.jsonl", rows)]
    assert "`answer`, `response` could each be the answer" in refused(*words)
    named = tmp_path / "capital.jsonl"
    write(named, [{**row, "response": row["response"].upper()} for row in rows])
    strict = scored("mmvp", "--questions", questions, "--answers", named, "--answer-key", "response")["strict"]
    assert (strict["pair_accuracy"], strict["accuracy"], strict["unparsed"]) == (0, 0.5, 0)


@pytest.mark.parametrize("name", ["pope", "med-bench", "mmvp", "crpe", "rbench"])
def test_a_file_of_questions_is_no_file_of_answers(name, tmp_path):
    """Joined by order, the column `answer` of MED's file would make every answer right."""
    questions = write(tmp_path / "q.jsonl", ROWS[name])
    for words in ([], ["--by-position"]):
        assert "file of questions" in refused(name, "--questions", questions, "--answers", questions, *words)
    if name in ("pope", "crpe", "rbench"):
        copied = write(tmp_path / "copy.jsonl", [{**row, "more": 1} for row in ROWS[name]])
        assert "its own question" in refused(name, "--questions", questions, "--answers", copied)


# ---------------------------------------------------------------- answers without ids


def test_the_answer_file_of_popes_readme_is_scored_by_position(tmp_path):
    questions = write(tmp_path / "q.json", POPE[:2])
    answers = tmp_path / "answer.json"
    answers.write_text(
        '{"question": "is there a bird in the image?", "answer": "yes"}\n'
        '{"question": "is there a tree in the image?", "answer": "no"}\n',
        encoding="utf-8",
    )
    words = ["pope", "--questions", questions, "--answers", answers]
    assert "no id among" in refused(*words) and "--by-position" in refused(*words)
    assert scored(*words, "--by-position")["official"]["accuracy"] == 1
    short = ["pope", "--questions", write(tmp_path / "three.json", POPE), "--answers", answers, "--by-position"]
    assert "2 answers for 3 questions" in refused(*short)


@pytest.mark.parametrize("name", [name for name in ROWS if name not in ("pope", "med-tiny")])
def test_every_benchmark_takes_answers_without_ids(name, tmp_path):
    bench, questions = benchmark(name), write(tmp_path / "q.jsonl", ROWS[name])
    asked = bench.read(questions)
    dice = random.Random(0)
    texts = [dice.choice([right_answer(one), "Yes", "B"]) for one in asked]
    plain = write(tmp_path / "plain.jsonl", [{"answer": text} for text in texts])
    named = write(tmp_path / "named.jsonl", [{"id": q.id, "answer": t} for q, t in zip(asked, texts, strict=True)])
    words = [name, "--questions", questions, "--answers"]
    assert scored(*words, plain, "--by-position") == scored(*words, named)
    assert "leave out --subset" in refused(*words, plain, "--by-position", "--subset")
    if bench.judge:
        judged = ["Rating: 3, correct"] * len(asked)
        alone = write(tmp_path / "v.jsonl", [{"answer": one} for one in judged])
        ids = write(tmp_path / "w.jsonl", [{"id": q.id, "answer": t} for q, t in zip(asked, judged, strict=True)])
        assert scored(*words, plain, "--verdicts", alone, "--by-position") == scored(*words, named, "--verdicts", ids)
    else:
        assert "reads no verdicts" in refused(*words, named, "--verdicts", named)


# ---------------------------------------------------------------- the authors' own result files


def test_hallusionbenchs_result_file_is_read_for_answers_and_verdicts(tmp_path):
    rows = ROWS["hallusionbench"]
    said = [{**row, "model_prediction": "Yes."} for row in rows]
    for row, check in zip(said, "12", strict=True):
        row["gpt4v_output_gpt_check"] = check
    questions, result = write(tmp_path / "q.json", rows), write(tmp_path / "r.json", said)
    found = scored("hallusionbench", "--questions", questions, "--answers", result, "--verdicts", result)
    assert found["strict"]["a_acc"] == 0.5
    assert found["official"]["a_acc"] == 1, "unclear is right where there is no figure"
    alone = scored("hallusionbench", "--questions", result, "--answers", result)
    assert alone["official"] is None and alone["strict"] == found["strict"]
    none = write(tmp_path / "none.json", [{**row, "model_prediction": "No"} for row in rows])
    words = ["hallusionbench", "--questions", questions, "--answers", none]
    assert "a result file without a judge's verdicts" in refused(*words, "--verdicts", none)
    own = write(tmp_path / "own.json", [{**row, "my_model": "No"} for row in rows])
    assert scored(*words[:3], "--answers", own, "--answer-key", "my_model")["strict"]["a_acc"] == 0.5
    assert "no answer among" in refused(*words[:3], "--answers", own)


@needs_data
def test_the_published_sample_of_hallusionbench_is_scored():
    sample = Path(DATA) / "hallusionbench" / "HallusionBench_result_sample.json"
    found = scored("hallusionbench", "--answers", sample, "--subset")
    assert found["n"] == 254 and found["coverage"] == pytest.approx(254 / 1129)
    assert "875 questions without an answer" in refused("hallusionbench", "--answers", sample)


def test_verdicts_on_some_answers_are_scored_as_a_subset(tmp_path):
    rows = ROWS["hallusionbench"]
    questions = write(tmp_path / "q.json", rows)
    answers = write(tmp_path / "a.json", [{**row, "model_prediction": "Yes"} for row in rows])
    judged = write(tmp_path / "v.json", [{"id": "VD/ocr/0/1/0", "answer": "incorrect"}])
    words = ["hallusionbench", "--questions", questions, "--answers", answers, "--verdicts", judged]
    said = refused(*words)
    assert "1 questions without a verdict: VS/map/0/0/0 (--subset scores the others)" in said
    found = scored(*words, "--subset")
    assert (found["n"], found["coverage"], found["official"]["a_acc"], found["strict"]["a_acc"]) == (1, 0.5, 0, 1)
    # A verdict on a question that has no answer is left out with it; one on no question at all is refused.
    bench = benchmark("hallusionbench")
    asked = bench.read(questions)
    both = [Answer(one.id, "correct") for one in asked]
    few = score(bench, asked, [Answer(asked[1].id, "No")], both, subset=True, draws=5)
    assert few["n"] == 1 and few["official"]["a_acc"] == 1
    with pytest.raises(CannotRun, match="1 verdicts to no question: nobody"):
        score(bench, asked, [Answer(one.id, "No") for one in asked], [*both, Answer("nobody", "1")], subset=True)


def test_mmhals_result_file_is_read(tmp_path):
    """As `response_template.json` is filled in: the questions' rows with `model_answer`."""
    rows = [{**row, "model_answer": "It is red."} for row in ROWS["mmhal"]]
    file = write(tmp_path / "responses.json", rows)
    assert scored("mmhal", "--questions", file, "--answers", file)["strict"] == {"unparsed": 0, "words": 3}
    template = write(tmp_path / "empty.json", [{**row, "model_answer": ""} for row in ROWS["mmhal"]])
    code, _, err = run("score", "mmhal", "--questions", template, "--answers", template)
    assert code == 0 and "WARNING: all 1 answers are empty" in err


def mme_by_hand(folder):
    """The published sums: by file, in twos, what is not exactly yes or no read in the first four characters."""
    total = {}
    for file in folder.glob("*.txt"):
        lines = [line.rstrip("\n").split("\t") for line in file.open(encoding="utf-8")]
        right = []
        for _, _, truth, said in lines:
            word = said.lower()
            if word not in ("yes", "no"):
                word = "yes" if "yes" in word[:4] else "no" if "no" in word[:4] else "other"
            right.append(word == truth.lower())
        pairs = list(zip(right[::2], right[1::2], strict=True))
        total[file.stem.lower()] = 100 * sum(right) / len(right) + 100 * sum(map(all, pairs)) / len(pairs)
    return total


def test_mmes_text_files_are_read(tmp_path):
    dice, rows = random.Random(4), []
    results = tmp_path / "results"
    results.mkdir()
    for subject in ("existence", "OCR", "code_reasoning"):
        lines = []
        for number in range(5):
            for word in ("Yes", "No"):
                text = f"Is it {word.lower()}?  Please answer yes or no."
                said = dice.choice([word, word.lower(), "No, it is not.", "Yes, it is.", "It is hard to say", ""])
                rows.append({"question_id": f"{subject}/{number:04}.png", "image": f"{number}.png", "question": text,
                             "answer": word, "category": subject})  # fmt: skip
                lines.append(f"{number:04}.png\t{text}\t{word}\t{said}")
        # The other way round within a picture: lines are found by what they ask.
        turned = [line for pair in zip(lines[1::2], lines[::2], strict=True) for line in pair]
        (results / f"{subject}.txt").write_text("\n".join(turned) + "\n", encoding="utf-8")
    questions = write(tmp_path / "mme.jsonl", rows)
    found = scored("mme", "--questions", questions, "--answers", results)["official"]
    for subject, value in mme_by_hand(results).items():
        assert found[subject] == pytest.approx(value), subject
    one = ["mme", "--questions", questions, "--answers", results / "OCR.txt"]
    assert "20 questions without an answer" in refused(*one)
    assert scored(*one, "--subset")["n"] == 10
    assert "leave out --answer-key" in refused(*one, "--answer-key", "answer")
    with open(results / "OCR.txt", "a", encoding="utf-8") as out:
        out.write("0000.png\tIs it no?  Please answer yes or no.\tNo\tNo\n")
    assert "OCR.txt, line 11: no such question in MME, or it stands here twice" in refused(*one)
    (results / "OCR.txt").write_text("0000.png\tIs it no?\tNo\n", encoding="utf-8")
    assert "OCR.txt, line 1: expected a picture, a question" in refused(*one)
    (tmp_path / "empty").mkdir()
    assert "no file of answers such as existence.txt" in refused(*one[:3], "--answers", tmp_path / "empty")


def test_two_captions_of_one_picture_both_count(tmp_path):
    """The published script goes through captions, not pictures: here 3 captions, 2 of them with something wrong."""
    truth = tmp_path / "truth.json"
    content = {"objects": {"1": ["dog"], "2": ["cat"]}, "vocabulary": {"terms": {"dog": "dog", "cat": "cat"}}}
    truth.write_text(json.dumps(content), encoding="utf-8")
    said = ((1, "A dog."), (1, "A cat."), (2, "A dog and a cat."))
    rows = [{"image_id": picture, "caption": caption} for picture, caption in said]
    forms = {
        "lines.jsonl": "\n".join(map(json.dumps, rows)),
        "input.json": json.dumps({"overall": {}, "imgToEval": {str(n): row for n, row in enumerate(rows)}}),
        "output.json": json.dumps({"sentences": rows, "overall_metrics": {}}),
    }
    for name, text in forms.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        found = scored("chair", "--answers", tmp_path / name, "--gt", truth)
        assert (found["n"], found["images"]) == (3, 2), name
        assert found["chair_s"] == pytest.approx(2 / 3) and found["chair_i"] == pytest.approx(2 / 4)
        assert found["recall"] == pytest.approx(2 / 3)
    assert [one.id for one in read_captions(tmp_path / "lines.jsonl")] == ["1", "1#2", "2"]
    with pytest.raises(RecordError, match="id '1' was already used in line 1"):
        read_answers(tmp_path / "lines.jsonl")
    bad = tmp_path / "bad.json"
    bad.write_text('{"imgToEval": [1]}', encoding="utf-8")
    with pytest.raises(RecordError, match="must hold captions as objects"):
        read_captions(bad)


# ---------------------------------------------------------------- what is shown, and said loudly


def test_only_shares_are_shown_in_percent(tmp_path):
    questions = write(tmp_path / "q.json", ROWS["mmhal"])
    answers = write(tmp_path / "a.json", [{"id": "1", "answer": "Red."}])
    verdicts = write(tmp_path / "v.json", [{"id": "1", "answer": "Rating: 1"}])
    words = ["score", "mmhal", "--questions", questions, "--answers", answers, "--verdicts", verdicts]
    lines = {line.split("  ")[1].strip(): line for line in run(*words)[1].splitlines() if line.startswith("  ")}
    assert {"score", "score_svco", "score_attribute", "words"} <= set(lines), "1 of 6 and one word are no percentage"
    assert {"hallucination_rate %", "hallucination_rate_svco %", "unrated %", "unparsed %"} <= set(lines)
    assert lines["score"].split()[1] == "1.00" and lines["hallucination_rate %"].split()[2] == "100.00"
    shown = run("score", "mme", "--questions", write(tmp_path / "mme.json", ROWS["mme"]), "--by-position", "--answers",
                write(tmp_path / "no.json", [{"answer": ""}] * 2))[1]  # fmt: skip
    assert "perception %" not in shown and "count %" not in shown and "count_accuracy %" in shown


def test_a_file_of_empty_answers_is_said_loudly(tmp_path):
    """By POPE's rule an empty answer is a yes, so that recall is 100%."""
    questions = write(tmp_path / "q.json", POPE)
    silent = write(tmp_path / "s.json", [{"question_id": n, "answer": "\n"} for n in (1, 2, 3)])
    words = ["score", "pope", "--questions", questions, "--answers", silent]
    code, out, err = run(*words, "--json")
    found = json.loads(out)
    assert code == 0 and found["official"]["recall"] == 1 and found["empty_answers"] == 3
    assert "WARNING: all 3 answers are empty" in err
    code, out, err = run(*words)
    assert "3 of 3 answers are empty" in out and "WARNING" in err
    some = write(tmp_path / "some.json", [{"question_id": n, "answer": "Yes" if n == 2 else ""} for n in (1, 2, 3)])
    code, out, err = run("score", "pope", "--questions", questions, "--answers", some)
    assert code == 0 and "2 of 3 answers are empty" in out and err == ""
    blank = write(tmp_path / "c.json", [{"image_id": "1", "caption": " "}])
    (tmp_path / "truth.json").write_text('{"objects": {"1": ["dog"]}, "vocabulary": {"terms": {"dog": "dog"}}}')
    assert "WARNING: all 1" in run("score", "chair", "--answers", blank, "--gt", tmp_path / "truth.json")[2]


# ---------------------------------------------------------------- options that cannot act


def test_an_option_that_cannot_act_is_an_error(tmp_path):
    questions = write(tmp_path / "q.json", POPE)
    answers = write(tmp_path / "a.json", [{"id": n, "answer": "Yes"} for n in (1, 2, 3)])
    twin = refused("pope-diorama", "--questions", questions, "--answers", answers)
    assert twin == "pope-diorama makes its questions itself: leave out --questions"
    for words in (["audit", "counting-diorama"], ["eval", "chair-diorama", "--out", tmp_path / "run"]):
        code, out, _ = run(*words, "--questions", questions, "--json")
        assert code == 2 and "makes its questions itself" in json.loads(out)["error"]
    code, out, _ = run("audit", questions, "--questions", questions, "--json")
    assert code == 2 and "is a file of questions already: leave out --questions" in json.loads(out)["error"]
