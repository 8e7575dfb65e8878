"""The writer of benchmarks: what it refuses, what it writes, and what lmms-eval would read and score."""

import importlib.util
import io
import json
import random
import re
import time
from collections import Counter
from dataclasses import replace
from functools import cache

import pytest
import yaml
from PIL import Image
from test_twins import learned
from typer.testing import CliRunner

from mmhallu_core.cli import app
from mmhallu_core.data.question import LETTERS, Question
from mmhallu_core.edit.benchmark.build import METRICS, Refused, balance, checked, task_yaml, write_benchmark
from mmhallu_core.edit.benchmark.contamination import contamination
from mmhallu_core.edit.benchmark.samples import directions, from_samples
from mmhallu_core.evaluate import contrast as contrast_sets
from mmhallu_core.evaluate.audit import audit
from mmhallu_core.evaluate.benchmark import score
from mmhallu_core.evaluate.benchmarks.med_tiny import read_items
from mmhallu_core.evaluate.diorama import benchmark
from mmhallu_core.evaluate.files import read_any
from mmhallu_core.types import CATEGORIES, Answer, CannotRun, EditSample, write_jsonl
from mmhallu_core.world.edits import Edit, classify, sample_edit
from mmhallu_core.world.language.difference import difference
from mmhallu_core.world.language.read import read

pytestmark = pytest.mark.long


@cache
def some(n=4):
    return contrast_sets.questions("med-tiny/test", n)


def told(n):
    """Questions without pictures."""
    return contrast_sets.questions("med-tiny/test", n, pictures=False)


# ---------------------------------------------------------------- refused


def as_released(n, seed=0):
    """Options made as MED's released ones were: the right sentence, and three that each change a part of it."""
    rng, made = random.Random(seed), []
    kinds, colours = (
        ("dog", "cat", "car", "boat", "house", "tree"),
        ("red", "blue", "green", "white", "black", "purple"),
    )
    for number in range(n):
        (a, b), (old, new, third) = rng.sample(kinds, 2), rng.sample(colours, 3)
        slots = [(a, old, new), (b, old, new), (a, third, new), (a, old, third)]
        texts = ["The {} was {} and is now {}.".format(*words) for words in slots]
        letter = number % 4
        options = rng.sample(texts[1:], 3)
        options.insert(letter, texts[0])
        about = {"category": CATEGORIES[number % 11], "question": "What changed?"}
        made.append(Question(f"q{number}", "What changed?", LETTERS[letter], (), tuple(options), about))
    return made


@pytest.mark.parametrize("seed", range(3))
def test_options_made_from_the_right_one_are_refused_whatever_the_seed(seed, tmp_path):
    with pytest.raises(Refused, match=r"most_similar_jaccard [\d.]+%.*Change how the options are made, not the seed"):
        write_benchmark(as_released(440, seed), tmp_path / "out", "leaky", {"source": "test"})
    assert not (tmp_path / "out").exists()


def test_the_refusal_names_each_rule_and_its_score():
    leaky = as_released(440)
    scores = audit(leaky)["rules"]
    with pytest.raises(Refused) as refusal:
        checked(leaky)
    assert refusal.value.found == {rule: score for rule, score in scores.items() if score > 0.30}
    assert scores["most_similar_jaccard"] > 0.9 and "most_similar_jaccard" in refusal.value.found
    blanks = [replace(one, options=tuple(text if letter == one.truth else text + " "
                                         for letter, text in zip(LETTERS, one.options, strict=False)))
              for one in told(40)]  # fmt: skip
    with pytest.raises(Refused, match="whitespace_then_jaccard 100.0%"):
        checked(blanks)
    assert checked(told(40))["n"] == 440


def test_unbalanced_letters_or_categories_are_refused():
    rows = told(8)
    with pytest.raises(Refused, match="categories are not balanced"):
        checked([one for number, one in enumerate(rows) if one.about["category"] != "Scene" or number < 44])
    first = [sorted(one.options, key=lambda text, one=one: text != one.choices[one.truth]) for one in rows]
    moved = [replace(one, truth="A", options=tuple(options)) for one, options in zip(rows, first, strict=True)]
    with pytest.raises(Refused, match="letters are not balanced") as refusal:
        checked(moved)
    assert refusal.value.found == {"A": 88, "B": 0, "C": 0, "D": 0}


# ---------------------------------------------------------------- written


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    out = tmp_path_factory.mktemp("bench") / "med-tiny"
    write_benchmark(some(8), out, "med-tiny", {"source": "world", "seed": "med-tiny/test"})
    return out


