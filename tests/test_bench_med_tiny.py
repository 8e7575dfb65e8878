"""MED-tiny: each question has one true option, its words and a single picture tell no more than chance, and it is
scored as med-bench is."""

import hashlib
import io
import json
import re
from collections import Counter, defaultdict
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from bench_contract import answered, check
from PIL import Image
from test_twins import learned

from maintenance.med_tiny import blind, looked
from mmhallu_core.data.question import LETTERS
from mmhallu_core.evaluate import contrast as contrast_sets
from mmhallu_core.evaluate.audit import audit
from mmhallu_core.evaluate.benchmark import score
from mmhallu_core.evaluate.benchmarks.med_tiny import PER_CATEGORY, SECOND_SEED, SEED
from mmhallu_core.evaluate.contrast.controls import asserts_a_difference, both_orders, same_scores, same_twice, swapped
from mmhallu_core.evaluate.contrast.quartet import BACK
from mmhallu_core.evaluate.diorama import benchmark
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.store import results_folder
from mmhallu_core.types import CATEGORIES, CannotRun
from mmhallu_core.world.edits import classify
from mmhallu_core.world.language.compare import DIFFERENCE_PROMPTS
from mmhallu_core.world.scene import facts
from mmhallu_core.world.vocabulary import KIND_OF, NUMBER_OF, PLACE_PHRASES, SIZES

pytestmark = pytest.mark.long
BOTH = (SEED, pytest.param(SECOND_SEED, marks=pytest.mark.slow))
MOST = 0.30

cached = cache(contrast_sets.items)


@cache
def worded(seed, n=PER_CATEGORY):
    """The questions of a seed without pictures."""
    return [contrast_sets.as_question(item, str(number), pictures=False) for number, item in enumerate(cached(seed, n))]


# ---------------------------------------------------------------- true


class Told:
    """A scene's facts, asked by kind: written apart from the code that makes the sentences."""

    def __init__(self, scene):
        self.place, self.all = scene.place, {(f.predicate, f.subject, f.object, f.value) for f in facts(scene)}
        self.kind = {subject: value for predicate, subject, _, value in self.all if predicate == "is"}

    def ids(self, kind):
        return sorted(name for name, one in self.kind.items() if one == kind)

    def the(self, kind):
        [name] = self.ids(kind)
        return name

    def of(self, name):
        return {value for predicate, subject, _, value in self.all if subject == name and predicate != "is"}

    def size(self, name):
        return next(SIZES[v] for p, s, _, v in self.all if s == name and p == "size")


def happened(sentence, before, after):
    """Whether a difference stated in canonical wording is what changed between two scenes' facts."""
    if m := re.fullmatch(r"The place changed from (.*) to (.*)\.", sentence):
        return [PLACE_PHRASES[told.place][0] for told in (before, after)] == list(m.groups())
    if m := re.fullmatch(r"The (\w+) is gone; there is no \1 now\.", sentence):
        return bool(before.ids(m[1])) and not after.ids(m[1])
    if m := re.fullmatch(r"An? (?:(\w+) )?(\w+)(?: in (\w+))? was added\.", sentence):
        return not before.ids(m[2]) and bool(after.ids(m[2])) and (m[1] or m[3]) in after.of(after.the(m[2]))
    if m := re.fullmatch(r"The (\w+) became an? (\w+)\.", sentence):
        there = [[bool(told.ids(kind)) for kind in m.groups()] for told in (before, after)]
        return there == [[True, False], [False, True]]
    if m := re.fullmatch(
        r"The (\w+) moved from the (left|right) of the (\w+) to the (left|right) of (?:it|him|her)\.", sentence
    ):
        a, old, b, new = m.groups()

        def is_at(told, side):
            pair = (told.the(a), told.the(b))
            return ("left of", *(pair if side == "left" else pair[::-1]), "") in told.all

        return is_at(before, old) and is_at(after, new) and old != new
    if m := re.fullmatch(r"The (\w+) (got|lost) (?:an?|its|his|her)? ?(\w+)\.", sentence):
        has = [("has", told.the(m[1]), "", m[3]) in told.all for told in (before, after)]
        return has == ([False, True] if m[2] == "got" else [True, False])
    if m := re.fullmatch(r"There (?:was|were) (\w+) (\w+) and now there (?:is|are) (\w+)\.", sentence):
        numbers = [len(told.ids(KIND_OF[m[2]])) for told in (before, after)]
        return numbers == [NUMBER_OF[m[1]], NUMBER_OF[m[3]]]
    if m := re.fullmatch(r"One of the (\w+) was (?:in )?(\w+) and is now (?:in )?(\w+)\.", sentence):
        names = before.ids(KIND_OF[m[1]])
        return len(names) > 1 and any(
            m[2] in before.of(n) - after.of(n) and m[3] in after.of(n) - before.of(n) for n in names
        )
    if m := re.fullmatch(r"One of the (\w+) (\w+) became (larger|smaller) than the others\.", sentence):
        names, sign = before.ids(KIND_OF[m[2]]), 1 if m[3] == "larger" else -1
        assert len(names) == NUMBER_OF[m[1]]

        def stands_out(told, name):
            return all(sign * told.size(name) > sign * told.size(other) for other in names if other != name)

        return any(stands_out(after, name) and not stands_out(before, name) for name in names)
    if m := re.fullmatch(r"All the (\w+) are now (?:in )?(\w+)\.", sentence):
        names = before.ids(KIND_OF[m[1]])
        alike = [all(m[2] in told.of(name) for name in names) for told in (before, after)]
        return len(names) > 1 and alike == [False, True]
    kind, old, new = re.fullmatch(r"The (\w+) was (?:in )?(\w+) and is now (?:in )?(\w+)\.", sentence).groups()
    return old in before.of(before.the(kind)) and new in after.of(after.the(kind)) and old != new


