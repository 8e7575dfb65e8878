"""Twins: true, fair, the same for the same seed, and scored by the benchmarks' own code."""

import hashlib
import io
import json
import random
from collections import Counter, defaultdict
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from bench_contract import check
from PIL import Image
from scene_reader import Told, option_holds, yes_or_no

from mmhallu_core.data.question import LETTERS
from mmhallu_core.evaluate.audit import audit
from mmhallu_core.evaluate.diorama import TWINS, drafts, twin, twin_benchmark
from mmhallu_core.evaluate.diorama.making import evenly, fair_labels, finished, lettered
from mmhallu_core.store import results_folder
from mmhallu_core.types import CannotRun
from mmhallu_core.world.prior import TYPICAL

pytestmark = pytest.mark.long

CAPTIONS = ("chair", "amber-generative")
ASKING = tuple(name for name in TWINS if name not in CAPTIONS)
# The first seed was fixed before any twin was measured, the second is there to doubt it. results/twins/ has both.
SEEDS = (0, pytest.param(1, marks=pytest.mark.slow))
NEAR = 0.05

cached = cache(drafts)


@cache
def asked(name, seed):
    """A thousand questions, without pictures; captions left out."""
    rows = finished(cached(name, 1000, seed), pictures=False)
    return [one for one in rows if one.options or one.truth in ("yes", "no")]


# ---------------------------------------------------------------- true


@pytest.mark.parametrize("name", ASKING)
def test_truth_follows_from_the_facts(name):
    for one in cached(name, 200, 0):
        told = [Told(scene) for scene in one.scenes]
        if one.options:
            text, *lines = one.prompt.split("\n")
            text += lines.pop().removeprefix("Answer with the letter.")
            assert lines == [f"{letter}. {words}" for letter, words in zip(LETTERS, one.options, strict=False)]
            true = [
                letter for letter, words in zip(LETTERS, one.options, strict=False) if option_holds(text, words, told)
            ]
            assert true == [one.truth], one
        elif one.truth in ("yes", "no"):
            assert yes_or_no(one.prompt, told[0]) == (one.truth == "yes"), one


@pytest.mark.parametrize("name", CAPTIONS)
def test_what_a_caption_is_held_against(name):
    for one in cached(name, 50, 0):
        there = {thing.kind for thing in one.scenes[0]}
        key = "objects" if name == "chair" else "truth"
        assert set(one.about[key]) == there and len(one.about[key]) == len(there)
        if name != "chair":
            assert set(one.about["hallu"]) == set(TYPICAL[one.scenes[0].place]) - there


def test_the_two_pictures_of_a_pair_differ_by_one_edit():
    rows = cached("mmvp", 200, 0)
    for first, second in zip(rows[::2], rows[1::2], strict=True):
        assert first.prompt == second.prompt and first.truth != second.truth
        assert first.about["pair"] == second.about["pair"]
        before, after = (one.scenes[0] for one in (first, second))
        here, there = ({thing.id: thing for thing in scene} for scene in (before, after))
        changed = {name for name in here | there if here.get(name) != there.get(name)}
        carried = {thing.id for scene in (before, after) for thing in scene if thing.held_by in changed}
        replaced = first.about["category"] == "Object" and len(changed) == 2
        assert len(changed - carried) == (before.place == after.place) or replaced


# ---------------------------------------------------------------- fair


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ASKING)
def test_words_alone_stay_near_chance(name, seed):
    found = audit(asked(name, seed))
    assert found["n"] >= 1000
    far = {rule: score for rule, score in found["rules"].items() if abs(score - found["chance"]) > NEAR}
    assert not far, (far, found["chance"])


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ["pope", "amber", "mme"])
def test_the_other_labels_of_an_object_tell_nothing(name, seed):
    """Counting them, with the question's own label or without, is right about half of the time."""

    def key(one):
        return one.about.get("split"), one.about["object"]

    counts = defaultdict(Counter)
    for one in asked(name, seed):
        counts[key(one)][one.truth] += 1
    majority = [max(seen.values()) for seen in counts.values()]
    assert sum(majority) / len(asked(name, seed)) <= 0.5 + NEAR
    right = 0
    for one in asked(name, seed):
        left = counts[key(one)] - Counter([one.truth])
        right += left[one.truth] > left.total() / 2
    assert abs(right / len(asked(name, seed)) - 0.5) <= NEAR


def learned(train, test):
    """The share of test questions right by a rule that has counted every word of another set (naive Bayes)."""
    tables = defaultdict(lambda: Counter())
    for one in train:
        for words, right in candidates(one):
            for word in words:
                tables[word][right] += 1
    return np.mean([best(one, tables) for one in test])


def candidates(question):
    """Each answer that a question can have, as features, and whether it is right."""
    first = question.prompt.split("\n")[0]
    words = first.strip("?").split()
    about = [" ".join(words[:2]), *words[2:]]
    if question.options:
        for letter, option in zip(LETTERS, question.options, strict=False):
            features = [option, letter, *option.split(), *((word, option) for word in about), (first, option)]
            features += [("beside", option, other) for other in question.options if other != option]
            yield features, letter == question.truth
    else:
        for answer in ("yes", "no"):
            features = [(word, answer) for word in about] + [(first, answer), answer]
            yield features, answer == question.truth