def test_what_is_written(written):
    manifest = json.loads((written / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["questions"] == 88 and set(manifest["categories"].values()) == {8}
    assert manifest["letters"] == {"A": 22, "B": 22, "C": 22, "D": 22} == balance(some(8))["letters"]
    assert manifest["audit"]["rules"] == audit(some(8))["rules"]
    again = read_items(written)
    for one, before in zip(again, some(8), strict=True):
        assert (one.id, one.prompt, one.truth, one.options, one.about) == (
            before.id, before.prompt, before.truth, before.options, before.about)  # fmt: skip
        assert [open(path, "rb").read() for path in one.images] == list(before.images)
    assert audit(read_any(written / "items.jsonl"))["rules"] == manifest["audit"]["rules"]
    readme = (written / "README.md").read_text(encoding="utf-8")
    assert "--tasks med_tiny" in readme and "| Counting | 8 |" in readme
    by_folder, by_file = (benchmark("med-tiny").read(path) for path in (written, written / "items.jsonl"))
    assert by_folder == by_file == again


def test_the_same_seed_gives_the_same_folder_and_a_full_one_is_not_written_into(written, tmp_path):
    write_benchmark(some(8), tmp_path / "again", "med-tiny", {"source": "world", "seed": "med-tiny/test"})
    files = sorted(path.relative_to(written) for path in written.rglob("*") if path.is_file())
    assert len(files) == 2 * 88 + 5
    for path in files:
        assert (written / path).read_bytes() == (tmp_path / "again" / path).read_bytes(), path
    with pytest.raises(CannotRun, match="not empty"):
        write_benchmark(some(8), written, "med-tiny", {})


# ---------------------------------------------------------------- contamination


def sample(name, category, seed, **changes):
    """An edit sample of Diorama, as the pipeline makes them."""
    edit = sample_edit(category, seed)
    names = classify(edit.after, edit.before)
    back = {}
    if len(names) == 1:
        back = {"reverse": {"category": names[0], "difference": difference(_back(edit, names[0])).text}}
    values = {
        "id": name, "image": contrast_sets.png(edit.before), "edited_image": contrast_sets.png(edit.after),
        "category": category, "edit_instruction": "Can you?", "caption": "One.", "edited_caption": "Other.",
        "difference": difference(edit).text, "question": "What changed?", "answer": "It.",
        "provenance": {"source": {"scene": edit.before.id}, "editor": back},
    }  # fmt: skip
    return EditSample(**(values | changes))


def _back(edit, category):
    return Edit.between(category, "back", edit.after, edit.before)


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    folder = tmp_path_factory.mktemp("training")
    write_jsonl(folder / "samples.jsonl", [sample(f"s{n}", CATEGORIES[n], f"med/train/{n}") for n in range(4)])
    return folder


def test_clean_data_shares_nothing(written, training, tmp_path):
    assert contamination(some(), training) == contamination(written, training) == []
    write_benchmark(some(), tmp_path / "out", "med-tiny", {}, against=[training])


def recoded(picture):
    """The same pixels in another file."""
    out = io.BytesIO()
    Image.open(io.BytesIO(picture)).save(out, "PNG", compress_level=0)
    return out.getvalue()


def test_a_shared_picture_scene_or_pair_is_named(written, training, tmp_path):
    test = some()
    taken = test[5].images[1]
    assert recoded(taken) != taken
    rows = [
        sample("a", "Object", 1, edited_image=recoded(taken)),
        sample("b", "Object", 2, provenance={"source": {"scene": f"scene-{test[7].about['picture']}"}}),
        sample(test[9].id, "Object", 3),
    ]
    write_jsonl(tmp_path / "train.jsonl", rows)
    found = contamination(test, tmp_path / "train.jsonl")
    assert [(one.test, one.train, one.what) for one in found] == [
        (test[5].id, "a", "picture"), (test[7].id, "b", "scene"), (test[9].id, test[9].id, "pair")]  # fmt: skip
    with pytest.raises(Refused, match=f"{test[5].id} and a share a picture"):
        write_benchmark(test, tmp_path / "out", "med-tiny", {}, against=[tmp_path / "train.jsonl"])
    assert not (tmp_path / "out").exists()
    assert len(contamination(written, written)) == 88
    write_jsonl(tmp_path / "gone.jsonl", [sample("a", "Object", 1, image="nowhere.png")])
    for path, words in (
        (tmp_path / "gone.jsonl", "no picture at nowhere.png"),
        (tmp_path / "none", "no training data"),
    ):
        with pytest.raises(CannotRun, match=words):
            contamination(test, path)


# ---------------------------------------------------------------- from samples


@cache
def samples(n=10):
    return [
        sample(f"{category}-{number}", category, f"test/{number}") for category in CATEGORIES for number in range(n)
    ]


def test_questions_about_samples_have_one_right_option():
    made, by_id = from_samples(samples(), 8, 0, "mine"), {one.id: one for one in samples()}
    assert Counter(one.about["category"] for one in made) == dict.fromkeys(CATEGORIES, 8)
    for one in made:
        own = by_id[one.about["sample"]]
        texts = directions(own)[::-1] if one.about["swapped"] else directions(own)
        assert one.choices[one.truth] == texts[0] and len(set(one.options)) == 4
        pictures = (own.image, own.edited_image)
        assert one.images == (pictures[::-1] if one.about["swapped"] else pictures)
        if "back" in one.about:
            assert one.choices[one.about["back"]] == texts[1]
        true = {(read(text).category, read(text).facts, read(text).removed) for text in texts}
        rest = [text for letter, text in one.choices.items() if letter not in (one.truth, one.about.get("back"))]
        assert all((read(text).category, read(text).facts, read(text).removed) not in true for text in rest)
    for category in CATEGORIES:
        letters = [one.truth for one in made if one.about["category"] == category]
        assert set(Counter(letters).values()) == {2}
    assert from_samples(samples(), 8, 0, "mine") == made != from_samples(samples(), 8, 1, "mine")
    swapped = [one.about["swapped"] for one in made if "back" in one.about]
    assert 0.4 < sum(swapped) / len(swapped) < 0.6


def test_words_of_sample_questions_tell_nothing():
    """Over many draws from the same samples, each option is the right one a quarter of the time."""
    hits = Counter()
    for seed in range(12):
        found = audit(from_samples(samples(), 8, seed, "mine"))
        for rule, value in {**found["rules"], **found["ties"]["average"]}.items():
            hits[rule] += value / 12
    assert all(abs(value - 0.25) < 0.05 for value in hits.values()), hits


def test_too_few_samples_are_counted():
    with pytest.raises(CannotRun, match=r"Object: 10 samples give \d+ questions of 11"):
        from_samples(samples(), 11, 0, "mine")
    with pytest.raises(CannotRun, match="no samples"):
        from_samples([], 4, 0, "mine")


# ---------------------------------------------------------------- lmms-eval (not installed here: its form is tested)


class Loader(yaml.SafeLoader):
    """Reads `!function name` as the name, as lmms-eval does before it looks the function up."""


Loader.add_constructor("!function", lambda loader, node: ("function", loader.construct_scalar(node)))


def test_the_task_has_the_fields_of_lmms_eval(written):
    task = yaml.load((written / "lmms_eval" / "med_tiny.yaml").read_text(encoding="utf-8"), Loader)
    assert (written / "lmms_eval" / "med_tiny.yaml").read_text(encoding="utf-8") == task_yaml("med-tiny")
    assert (task["task"], task["output_type"], task["test_split"]) == ("med_tiny", "generate_until", "test")
    assert (task["dataset_path"], task["dataset_kwargs"]) == ("json", {"data_files": {"test": "items.jsonl"}})
    assert task["generation_kwargs"]["do_sample"] is False and task["doc_to_target"] in some()[0].to_dict()
    assert [one["metric"] for one in task["metric_list"]] == list(METRICS)
    utils = load(written)
    named = [task[key] for key in ("doc_to_visual", "doc_to_text", "doc_to_messages", "process_results")]
    named += [one["aggregation"] for one in task["metric_list"]]
    for kind, function in named:
        assert kind == "function" and callable(getattr(utils, function.removeprefix("utils.")))


def load(folder):
    """utils.py as the harness loads it: from its file, alone."""
    spec = importlib.util.spec_from_file_location("utils", folder / "lmms_eval" / "utils.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ODD = ["", "A", "Answer: B", "answer: C", "The answer is D", "Answer:\n d", "(B)", "A or B", "A dog", "B. A dog became",
       "Answer: Z", "C.", "I see B, no change", "Answer: A\nAnswer: B", "Answer A", "A A"]  # fmt: skip


def test_its_functions_score_as_ours_do(written):
    utils, questions = load(written), read_items(written)
    docs = [json.loads(line) for line in (written / "items.jsonl").read_text(encoding="utf-8").splitlines()]
    assert "mmhallu" not in (written / "lmms_eval" / "utils.py").read_text(encoding="utf-8")
    for doc, one in zip(docs[:3], questions, strict=False):
        shown = utils.doc_to_visual(doc)
        assert [image.tobytes() for image in shown] == [
            Image.open(path).convert("RGB").tobytes() for path in one.images
        ]
        assert utils.doc_to_text(doc) == one.prompt
        assert utils.doc_to_text(doc, {"pre_prompt": "<", "post_prompt": ">"}) == f"<{one.prompt}>"
        [turn] = utils.doc_to_messages(doc)
        assert turn["role"] == "user" and [part["type"] for part in turn["content"]] == ["image", "image", "text"]
    dice = random.Random(0)
    for _ in range(4):
        texts = [dice.choice([*ODD, one.truth, f"Answer: {one.truth}"]) for one in questions]
        ours = score(benchmark("med-tiny"), questions, [Answer(q.id, t) for q, t in zip(questions, texts, strict=True)])
        rows = [utils.process_results(doc, [text]) for doc, text in zip(docs, texts, strict=True)]
        theirs = {}
        for metric in METRICS:
            gather = utils.mean_of_categories if metric.endswith("macro_accuracy") else utils.mean
            theirs[metric] = gather([row[metric] for row in rows])
        wanted = {**{name: ours["official"][name] for name in ("macro_accuracy", "accuracy")},
                  **{f"strict_{name}": ours["strict"][name] for name in ("macro_accuracy", "accuracy")},
                  "unparsed": ours["strict"]["unparsed"]}  # fmt: skip
        assert theirs == pytest.approx(wanted)


def test_the_data_file_loads_as_the_task_says(written, tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets", reason="the `datasets` package is not installed")
    monkeypatch.chdir(written)
    loaded = datasets.load_dataset("json", data_files={"test": "items.jsonl"}, cache_dir=str(tmp_path))["test"]
    assert len(loaded) == 88 and load(written).doc_to_text(loaded[0]) == some(8)[0].prompt
    assert loaded[0]["about"]["category"] == "Object" and len(loaded[0]["images"]) == 2


# ---------------------------------------------------------------- the command


def run(*words):
    result = CliRunner().invoke(app, ["med", "bench", *map(str, words)])
    return result.exit_code, result


def test_the_command(tmp_path, training, monkeypatch):
    code, result = run("--out", tmp_path / "a", "--per-category", 4, "--against", training, "--json")
    shown = json.loads(result.stdout)
    assert code == 0 and shown["written"] and shown["questions"] == 44 and shown["source"]["seed"] == "med-tiny/0"
    assert read_items(tmp_path / "a")[0].prompt == contrast_sets.questions("med-tiny/0", 4, pictures=False)[0].prompt
    folder = tmp_path / "samples"
    folder.mkdir()
    write_jsonl(folder / "samples.jsonl", samples())
    code, result = run("--from", folder, "--out", tmp_path / "b", "--per-category", 8, "--name", "mine", "--json")
    fair = max(audit(from_samples(samples(), 8, 0, "mine"))["rules"].values()) <= 0.30
    assert json.loads(result.stdout)["written"] == fair == (tmp_path / "b").exists() and code == (0 if fair else 1)
    monkeypatch.setattr("mmhallu_core.edit.benchmark.samples.from_samples", lambda *given: as_released(440))
    code, result = run("--from", folder, "--out", tmp_path / "c", "--json")
    assert code == 1 and json.loads(result.stdout)["found"]["most_similar_jaccard"] > 0.9
    for words, told in ((("--source", "moon"), "'moon' is not"), (("--from", tmp_path / "x"), "med build"),
                        (("--style", "oil"), "'oil' is not one of"), (("--name", "x"), "not empty")):  # fmt: skip
        code, result = run("--out", tmp_path / "a", "--per-category", 4, *words)
        assert code == 2 and re.search(told, result.stderr)


@pytest.mark.slow
def test_eleven_hundred_questions_in_well_under_a_minute():
    began = time.process_time()
    assert len(contrast_sets.questions("med-tiny/0", 100)) == 1100
    assert time.process_time() - began < 45


@pytest.mark.slow
def test_a_rule_that_learned_the_words_of_some_samples_is_near_chance_on_others():
    def made(seed):
        rows = [sample(f"{c}-{n}", c, f"learn/{seed}/{n}") for c in CATEGORIES for n in range(90)]
        return from_samples(rows, 80, seed, "mine")

    sets = made(0), made(1)
    for train, test in (sets, sets[::-1]):
        assert abs(learned(train, test) - 0.25) <= 0.04 and checked(test)["n"] == 880
