"""Diorama's language: what is written can be read back, and every answer is true of its scene."""

import random
import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmhallu_core.world.edits import CATEGORIES, sample_edit
from mmhallu_core.world.language import (
    corpus,
    describe,
    difference,
    difference_options,
    difference_questions,
    match,
    no_difference,
    questions,
    read,
)
from mmhallu_core.world.language.caption import DETAILS, side_fact
from mmhallu_core.world.language.mixture import WEIGHTS
from mmhallu_core.world.prior import annotate, sample_scene
from mmhallu_core.world.scene import Fact, Scene, Thing, facts
from mmhallu_core.world.vocabulary import KIND_OF, KINDS, NUMBER_OF, PLACE_PHRASES

SCENES = [sample_scene(f"language-{i}") for i in range(1000)]
WORDS = [*KIND_OF, *NUMBER_OF, *"a an the is are red striped in on left without tail holding and , : . ; was".split()]


def truths(scene: Scene) -> set[Fact]:
    """Every fact of a scene, with the side of each thing that has a place of its own."""
    return {*facts(scene), *(side_fact(thing) for thing in scene if thing.held_by is None)}


@pytest.mark.parametrize("detail", DETAILS)
@pytest.mark.parametrize("paraphrase", [False, True])
@pytest.mark.parametrize("count", [60, pytest.param(1000, marks=pytest.mark.slow)])
def test_descriptions_are_true_and_read_back(detail, paraphrase, count):
    rng = random.Random(7)
    for scene in SCENES[:count]:
        said = describe(scene, detail, rng if paraphrase else None)
        assert set(said.facts) <= truths(scene), said.text
        reading = read(said.text)
        assert not reading.unread, (said.text, reading.unread)
        assert match(reading, said).facts == said.facts, said.text
        assert set(match(reading, scene).facts) <= truths(scene), said.text
        assert [(m.kind, m.start, m.end) for m in reading.mentions] == [(m.kind, m.start, m.end) for m in said.mentions]


def test_mentions_cover_their_nouns():
    for scene in SCENES[:300]:
        for detail in DETAILS:
            said = describe(scene, detail, random.Random(scene.id))
            named = set()
            for mention in said.mentions:
                assert KIND_OF[said.text[mention.start : mention.end].lower()] == mention.kind
                assert {scene[thing_id].kind for thing_id in mention.thing_ids} == {mention.kind}
                named.update(mention.thing_ids)
            assert named == {thing.id for thing in scene}


def test_details_say_more_and_more():
    for scene in SCENES[:200]:
        brief, normal, full = (set(describe(scene, detail).facts) for detail in DETAILS)
        assert normal <= full
        assert {fact for fact in brief if fact.kind != "counting"} <= normal


@pytest.mark.long
def test_imagined_things_come_last_and_are_the_only_untruth():
    rng, met = random.Random(1), 0
    for scene in SCENES[:300]:
        reported, imagined = annotate(scene, rng, eta=1.0)
        kinds = {reported[thing_id].kind for thing_id in imagined} - set(scene.kinds())
        for detail in DETAILS:
            said = describe(reported, detail, rng, last=imagined)
            order = [mention.kind in kinds for mention in said.mentions]
            if kinds and detail != "full":  # a full description ends with a relation between things that are there
                met += 1
                assert order == sorted(order) and any(order), said.text
            untrue = match(read(said.text), reported).facts
            assert {f.subject for f in set(untrue) - truths(scene) if f.kind == "object"} <= set(imagined)
    assert met > 100


