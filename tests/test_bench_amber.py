"""AMBER: exact answers, rounded scores, and captions scored with word tables that a test can hold."""

import json
import os
import random
import time
import zlib
from pathlib import Path

import pytest
from bench_contract import answered, check, right_answer
from quick_cli import run

from mmhallu_core.evaluate import amber_captions
from mmhallu_core.evaluate.amber_captions import (
    Tables,
    listed_nouns,
    official_words,
    read_tables,
    score_generative,
    strict_generative,
)
from mmhallu_core.evaluate.audit import audit
from mmhallu_core.evaluate.benchmark import score
from mmhallu_core.evaluate.benchmarks import amber
from mmhallu_core.evaluate.benchmarks.amber import AGAINST_TRUTH, BOTH_LISTS, KINDS
from mmhallu_core.evaluate.diorama import benchmark
from mmhallu_core.store import sha256
from mmhallu_core.types import Answer, CannotRun, RecordError

DATA = os.environ.get("MMHALLU_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="MMHALLU_DATA is not set: no AMBER files")
ODD = ["Yes", "No", "Yes", "No", "yes", "no", "Yes.", "No.", "NO", "", "No, it is not.", "Not sure", " Yes", "Yes no"]

RELATION = {
    "sky": [], "forest": ["tree", "leave"], "tree": ["forest"], "person": ["people", "man"], "man": ["person"],
    "dog": ["puppy"], "cloud": [], "can": ["bottle"], "TV": ["screen"], "grass": ["ground"], "sun": [],
}  # fmt: skip
SAFE = frozenset({"light", "ground"})


def files(folder, captions=6, questions=28):
    """AMBER's folder in its published form."""
    dice = random.Random(5)
    annotations, queries = [], []
    for number in range(1, captions + 1):
        truth = [dice.choice(list(RELATION)) for _ in range(dice.randint(1, 4))]
        hallu = [word for word in RELATION if word not in truth and dice.random() < 0.3]
        annotations.append({"id": number, "type": "generative", "truth": truth, "hallu": hallu})
        queries.append({"id": number, "image": f"AMBER_{number}.jpg", "query": "Describe this image."})
    for number in range(captions + 1, captions + questions + 1):
        kind = KINDS[number % len(KINDS)]
        truth = {"discriminative-hallucination": "no", "discriminative-relation": "yes", "relation": "no"}
        annotations.append({"id": number, "type": kind, "truth": truth.get(kind, dice.choice(["yes", "no"]))})
        queries.append({"id": number, "image": f"AMBER_{number % captions + 1}.jpg", "query": "Is there a sun?"})
    (folder / "query").mkdir(parents=True)
    for name, content in (("annotations", annotations), ("relation", RELATION), ("query/query_all", queries)):
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    (folder / "safe_words.txt").write_text("\n".join(SAFE), encoding="utf-8")
    return folder


def discriminative_by_hand(annotations, responses):
    """The published rule for questions read once more: counters that start at 0.001, and rounding on the way."""
    counters = {}
    for kind, truth, response in ((row["type"], row["truth"], responses[row["id"]]) for row in annotations):
        name = kind.rpartition("-")[2]
        for scope in ("all", "existence" if name == "hallucination" else name):
            c = counters.setdefault(scope, dict.fromkeys(("right", "noes", "said", "hit"), 0) | {"n": 0.001})
            c["n"] += 1
            c["right"] += response == {"yes": "Yes", "no": "No"}[truth]
            c["noes"] += truth == "no"
            c["said"] += response == "No"
            c["hit"] += response == "No" and truth == "no"
    parts = [counters[name] for name in ("state", "number", "action")]
    counters["attribute"] = {key: sum(part[key] for part in parts) for key in parts[0]}
    found = {}
    for scope, c in counters.items():
        start = 0.003 if scope == "attribute" else 0.001
        accuracy = round(c["right"] / c["n"] * 100, 1)
        precision = round(c["hit"] / (c["said"] + start) * 100, 1)
        recall = round(c["hit"] / (c["noes"] + start) * 100, 1)
        constant = 0.001 if scope == "existence" else 0.0001
        f1 = round(2 * (precision / 100) * (recall / 100) / (precision / 100 + recall / 100 + constant) * 100, 1)
        prefix = "" if scope == "all" else f"{scope}_"
        values = (("accuracy", accuracy), ("precision", precision), ("recall", recall), ("f1", f1))
        found |= {prefix + name: value for name, value in values}
    return found


def generative_by_hand(annotations, responses, association, safe, nouns, similar):
    """The published rule for captions read once more: flags behind lists of words, the first word that fits."""
    vocabulary = set(association) | {word for words in association.values() for word in words}
    wrong = all_nouns = covered = true_size = named = expected_size = clean = 0
    for row in annotations:
        flags = {"truth": [0] * len(row["truth"]), "hallu": [0] * len(row["hallu"])}

        def mark(key, fits, row=row, flags=flags):
            """Marks the owner of the first word that fits: words that stand for others come before the words."""
            for place, word in enumerate(row[key]):
                for other in association[word]:
                    if fits(other):
                        flags[key][place] = 1
                        return True
            for place, word in enumerate(row[key]):
                if fits(word):
                    flags[key][place] = 1
                    return True
            return False

        bad = 0
        for noun in nouns(responses[row["id"]]):
            if noun not in vocabulary:
                continue
            all_nouns += 1
            if noun in safe or mark("truth", lambda word, noun=noun: word == noun):
                continue
            mark("hallu", lambda word, noun=noun: word == noun)
            mark("hallu", lambda word, noun=noun: similar(noun, word) > 0.8)
            if not mark("truth", lambda word, noun=noun: similar(noun, word) > 0.8):
                bad += 1
        wrong, clean = wrong + bad, clean + (bad == 0)
        covered, true_size = covered + sum(flags["truth"]), true_size + len(row["truth"])
        named, expected_size = named + sum(flags["hallu"]), expected_size + len(row["hallu"])
    return {
        "chair": round(wrong / (0.001 + all_nouns) * 100, 1),
        "cover": round(covered / (0.001 + true_size) * 100, 1),
        "hal": round(100 - clean / (0.001 + len(annotations)) * 100, 1),
        "cog": round(named / (0.001 + expected_size) * 100, 1),
    }


def likeness(one, other):
    """A made-up likeness: one in ten pairs is alike, and the order of the two matters."""
    return 1.0 if one == other else (zlib.crc32(f"{one} {other}".encode()) % 100) / 111


def answers_agree(folder, seed, kinds):
    """Questions against the reading above, on any folder of the published form."""
    dice, bench = random.Random(seed), benchmark("amber-discriminative")
    annotations = json.loads((folder / "annotations.json").read_text(encoding="utf-8"))
    asked = [row for row in annotations if row["type"] != "generative"]
    said = {row["id"]: dice.choice(kinds) for row in asked}
    answers = [Answer(str(name), text) for name, text in said.items()]
    dice.shuffle(answers)
    found = score(bench, bench.read(folder), answers, draws=10)["official"]
    for name, value in discriminative_by_hand(asked, said).items():
        assert round(100 * found[name], 1) == value, name
    return found


def captions_agree(folder, seed):
    """Captions against the reading above; they hold words of the tables at random."""
    dice = random.Random(seed)
    annotations = json.loads((folder / "annotations.json").read_text(encoding="utf-8"))
    relation = json.loads((folder / "relation.json").read_text(encoding="utf-8"))
    safe = set((folder / "safe_words.txt").read_text(encoding="utf-8").split("\n"))
    words = [*relation, *(word for some in relation.values() for word in some), *safe, "unheard", "Sky"]
    captions = [row for row in annotations if row["type"] == "generative"]
    said = {row["id"]: " ".join(dice.choices(words, k=dice.randint(0, 12))) for row in captions}
    texts = [said[row["id"]] for row in captions]
    metrics = score_generative(texts, captions, read_tables(folder), str.split, likeness)
    for name, value in generative_by_hand(captions, said, relation, safe, str.split, likeness).items():
        assert round(100 * metrics[name].value, 1) == value, name


@pytest.mark.parametrize("name", ["amber", "amber-discriminative", "amber-generative"])
@pytest.mark.filterwarnings("ignore:AMBER's official scores of captions")
def test_contract(tmp_path, name):
    bench = benchmark(name)
    questions = bench.read(files(tmp_path))
    assert len(questions) == {"amber": 34, "amber-discriminative": 28, "amber-generative": 6}[name]
    check(bench, questions)


@pytest.mark.parametrize("seed", range(25))
def test_scores_are_the_published_rules(tmp_path, seed):
    folder = files(tmp_path, captions=4 + seed, questions=28 + seed)
    answers_agree(folder, seed, [ODD, ["Yes"], ["No"], [""]][seed % 4])
    captions_agree(folder, seed)


def test_one_query_file_is_read_alone(tmp_path):
    folder = files(tmp_path)
    queries = json.loads((folder / "query" / "query_all.json").read_text(encoding="utf-8"))
    file = folder / "query" / "query_discriminative-existence.json"
    kept = [one for one in queries if KINDS[one["id"] % len(KINDS)] == "discriminative-hallucination"][1:]
    file.write_text(json.dumps(kept), encoding="utf-8")
    questions = benchmark("amber").read(file)
    assert [question.id for question in questions] == [str(one["id"]) for one in kept]
    found = score(benchmark("amber"), questions, answered(questions, right_answer), draws=10)["official"]
    assert found["existence_f1"] == 1 and "relation_f1" not in found and found["amber_score"] is None


def test_captions_alone_have_no_score_of_yes_and_no(tmp_path):
    bench = benchmark("amber")
    questions = bench.read(files(tmp_path, captions=2, questions=0))
    found = score(bench, questions, answered(questions, lambda one: "A tree."), draws=2)
    assert found["n"] == 2 and found["blind"] == {"always_yes": None, "always_no": None}


@pytest.mark.long
def test_where_the_labels_contradict_themselves_is_said(tmp_path):
    """By hand: the first photo has a tree in both lists, and an existence question asks for it."""
    folder = files(tmp_path, captions=3, questions=0)
    kinds = ["discriminative-hallucination"] * 3 + ["discriminative-attribute-state"]
    asked = ["a tree", "a dog", "an umbrella", "a tree"]
    annotations = [
        {"id": 1, "type": "generative", "truth": ["tree", "sky"], "hallu": ["tree", "dog"]},
        {"id": 2, "type": "generative", "truth": ["sky"], "hallu": []},
        {"id": 3, "type": "generative", "truth": ["man"], "hallu": ["tree"]},
        *({"id": n, "type": kind, "truth": "no"} for n, kind in enumerate(kinds, start=4)),
    ]
    queries = [{"id": n, "image": f"AMBER_{n}.jpg", "query": "Describe this image."} for n in (1, 2, 3)]
    queries += [{"id": n, "image": "AMBER_1.jpg", "query": f"Is there {a} in this image?"}
                for n, a in enumerate(asked, start=4)]  # fmt: skip
    (folder / "annotations.json").write_text(json.dumps(annotations), encoding="utf-8")
    (folder / "query" / "query_all.json").write_text(json.dumps(queries), encoding="utf-8")
    found = audit(benchmark("amber").read(folder))
    assert found["contradictions"] == {BOTH_LISTS: 1, AGAINST_TRUTH: 1}
    assert "contradictions" not in audit(benchmark("pope-diorama"))


@needs_data
@pytest.mark.long
def test_the_published_files_contradict_themselves_as_often_as_the_docstring_says():
    """Counted here from the files alone, without the reader."""
    rows = json.loads((Path(DATA) / "amber" / "annotations.json").read_text(encoding="utf-8"))
    queries = json.loads((Path(DATA) / "amber" / "query" / "query_all.json").read_text(encoding="utf-8"))
    asked = {row["id"]: row for row in queries}
    there = {asked[row["id"]]["image"]: row["truth"] for row in rows if row["type"] == "generative"}
    both = sum(bool(set(row["truth"]) & set(row["hallu"])) for row in rows if row["type"] == "generative")
    denied = 0
    for row in rows:
        if row["type"] == "discriminative-hallucination":
            words = asked[row["id"]]["query"].split()
            assert words[:2] == ["Is", "there"] and words[-3:] == ["in", "this", "image?"] and row["truth"] == "no"
            denied += " ".join(words[3:-3]) in there[asked[row["id"]]["image"]]
    assert (len(there), both, denied) == (1004, 61, 63)
    code, out, _ = run("audit", "amber", "--json")
    assert code == 0 and json.loads(out)["contradictions"] == {BOTH_LISTS: 61, AGAINST_TRUTH: 63}
    assert "61 of the 1,004" in amber.__doc__ and "63 of them" in amber.__doc__
    said = run("audit", "amber-discriminative")[1]
    assert f"63 {AGAINST_TRUTH}" in said and "61" not in said.split("63 ")[1]


def test_an_unreadable_answer_pays_in_no_strict_score_and_in_the_published_precision(tmp_path):
    """By the published rule what is not exactly Yes or No is outside precision; strictly it is wrong for its label."""
    bench = benchmark("amber-discriminative")
    questions = bench.read(files(tmp_path, questions=60))
    noes = sum(question.truth == "no" for question in questions)
    yeses = len(questions) - noes
    said = answered(questions, lambda q: "No" if q.truth == "no" else "It is hard to say")
    found = score(bench, questions, said, draws=10)
    strictly = {"accuracy": noes / (noes + yeses), "precision": noes / (noes + yeses), "recall": 1.0}
    strictly["f1"] = 2 * noes / (2 * noes + yeses)  # "no" is the positive class: each yes-question is a false no
    assert {name: found["strict"][name] for name in strictly} == pytest.approx(strictly)
    assert found["strict"]["unparsed"] == yeses / (noes + yeses) and yeses > 0
    assert found["official"]["precision"] == 1.0  # rounded to a tenth of a percent


def test_vlmevalkits_number_is_the_mean_of_three_classes(tmp_path):
    bench = benchmark("amber-discriminative")
    questions = bench.read(files(tmp_path, questions=60))
    dice = random.Random(2)
    said = answered(questions, lambda q: dice.choice(ODD))
    found = score(bench, questions, said, draws=10)["official"]
    classes = {}
    for question, answer in zip(questions, said, strict=True):
        words = answer.answer.lower().replace(",", "").replace(".", "").split()
        word = {(True, False): "yes", (False, True): "no"}.get(("yes" in words, "no" in words))
        kind = question.about["kind"]
        name = "attribute" if "attribute" in kind else "existence" if "hallucination" in kind else "relation"
        classes.setdefault(name, []).append(word == question.truth)
    shares = {name: sum(hits) / len(hits) for name, hits in classes.items()}
    for name, share in shares.items():
        assert found[f"vlmevalkit_{name}"] == share
    assert found["vlmevalkit_avg_acc"] == pytest.approx(sum(shares.values()) / 3, abs=1e-15)


def test_captions_with_stand_in_words(tmp_path, monkeypatch):
    """The official scores of captions, with the noun finder and the likeness given in place of nltk and spaCy."""
    import mmhallu_core.evaluate.benchmarks.amber as module

    monkeypatch.setattr(module, "official_words", lambda: (str.split, likeness))
    bench = benchmark("amber")
    folder = files(tmp_path)
    questions = bench.read(folder)
    said = answered(questions, lambda q: "sky man unheard dog" if q.about["kind"] == "generative" else "No")
    found = score(bench, questions, said, draws=50)
    annotations = json.loads((folder / "annotations.json").read_text(encoding="utf-8"))[:6]
    texts = {row["id"]: "sky man unheard dog" for row in annotations}
    for name, value in generative_by_hand(annotations, texts, RELATION, SAFE, str.split, likeness).items():
        assert round(100 * found["official"][name], 1) == value
        assert found["ci"]["official"][name] is not None
    whole = (1 - found["official"]["chair"] + found["official"]["f1"]) / 2
    assert found["official"]["amber_score"] == whole


def test_without_the_packages_captions_have_no_official_score(tmp_path, monkeypatch):
    bench = benchmark("amber-generative")
    questions = bench.read(files(tmp_path))
    monkeypatch.setattr(amber_captions, "_MODEL", "en_no_such_model")
    official_words.cache_clear()
    with pytest.warns(UserWarning, match="spaCy with en_no_such_model.*pip install mmhallu"):
        found = score(bench, questions, answered(questions, lambda q: "A sky."), draws=10)
    assert found["official"]["chair"] is None and found["strict"]["chair"] is not None
    official_words.cache_clear()


def test_each_pair_of_words_is_compared_once(tmp_path):
    asked = []

    def counted(one, other):
        asked.append((one, other))
        return likeness(one, other)

    rows = [{"truth": ["sky", "dog"], "hallu": ["sun"]}] * 50
    score_generative(["cloud cloud man"] * 50, rows, Tables(RELATION, SAFE), str.split, counted)
    assert len(asked) == len(set(asked)) <= 2 * 4


def test_strict_captions_count_words_as_written():
    tables = Tables(RELATION, SAFE)
    assert listed_nouns("A man and two Dogs can watch TVs; leaves, the light?", tables) == ["man", "dog", "TV", "leave"]
    row = {"truth": ["person", "forest", "tree", "sky"], "hallu": ["dog", "can", "sun"]}
    found = strict_generative(["Two men, trees, puppies and a dog on the ground.", ""], [row, row], tables, ["a", "b"])
    values = {name: one.value for name, one in found.items()}
    # Named: man, tree, puppy, dog, ground. Of four true objects three are named in one caption, of three expected one.
    assert values == {"chair": 2 / 5, "cover": 3 / 8, "hal": 1 / 2, "cog": 1 / 6, "empty": 1 / 2}


def test_files_of_another_form_are_refused(tmp_path):
    bench, folder = benchmark("amber"), files(tmp_path)
    rows = json.loads((folder / "annotations.json").read_text(encoding="utf-8"))
    for number, change, message in (
        (7, {"truth": "Yes"}, "`truth` must be yes or no"),
        (8, {"type": "relations"}, "no kind of question 'relations'"),
        (9, {"id": 900}, "no annotation of question 10"),
        (0, {"truth": ["unicorn"]}, "not in the table of words: unicorn"),
    ):
        broken = [{**row, **(change if place == number else {})} for place, row in enumerate(rows)]
        (folder / "annotations.json").write_text(json.dumps(broken), encoding="utf-8")
        with pytest.raises(RecordError, match=message):
            bench.read(folder)
    with pytest.raises(CannotRun, match="annotations.json is neither beside it"):
        bench.read(tmp_path / "elsewhere" / "deep" / "query_all.json")


@needs_data
@pytest.mark.long
@pytest.mark.parametrize("kinds", [ODD, ["No"], [""]])
def test_the_official_files_give_the_official_scores(kinds):
    found = answers_agree(Path(DATA) / "amber", 3, kinds)
    if kinds == ["No"]:  # always no: what a model that sees nothing can reach
        assert found["recall"] == 1 and found["existence_accuracy"] == 1 and 0.75 < found["f1"] < 0.85


@needs_data
@pytest.mark.long
def test_captions_of_the_official_photos_get_the_official_scores():
    folder = Path(DATA) / "amber"
    for name, digest in benchmark("amber").sha256.items():
        assert sha256(folder / name) == digest
    captions_agree(folder, 3)


@needs_data
@pytest.mark.long
@pytest.mark.filterwarnings("ignore:AMBER's official scores of captions")
def test_all_of_amber_is_scored_in_seconds():
    bench = benchmark("amber")
    questions = bench.read(None)
    said = answered(questions, lambda q: "A man and a dog." if q.about["kind"] == "generative" else "No")
    start = time.process_time()
    found = score(bench, questions, said)
    assert found["n"] == 15220 and time.process_time() - start < 30
