"""The game of twenty questions, the contrast set, the printed table: their words, their scores, and the keyboard."""

import json
import re
import sys
from fractions import Fraction
from pathlib import Path

import pytest

from mmhallu_core.chapters.cannot_be_gamed import contrast_set_figure, orders_table, printed_figure, sentences
from mmhallu_core.chapters.cannot_be_gamed_twenty import LOOKED, YOU, Game, Round
from mmhallu_core.evaluate import contrast as contrast_sets
from mmhallu_core.evaluate.contrast.controls import best_from_one, left_open
from mmhallu_core.recorded import recorded
from mmhallu_core.store import checkpoint_folder, sha256
from mmhallu_core.viz.marked import in_words
from mmhallu_core.world.language.read import read

sys.path.append(str(Path(__file__).resolve().parents[1] / "book" / "_tools"))  # scripts, and no package
import browser

PLAYERS = ("a model", "a rule </script>")


@pytest.fixture(scope="module")
def items():
    return contrast_sets.items("test-twenty", 4)


@pytest.fixture(scope="module")
def game(items):
    """Three questions: the model is always right, the rule always says A."""
    rounds = []
    for item in items[:3]:
        texts = tuple(item.quartet.texts[one] for one in item.options)
        right = item.options.index(item.right)
        rounds.append(Round(item.category, item.text, texts, right, item.scenes, (right, 0)))
    return Game("A game", tuple(rounds), PLAYERS, "A note.", 96)


def letters(game):
    """The right letters."""
    return "".join("ABCD"[one.right] for one in game.rounds)


# ---------------------------------------------------------------- the game in words


def test_a_question_in_words_keeps_its_answer_until_it_is_answered(game):
    one = game.rounds[0]
    asked = game.text(1)
    assert asked.splitlines()[0] == f"Question 1 of 3: {one.category}" and one.text in asked
    assert all(f"{letter}. {text}" in asked for letter, text in zip("ABCD", one.options, strict=True))
    assert "picture:" not in asked and "right" not in asked
    looked = " ".join(game.text(1, looked=True).split())
    assert all(in_words(scene) in looked for scene in one.scenes) and "Right is" not in looked
    answered = game.text(1, letters(game)[0].lower())
    assert f"{YOU}: {letters(game)[0]}, right" in answered and f"Right is {letters(game)[0]}" in answered
    assert f"{LOOKED}: " in game.text(1, "A", looked=True)


def test_the_score_counts_the_answers_given(game):
    rows = [re.split(r"  +", line) for line in game.play(letters(game)[:2]).splitlines()[2:]]
    assert rows[0] == ["you", "2 of 2"] and rows[1] == ["a model", "2 of 2"] and rows[-1][1] == "0.5 of 2"
    wrong = "".join("B" if letter == "A" else "A" for letter in letters(game))
    lines = dict(re.split(r"  +", line) for line in game.play(wrong).splitlines()[2:])
    always = sum(letter == "A" for letter in letters(game))
    assert lines["you"] == "0 of 3" and lines["a model"] == "3 of 3" and lines[PLAYERS[1]] == f"{always} of 3"


@pytest.mark.parametrize("call", ["text(0)", "text(4)", "text(1, 'E')", "text(1, '')", "play('AAAA')", "play('x')"])
def test_what_is_not_there_is_refused(game, call):
    with pytest.raises(ValueError, match="questions|option|answers"):
        eval(f"game.{call}", {"game": game})


def test_the_page_carries_everything_and_asks_nobody(game):
    page = game._repr_html_()
    (carried,) = re.findall(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)
    play = json.loads(carried)
    assert [one["right"] for one in play["rounds"]] == [one.right for one in game.rounds]
    assert play["players"] == list(PLAYERS) and all(len(one["frames"]) == 2 for one in play["rounds"])
    assert page.count("<script") == page.count("</script>") == 2
    assert not re.search(r"https?:|//\w|\bimport\b|fetch\(|XMLHttp", re.sub(r'"data:[^"]*"|//.*', "", page))
    assert "3 of 3" in page.split("<script")[0], "where no script runs, everybody's scores are there"
    assert page == game._repr_html_() and "data-lm-suppress-shortcuts" in page


# ---------------------------------------------------------------- the game in a browser


@pytest.fixture(scope="module")
def chromium():
    with browser.Browser(browser.find()) as one:
        yield one