def test_wordings_of_hand_made_scenes():
    man = Thing("o1", "man", "blue", 0.3, 0.9, pose="standing")
    scene = Scene("s", "beach", (man, Thing("o2", "umbrella", "yellow", 0.3, 0.9, held_by="o1"),
                                 Thing("o3", "dog", "red", 0.7, 0.9, pose="lying", part=False, size="small"),
                                 Thing("o4", "dog", "orange", 0.9, 0.9, pose="lying")))  # fmt: skip
    assert describe(scene, "brief").text == "This is a beach. There is a man, two dogs and an umbrella."
    assert describe(scene).text == (
        "This is a beach. A man in blue is standing and holding a yellow umbrella. "
        "There are two dogs: a red one lying and an orange one lying."
    )
    assert describe(scene, "full").text == (
        "This is a beach. A man in blue is standing on the left and holding a yellow umbrella. "
        "There are two dogs: a small red one without a tail lying on the right and an orange one lying on the right."
    )
    alone = describe(scene, last=frozenset({"o2"}))  # the umbrella is imagined: nobody holds it
    assert alone.text.endswith("There is a yellow umbrella.")
    assert Fact("action_relation", "o1", "holds", object="o2") not in alone.facts
    with pytest.raises(ValueError, match="detail 'long'"):
        describe(scene, "long")


# ---------------------------------------------------------------- questions


def oracle(question, scene: Scene) -> str:
    """The answer as a phrase, worked out from `scene.facts` and the question's text alone."""
    known = truths(scene)
    text = question.text.split("\n")[0].removesuffix(" Answer in a sentence.").lower().rstrip("?")
    kinds = [KIND_OF[word] for word in re.findall(r"[a-z]+", text) if word in KIND_OF]
    number = {kind: 0 for kind in KINDS} | {f.subject: int(f.value) for f in known if f.predicate == "number"}
    the = {f.value: f.subject for f in known if f.predicate == "is"}  # only used for kinds that are there once

    def value(predicate: str) -> str:
        return next(f.value for f in known if f.subject == the[kinds[0]] and f.predicate == predicate)

    def yes(condition: bool) -> str:
        return "yes" if condition else "no"

    if question.kind == "existence":
        return yes(number[kinds[0]] > 0)
    if question.kind == "counting":
        return "none one two three four five six seven".split()[number[kinds[0]]]
    if question.kind in ("colour", "pattern", "size"):
        return value(question.kind)
    if question.kind == "where":
        return {"left": "on the left", "middle": "in the middle", "right": "on the right"}[value("side")]
    if question.kind == "action":
        return value("pose")
    if question.kind == "place":
        return PLACE_PHRASES[scene.place][1]
    if question.kind == "more":
        return yes(number[kinds[0]] > number[kinds[1]])
    if question.kind == "part":
        return yes(any(f.subject == the[kinds[0]] and f.predicate == "has" for f in known))
    if question.kind == "attribute":
        look = {f.value for f in known if f.subject == the[kinds[0]] and f.kind == "attribute"}
        return yes(text.split()[-1] in look)
    assert question.kind == "relation"
    a, b = (the[kind] for kind in kinds)
    if "right of" in text or "in front of" in text:
        a, b = b, a
    predicate = "left of" if " of the " in text and "front" not in text else "behind"
    return yes(Fact("spatial_relation", a, predicate, object=b) in known)


@pytest.mark.long
def test_every_answer_is_true_of_the_scene():
    rng, seen = random.Random(3), Counter()
    for scene in SCENES[:500]:
        for question in questions(scene, rng, 8):
            right = oracle(question, scene)
            seen[question.kind] += 1
            if question.options:
                assert question.options["ABCD".index(question.answer)] == right, question
                assert len(set(question.options)) == len(question.options) >= 2
            elif "sentence" in question.text:
                assert question.answer == question.spoken
            else:
                assert question.answer.lower().rstrip(".") == right, question
    assert set(seen) == set(WEIGHTS)


@pytest.mark.long
def test_spoken_answers_are_read_as_what_they_say():
    rng = random.Random(4)
    for scene in SCENES[:400]:
        known = truths(scene)
        for question in questions(scene, rng, 8):
            if question.options:
                continue
            reading = match(read(question.spoken), scene)
            assert not reading.unread, question.spoken
            assert {fact for fact in reading.facts if fact.predicate != "more than"} <= known, question.spoken
            assert not set(reading.denied) & known, question.spoken
            if question.kind != "existence" or question.answer == "No.":
                assert question.fact in {*reading.facts, *reading.denied}, question


