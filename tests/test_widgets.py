"""Widgets without a browser: what they say, what they carry, and that words and pictures are exact."""

import base64
import html
import io
import json
import random
import re

import numpy as np
import pytest
from PIL import Image

from mmhallu_core.models.vlm import Vlm
from mmhallu_core.viz import frames
from mmhallu_core.viz.marked import explained, judged, wrong_words
from mmhallu_core.viz.player import Player
from mmhallu_core.viz.states import Control, State
from mmhallu_core.viz.twins import Twin
from mmhallu_core.viz.widgets import HABITS, caption_marker, prior_dial, scene_builder
from mmhallu_core.viz.widgets_scene import fields, titled, unusual_scenes
from mmhallu_core.world.edits import CATEGORIES, sample_edit
from mmhallu_core.world.language import describe
from mmhallu_core.world.language.read import known_facts
from mmhallu_core.world.prior import TYPICAL, annotate, sample_scene
from mmhallu_core.world.render import render
from mmhallu_core.world.scene import Scene, Thing, facts, layout_ok
from mmhallu_core.world.vocabulary import PLACES

pytestmark = pytest.mark.long

BALL = Thing("o1", "ball", "red", x=0.3, y=0.95)
DOG = Thing("o2", "dog", "white", x=0.7, y=0.95, pose="standing")
BEACH = Scene("beach", "beach", (BALL, DOG))


def state(words, scene=BEACH, base=None):
    return State(scene, {"Said": Twin(f"<b>{html.escape(words)}</b>", words)}, base)


def player(**more):
    inner = {"red": state("as it is"), "blue": state("painted", BEACH.replace(BALL.but(colour="blue")), BEACH)}
    tree = {"ball": Control("Colour", inner, start=1), "nothing": Control("Strength", {"low": state("a </script> b")})}
    return Player("Two controls", Control("What", tree), **more)


def unwrapped(text):
    """A text in one line."""
    return " ".join(text.split())


# ---------------------------------------------------------------- the player


def test_text_takes_numbers_and_names():
    one = player()
    assert one.text() == one.text(0) == one.text("ball", "blue") == one.text(0, 1)
    assert one.text(0, 0).splitlines() == [
        "What: ball", "Colour: red",
        "In the picture: This is a beach. There is a red ball on the left. There is a",
        "  white dog standing on the right. The ball is to the left of the dog.",
        "Said: as it is",
    ]  # fmt: skip
    assert "blue ball" in one.text()
    for wrong, message in (((7,), r"What: there is no 7; choose one of 0 \(ball\), 1 \(nothing\)"),
                           (("ball", "green"), "Colour: there is no 'green'"), ((0, 0, 0), "too many"),
                           ((-1,), "no -1")):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            one.text(*wrong)


def test_print_shows_every_setting_of_the_last_control():
    dial = Player("A dial", Control("Level", {"low": state("one"), "high": state("two")}, dial=True), note="A note.")
    assert str(dial) == repr(dial)
    assert re.findall(r"Level: (\w+)|Said: (\w+)|In the (picture)", str(dial)) == [
        ("low", "", ""), ("", "", "picture"), ("", "one", ""), ("high", "", ""), ("", "two", "")
    ], "the picture is told once, since it does not change"  # fmt: skip
    assert str(dial).startswith("A dial\n\nA note.")
    assert str(player()).count("In the picture") == 2
    assert max(map(len, str(player(note="so " * 60)).splitlines())) <= 79


def carried(page):
    """The JSON that a page carries."""
    (text,) = re.findall(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)
    return json.loads(text)


def test_the_page_carries_everything_and_asks_nobody():
    page = player(note="x < y")._repr_html_()
    play = carried(page)
    assert play["tree"]["label"] == "What" and play["tree"]["options"][0][1]["start"] == 1
    assert [play["words"][text] for text in play["states"][2][2:]] == ["Said", "<b>a &lt;/script&gt; b</b>"]
    assert len(play["words"]) == len(set(play["words"])) == 6, "two pictures, a heading, three sentences, each once"
    assert not re.search(r"https?:|//\w|\bimport\b|fetch\(|XMLHttp", re.sub(r'"data:[^"]*"|//.*', "", page))
    assert opened(play["sheet"]).mode == "RGBA" and play["size"] == 192
    assert page.count("<script") == page.count("</script>") == 2 and "x &lt; y" in page
    # without a script, the state at the start is there
    assert "<b>painted</b>" in page.split("<script")[0] and 'alt="Drawn scene. This is a beach.' in page
    assert 'role="status" aria-live="polite"' in page
    assert page == player(note="x < y")._repr_html_(), "the same states must give the same bytes"


