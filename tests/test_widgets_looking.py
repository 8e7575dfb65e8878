"""The widgets that look inside: what they say is what was measured, and a click changes what is shown."""

import html
import json
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from lab import notebook_in_lab
from test_widgets_browser import ANNOUNCED, needs_browser

from mmhallu_core.explain.attention import image_attention
from mmhallu_core.explain.reading import read
from mmhallu_core.explain.run import explain
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.viz.frames import drawn
from mmhallu_core.viz.states import Panel, State
from mmhallu_core.viz.twins import Twin
from mmhallu_core.viz.widgets_looking import before_after, edit_explorer, layers_and_heads, levels, word_map
from mmhallu_core.world.edits import edit_mask, sample_edit
from mmhallu_core.world.language import difference
from mmhallu_core.world.render import render
from mmhallu_core.world.scene import Scene, Thing

sys.path.append(str(Path(__file__).resolve().parents[1] / "book" / "_tools"))  # scripts, and no package
import browser

pytestmark = pytest.mark.long

BALL = Thing("o1", "ball", "red", x=0.3, y=0.95)
BEACH = Scene("beach", "beach", (BALL, Thing("o2", "dog", "white", x=0.7, y=0.95, pose="standing")))
TEXT = "There is a red ball. There is a dog and an umbrella."


@pytest.fixture(scope="module")
def vlm():
    return Vlm.load("tiny-llava")


@pytest.fixture(scope="module")
def words(vlm):
    return word_map(BEACH, vlm, TEXT)


def unwrapped(text):
    return " ".join(text.split())


def test_levels_are_of_what_is_positive():
    values = torch.tensor([[-1.0, 0.0], [0.5, 1.0]])
    assert levels(values) == ((0, 0), (4, 9)) and levels(-values.abs()) == ((0, 0), (0, 0))


def test_a_map_covers_a_grey_picture_and_only_where_it_has_a_level():
    plain = np.asarray(render(BEACH, 96).image.convert("L"))
    shown = np.asarray(drawn(BEACH, 96, ((0, 9), (0, 0))))
    assert (shown[:, :48] == plain[:, :48, None]).all() and (shown[48:] == plain[48:, :, None]).all()
    assert (shown[:48, 48:] != plain[:48, 48:, None]).any(-1).all()
    assert drawn(BEACH, 96).tobytes() == render(BEACH, 96).image.tobytes()


def test_pictures_stand_beside_each_other():
    empty = Scene("e", "beach", ())
    whole = State(BEACH, {"a": Twin("a", "a")}, panels=(Panel(BEACH), Panel(empty))).image(48)
    assert whole.size == (96, 48)
    assert whole.crop((0, 0, 48, 48)).tobytes() == render(BEACH, 48).image.tobytes()
    assert whole.crop((48, 0, 96, 48)).tobytes() == render(empty, 48).image.tobytes()


def test_a_clicked_word_shows_its_own_map(vlm, words):
    options = words.control.options
    assert list(options)[:6] == ["There", "is", "a", "red", "ball", "There (2)"] and words.control.words
    assert list(options)[words.control.start] == "umbrella", "it starts with the word for what is not there"
    found = explain(vlm, render(BEACH, 96).image, "Describe the image.", TEXT, "ball")
    (panel,) = options["ball"].panels
    assert panel.heat == levels(found.values[0])
    told = words.text("ball")
    assert f"log-probability is {found.score:.2f}" in unwrapped(told)
    rows = [line.strip() for line in told.splitlines() if re.fullmatch(r"\s*[.\d]( [.\d])+", line)]
    assert rows == [" ".join(str(level) if level else "." for level in row) for row in panel.heat]
    assert "[umbrella: not in the picture; habit: beaches often have one]" in unwrapped(told)


def test_dials_say_what_a_head_attends_to(vlm):
    one = layers_and_heads(BEACH, "ball", vlm, TEXT)
    reading = read(vlm, render(BEACH, 96).image, "Describe the image.", TEXT)
    share = image_attention(reading).share[:, :, list(reading.find("ball").tokens)].mean(2)
    for layer, head in ((0, 0), (share.shape[0] - 1, 2)):
        assert f"On the picture: {float(share[layer, head]):.1%} of all attention" in one.text(str(layer), str(head))
    assert f"{float(share.mean()):.1%} of all" in one.text("all", "all")
    assert list(one.control.options) == ["all", *map(str, range(len(share)))]


