"""MED: the seeded draw of the published script, its expectation, and both means, read again by brute force."""

import itertools
import json
import random
import re
from pathlib import Path

import pytest
from bench_contract import answered, check

from mmhallu_core.evaluate.benchmark import score
from mmhallu_core.evaluate.diorama import benchmark
from mmhallu_core.store import MissingFile
from mmhallu_core.types import RecordError

KINDS = ("Object", "Spatial Relation", "Counting")
SAID = ["", "A", "Answer: B", "answer: C", "The answer is D", "Answer:\n d", "Answer: Z", "Answer: Both", "(B)",
        "Answer: A or Answer: B", "I see no change.", "ANSWER: A", "Answer :C", "Answer:B."]  # fmt: skip


def written(folder, n=7):
    """A file in the published form, with blanks at the ends of some options."""
    items = [
        {
            "image_name": f"images/{number}.jpg",
            "edited_image_name": f"images/{number}_edit.jpg",
            "type": KINDS[number % 3],
            "question": "What changed?",
            "options": [
                f"{letter}. the {word}{' ' * (number % 2)}" for letter, word in zip("ABCD", "dcba", strict=True)
            ],
            "answer": "ABCD"[number % 4],
        }
        for number in range(n)
    ]
    path = folder / "MED_bench.json"
    path.write_text(json.dumps(items), encoding="utf-8")
    return path


def brute(items, texts, seed=None):
    """The script's results: (share right, mean over types); with a seed it draws, without one a draw is a quarter."""
    dice, types = random.Random(seed), {}
    for item, text in zip(items, texts, strict=True):
        found = re.search(r"Answer:\s*([A-Za-z])", text)
        if found:
            value = 1.0 if found.group(1).upper() == item["answer"].upper() else 0.0
        elif seed is None:
            value = 1 / 4
        else:
            value = 1.0 if dice.choice([option[0].upper() for option in item["options"]]) == item["answer"] else 0.0
        types.setdefault(item.get("type", "Unknown"), []).append(value)
    values = [value for group in types.values() for value in group]
    return sum(values) / len(values), sum(sum(group) / len(group) for group in types.values()) / len(types)


def files(tmp_path):
    """Our file, and the released ones where they are."""
    yield "med-bench", written(tmp_path)
    for name in ("med-bench", "med-real"):
        try:
            benchmark(name).read(None)
        except MissingFile:
            continue
        yield name, None


def items_of(name, path):
    from mmhallu_core.data.question import FILES
    from mmhallu_core.store import data_file

    return json.loads((path or data_file(FILES[name])).read_text(encoding="utf-8"))


def test_contract(tmp_path):
    med = benchmark("med-bench")
    questions = med.read(written(tmp_path))
    check(med, questions, right=lambda question: f"Answer: {question.truth}")
    assert [question.id for question in questions[:2]] == ["med-bench:000", "med-bench:001"]
    assert questions[1].images == ("images/1.jpg", "images/1_edit.jpg")  # not there: --images says where
    assert questions[1].options[0] == "A. the d " and "A. the d\n" in questions[1].prompt


def test_the_official_rule_against_a_second_reading(tmp_path):
    for name, path in files(tmp_path):
        med, items = benchmark(name), items_of(name, path)
        questions = med.read(path)
        dice = random.Random(1)
        adversarial = [
            "Answer: " + "BCDA"["ABCD".index(item["answer"])] + f" Answer: {item['answer']}" for item in items
        ]
        sayings = [
            [dice.choice(SAID) for _ in items],
            [""] * len(items),
            [f"Answer: {item['answer']}" for item in items],
            adversarial,
        ]
        for texts in sayings:
            by_id = {question.id: text for question, text in zip(questions, texts, strict=True)}
            found = score(med, questions, answered(questions, lambda q, t=by_id: t[q.id]), draws=20)
            micro, macro = brute(items, texts)
            assert found["official"]["accuracy"] == pytest.approx(micro, abs=1e-12)
            assert found["official"].get("macro_accuracy", macro) == pytest.approx(macro, abs=1e-12)
            drawn = sum(not re.search(r"Answer:\s*[A-Za-z]", text) for text in texts) / len(texts)
            assert found["official"]["drawn"] == pytest.approx(drawn, abs=1e-12)


