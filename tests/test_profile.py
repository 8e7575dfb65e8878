"""The hallucination profile, against counts by hand, brute force, and captions with a planted habit."""

import itertools

import numpy as np
import pytest

from mmhallu_core.data.vocabulary import Vocabulary
from mmhallu_core.evaluate.chair import chair_mentions
from mmhallu_core.evaluate.profile import QUESTIONS, agreement, habits, profile, side
from mmhallu_core.types import Answer, CannotRun

NAMES = [f"thing{letter}" for letter in "abcdefghijklmnopqrst"]
WORDS = Vocabulary({name: name for name in NAMES})
ANIMALS = Vocabulary({name: name for name in ("cat", "cow", "dog", "hen", "pig")})


def test_habits_by_hand():
    world = habits({"1": ["dog", "cat"], "2": ["dog", "cat"], "3": ["dog"], "4": ["cow"]}, ("cat", "cow", "dog", "pig"))
    assert world.frequency.tolist() == [0.5, 0.25, 0.75, 0.0]
    cat, cow, dog, pig = range(4)
    # P(cat | dog) = 2/3 against P(cat) = 1/2; a cow never stands beside a dog; a pig never occurs
    assert world.lift[cat, dog] == pytest.approx(4 / 3) and world.lift[dog, cat] == pytest.approx(4 / 3)
    assert world.lift[cow, dog] == 0 and world.lift[cow, cow] == pytest.approx(4)
    assert world.lift[pig].tolist() == [0, 0, 0, 0] and world.lift[:, pig].tolist() == [0, 0, 0, 0]


def test_profile_by_hand():
    truth = {"1": ["dog"], "2": ["cow", "dog"]}
    world = habits(
        {"1": ["dog"], "2": ["dog", "cow"], "3": ["cat", "cow"], "4": ["cat", "dog"], "5": ["hen"], "6": ["dog"]},
        ANIMALS.objects,
    )
    captions = [Answer("1", "A dog and a cat and one more dog."), Answer("2", "A pig, a dog, one cow.")]
    result = profile(captions, truth, ANIMALS, world)
    assert (result["n"], result["mentions"], result["hallucinated"]) == (2, 6, 2)
    # wrong: cat in 9 words, pig in 6; right: two in 9, two in 6. Wins: cat 2 + 2/2, pig 0 + 2/2, of 8
    assert result["length"]["chance"] == pytest.approx(4 / 8)
    # cat stands after its caption's one right object (the second "dog" is no new claim), pig before both of its own
    assert result["position"]["chance"] == pytest.approx((1 + 0) / 2)
    # pictures with cat 2, cow 2, hen 1, pig 0: cat meets cow (tie), hen, pig; pig meets cat, hen
    assert result["frequency"]["chance"] == pytest.approx((2.5 / 3 + 0) / 2)
    # beside a dog, cat and cow are equally likely, hen and pig never; beside cow and dog, hen and pig score 0, cat more
    assert result["company"]["chance"] == pytest.approx((2.5 / 3 + 0.5 / 2) / 2)
    assert result["position"]["n"] == result["frequency"]["n"] == 2


def brute_force(captions, truth, world):
    """The four chances, by writing out every pair."""
    mentions = {one.id: chair_mentions(one.answer, truth[one.id], WORDS, "fixed") for one in captions}
    words = {one.id: len(one.answer.split()) for one in captions}

    def wins(wrong, right):
        return (wrong > right) + (wrong == right) / 2

    flat = [(words[key], mention.hallucinated) for key, found in mentions.items() for mention in found]
    length = [wins(a, b) for (a, bad), (b, worse) in itertools.product(flat, flat) if bad and not worse]
    position, frequency, company = [], [], []
    for key, found in mentions.items():
        first = {}
        for mention in found:
            first.setdefault(mention.object, mention)
        wrong = [mention for mention in first.values() if mention.hallucinated]
        right = [mention.start for mention in first.values() if not mention.hallucinated]
        position += [np.mean([wins(mention.start, other) for other in right]) for mention in wrong if right]
        there = [NAMES.index(name) for name in truth[key]]
        said = [NAMES.index(mention.object) for mention in wrong]
        others = [number for number in range(len(NAMES)) if number not in there and number not in said]
        for number in said:
            frequency.append(np.mean([wins(world.frequency[number], world.frequency[o]) for o in others]))
            score = [np.mean([world.lift[o, t] for t in there]) for o in range(len(NAMES))]
            company.append(np.mean([wins(score[number], score[o]) for o in others]))
    return {
        "length": np.mean(length), "position": np.mean(position),
        "frequency": np.mean(frequency), "company": np.mean(company),
    }  # fmt: skip


def invented(n, choose, seed=0):
    """Captions with four true objects and one wrong one, which `choose(random, present, absent)` picks and places."""
    random, captions, truth = np.random.default_rng(seed), [], {}
    weight = np.arange(1, len(NAMES) + 1) / np.arange(1, len(NAMES) + 1).sum()
    for number in range(n):
        present = [str(name) for name in random.choice(NAMES, 4, replace=False, p=weight)]
        absent = [name for name in NAMES if name not in present]
        wrong, where = choose(random, present, absent)
        said = [*present[:where], wrong, *present[where:]]
        captions.append(Answer(str(number), "There is a " + " and then a ".join(said) + "."))
        truth[str(number)] = present
    return captions, truth


