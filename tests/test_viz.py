"""What is shown always has words: twins, marked captions, figures of profiles, tables of scores."""

import re
from html.parser import HTMLParser

import pytest

from mmhallu_core.evaluate.chair import Mention, chair_mentions
from mmhallu_core.evaluate.diorama.exam import world_vocabulary
from mmhallu_core.evaluate.profile import QUESTIONS
from mmhallu_core.viz.marked import in_words, marked, scene_cards
from mmhallu_core.viz.scores import (
    agreement_table,
    chair_table,
    chances,
    dial_table,
    overall,
    rates,
    reported_table,
    shown,
)
from mmhallu_core.viz.twins import Twin, picture, table
from mmhallu_core.world.language import read
from mmhallu_core.world.prior import sample_scene


class Page(HTMLParser):
    """Reads a fragment as a browser does: its words, its pictures' words, and whether all tags are closed."""

    def __init__(self, fragment):
        super().__init__()
        self.words, self.alts, self.open = "", [], []
        self.feed(fragment)
        self.close()

    def handle_starttag(self, tag, attributes):
        if tag in ("img", "svg"):
            self.alts.append(dict(attributes).get("alt" if tag == "img" else "aria-label", ""))
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words += data


def test_a_wrong_word_is_underlined_and_said():
    caption = "A <b>dog</b> & two umbrellas by the sea."
    twin = marked(caption, chair_mentions(caption, {"dog"}, world_vocabulary(), "fixed"))
    page = Page(twin.html)
    assert page.words == "A <b>dog</b> & two umbrellas (not in the picture) by the sea." and not page.open
    assert re.search(r"text-decoration:underline[^>]*>umbrellas<", twin.html)
    assert str(twin) == "A <b>dog</b> & two [umbrellas: not in the picture] by the sea."
    assert "color" not in twin.html


def test_marks_do_not_depend_on_the_order_of_mentions():
    wrong = [Mention("b", 2, 3, 1, True), Mention("a", 0, 1, 0, True)]
    assert str(marked("a b c", wrong)) == "[a: not in the picture] [b: not in the picture] c"
    assert str(marked("a b c", [])) == marked("a b c", []).html == "a b c"


def test_a_scene_card_says_what_is_in_the_picture():
    scene = sample_scene("card")
    twin = scene_cards(scene, {"model": marked("A tent.", [Mention("tent", 2, 6, 1, True)])})
    page = Page(twin.html)
    first, _, rest = in_words(scene).partition(". ")
    assert page.alts == [f"Drawn scene. {first}. All of it stands in words beside the picture."] and not page.open
    assert page.words.count(rest) == 1, "nobody has to hear it twice"
    assert in_words(scene) in str(twin) and "[tent: not in the picture]" in str(twin)
    kinds = {fact.value for fact in read(in_words(scene)).facts if fact.predicate == "is"}
    assert kinds == set(scene.kinds())
    assert scene_cards(scene, {}).html == scene_cards(scene, {}).html


def test_a_table_reads_the_same_in_both_forms():
    twin = table(("model", "score <%>"), [("a & b", "1.5"), ("c", "20.25")], "Two rows")
    page = Page(twin.html)
    assert not page.open
    for cell in ("Two rows", "model", "score <%>", "a & b", "1.5", "c", "20.25"):
        assert cell in page.words and cell in str(twin)
    assert twin.html.count('scope="col"') == 2 and twin.html.count('scope="row"') == 2
    lines = str(twin).splitlines()
    assert len(lines) == 4 and lines[2].index("1.5") == lines[3].index("20.25")
    assert twin._repr_html_() == twin.html and repr(twin) == twin.text


def test_nothing_is_shown_without_words():
    with pytest.raises(ValueError, match="title"):
        table(("a",), [("b",)], " ")
    with pytest.raises(ValueError, match="2 entries a row"):
        table(("a", "b"), [("c",)], "short")
    with pytest.raises(ValueError, match="words"):
        picture(b"", "image/png", "")


