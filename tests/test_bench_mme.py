"""MME: questions come in twos, and a subject scores accuracy plus accuracy+."""

import os
import random
from collections import Counter
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from bench_contract import answered, check, right_answer

from mmhallu_core.data.question import Question
from mmhallu_core.evaluate.benchmark import score
from mmhallu_core.evaluate.benchmarks.mme import COGNITION, PERCEPTION
from mmhallu_core.evaluate.diorama import benchmark
from mmhallu_core.types import CannotRun, RecordError

SIZES = dict(zip(PERCEPTION + COGNITION, [3, 1, 4, 1, 5, 2, 6, 5, 3, 5, 2, 1, 2, 1], strict=True))
ODD = ["", "Yes", "No", "yes.", "NO!", "n", "Y.", "maybe", "Not sure", "I know", " y e s", "It is yes", "**Yes**", ".",
       "  Yes", " no", "N.o"]  # fmt: skip


def folder(root):
    """The authors' folder; half of the subjects keep texts and pictures apart."""
    for number, (subject, size) in enumerate(SIZES.items()):
        apart = number % 2
        texts = root / subject / ("questions_answers_YN" if apart else "")
        pictures = root / subject / ("images" if apart else "")
        texts.mkdir(parents=True)
        pictures.mkdir(parents=True, exist_ok=True)
        for name in range(size):
            (pictures / f"{name:04}.{'png' if name % 2 else 'jpg'}").write_bytes(f"{subject} {name}".encode())
            lines = [f"Is it {word}? Please answer yes or no.\t{word}" for word in ("Yes", "No")]
            (texts / f"{name:04}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


def parquet(path, questions=2):
    """One of the hub's files."""
    found = [
        {
            "question_id": f"{subject}/{name:04}.{'png' if name % 2 else 'jpg'}",
            "image": {"bytes": f"{subject} {name}".encode(), "path": None},
            "question": f"Is it {word}? Please answer yes or no.",
            "answer": word,
            "category": subject,
        }
        for subject, size in SIZES.items()
        for name in range(size)
        for word in ("Yes", "No", "No")[:questions]
    ]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(found), path)
    return path


def by_hand(questions, texts):
    """The published rule read once more, in plain loops."""

    def said(text):
        text = text.lower()
        if text in ("yes", "no"):
            return text
        start = text[:4]
        return "yes" if "yes" in start else "no" if "no" in start else "other"

    table = {}
    for question, text in zip(questions, texts, strict=True):
        subject, picture, _ = question.id.split("/")
        table.setdefault(subject, {}).setdefault(picture, []).append(1.0 if said(text) == question.truth else 0.0)
    scores = {}
    for subject, pictures in table.items():
        total = 0
        for hits in pictures.values():
            assert len(hits) == 2
            total += sum(hits) / len(hits) * 100.0 + (sum(hits) == 2) * 100.0
        scores[subject.lower()] = total / len(pictures)
    perception = [scores[one.lower()] for one in table if one in PERCEPTION]
    cognition = [scores[one.lower()] for one in table if one in COGNITION]
    return {**scores, "perception": sum(perception), "cognition": sum(cognition)}


def test_contract(tmp_path):
    mme = benchmark("mme")
    questions = mme.read(folder(tmp_path))
    check(mme, questions)
    assert mme.chance(questions) == 750
    perfect = score(mme, questions, answered(questions, right_answer), draws=50)
    assert perfect["official"]["perception"] == 2000 and perfect["official"]["cognition"] == 800
    assert perfect["ci"]["official"]["perception"] == pytest.approx([2000, 2000])
    assert perfect["blind"] == {"always_yes": 500, "always_no": 500}


def test_both_published_forms_give_the_same_questions(tmp_path):
    mme = benchmark("mme")
    from_folder = {question.id: question for question in mme.read(folder(tmp_path / "folder"))}
    from_hub = {question.id: question for question in mme.read(parquet(tmp_path / "test.parquet"))}
    assert set(from_folder) == set(from_hub) and len(from_hub) == 2 * sum(SIZES.values())
    for name, question in from_folder.items():
        twin = from_hub[name]
        assert (question.prompt, question.truth, question.about) == (twin.prompt, twin.truth, twin.about)
        with open(question.images[0], "rb") as picture:
            assert picture.read() == twin.images[0]
    (tmp_path / "parts").mkdir()
    parquet(tmp_path / "parts" / "test-00000-of-00001.parquet")
    assert mme.read(tmp_path / "parts") == list(from_hub.values())