def test_every_form_is_offered_and_a_page_needs_no_kernel():
    bundle = player()._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html", "application/vnd.jupyter.widget-view+json"}
    assert bundle["text/plain"] == str(player())


def test_without_ipywidgets_the_page_remains(monkeypatch):
    monkeypatch.setattr("mmhallu_core.viz.player.find_spec", lambda name: None)
    assert set(player()._repr_mimebundle_()) == {"text/plain", "text/html"}


def opened(uri):
    return Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/webp;base64,"))))


@pytest.mark.parametrize("highest", [frames.HIGHEST, 200])
def test_a_patch_over_the_whole_is_the_picture(monkeypatch, highest):
    monkeypatch.setattr(frames, "HIGHEST", highest)
    many, size = frames.Frames(96), 96
    scenes = [BEACH.replace(BALL.but(colour="blue")), BEACH.without("o2"), Scene("x", "night", BEACH.things), BEACH]
    drawn = [many.add(scene, BEACH) for scene in scenes]
    assert drawn == [many.add(scene, BEACH) for scene in scenes] and [len(tiles) for tiles in drawn] == [2, 2, 2, 1]
    assert len(many.tiles) == 4, "the beach and three patches, each once"
    sheet = opened(many.uri())
    assert sheet.height <= highest and (sheet.width > size) == (highest == 200), "a full column is followed by another"
    for scene, tiles in zip(scenes, drawn, strict=True):
        image = Image.new("RGBA", (size, size))
        for number, left, top in tiles:
            x, y, wide, high = many.tiles[number]
            image.alpha_composite(sheet.crop((x, y, x + wide, y + high)), (left, top))
        assert np.array_equal(np.asarray(image.convert("RGB")), np.asarray(render(scene, size).image))


# ---------------------------------------------------------------- which words are wrong, and why


@pytest.mark.parametrize("detail", ["brief", "normal", "full"])
def test_a_true_description_has_no_wrong_word(detail):
    for number in range(40):
        scene = sample_scene(f"widgets/true/{number}")
        assert wrong_words(describe(scene, detail).text, scene) == []


def test_a_sentence_about_an_edited_picture_is_marked():
    """The writer notes which facts it asserts, with true ids: an independent count of what must be marked."""
    for category in CATEGORIES:
        for seed in range(6):
            edit = sample_edit(category, seed)
            told = describe(edit.after, "full")
            false = set(told.facts) - known_facts(edit.before)
            assert bool(wrong_words(told.text, edit.before)) == bool(false), (category, seed, told.text)


def test_what_habit_adds_is_marked_with_habit():
    for number in range(30):
        scene = sample_scene(f"widgets/habit/{number}")
        noted, imagined = annotate(scene, random.Random(number), eta=1.0)
        text = describe(noted, last=imagined).text
        wrong = wrong_words(text, scene)
        assert bool(wrong) == bool(imagined)
        for one in wrong:
            assert one.why.startswith("not in the picture; habit: ") and one.why.endswith(" often have one")
            assert text[one.start : one.end] in TYPICAL[scene.place]


@pytest.mark.parametrize(
    "text, told",
    [
        ("There is an umbrella.", "There is an [umbrella: not in the picture; habit: beaches often have one]."),
        ("There is a tent.", "There is a [tent: not in the picture]."),
        ("There is a blue ball.", "There is a [blue: the ball is red, not blue] ball."),
        ("A white dog is lying.", "A white dog is [lying: the dog is standing, not lying]."),
        ("This is a field.", "This is [a field: it is a beach]."),
        ("There are two dogs.", "There are two [dogs: the picture has only one]."),
        ("There is no ball.", "There is no [ball: it is in the picture]."),
        ("There is no tent.", "There is no tent."),
        ("The dog is on the left.", "The dog is [on the left: the dog is on the right]."),
        ("Wow, a kite! <dog>", "Wow, a [kite: not in the picture]! <dog>"),
        ("", ""),
    ],
)
def test_why(text, told):
    assert explained(text, BEACH).text == told
    shown = explained(text, BEACH).html
    read_aloud = html.unescape(re.sub(r"</?(?:strong|small)[^>]*>", "", shown))
    assert read_aloud == re.sub(r"\[([^:]*): ([^]]*)\]", r"\1 (\2)", told), "both forms must say the same"
    assert shown.count('<strong class="mm-wrong">') == told.count("[")