def test_equal_to_brute_force():
    def anywhere(random, present, absent):
        return str(random.choice(absent)), int(random.integers(0, 5))

    captions, truth = invented(40, anywhere)
    captions = [Answer(one.id, one.answer + " Yes." * (number % 7)) for number, one in enumerate(captions)]
    captions[3] = Answer("3", f"Only a {[name for name in NAMES if name not in truth['3']][0]}.")
    world = habits(truth, NAMES)
    expected, result = brute_force(captions, truth, world), profile(captions, truth, WORDS, world, draws=20)
    for question in QUESTIONS:
        assert result[question]["chance"] == pytest.approx(expected[question]), question


@pytest.mark.long
def test_no_habit_gives_one_half():
    def anything(random, present, absent):
        return str(random.choice(absent)), int(random.integers(0, 5))

    captions, truth = invented(1500, anything)
    result = profile(captions, truth, WORDS, habits(truth, NAMES))
    for question in QUESTIONS:
        low, high = result[question]["ci"]
        assert low - 0.01 <= 0.5 <= high + 0.01 and high - low < 0.07, question


@pytest.mark.long
@pytest.mark.parametrize("question", ["position", "frequency", "company"])
def test_a_planted_habit_is_found_and_only_that_one(question):
    def choose(random, present, absent):
        if question == "frequency":  # later letters occur in more pictures
            return max(random.choice(absent, 2)), int(random.integers(0, 5))
        if question == "company":  # "thinga" and "thingb" come together below
            return ("thinga" if "thingb" in present and "thinga" in absent else str(random.choice(absent))), int(
                random.integers(0, 5)
            )
        return str(random.choice(absent)), int(random.integers(2, 5))

    captions, truth = invented(1200, choose)
    if question == "company":
        world = habits({**truth, **{f"more {n}": ["thinga", "thingb"] for n in range(400)}}, NAMES)
        kept = [one for one in captions if "thingb" in truth[one.id]]
        result = profile(kept, truth, WORDS, world)
    else:
        result = profile(captions, truth, WORDS, habits(truth, NAMES))
        for other in {"position", "frequency"} - {question}:
            assert abs(result[other]["chance"] - 0.5) < 0.05
    assert side(result[question]) == "above" and result[question]["chance"] > 0.6
    rates = [fifth["value"] for fifth in result[question]["fifths"]]
    assert rates[-1] > rates[0]


def test_longer_captions_with_more_wrong_mentions_are_seen():
    truth = {str(number): ["thinga"] for number in range(200)}
    captions = [
        Answer(str(number), "A thinga" + " here" * (number % 20) + (" and a thingb." if number % 20 > 9 else "."))
        for number in range(200)
    ]
    result = profile(captions, truth, WORDS, habits(truth, NAMES))["length"]
    assert result["ci"][0] > 0.6
    rates = [fifth["value"] for fifth in result["fifths"]]
    assert rates == sorted(rates) and rates[0] == 0 and rates[-1] == 0.5
    assert [fifth["from"] for fifth in result["fifths"][1:]] > [fifth["to"] for fifth in result["fifths"][:-1]]


def test_the_fifths_count_everything_once():
    captions, truth = invented(60, lambda random, present, absent: (absent[0], 4))
    result = profile(captions, truth, WORDS, habits(truth, NAMES), draws=20)
    for question, total in (("length", 300), ("position", 300), ("frequency", 60 * 16), ("company", 60 * 16)):
        fifths = result[question]["fifths"]
        assert sum(fifth["n"] for fifth in fifths) == total, question
        wrong = sum(fifth["n"] * fifth["value"] for fifth in fifths if fifth["n"])
        assert wrong == pytest.approx(60), question


def test_nothing_wrong_gives_no_chance_and_no_verdict():
    truth = {"1": ["dog"], "2": []}
    captions = [Answer("a", "A dog.", "1"), Answer("b", "Nothing here.", "2")]
    result = profile(captions, truth, ANIMALS, habits(truth, ANIMALS.objects))
    for question in QUESTIONS:
        assert result[question]["chance"] is None and side(result[question]) == "open"


def test_faults_are_named():
    world = habits({"1": ["dog"]}, ANIMALS.objects)
    with pytest.raises(CannotRun, match="no captions"):
        profile([], {"1": ["dog"]}, ANIMALS, world)
    with pytest.raises(CannotRun, match="1 images are not in the ground truth: 9"):
        profile([Answer("9", "A dog.")], {"1": ["dog"]}, ANIMALS, world)
    with pytest.raises(CannotRun, match="does not have: yak"):
        habits({"1": ["yak"]}, ANIMALS.objects)
    with pytest.raises(CannotRun, match="no pictures"):
        habits({}, ANIMALS.objects)


def answer(low, high):
    return {question: {"ci": [low, high]} for question in QUESTIONS}


@pytest.mark.parametrize(
    "photos, ours, verdict",
    [
        ([(0.6, 0.7)] * 5, (0.51, 0.9), "agrees"),
        ([(0.6, 0.7)] * 4 + [(0.1, 0.2)], (0.51, 0.9), "agrees"),
        ([(0.6, 0.7)] * 3 + [(0.4, 0.6)] * 2, (0.51, 0.9), "open"),
        ([(0.6, 0.7)] * 5, (0.2, 0.4), "disagrees"),
        ([(0.2, 0.4)] * 5, (0.2, 0.4), "agrees"),
        ([(0.6, 0.7)] * 5, (0.49, 0.9), "open"),
    ],
)
def test_agreement_follows_the_rule(photos, ours, verdict):
    verdicts = agreement([answer(*one) for one in photos], answer(*ours))
    assert verdicts == dict.fromkeys(QUESTIONS, verdict)