@pytest.mark.parametrize("seed", range(20))
def test_scores_are_the_published_rule_to_the_last_digit(tmp_path, seed):
    mme, dice = benchmark("mme"), random.Random(seed)
    questions = mme.read(parquet(tmp_path / "test.parquet"))
    hard = dice.random()  # between all right and all odd
    said = answered(questions, lambda q: dice.choice(ODD) if dice.random() < hard else q.truth)
    found = score(mme, questions, said, draws=50)["official"]
    for name, value in by_hand(questions, [one.answer for one in said]).items():
        assert found[name] == value, name
    for subject in PERCEPTION + COGNITION:
        key = subject.lower()
        whole = 100 * (found[f"{key}_accuracy"] + found[f"{key}_accuracy_plus"])
        assert found[key] == pytest.approx(whole)


@pytest.mark.parametrize("form", ["{0}", "  {1}", "({1})"])
def test_nothing_is_removed_before_the_first_four_characters(tmp_path, form):
    """One letter, or two blanks before a Yes: other to the published rule, an answer to lmms-eval."""
    mme = benchmark("mme")
    questions = mme.read(parquet(tmp_path / "test.parquet"))
    said = answered(questions, lambda q: form.format(q.truth[0], q.truth.capitalize()))
    found = score(mme, questions, said, draws=20)
    inside = form == "({1})"  # "(yes" and "(no)"
    assert found["official"]["accuracy"] == (1 if inside else 0.5 if form == "  {1}" else 0)
    assert found["strict"]["lmms_eval_perception"] == 2000


LAVIN = Path(os.environ.get("MMHALLU_DATA", "nowhere")) / "mme" / "eval_tool" / "LaVIN"


@pytest.mark.skipif(not LAVIN.is_dir(), reason="MMHALLU_DATA has no mme/eval_tool: the authors' tool, unpacked")
def test_the_printed_scores_of_the_answers_that_come_with_the_tool():
    """LaVIN's answers to all questions, and its two sums as the paper prints them."""
    mme, questions, seen = benchmark("mme"), [], Counter()
    for file in sorted(LAVIN.glob("*.txt")):
        for line in file.read_text(encoding="utf-8").splitlines():
            name, text, truth, _ = line.split("\t")
            picture = f"{file.stem}/{Path(name).stem}"
            seen[picture] += 1
            about = {"subject": file.stem, "picture": picture}
            questions.append(Question(f"{picture}/{seen[picture]}", text, truth.lower(), about=about))
    answers, _ = mme.results(LAVIN, questions, None)
    found = score(mme, questions, answers, draws=20)["official"]
    assert len(questions) == 2374
    assert (round(found["perception"], 2), round(found["cognition"], 2)) == (963.61, 249.64)


def test_a_subset_scores_whole_pictures_alone(tmp_path):
    mme = benchmark("mme")
    questions = [one for one in mme.read(folder(tmp_path)) if one.about["subject"] == "posters"]
    found = score(mme, questions, answered(questions[:3], right_answer), subset=True, draws=50)
    assert found["official"]["posters_accuracy_plus"] == 1 and found["official"]["perception"] == 200
    assert found["official"]["cognition"] is None and found["chance"] == 75
    alone = score(mme, questions, answered(questions[:1], right_answer), subset=True, draws=50)
    assert alone["official"]["perception"] is None


def test_anything_but_two_questions_a_picture_is_refused(tmp_path):
    mme = benchmark("mme")
    for number in (1, 3):
        with pytest.raises(RecordError, match="not two questions a picture: existence/0000"):
            mme.read(parquet(tmp_path / f"{number}.parquet", questions=number))
    about = {"subject": "OCR", "picture": "OCR/1"}
    crowd = [Question(f"OCR/1/{number}", "Is it?", "yes", about=about) for number in (1, 2, 3)]
    with pytest.raises(CannotRun, match="two questions a picture"):
        score(mme, crowd, answered(crowd, right_answer))


def test_files_of_another_form_are_refused(tmp_path):
    mme = benchmark("mme")
    with pytest.raises(CannotRun, match="mmhallu data get"):
        mme.read(None)
    with pytest.raises(RecordError, match="neither Parquet files nor folders"):
        mme.read(tmp_path)
    root = folder(tmp_path / "folder")
    (root / "count" / "images" / "0000.jpg").unlink()
    with pytest.raises(RecordError, match="no picture of this name"):
        mme.read(root)
    (root / "existence" / "0000.txt").write_text("Is it? Yes\n", encoding="utf-8")
    with pytest.raises(RecordError, match="line 1: expected a question, a tab"):
        mme.read(root)