def test_one_option_is_true_and_another_one_when_the_pictures_are_swapped():
    for item, one in zip(cached("med-tiny/test", 12), worded("med-tiny/test", 12), strict=True):
        told = [Told(scene) for scene in item.scenes]
        for pair, letter in ((told, one.truth), (told[::-1], one.about["back"])):
            true = [mark for mark, text in one.choices.items() if happened(text, *pair)]
            assert true == [letter], (one.options, item.scenes)


def test_the_pictures_differ_by_one_edit_of_the_category():
    for item in cached("med-tiny/test", 12):
        allowed = [[item.category], ["Object"]] if item.category == "Negation" else [[item.category]]
        assert classify(*item.scenes) in allowed


def test_each_category_has_every_form_of_its_edit_and_each_edit_can_be_seen():
    drawn = contrast_sets.questions("med-tiny/test", 6)
    assert {one.about["operation"] for one in drawn} == {item.quartet.operation for item in cached("med-tiny/test", 12)}
    for one in drawn:
        before, after = (np.asarray(Image.open(io.BytesIO(picture)), dtype=int) for picture in one.images)
        assert (abs(before - after).max(-1) > 8).sum() >= 15, one.options


# ---------------------------------------------------------------- fair


@pytest.mark.parametrize("seed", BOTH)
def test_no_rule_that_reads_the_words_is_far_above_chance(seed):
    found = audit(worded(seed))
    assert found["n"] == 1100 and found["chance"] == 0.25
    scores = [*found["rules"].values(), *found["ties"]["last"].values(), *found["ties"]["average"].values()]
    assert max(scores) <= MOST, found


@pytest.mark.slow
def test_a_rule_that_learned_the_words_of_the_second_seed_is_near_chance_on_the_first():
    for train, test in ((SECOND_SEED, SEED), (SEED, SECOND_SEED)):
        assert abs(learned(worded(train), worded(test)) - 0.25) <= 0.04


def test_letters_lengths_and_wordings_are_dealt():
    for category in CATEGORIES:
        rows = [one for one in worded(SEED) if one.about["category"] == category]
        assert set(Counter(one.truth for one in rows).values()) == {25}
        ranks = Counter(
            sorted(one.options, key=lambda text: (len(text), text)).index(one.choices[one.truth]) for one in rows
        )
        assert set(ranks.values()) == {25}
        wordings = Counter(one.about["question"] for one in rows)
        assert set(wordings) == set(DIFFERENCE_PROMPTS) and set(wordings.values()) == {11, 12}


def test_each_word_is_as_often_in_right_options_as_in_wrong_ones():
    counts = defaultdict(Counter)
    for one in worded(SEED):
        for letter, text in one.choices.items():
            for word in set(re.findall(r"\w+", text.lower())):
                counts[word][letter == one.truth] += 1
    frequent = {word: seen for word, seen in counts.items() if seen.total() >= 100}
    assert len(frequent) > 40
    for word, seen in frequent.items():
        n = seen.total()
        assert abs(seen[True] / n - 0.25) < 4 * (0.25 * 0.75 / n) ** 0.5, (word, seen)


def test_one_picture_leaves_two_options():
    """From a picture two ways lead, and to it two; Scene alone has no such set, and there the average says it."""
    for item in cached("med-tiny/test", 12):
        start, end = (strip(scene) for scene in item.scenes)
        leave = {n for n, pairs in enumerate(item.quartet.pairs) for pair in pairs if strip(pair[0]) == start}
        reach = {n for n, pairs in enumerate(item.quartet.pairs) for pair in pairs if strip(pair[1]) == end}
        assert item.right in leave and item.right in reach
        assert item.category == "Scene" or (len(leave), len(reach)) == (2, 2)
        assert BACK[BACK[item.right]] == item.right


def strip(scene):
    return scene.place, frozenset(scene.things)


# ---------------------------------------------------------------- the same for the same seed


def digest(questions):
    return hashlib.sha256(repr([one.to_dict() for one in questions]).encode()).hexdigest()