def best(question, tables):
    """Whether the likeliest answer is right; of equals, the first."""
    rows = []
    for features, right in candidates(question):
        shares = [(tables[word][True] + 1) / (tables[word].total() + 2) for word in features]
        rows.append((round(float(np.mean(np.log(shares))), 9), right))
    return max(rows, key=lambda row: row[0])[1]


@pytest.mark.slow
@pytest.mark.parametrize("name", ASKING)
def test_a_rule_that_learned_the_words_of_one_set_is_near_chance_on_another(name):
    chance = audit(asked(name, 0))["chance"]
    for train, test in ((0, 1), (1, 0)):
        found = learned(asked(name, train), asked(name, test))
        assert abs(found - chance) <= NEAR, (train, found, chance)


@pytest.mark.parametrize("seed", SEEDS)
def test_naming_the_frequent_is_naming_at_random(seed):
    rows = cached("chair", 1000, seed)
    seen = Counter(kind for one in rows for kind in one.about["objects"])
    shares = np.array(list(seen.values())) / len(rows)
    assert len(seen) == 20 and shares.max() - shares.min() < 0.02


def test_whole_figures_and_whole_questions_are_guessed_as_often_as_by_coins():
    """Whatever the words make one say: a quarter, as for two coins."""
    dice = random.Random(0)
    rows = asked("hallusionbench", 0)
    fixed = {one.prompt: dice.choice(("yes", "no")) for one in rows}
    for key in ("figure", "asked"):
        right = defaultdict(list)
        for one in rows:
            right[one.about[key]].append(fixed[one.prompt] == one.truth)
        assert {len(hits) for hits in right.values()} == {2}
        assert abs(np.mean([all(hits) for hits in right.values()]) - 0.25) <= NEAR


def test_fair_labels():
    labels = fair_labels(["a"] * 10 + ["b"] * 10 + ["c"] * 7 + ["d"], random.Random(0))
    parts = labels[:10], labels[10:20], labels[20:27]
    assert [abs(2 * sum(part) - len(part)) for part in parts] == [2, 2, 3]
    assert Counter(evenly("abc", 8, random.Random(1))).most_common()[-1][1] == 2


def test_lettered():
    prompt, truth, options = lettered("Which?", ["x", "y", "z"], right=2, letter=0)
    assert (truth, options) == ("A", ("z", "y", "x"))
    assert prompt == "Which?\nA. z\nB. y\nC. x\nAnswer with the letter."


# ---------------------------------------------------------------- the same for the same seed


def digest(questions):
    bare = [(one.id, one.prompt, one.truth, one.options, one.images) for one in questions]
    return hashlib.sha256(repr(bare).encode()).hexdigest()


@pytest.mark.parametrize("name", TWINS)
def test_same_seed_same_bytes(name):
    questions = twin(name, 12, 3)
    assert digest(questions) == digest(twin(f"{name}-diorama", 12, 3)) != digest(twin(name, 12, 4))
    assert len({one.id for one in questions}) == len(questions) >= 12
    for one in questions:
        assert one.images and one.picture
        for picture in one.images:
            with Image.open(io.BytesIO(picture)) as image:
                assert (image.format, image.size) == ("PNG", (96, 96))
    without = twin(name, 12, 3, pictures=False)
    assert [one.to_dict() | {"images": None} for one in without] == [
        one.to_dict() | {"images": None} for one in questions
    ]


@pytest.mark.parametrize("name", TWINS)
def test_ids_are_unique(name):
    rows = cached(name, 1000, 0)
    assert len({one.id for one in rows}) == len(rows) >= 1000


def test_errors():
    with pytest.raises(CannotRun, match="pope-diorama"):
        twin("imagenet")
    with pytest.raises(CannotRun, match="at least 4"):
        twin("pope", 2)


# ---------------------------------------------------------------- scored by the benchmarks' own code


@pytest.mark.parametrize("name", TWINS)
def test_contract(name):
    one = twin_benchmark(f"{name}-diorama")
    assert one.name == f"{name}-diorama"
    check(replace(one, name=name), twin(name, 40, 0))


# ---------------------------------------------------------------- the record


RECORDS = sorted((results_folder() / "twins").glob("*.json"))


@pytest.mark.parametrize("record", RECORDS, ids=lambda path: path.stem)
def test_the_record_holds_on_both_seeds(record):
    """Rules that see no picture, and a model that sees a grey one, are within five points of chance."""
    told = json.loads(record.read_text(encoding="utf-8"))
    assert told["holds"] and set(told["seeds"]) == {"0", "1"}
    for seed in told["seeds"].values():
        words = seed["words"]
        shares = [*words.get("rules", {}).values()]
        shares += [seed["blind"]["accuracy"]] if "accuracy" in seed["blind"] else []
        assert not seed["far"] and all(abs(share - words["chance"]) <= NEAR for share in shares)
        assert words["n"] >= 1000


def test_every_twin_but_the_halves_is_recorded():
    assert {path.stem for path in RECORDS} == set(TWINS) - {"amber-discriminative", "amber-generative"}