def test_yes_and_no_and_letters_are_balanced():
    rng, answers, letters = random.Random(5), Counter(), Counter()
    for scene in SCENES:
        for question in questions(scene, rng, 8):
            if question.options:
                letters[len(question.options), question.answer] += 1
            elif question.kind in ("existence", "relation", "attribute"):
                answers[question.kind, question.answer] += 1
    for kind in ("existence", "relation", "attribute"):
        yes, no = answers[kind, "Yes."], answers[kind, "No."]
        assert abs(yes - no) < 4 * (yes + no) ** 0.5, (kind, yes, no)
    for n in (2, 3, 4):
        counts = [letters[n, letter] for letter in "ABCD"[:n]]
        assert min(counts) > 0.6 * max(counts), (n, counts)


def test_questions_obey_their_arguments():
    scene, rng = SCENES[0], random.Random(0)
    asked = questions(scene, rng, 20, kinds=("existence",))
    assert {q.kind for q in asked} == {"existence"}
    absent = {kind for kind in KINDS if not scene.of_kind(kind)}
    assert {q.fact.subject for q in asked if q.fact.kind == "negation"} <= absent
    assert len({q.text for q in asked}) == len(asked)
    with pytest.raises(ValueError, match="smell"):
        questions(scene, rng, 1, kinds=("smell",))


# ---------------------------------------------------------------- differences


@pytest.mark.parametrize("category", CATEGORIES)
def test_differences_are_true_and_read_back(category):
    rng = random.Random(11)
    for seed in range(50):
        edit = sample_edit(category, f"language-{seed}")
        old, new = truths(edit.before), truths(edit.after)
        for wording in (None, rng):
            said = difference(edit, wording)
            assert set(said.facts) <= new, said.text
            assert set(said.removed) <= old - new, said.text
            assert said.removed or set(said.facts) - old, "a difference that says nothing"
            reading = match(read(said.text), said)
            assert not reading.unread, said.text
            assert (said.category, reading.category) == (category, category), said.text
            assert (reading.facts, reading.removed) == (said.facts, said.removed), said.text
            assert [(m.start, m.end) for m in reading.mentions] == [(m.start, m.end) for m in said.mentions]


def test_no_difference_is_read_as_such():
    rng = random.Random(2)
    for _ in range(20):
        reading = read(no_difference(rng).text)
        assert reading.no_difference and not reading.facts and not reading.unread
    assert not read("The dog was red and is now blue.").no_difference


@pytest.mark.long
def test_options_do_not_betray_the_truth():
    rng, hits, n, letters = random.Random(13), Counter(), 0, Counter()
    for category in CATEGORIES:
        for seed in range(50):
            edit = sample_edit(category, f"options-{seed}")
            options = difference_options(edit, rng)
            assert len(set(options)) == 4
            assert {read(option).category for option in options} == {category}
            words = [set(option.lower().rstrip(".").split()) for option in options]
            likeness = [sum(len(a & b) / len(a | b) for b in words) for a in words]
            hits["medoid"] += _share(likeness, max(likeness))
            lengths = [len(option) for option in options]
            hits["longest"] += _share(lengths, max(lengths))
            hits["shortest"] += _share(lengths, min(lengths))
            open_, lettered = difference_questions(edit, rng)
            assert lettered.options["ABCD".index(lettered.answer)] == options[0] == difference(edit).text
            assert read(open_.answer).category == category
            letters[lettered.answer] += 1
            n += 1
    for rule, score in hits.items():  # four standard errors of a guess among four
        assert abs(score / n - 0.25) < 4 * (0.25 * 0.75 / n) ** 0.5, (rule, score / n)
    assert min(letters.values()) > 0.7 * max(letters.values())


def _share(scores: list[float], best: float) -> float:
    """What a rule earns that picks among the best-scored options at random; the first option is the truth."""
    picked = [abs(score - best) < 1e-9 for score in scores]
    return picked[0] / sum(picked)


