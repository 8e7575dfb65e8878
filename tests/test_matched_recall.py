"""CHAIR_i at matched recall, against a plain loop over captions and on cases that can be worked out by hand."""

import random

import numpy as np
import pytest

from mmhallu_core.data.vocabulary import Vocabulary
from mmhallu_core.evaluate.matched_recall import Cuts, marks, matched, percentiles, scene_draws

WORDS = Vocabulary({word: word for word in ("dog", "cat", "car", "tree")})


def by_loop(marked, there, wanted):
    """CHAIR_i at a recall, counted caption by caption, with fractions where the cut is between two mentions."""

    def cut(m):
        kept = [text[:m] for text in marked]
        return tuple(sum(map(count, kept)) for count in (lambda t: t.count("h"), lambda t: t.count("x"), len))

    longest = max(map(len, marked))
    low = max(m for m in range(longest + 1) if cut(m)[0] / sum(there) <= wanted + 1e-12)
    hits, wrong, named = cut(low)
    if low < longest:
        more = [after - now for after, now in zip(cut(low + 1), (hits, wrong, named), strict=True)]
        share = (wanted * sum(there) - hits) / more[0]
        wrong, named = wrong + share * more[1], named + share * more[2]
    return wrong / named


def captions(rng, n):
    there = [rng.randint(1, 5) for _ in range(n)]
    marked = []
    for objects in there:
        letters = ["h"] * rng.randint(0, objects) + ["x"] * rng.randint(0, 3)
        rng.shuffle(letters)
        text = "".join(letters)
        marked.append(text[: text.find("h") + 1] + "r" + text[text.find("h") + 1 :] if "h" in text else text)
    return marked, there


def test_marks_tell_first_mentions_from_later_and_from_hallucinated_ones():
    assert marks("A dog and a cat. The dog sees a car and a tree.", {"dog", "car"}, WORDS) == "hxrhx"
    assert marks("", {"dog"}, WORDS) == ""


@pytest.mark.parametrize("seed", range(20))
def test_it_is_what_a_loop_counts(seed):
    rng = random.Random(seed)
    first, there = captions(rng, 12)
    second = captions(rng, 12)[0]
    for row, objects in enumerate(there):  # no more hits than objects
        while second[row].count("h") > objects:
            second[row] = second[row].replace("h", "", 1)
    found = matched(Cuts.of(first, there), Cuts.of(second, there))
    wanted = min(sum(t.count("h") for t in marked) / sum(there) for marked in (first, second))
    assert found["recall"][0] == pytest.approx(wanted)
    assert found["first"][0] == pytest.approx(by_loop(first, there, wanted))
    assert found["second"][0] == pytest.approx(by_loop(second, there, wanted))


def test_a_model_that_only_says_less_is_no_better():
    long, there = ["hhhx", "hhxh", "hhhx"], [4, 4, 4]
    short = [text[:2] for text in long]
    plain = [sum(t.count("x") for t in marked) / sum(map(len, marked)) for marked in (long, short)]
    assert plain[1] < plain[0]
    found = matched(Cuts.of(long, there), Cuts.of(short, there))
    assert found["difference"] == [0] and found["recall"] == pytest.approx([0.5])


def test_between_two_cuts_a_share_of_the_next_mention_counts():
    found = matched(Cuts.of(["hx"] * 2 + ["hh"] * 2, [2] * 4), Cuts.of(["h", "h", "h", "hh"], [2] * 4))
    # 5 of 8 are recalled; the first model has 4 after one mention, and half of the second mentions bring the fifth
    assert found["recall"][0] == pytest.approx(5 / 8)
    assert found["first"][0] == pytest.approx(0.5 * 2 / (4 + 0.5 * 4)) and found["second"][0] == 0


def test_a_truer_model_of_equal_recall_keeps_its_plain_chair():
    pair = Cuts.of(["hhx", "hx"] * 20, [3] * 40), Cuts.of(["hh", "h"] * 20, [3] * 40)
    found = matched(*pair)
    assert found["first"] == pytest.approx([2 / 5]) and found["second"] == [0]
    assert percentiles(matched(*pair, scene_draws(40, 200))["difference"])[1] < 0


def test_draws_are_the_same_as_repeating_scenes():
    rng = random.Random(1)
    (first, there), (second, _) = captions(rng, 6), captions(rng, 6)
    second = ["h" * min(text.count("h"), objects) + "x" for text, objects in zip(second, there, strict=True)]
    times = np.array([[2, 0, 1, 1, 0, 2]], dtype=float)
    chosen = [row for row, count in enumerate(times[0].astype(int)) for _ in range(count)]
    drawn = matched(Cuts.of(first, there), Cuts.of(second, there), times)
    again = matched(*(Cuts.of([m[row] for row in chosen], [there[row] for row in chosen]) for m in (first, second)))
    assert {name: value[0] for name, value in drawn.items()} == pytest.approx(
        {name: value[0] for name, value in again.items()}
    )
    weights = scene_draws(6, 50)
    assert (weights.sum(axis=1) == 6).all() and np.array_equal(weights, scene_draws(6, 50))


def test_nothing_named_is_no_score():
    found = matched(Cuts.of(["", ""], [1, 2]), Cuts.of(["h", "x"], [1, 2]), scene_draws(2, 20))
    assert np.isnan(found["first"]).all() and percentiles(found["difference"]) is None
    assert percentiles(np.array([np.nan, 1.0, 1.0])) == [1.0, 1.0]


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match="same pictures"):
        matched(Cuts.of(["h"], [1]), Cuts.of(["h"], [2]))
    with pytest.raises(ValueError, match="need captions"):
        Cuts.of([], [])