@pytest.mark.long
@pytest.mark.skipif(browser.find() is None, reason=f"needs one of {', '.join(browser.NAMES)} on the path")
def test_it_is_played_by_keyboard_and_announced(game, chromium, tmp_path):
    text = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Game</title><body>{game._repr_html_()}</html>'
    (tmp_path / "game.html").write_text(text, encoding="utf-8")
    with chromium.open((tmp_path / "game.html").as_uri(), width=390) as page:
        page.run("window.region = document.querySelector('.mm-said')")
        focused = "document.activeElement.textContent"
        page.press("Tab")
        assert page.run(focused).startswith("A. ")
        assert page.run("document.querySelector('.mm-pictures').hidden"), "nobody sees the pictures before asking"
        page.press(*["Tab"] * game.rounds[0].right, "Enter")
        assert page.run("region.textContent") == "Right. You: 1 of 1 from the words."
        assert page.run(focused) == "Next question"
        words = in_words(game.rounds[0].scenes[1])
        page.wait("document.querySelectorAll('.mm-pictures img')[1].naturalWidth == 96")
        assert page.run("document.querySelectorAll('.mm-pictures img')[1].alt") == f"Second picture. {words}"
        page.press("Enter")
        assert page.run("document.querySelectorAll('.mm-pictures img').length") == 0
        page.press(*["Tab"] * 4, "Space")
        assert "Both pictures are shown" in page.run("region.textContent") and page.run(focused).startswith("A. ")
        page.press(*["Tab"] * ((game.rounds[1].right + 1) % 4), "Enter")
        right = letters(game)[1]
        said = f"Wrong. Right is {right}: {game.rounds[1].options[ord(right) - 65]} "
        assert page.run("region.textContent").startswith(said)
        page.press("Enter", "Enter")
        assert "That was the last question." in page.run("region.textContent")
        rows = page.run("[...document.querySelectorAll('.mm-scores tbody tr')].map(row => row.lastChild.textContent)")
        assert rows[2] == "3 of 3" and rows[-1] == "0.75 of 3" and rows[1] == "0 of 1"
        (status,) = [node for node in page.found() if node["role"] == "status"]
        assert status["live"] == "polite" and page.run("region.isConnected")
        page.press("Enter")
        assert page.run("document.querySelector('.mm-count').textContent").startswith("Question 1 of 3")
        assert page.faults() == [] and page.nameless() == []
        assert page.run("document.documentElement.scrollWidth <= innerWidth")


# ---------------------------------------------------------------- one picture, the contrast set, the tables


def test_from_one_picture_two_sentences_remain(items):
    """Counted again from the scenes' own words, which the contrast set does not use."""
    for item in items:
        for place in (0, 1):
            open_ = left_open(item, place)
            assert sum(open_.values()) == 1 and item.right in open_
            shown = {in_words(pair[place]) for pair in item.quartet.pairs[item.right]}
            assert in_words(item.scenes[place]) in shown
            if item.category != "Scene":
                assert list(open_.values()) == [Fraction(1, 2)] * 2


def test_the_best_of_one_picture_is_a_half_but_for_places(items):
    for place in (0, 1):
        found = best_from_one(items, place)
        scene = found.pop("Scene")
        everything = found.pop("all")
        assert set(found.values()) == {0.5} and 0.5 <= scene <= 1
        assert everything == pytest.approx((10 * 0.5 + scene) / 11)


def test_the_contrast_set_says_what_it_draws(items):
    item = next(one for one in items if one.category == "Attribute")
    twin = contrast_set_figure(item)
    assert "<image" in twin.html and all(text in twin.text for text in item.quartet.texts)
    for name, first, second in (("top left", 0, 0), ("bottom right", 1, 1)):
        words = next(line for line in twin.text.splitlines() if line.startswith(name))
        facts = read(words.removeprefix(name)).facts
        wanted = read(in_words(item.quartet.pairs[0][second][first])).facts
        assert facts == wanted
    (right,) = [line for line in sentences(item).text.splitlines() if line.endswith("yes")]
    assert item.quartet.texts[item.right] in right
    with pytest.raises(ValueError, match="no square"):
        contrast_set_figure(next(one for one in items if one.category == "Scene"))


def test_the_printed_table_counts_who_lies_below():
    rows = {
        "people": {"printed": 95.0, "over_all_questions": 95.0},
        "one": {"printed": 40.0, "over_all_questions": 42.0},
        "one, MED": {"printed": 80.0, "over_all_questions": 81.0},
        "unknown": {"printed": 12.0},
    }
    audit = {"n": 100, "chance": 0.25, "rules": {"longest": 0.6}, "ci": {"longest": [0.5, 0.69]}}
    twin = printed_figure(rows, audit, "longest", "Right")
    assert "Of 2 rows of models, 1 lie below" in twin.text and "unknown" not in twin.text
    assert "42.0 [32.8, 51.8]" in twin.text, "Wilson's interval of 42 in 100"


def test_both_orders_stand_beside_a_guess():
    one = {"value": 0.5, "ci": [0.4, 0.6]}
    both = {name: one for name in ("accuracy", "accuracy_swapped", "both_right", "same_letter")}
    record = {name: {"both_orders": both} for name in ("letters", "likelihood_sum", "likelihood_mean")}
    grey = {"accuracy": 0.25, "ci": [0.2, 0.3]}
    blind = {"letters": {"accuracy": 0.25, "ci": {"accuracy": [0.2, 0.3]}}, "likelihood": {"sum": grey, "mean": grey}}
    text = orders_table(record, blind, "Orders").text
    assert text.count("25.0 [20.0, 30.0]") == 3 and text.count("50.0 [40.0, 60.0]") == 12
    guesses = [re.split(r"  +", line)[1] for line in text.splitlines()[2:]]
    assert guesses == ["25.0", "25.0", "25.0", "6.2", "25.0"]


@pytest.mark.parametrize("name", ["tiny-llava", "no-image"])
def test_the_chapters_records_are_of_the_shipped_model(name):
    shipped = sha256(checkpoint_folder("tiny-llava") / "model.safetensors")
    assert recorded(f"med-tiny/{name}")["weights_sha256"] == shipped, "measure again: maintenance/med_tiny.py"