# ---------------------------------------------------------------- reading


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("there is a dog", {Fact("object", "m1", "is", value="dog")}),
        ("THERE ARE TWO CATS", {Fact("counting", "cat", "number", value="2"), Fact("object", "m1", "is", value="cat"),
                                Fact("object", "m2", "is", value="cat")}),
        ("There are no dogs.", {Fact("negation", "dog", "absent")}),
        ("Yes, the dog has a tail.", {Fact("object", "m1", "is", value="dog"),
                                      Fact("part_relation", "m1", "has", value="tail")}),
        ("The dog is in front of the car", {Fact("object", "m1", "is", value="dog"),
                                            Fact("object", "m2", "is", value="car"),
                                            Fact("spatial_relation", "m2", "behind", object="m1")}),
        ("There is a dog. The dog is red. A dog is blue.", {
            Fact("object", "m1", "is", value="dog"), Fact("attribute", "m1", "colour", value="red"),
            Fact("object", "m2", "is", value="dog"), Fact("attribute", "m2", "colour", value="blue")}),
        ("There is a red dog and a blue dog. The red dog is lying.", {
            Fact("object", "m1", "is", value="dog"), Fact("attribute", "m1", "colour", value="red"),
            Fact("object", "m2", "is", value="dog"), Fact("attribute", "m2", "colour", value="blue"),
            Fact("action_relation", "m1", "pose", value="lying")}),
        ("The man wears a hat.", {Fact("object", "m1", "is", value="man"), Fact("object", "m2", "is", value="hat"),
                                  Fact("action_relation", "m1", "wears", object="m2")}),
    ],
)  # fmt: skip
def test_reading_of_single_sentences(text, expected):
    reading = read(text)
    assert set(reading.facts) == expected and not reading.unread


@pytest.mark.long
def test_capitals_and_full_stops_do_not_matter():
    for scene in SCENES[:200]:
        text = describe(scene, "full").text
        for other in (text.lower(), text.upper(), text.removesuffix("."), text.replace(". ", ".\n")):
            assert read(other).facts == read(text).facts


def test_what_is_not_understood_is_listed_and_the_rest_is_read():
    reading = read("This is a beach. The dog dreams of cheese! There is a cat?")
    assert reading.unread == ("The dog dreams of cheese",)
    assert {fact.value for fact in reading.facts} == {"beach", "cat"}
    assert read("There are 123456789 dogs.").unread


def test_a_wrong_word_is_the_only_wrong_fact():
    cats = (Thing(f"o{i}", "cat", colour, 0.3 * i, 0.9, pose="lying") for i, colour in ((1, "red"), (2, "blue")))
    scene = Scene("s", "room", tuple(cats))
    reading = match(read("This is a room. There are two cats: a blue one lying and a red one standing."), scene)
    assert set(reading.facts) - truths(scene) == {Fact("action_relation", "o1", "pose", value="standing")}


@given(st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_read_never_raises_on_text(text):
    assert set(read(text).unread) <= {part.strip() for part in re.split(r"[.!?\n]+", text)}


@pytest.mark.long
@given(st.lists(st.sampled_from(WORDS), max_size=30))
@settings(max_examples=300, deadline=None)
def test_read_never_raises_on_word_salad(words):
    reading = read(" ".join(words))
    match(reading, SCENES[0])
    for mention in reading.mentions:
        assert mention.kind in KINDS


@pytest.mark.long
@given(st.integers(0, 999), st.data())
@settings(max_examples=150, deadline=None)
def test_read_never_raises_on_damaged_captions(i, data):
    words = describe(SCENES[i], "full", random.Random(i)).text.split()
    at = data.draw(st.integers(0, len(words) - 1))
    words[at] = data.draw(st.sampled_from(WORDS))
    reading = read(" ".join(words))
    match(reading, SCENES[i])
    assert all(mention.kind in KINDS for mention in reading.mentions)


def test_corpus_has_every_form_and_is_the_same_for_the_same_seed():
    texts = list(corpus(3000, seed=1))
    assert texts == list(corpus(3000, seed=1)) and texts != list(corpus(3000, seed=2))
    everything = " ".join(texts)
    forms = """Answer based on the first image.|No further corrections needed.|Answer: B|not in the image; remove it.
        |Answer with the letter.|Describe the image.|There is no difference.|rating: 0|99|became|["""
    for form in map(str.strip, forms.split("|")):
        assert form in everything, form
    for kind, spec in KINDS.items():
        assert kind in everything and spec.plural in everything
