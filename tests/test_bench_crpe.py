"""CRPE: all four copies must be right; they are found by what they ask, whatever the order of the answers."""

import itertools
import json
import random

import pytest
from bench_contract import answered, check, right_answer

from mmhallu_core.evaluate.benchmark import score
from mmhallu_core.evaluate.diorama import benchmark
from mmhallu_core.types import Answer, CannotRun, RecordError

KINDS = ("exist", "subject", "predicate", "object")
SAID = ["A", "B", "C", "D", "a", "A.", "", "(A)", "Z", "The answer is B", "\n", " "]
END = "Answer with the option's letter from the given choices directly."


def rows(n=9, kinds=KINDS):
    """n questions in their four copies, in the published form."""
    found = []
    for number in range(n):
        words = [f"thing {number}", "a cat", "a dog", "a sofa"]
        for shift in range(4):
            moved = words[shift:] + words[:shift]
            lines = [f"{letter}. {word}" for letter, word in zip("ABCD", moved, strict=True)]
            found.append(
                {
                    "question_id": len(found),
                    "image": f"coco/val2017/{number % 5}.jpg",
                    "text": "\n".join([f"What is there ({number})?", *lines, END]),
                    "category": kinds[number % len(kinds)],
                    "correct_option": "ABCD"[moved.index(f"thing {number}")],
                }
            )
    return found


def written(folder, items=None, name="crpe_relation.jsonl"):
    path = folder / name
    path.write_text("\n".join(json.dumps(item) for item in (rows() if items is None else items)), encoding="utf-8")
    return path


def brute(items, texts):
    """The published script: every four answers of a category, in order."""
    categories = {}
    for item, text in zip(items, texts, strict=True):
        hit = len(text) == 1 and text == item["correct_option"]
        categories.setdefault(item["category"], []).append(hit)
    return {
        name: [all(hits[start : start + 4]) for start in range(0, len(hits), 4)] for name, hits in categories.items()
    }


def test_contract(tmp_path):
    crpe = benchmark("crpe")
    questions = crpe.read(written(tmp_path))
    check(crpe, questions)
    assert questions[1].options == ("a cat", "a dog", "a sofa", "thing 0") and questions[1].truth == "D"
    assert crpe.chance(questions) == pytest.approx(0.25**4, abs=1e-15)


@pytest.mark.parametrize("seed", range(4))
def test_the_official_rule_against_a_second_reading(tmp_path, seed):
    crpe, items, dice = benchmark("crpe"), rows(12), random.Random(seed)
    texts = [item["correct_option"] if dice.random() < 0.8 else dice.choice(SAID) for item in items]
    answers = [Answer(str(item["question_id"]), text) for item, text in zip(items, texts, strict=True)]
    dice.shuffle(answers)
    questions = crpe.read(written(tmp_path, items))
    found = score(crpe, questions, answers, draws=20)["official"]
    groups = brute(items, texts)
    every = [hit for hits in groups.values() for hit in hits]
    assert found["accuracy"] == pytest.approx(sum(every) / len(every), abs=1e-12)
    for name, hits in groups.items():
        assert found[name] == pytest.approx(sum(hits) / len(hits), abs=1e-12)
    relation = [hit for name, hits in groups.items() if name != "exist" for hit in hits]
    exist = groups["exist"]
    by_hand = (sum(exist) / len(exist) + sum(relation) / len(relation)) / 2
    assert found["mean_of_splits"] == pytest.approx(by_hand, abs=1e-12)
    single = sum(len(t) == 1 and t == item["correct_option"] for item, t in zip(items, texts, strict=True))
    assert found["single_accuracy"] == pytest.approx(single / len(items), abs=1e-12)


def test_one_wrong_copy_loses_the_question(tmp_path):
    crpe = benchmark("crpe")
    questions = crpe.read(written(tmp_path, rows(2)))
    for wrong in itertools.product([False, True], repeat=8):
        bad = {question.id for question, one in zip(questions, wrong, strict=True) if one}
        said = answered(questions, lambda q, b=bad: "E" if q.id in b else q.truth)
        by_hand = [not any(wrong[:4]), not any(wrong[4:])]
        assert crpe.official(questions, [one.answer for one in said])["accuracy"].value == sum(by_hand) / 2


def test_always_the_same_letter_is_never_right(tmp_path):
    crpe = benchmark("crpe")
    questions = crpe.read(written(tmp_path))
    found = score(crpe, questions, answered(questions, lambda _: "A"), draws=20)
    assert found["official"]["accuracy"] == 0 and found["official"]["single_accuracy"] == 0.25
    assert set(found["blind"].values()) == {0.0}


def test_guesses_are_right_as_often_as_chance_says(tmp_path):
    crpe, dice = benchmark("crpe"), random.Random(0)
    questions = crpe.read(written(tmp_path, rows(20)))
    tries = 400
    hits = sum(
        crpe.official(questions, [dice.choice("ABCD") for _ in questions])["accuracy"].value for _ in range(tries)
    )
    chance, n = crpe.chance(questions), 20 * tries
    assert abs(hits / tries - chance) < 4 * (chance * (1 - chance) / n) ** 0.5


def test_copies_are_found_in_any_order_and_by_position_only_when_asked(tmp_path):
    crpe, items = benchmark("crpe"), rows()
    random.Random(3).shuffle(items)
    questions = crpe.read(written(tmp_path, items))
    said = {item["question_id"]: item["correct_option"] for item in items}
    said[items[0]["question_id"]] = "E"
    answers = [Answer(str(name), text) for name, text in said.items()]
    one_lost = score(crpe, questions, answers, draws=20)["official"]["accuracy"]
    assert one_lost == pytest.approx(8 / 9)
    assert score(crpe, questions, answers[::-1], draws=20)["official"]["accuracy"] == one_lost
    mixed = score(crpe, questions, answers[::-1], by_position=True, draws=20)["official"]["accuracy"]
    assert mixed < one_lost


def test_a_question_that_lost_a_copy_is_not_scored_in_a_subset(tmp_path):
    crpe = benchmark("crpe")
    questions = crpe.read(written(tmp_path, rows(2)))
    found = score(crpe, questions, answered(questions[:7], right_answer), subset=True, draws=20)
    assert found["coverage"] == 7 / 8 and found["official"]["accuracy"] == 1
    assert len(crpe.official(questions[:7], [q.truth for q in questions[:7]])["accuracy"].top) == 1


def test_a_folder_with_both_files(tmp_path):
    crpe = benchmark("crpe")
    written(tmp_path, rows(3, ("exist",)), "crpe_exist.jsonl")
    with pytest.raises(CannotRun, match="crpe_relation"):
        crpe.read(tmp_path)
    written(tmp_path, rows(3, KINDS[1:]))
    ids = [question.id for question in crpe.read(tmp_path)]
    assert ids[0] == "crpe_exist/0" and ids[-1] == "crpe_relation/11" and len(set(ids)) == 24


def test_broken_files_are_refused(tmp_path):
    crpe = benchmark("crpe")
    with pytest.raises(CannotRun, match="OpenGVLab/CRPE"):
        crpe.read(None)
    with pytest.raises(RecordError, match="3 copies"):
        crpe.read(written(tmp_path, rows()[1:]))
    with pytest.raises(RecordError, match="options as lines"):
        crpe.read(written(tmp_path, [rows()[0] | {"text": "What?"}]))
    with pytest.raises(RecordError, match="letter of ABCD"):
        crpe.read(written(tmp_path, [item | {"correct_option": "a cat"} for item in rows(1)]))