def test_same_seed_same_bytes():
    some = contrast_sets.questions("med-tiny/test", 4)
    assert (
        digest(some)
        == digest(contrast_sets.questions("med-tiny/test", 4))
        != digest(contrast_sets.questions("med-tiny/x", 4))
    )
    assert len({one.id for one in some}) == len({one.picture for one in some}) == 44
    assert {one.about["picture"].split("/")[0] for one in some} == {"med-tiny"}
    styled = contrast_sets.questions("med-tiny/test", 4, style="textured")
    assert [one.prompt for one in styled] == [one.prompt for one in some]
    assert all(a.images[0] != b.images[0] for a, b in zip(styled, some, strict=True))
    with pytest.raises(CannotRun, match="at least 4"):
        contrast_sets.items("med-tiny/test", 3)


# ---------------------------------------------------------------- scored as med-bench


def test_contract(monkeypatch):
    some = contrast_sets.questions("med-tiny/test", 4)
    monkeypatch.setattr(
        contrast_sets, "questions", lambda seed, n, style, name: [replace(q, id=f"{name}{q.id}") for q in some]
    )
    for name in ("med-tiny", "med-tiny-real", "med-tiny-swapped"):
        one = benchmark(name)
        questions = one.read(None)
        check(one, questions, right=lambda question: f"Answer: {question.truth}")
        found = score(one, questions, answered(questions, lambda q: f"Answer: {q.truth}"), draws=20)
        assert len(found["strict"]) == 14 and found["strict"]["part_relation"] == 1  # macro, accuracy, eleven, unparsed
    same = benchmark("med-tiny-same")
    check(same, same.read(None))
    assert [q.truth for q in benchmark("med-tiny-swapped").read(None)] == [q.about["back"] for q in some]


def test_both_orders_by_hand():
    rows = worded("med-tiny/test", 12)[:5]
    right, back = [one.truth for one in rows], [one.about["back"] for one in rows]
    wrong = [next(x for x in LETTERS[:4] if x not in (a, b)) for a, b in zip(right, back, strict=True)]
    forward = [right[0], right[1], right[2], wrong[3], "none"]
    turned = [back[0], back[1], right[2], back[3], back[4]]
    found = {name: metric.value for name, metric in both_orders(rows, forward, turned).items()}
    assert found == pytest.approx(
        {"accuracy": 3 / 5, "accuracy_swapped": 4 / 5, "both_orders": 7 / 10, "stays_right": 2 / 3, "both_right": 2 / 5,
         "same_letter": 1 / 5}
    )  # fmt: skip
    assert [one.truth for one in swapped(swapped(rows))] == right
    nobody = both_orders(rows, ["none"] * 5, turned)["stays_right"]
    assert nobody.value is None
    with pytest.raises(CannotRun, match="other order"):
        swapped([replace(rows[0], about={})])


def test_the_same_picture_twice():
    drawn = contrast_sets.questions("med-tiny/test", 4)
    same = same_twice(drawn)
    assert all(one.images == (q.images[0], q.images[0]) for one, q in zip(same, drawn, strict=True))
    assert all(not one.options and one.prompt in DIFFERENCE_PROMPTS for one in same)
    said = ["There is no difference.", "The dog became a cat.", "A dog.", "", "The two images are the same."]
    assert [asserts_a_difference(text) for text in said] == [False, True, None, None, False]
    assert all(asserts_a_difference(text) for one in drawn for text in one.options)
    found = {name: one.value for name, one in same_scores(same[:5], said).items()}
    assert found == {"asserts_a_difference": 0.2, "says_the_same": 0.4, "unparsed": 0.4}


# ---------------------------------------------------------------- the record


def test_the_record_holds_on_both_seeds():
    """Text-only rules at most 30%; the model without pictures within four points of 25%, however it answers."""
    folder = results_folder() / "med-tiny"
    words, grey = (json.loads((folder / name).read_text(encoding="utf-8")) for name in ("words.json", "no-image.json"))
    assert words["holds"] and grey["holds"] and set(words["seeds"]) == set(grey["seeds"]) == {SEED, SECOND_SEED}
    for found in words["seeds"].values():
        assert found["n"] == 1100 and max(found["rules"].values()) <= MOST
    for found in grey["seeds"].values():
        rows = [found["letters"], *found["likelihood"].values()]
        assert len(rows) == 3 and all(abs(row["accuracy"] - 0.25) <= 0.04 for row in rows)
    assert words["seeds"][SEED]["rules"] == audit(worded(SEED))["rules"]


@pytest.mark.slow
def test_the_study_asks_the_model_in_every_way():
    vlm = Vlm.load("tiny-llava", device="cpu")
    found = looked(vlm, 4)
    assert set(found) == {"letters", "likelihood_sum", "likelihood_mean", "same_twice"}
    for name in ("letters", "likelihood_sum", "likelihood_mean"):
        one = found[name]
        assert one["both_orders"]["accuracy"]["value"] == one["score"]["accuracy"]["value"]
    assert sum(one["value"] for one in found["same_twice"].values()) == pytest.approx(1)
    grey = blind(SEED, vlm, 4)
    assert not grey["letters"]["sizes_unknown"] and set(grey["likelihood"]) == {"sum", "mean"}
