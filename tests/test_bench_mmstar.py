"""MMStar: the published reading and its three means, read again by brute force on files of the published form."""

import base64
import csv
import io
import random

import pytest
from bench_contract import answered, check
from PIL import Image

from mmhallu_core.evaluate.benchmark import score
from mmhallu_core.evaluate.benchmarks.mmstar import options_in
from mmhallu_core.evaluate.diorama import benchmark
from mmhallu_core.types import CannotRun, RecordError

FINER = {"coarse perception": ("image scene and topic", "image emotion"), "math": ("geometry", "statistical reasoning")}
SAID = ["A", "b", "(C) it", "( D", "option a", "Option b.", "The answer is C", "the answer is: A", "Answer: D", "", " ",
        "\nA", "A dog", "because", "d", "[A]", "option", "the answer is ", "(", "D\nno"]  # fmt: skip


def png():
    out = io.BytesIO()
    Image.new("RGB", (4, 3), (9, 9, 9)).save(out, "PNG")
    return out.getvalue()


def table(n=22):
    """Rows as published; categories and their parts differ in size."""
    rows = []
    for number in range(n):
        category = ("coarse perception", "math")[number % 3 == 0]
        finer = FINER[category][number % 5 == 0]
        text = f"What is it?\nOptions: A: a cat, sitting, B: 3, 4, and {number}, C: ratio 1:2, D: none"
        row = {"index": number, "question": text, "image": {"bytes": png(), "path": f"{number}.png"}}
        rows.append(row | {"answer": "ABCD"[number % 4], "category": category, "l2_category": finer})
    return rows


def written(folder, n=22):
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(table(n)), folder / "mmstar.parquet")
    return folder / "mmstar.parquet"


def begins(answer, text):
    """The published rule, letter by letter."""
    said, right = text.lower().strip().replace("\n", " "), answer.lower()
    if said[:1] == right:
        return True
    if said[:1] == "(" and said[1:2] == right:
        return True
    if said[:7] == "option " and said[7:8] == right:
        return True
    return said[:14] == "the answer is " and said[14:15] == right


def test_contract(tmp_path):
    mmstar = benchmark("mmstar")
    questions = mmstar.read(written(tmp_path))
    check(mmstar, questions)
    assert questions[5].options == ("a cat, sitting", "3, 4, and 5", "ratio 1:2", "none")
    assert questions[0].images == (png(),) and questions[0].prompt.startswith("What is it?\nOptions: A: a cat")


@pytest.mark.parametrize("seed", range(3))
def test_the_official_rule_against_a_second_reading(tmp_path, seed):
    mmstar, items, dice = benchmark("mmstar"), table(), random.Random(seed)
    texts = [dice.choice(SAID) for _ in items]
    texts = texts if seed else [f"{dice.choice(SAID)} {item['answer']}" for item in items]
    said = dict(zip((str(item["index"]) for item in items), texts, strict=True))
    found = score(mmstar, mmstar.read(written(tmp_path)), [*map_answers(said)], draws=20)["official"]

    hits, finer, coarse = 0, {}, {}
    for item, text in zip(items, texts, strict=True):
        hit = begins(item["answer"], text)
        hits += hit
        finer.setdefault((item["category"], item["l2_category"]), []).append(hit)
        coarse.setdefault(item["category"], []).append(hit)
    assert found["accuracy"] == pytest.approx(hits / len(items), abs=1e-12)
    by_hand = sum(sum(one) / len(one) for one in coarse.values()) / len(coarse)
    assert found["mean_of_categories"] == pytest.approx(by_hand, abs=1e-12)
    by_hand = sum(sum(one) / len(one) for one in finer.values()) / len(finer)
    assert found["mean_of_subcategories"] == pytest.approx(by_hand, abs=1e-12)
    for category, one in coarse.items():
        assert found[category.replace(" ", "_")] == pytest.approx(sum(one) / len(one), abs=1e-12)
    assert len({round(found[key], 9) for key in ("accuracy", "mean_of_categories", "mean_of_subcategories")}) > 1


def map_answers(said):
    from mmhallu_core.types import Answer

    return [Answer(name, text) for name, text in said.items()]


def test_a_word_that_begins_with_the_letter_counts_officially_alone(tmp_path):
    mmstar = benchmark("mmstar")
    questions = mmstar.read(written(tmp_path))
    found = score(mmstar, questions, answered(questions, lambda _: "definitely not sure"), draws=20)
    assert found["official"]["accuracy"] == sum(q.truth == "D" for q in questions) / len(questions)
    assert found["strict"]["accuracy"] == 0 and found["strict"]["unparsed"] == 1


def test_lmms_eval_reads_otherwise_since_april_2026(tmp_path):
    """A letter inside the answer is found; and "The answer is B. The Dog ..." is a D, the last capital after "is"."""
    mmstar = benchmark("mmstar")
    questions = mmstar.read(written(tmp_path))
    for form, official, theirs in (("It is ({})", 0, 1), ("The answer is {}.", 1, 1), ("{}", 1, 1), ("Hm.", 0, 0)):
        found = score(mmstar, questions, answered(questions, lambda q, f=form: f.format(q.truth)), draws=20)
        assert found["official"]["accuracy"] == official
        assert found["strict"]["lmms_eval_mean_of_subcategories"] == theirs
    said = answered(questions, lambda q: f"The answer is {q.truth}. The Dog is left.")
    found = score(mmstar, questions, said, draws=20)
    right = {}
    for question in questions:
        right.setdefault(question.about["subcategory"], []).append(question.truth == "D")
    by_hand = sum(sum(hits) / len(hits) for hits in right.values()) / len(right)
    assert found["official"]["accuracy"] == 1 and 0 < by_hand < 1
    assert found["strict"]["lmms_eval_mean_of_subcategories"] == pytest.approx(by_hand)


def test_options_are_found_in_the_text():
    assert options_in("Is it?\nOptions: A: Yes\nB: No") == ("Yes", "No")
    assert options_in("Options: A: x, y, B: 1, C: 2.") == ("x, y", "1", "2.")
    assert options_in("Which? A: Yes, B: No") == () and options_in("Options: none") == ()


def test_tables_with_columns_of_options_are_read(tmp_path):
    path = tmp_path / "MMStar.tsv"
    with open(path, "w", encoding="utf-8", newline="") as out:
        lines = csv.writer(out, delimiter="\t")
        lines.writerow(["index", "question", "A", "B", "C", "D", "answer", "category", "l2-category", "image"])
        image = base64.b64encode(png()).decode("ascii")
        lines.writerow([7, "What?", "cat", "dog", "", "", "B", "math", "geometry", image])
        lines.writerow([8, "Read the letters.", "", "", "", "", "C", "math", "geometry", image])
    first, second = benchmark("mmstar").read(path)
    assert first.options == ("cat", "dog") and "A. cat\nB. dog" in first.prompt and first.images == (png(),)
    assert second.options == ("A", "B", "C", "D") and "A. A" not in second.prompt


def test_wrong_files_are_refused(tmp_path):
    mmstar = benchmark("mmstar")
    with pytest.raises(CannotRun, match="Lin-Chen/MMStar"):
        mmstar.read(None)
    path = tmp_path / "mmstar.json"
    for text, fault in (
        ('[{"question": "x"}]', "answer"),
        ("[]", "nothing in it"),
        ('[{"question": "x", "answer": "E"}]', "ABCD"),
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(RecordError, match=fault):
            mmstar.read(path)