def test_an_answer_is_right_or_underlined():
    assert judged("yes", "Yes.").text == "yes (right)"
    twin = judged("<No>.", "Yes.")
    assert twin.text == "[<No>.: wrong; right is: Yes.]" and "<strong" in twin.html and "&lt;No&gt;" in twin.html


# ---------------------------------------------------------------- changing one fact


def test_each_field_changes_its_fact_and_nothing_hides():
    for number in range(25):
        scene = sample_scene(f"widgets/fields/{number}")
        for field in fields(scene):
            assert field.values[field.value] == scene and len(field.values) > 1
            answers = {word: field.question(after) for word, after in field.values.items()}
            assert answers[field.value].answer
            for word, after in field.values.items():
                if word != field.value:
                    assert set(facts(after)) != set(facts(scene)) and layout_ok(after.things)
            looks = field.key[1] in ("colour", "pattern", "size", "pose") or field.key == ("scene", "place")
            named, *_ = field.label.split(":")
            if looks and "(" not in named:  # the only one of its kind: the question asks for the very fact
                assert len({one.text for one in answers.values()}) == 1
                assert len({one.answer for one in answers.values()}) == len(answers)


def test_every_fact_of_a_thing_can_be_changed():
    what = {field.key for field in fields(BEACH)}
    for thing in BEACH:
        for name in ("kind", "colour", "size", "pattern", "there"):
            assert (thing.id, name) in what
    assert {("o2", "pose"), ("o2", "tail"), ("scene", "place"), ("new", "more")} <= what
    assert ("o1", "pose") not in what


def test_unusual_scenes_lack_the_usual():
    for place in PLACES:
        for scene in unusual_scenes(place, 3, most=4):
            assert scene.place == place and not scene.of_kind(TYPICAL[place][0]) and 3 <= len(scene.things) <= 4
    assert titled(unusual_scenes("beach", 1)[0]) == "A beach without an umbrella"
    assert titled(Scene("x", "beach", (Thing("o1", "umbrella", "red", 0.5, 0.9),))) == "A beach"


# ---------------------------------------------------------------- the three widgets


@pytest.fixture(scope="module")
def models():
    """tiny-llava, and another model of the same form that stands in for the one without habit."""
    from mmhallu_core.tour.run import ADAPTER

    return Vlm.load(), Vlm.load(adapters=[ADAPTER])


def test_the_dial_runs_from_one_model_to_the_other(models):
    habit, control = models
    scene = unusual_scenes("beach", 1)[0]
    dial, image = prior_dial(scene, habit=habit, control=control), render(scene, 96).image
    assert list(dial.control.options) == list(HABITS) and dial.control.dial and dial.control.start == 4
    for setting, model in ((0, control), (4, habit)):
        said = model.answer([image], ["Describe the image."], 120)[0]
        assert dial.state(setting).lines == f"The model says: {explained(said, scene).text}"
    assert dial.text("full") == dial.text() == dial.text(4)
    assert len(dial._repr_html_()) < 150_000


def test_the_dial_says_how_its_picture_was_found(models):
    dial = prior_dial(habit=models[0], control=models[1])
    told = (
        r"one of 24 that were drawn without an umbrella\. In (\d+) of them, the model trained with habit names an "
        r"umbrella all the same; the model trained without habit does so in (\d+)\. "
        r"Shown is the first scene( in which only)?"
    )
    found = re.search(told, dial.note)
    assert found and titled(dial.state().scene) == "A beach without an umbrella"
    if found.group(3):
        assert "[umbrella: not in the picture; habit: beaches often have one]" in unwrapped(dial.text(4))
        assert "umbrella:" not in dial.text(0)