@pytest.mark.long
def test_the_seeded_draw_tends_to_the_expectation(tmp_path):
    """The script seeds once and draws for each answer that it cannot read; so each seed prints another score."""
    for name, path in files(tmp_path):
        med, items = benchmark(name), items_of(name, path)
        questions = med.read(path)
        random.seed(5)
        texts = [random.choice(SAID) for _ in items]
        random.seed(42)  # as the script: the module's own dice, in the order of the file
        once = [
            random.choice([option[0].upper() for option in item["options"]])
            for item, text in zip(items, texts, strict=True)
            if not re.search(r"Answer:\s*([A-Za-z])", text)
        ]
        assert len(once) > 1
        dice = random.Random(42)
        assert once == [dice.choice([o[0].upper() for o in items[0]["options"]]) for _ in once]
        expected = med.official(questions, texts)
        prints = [brute(items, texts, seed) for seed in range(1500)]
        assert len({micro for micro, _ in prints}) > 1
        for place, key in enumerate(("accuracy", "macro_accuracy")):
            if key not in expected:
                continue
            values = [one[place] for one in prints]
            mean = sum(values) / len(values)
            spread = (sum((value - mean) ** 2 for value in values) / (len(values) - 1)) ** 0.5
            assert abs(mean - expected[key].value) < 4 * spread / len(values) ** 0.5


def test_the_expectation_is_the_mean_over_all_draws(tmp_path):
    """Exactly: four answers that cannot be read have 256 draws, all equally likely."""
    med, items = benchmark("med-bench"), items_of("med-bench", written(tmp_path))
    texts = ["", "A", "Answer: C", "no idea", "?", "Answer: Z", "Answer: B"]
    unread = [number for number, text in enumerate(texts) if not re.search(r"Answer:\s*[A-Za-z]", text)]
    total = [0.0, 0.0]
    for drawn in itertools.product("ABCD", repeat=len(unread)):
        said = list(texts)
        for number, letter in zip(unread, drawn, strict=True):
            said[number] = f"Answer: {letter}"
        for place, value in enumerate(brute(items, said)):
            total[place] += value / 4 ** len(unread)
    found = med.official(med.read(tmp_path / "MED_bench.json"), texts)
    assert found["accuracy"].value == pytest.approx(total[0], abs=1e-12)
    assert found["macro_accuracy"].value == pytest.approx(total[1], abs=1e-12)


def test_silence_scores_a_quarter_officially_and_nothing_strictly(tmp_path):
    med = benchmark("med-bench")
    questions = med.read(written(tmp_path))
    found = score(med, questions, answered(questions, lambda _: ""), draws=20)
    assert found["official"]["macro_accuracy"] == found["official"]["accuracy"] == 0.25
    assert found["official"]["drawn"] == found["strict"]["unparsed"] == 1 and found["strict"]["macro_accuracy"] == 0


def test_the_four_scripts_have_four_names(tmp_path):
    """The one for LLaVA counts a lone letter; the others draw. Half the answers here are one letter, and right."""
    med = benchmark("med-bench")
    questions = med.read(written(tmp_path, 8))
    lone = {question.id for question in questions[::2]}
    said = answered(questions, lambda q: f" {q.truth.lower()}\n" if q.id in lone else "?")
    official = score(med, questions, said, draws=20)["official"]
    for script in ("gpt", "qwen", "llama"):
        assert official[f"accuracy_{script}"] == official["accuracy"] == 0.25
        assert official[f"drawn_{script}"] == official["drawn"] == 1
    assert official["accuracy_llava"] == 0.5 + 0.5 * 0.25 and official["drawn_llava"] == 0.5
    kinds = {}
    for number, question in enumerate(questions):
        kinds.setdefault(question.about["category"], []).append(1 if number % 2 == 0 else 0.25)
    assert official["macro_accuracy_llava"] == pytest.approx(sum(sum(k) / len(k) for k in kinds.values()) / len(kinds))


def test_the_two_means_differ_where_categories_do(tmp_path):
    med = benchmark("med-bench")
    questions = med.read(written(tmp_path))  # Object 3, Spatial Relation 2, Counting 2
    right = answered(questions, lambda q: f"Answer: {q.truth if q.about['category'] == 'Object' else 'Z'}")
    found = score(med, questions, right, draws=20)["official"]
    assert found["accuracy"] == pytest.approx(3 / 7) and found["macro_accuracy"] == pytest.approx(1 / 3)
    assert (found["object"], found["spatial_relation"], found["counting"]) == (1, 0, 0)


def test_a_file_without_the_second_picture_is_refused(tmp_path):
    path = written(tmp_path)
    path.write_text(path.read_text(encoding="utf-8").replace("edited_image_name", "other"), encoding="utf-8")
    with pytest.raises(RecordError, match="edited_image_name"):
        benchmark("med-bench").read(path)


def test_the_released_files_are_read():
    for name, n in (("med-bench", 165), ("med-real", 35)):
        try:
            questions = benchmark(name).read(None)
        except MissingFile as missing:
            pytest.skip(str(missing))
        assert len(questions) == len({question.picture for question in questions}) == n
        assert all(len(question.options) == 4 and len(question.images) == 2 for question in questions)
        assert all(Path(image).is_file() == (name == "med-bench") for one in questions for image in one.images)
    assert len({question.about["category"] for question in benchmark("med-bench").read(None)}) == 11