def answer(chance, fifths=(1.0, 2.0, 3.0, 4.0, 5.0)):
    rows = [
        {"from": k / 5, "to": (k + 1) / 5, "n": 100, "value": value / 100, "ci": [value / 200, value / 50]}
        for k, value in enumerate(fifths)
    ]
    return {"chance": chance, "ci": [chance - 0.1, chance + 0.1], "n": 40, "fifths": rows}


def profiles(chance, fifths=(1.0, 2.0, 3.0, 4.0, 5.0)):
    return {question: answer(chance, fifths) for question in QUESTIONS}


PHOTOS = {f"photo {number}": profiles(0.7) for number in range(5)}


@pytest.mark.parametrize("draw", [chances, rates])
def test_a_figure_has_alt_text_and_a_table(draw):
    ours = {"drawn": profiles(0.3, (5.0, 4.0, 3.0, 2.0, 1.0))}
    twin = draw(PHOTOS, ours)
    page = Page(twin.html)
    assert len(page.alts) == 1 and len(page.alts[0]) > 80 and not page.open
    assert page.alts[0] in str(twin)
    assert twin.html.count("<table") == 1 and "drawn" in page.words and "photo 4" in page.words
    assert twin.html == draw(PHOTOS, ours).html, "the same numbers must give the same bytes"
    if draw is chances:
        assert "more often than not for 5. drawn: less often than not." in page.alts[0]
        assert "0.70 [0.60, 0.80] n=40" in str(twin)
    else:
        assert "higher at the end for photo 0, photo 1, photo 2, photo 3, photo 4; not for drawn." in page.alts[0]


@pytest.mark.long
def test_a_model_without_a_wrong_word_can_be_shown():
    empty = {"chance": None, "ci": None, "n": 0, "fifths": [
        {"from": 0.0, "to": 1.0, "n": 0, "value": None, "ci": None}, {"from": 0.0, "to": 1.0, "n": 9, "value": 0.0,
                                                                      "ci": [0.0, 0.0]}]}  # fmt: skip
    ours = {"silent": dict.fromkeys(QUESTIONS, empty)}
    assert "silent" in str(chances(PHOTOS, ours)) and "silent" in str(rates(PHOTOS, ours))
    assert overall(empty) == 0 and overall({"fifths": empty["fifths"][:1]}) is None


def test_overall_is_the_rate_of_all_groups_together():
    assert overall(answer(0.7)) == pytest.approx(0.03)


def test_scores_are_shown_with_their_intervals():
    assert shown((0.1234, [0.1, 0.2])) == "12.3 [10.0, 20.0]"
    assert shown((8.25, None), scale=1, digits=2) == "8.25" and shown((None, None)) == "none"


CHAIR = {
    "n": 48, "chair_i": 0.1, "chair_s": 0.2, "recall": 0.9, "mean_length": 12.5,
    "ci": {"chair_i": [0.05, 0.15], "chair_s": [0.1, 0.3], "recall": [0.8, 0.95], "mean_length": [12.0, 13.0]},
}  # fmt: skip
POPE = {"strict": {"accuracy": 0.9}, "ci": {"strict": {"accuracy": [0.85, 0.95]}}}
SCORES = {
    "scenes": 48, "chair": CHAIR, "pope": {"random": POPE, "adversarial": POPE},
    "place": {"ratio": None, "ci": None},
}  # fmt: skip


def test_tables_of_scores():
    text = str(chair_table({"now": CHAIR, "then": CHAIR}, "CHAIR"))
    assert text.count("10.0 [5.0, 15.0]") == 2 and text.count("12.5 [12.0, 13.0]") == 2
    text = str(dial_table({"on": SCORES}, "dial"))
    assert "90.0 [85.0, 95.0]" in text and re.search(r"times chance\s+none", text)
    text = str(reported_table({"m": {"reported": {"chair_i": 9.2, "chair_s": 31.5}, "chair": CHAIR}}, "r"))
    assert "9.2" in text and "10.00 [5.0, 15.0]" in text
    verdicts = str(agreement_table(PHOTOS, profiles(0.3), "agreement"))
    assert verdicts.count("disagrees") == 4 and "5 more often than not" in verdicts


def test_a_twin_prints_its_words():
    assert f"{Twin('<b>x</b>', 'x')}" == "x"