def test_without_the_control_one_setting_remains(models, monkeypatch):
    from mmhallu_core import store

    monkeypatch.setattr(store, "PACKAGE", store.PACKAGE / "nowhere")
    dial = prior_dial(unusual_scenes("beach", 1)[0], habit=models[0])
    assert list(dial.control.options) == ["full"] and "mmhallu pretrain tiny-llava --control" in dial.note
    assert "The model says" in str(dial) and dial.widget()


def test_the_scene_builder_asks_about_what_changes(models):
    builder = scene_builder(BEACH, vlm=models[0])
    text = unwrapped(builder.text("A beach without an umbrella", "the ball: colour", "blue"))
    assert "What colour is the ball?" in text and "There is a blue ball on the left." in text
    after = BEACH.replace(BALL.but(colour="blue"))
    answer = models[0].answer([render(after, 96).image], ["What colour is the ball?"], 8)[0]
    assert judged(answer, "Blue.").text in text
    play = carried(builder._repr_html_())
    assert len(play["states"]) == sum(min(len(field.values), 8) for field in fields(BEACH))
    (facts,) = builder.control.options.values()
    assert list(facts.options) == [field.label for field in fields(BEACH)], "every fact can be changed"
    assert {"an umbrella", "a boat"} <= set(facts.options["one thing more"].options), "first what habit expects"
    assert len(builder._repr_html_()) < 170_000


def live_controls(box):
    """The controls of an ipywidgets box, by what they are called."""
    found = {}
    for child in getattr(box, "children", ()):
        found |= live_controls(child)
    name = getattr(box, "description", "")
    return found | {name: box} if name else found


def said(box):
    """The part of a live widget that is announced."""
    values = [box.value] if 'role="status"' in str(getattr(box, "value", "")) else []
    return "".join(values + [said(child) for child in getattr(box, "children", ())])


def test_live_changes_add_up(models):
    builder = scene_builder(BEACH, vlm=models[0])
    box = builder.widget()
    assert box is builder.widget()
    controls = live_controls(box)
    assert set(controls) == {"Picture", "What to change", "Change it to", "Start again"}
    what, value = controls["What to change"], controls["Change it to"]
    what.value = ("o1", "colour")
    assert "What colour is the ball?" in said(box) and value.value == "red"
    value.value = "green"
    what.value = ("o2", "there")
    value.value = "taken away"
    assert "Is there a dog in the image?" in said(box) and 'aria-live="polite"' in said(box)
    assert what.value == ("o1", "kind") and all(key[0] != "o2" for _, key in what.options)
    what.value = ("o1", "colour")
    assert value.value == "green", "the first change must still be there"
    controls["Start again"].click()
    what.value = ("o1", "colour")
    assert value.value == "red" and ("o2", "there") in [key for _, key in what.options]


def test_live_states_are_those_of_the_page():
    box = player().widget()
    controls = live_controls(box)
    assert set(controls) == {"What", "Colour"} and "painted" in said(box)
    controls["Colour"].value = 0
    assert "as it is" in said(box)
    controls["What"].value = 1
    assert set(live_controls(box)) == {"What"} and "&lt;/script&gt;" in said(box)


def test_any_sentence_can_be_marked():
    marker = caption_marker(BEACH, {"good": "There is a red ball.", "bad": "There is a kite. Blah!"})
    assert "[kite: not in the picture]" in marker.text("bad") and "only" not in marker.text("good")
    assert "“Blah”. Here only the nouns were looked up." in unwrapped(marker.text("bad"))
    controls = live_controls(marker.widget())
    typed = controls["Or your own"]
    assert typed.value == "There is a red ball."
    typed.value = "There is a blue <ball>"
    assert "blue &lt;" in said(marker.widget())
    controls["A ready sentence"].value = "There is a kite. Blah!"
    assert typed.value == "There is a kite. Blah!" and "(not in the picture)" in said(marker.widget())
    assert "red ball" in caption_marker(BEACH, "There is a red ball.").text()


def test_the_marker_has_sentences_of_its_own(models):
    marker = caption_marker(vlm=models[0])
    assert "umbrella: not in the picture; habit: beaches often have one" in unwrapped(marker.text("what habit writes"))
    assert "[a street: it is a beach]" in unwrapped(marker.text("the wrong place"))
    assert "[" not in marker.text("the truth")