def test_two_models_read_one_sentence(vlm):
    one = before_after(BEACH, {"a": vlm, "b": Vlm.load("tiny-llava-control")}, TEXT)
    told = unwrapped(one.text("dog"))
    scores = re.findall(r"(?:a|b): log-probability (-[\d.]+)", told)
    assert len(scores) == 2 and scores[0] != scores[1]
    assert len(one.state("dog").panels) == 2 and one.state("dog").panels[0] != one.state("dog").panels[1]


def test_an_edit_is_shown_with_its_exact_mask(vlm):
    edit = sample_edit("Counting", 3)
    state = edit_explorer({"one": edit}, vlm).state("one")
    before, after, changed = state.panels
    assert (before.scene, after.scene) == (edit.before, edit.after)
    mask = edit_mask(edit, 96)
    rows, cols = np.nonzero(np.array(changed.heat))
    ys, xs = np.nonzero(mask)
    assert {(y // 4, x // 4) for y, x in zip(ys, xs, strict=True)} == set(zip(rows, cols, strict=True))
    assert f"{mask.mean():.1%} of the pixels, x {xs.min()} to {xs.max() + 1}" in state.text
    assert difference(edit).text in state.text and 0 < float(state.said["Similarity, by tiny-clip"].text) <= 1


@needs_browser
def test_a_click_changes_what_is_shown(words, tmp_path):
    page = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>W</title><body>{words._repr_html_()}</body>'
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    frame = "document.querySelector('.mm-frame img').src"
    button = "[...document.querySelectorAll('.mm-words button')].find(one => one.textContent === '{}')"
    with browser.Browser(browser.find()) as chromium, chromium.open((tmp_path / "page.html").as_uri()) as opened:
        before = opened.run(frame)
        opened.run(f"{button.format('ball')}.click()")
        assert opened.run(f"{button.format('ball')}.getAttribute('aria-pressed')") == "true"
        assert opened.run("document.querySelectorAll('.mm-words [aria-pressed=true]').length") == 1
        said = opened.run(f"{ANNOUNCED}[0].textContent")
        assert words.state("ball").said["The word"].text in said
        opened.wait(f"{frame} !== {json.dumps(before)}")
        clicked = opened.run(frame)
        opened.run(f"{button.format('dog')}.focus()")
        opened.press("Space")
        opened.wait(f"{frame} !== {json.dumps(clicked)}")
        assert words.state("dog").said["The word"].text in opened.run(f"{ANNOUNCED}[0].textContent")
        names = {node["name"] for node in opened.found() if node["role"] == "button"}
        assert set(words.control.options) <= names
        assert opened.faults() == [] and {one.split(":")[0] for one in opened.requests()} <= {"file", "data"}


def test_the_live_form_has_a_button_for_each_word(words):
    (buttons,) = words.widget().children[1].children
    assert [name for name, _ in buttons.options] == list(words.control.options)
    said = words.widget().children[2].children[1]
    buttons.index = list(words.control.options).index("ball")
    assert html.escape(words.state("ball").said["The word"].text) in said.value


@needs_browser
@pytest.mark.slow
@pytest.mark.skipif(find_spec("jupyterlab") is None, reason="needs JupyterLab: `python tasks.py lab` installs it")
def test_in_jupyterlab_a_click_changes_the_map(tmp_path):
    cell = f"from mmhallu_core.viz.widgets_looking import word_map\nword_map(text={TEXT!r})"
    with browser.Browser(browser.find()) as chromium, notebook_in_lab(chromium, tmp_path, cell) as page:
        frame = "document.querySelector('.jp-OutputArea .mm-frame img').src"
        before = page.run(frame)
        page.run("[...document.querySelectorAll('.jp-OutputArea button')].find(b => b.textContent === 'ball').click()")
        page.wait("document.querySelector('.mm-said').textContent.includes('ball; its log-probability')", 60)
        assert page.run(frame) != before
