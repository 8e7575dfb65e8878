"""Widgets where people meet them: in a browser without a kernel, in a real kernel, and in JupyterLab in a browser."""

import html
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from lab import notebook_in_lab

from mmhallu_core.viz.frames import Frames
from mmhallu_core.viz.marked import explained
from mmhallu_core.viz.player import Player
from mmhallu_core.viz.states import Control, State
from mmhallu_core.viz.twins import Twin
from mmhallu_core.world.render import render
from mmhallu_core.world.scene import Scene, Thing

sys.path.append(str(Path(__file__).resolve().parents[1] / "book" / "_tools"))  # scripts, and no package
import browser

pytestmark = pytest.mark.long

needs_browser = pytest.mark.skipif(
    browser.find() is None, reason=f"needs Linux or macOS, and on the path one of: {', '.join(browser.NAMES)}"
)
BALL = Thing("o1", "ball", "red", x=0.3, y=0.95)
BEACH = Scene("beach", "beach", (BALL, Thing("o2", "dog", "white", x=0.7, y=0.95, pose="standing")))
SENTENCES = {
    "none": "There is a ball.", "a little": "There is a ball and a dog.", "half": "There is a dog.",
    "much": "There is a kite.", "full": "There is a red umbrella.",
}  # fmt: skip
PHONE = '<meta name="viewport" content="width=device-width">'
ANNOUNCED = "document.querySelectorAll('.mm-said')"


def dial():
    """A dial like `prior_dial`, whose sentences are known."""
    states = {name: State(BEACH, {"The model says": explained(text, BEACH)}) for name, text in SENTENCES.items()}
    return Player("The dial", Control("How strong is habit?", states, start=4, dial=True), "A note.")


def lists():
    """Two lists, the second of which depends on the first, like `scene_builder`."""

    def paint(*colours):
        return {
            colour: State(BEACH.replace(BALL.but(colour=colour)), {"Colour": Twin(colour, colour)}, BEACH)
            for colour in colours
        }

    options = {"warm": Control("Change it to", paint("red", "orange", "yellow")),
               "cold": Control("Change it to", paint("blue", "green"), start=1)}  # fmt: skip
    return Player("The lists", Control("What to change", options))


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page with two dials and two lists, opened as a file."""
    folder = tmp_path_factory.mktemp("page")
    body = "".join(one._repr_html_() for one in (dial(), lists(), dial()))
    text = (
        f'<!doctype html><html lang="en"><meta charset="utf-8">{PHONE}<title>Widgets</title><body>{body}</body></html>'
    )
    (folder / "page.html").write_text(text, encoding="utf-8")
    return (folder / "page.html").as_uri()


@pytest.fixture(scope="module")
def chromium():
    with browser.Browser(browser.find()) as one:
        yield one


@pytest.fixture
def opened(chromium, page):
    """The page, open."""
    with chromium.open(page) as one:
        yield one


@needs_browser
def test_the_dial_turns_by_keyboard_and_is_announced(opened):
    opened.run(f"window.region = {ANNOUNCED}[0]")
    assert "umbrella (not in the picture; habit: beaches often have one)" in opened.run("region.textContent")
    opened.press("Tab")
    assert opened.run("document.activeElement.type") == "range"
    for name in reversed(list(SENTENCES)[:-1]):
        opened.press("ArrowLeft")
        (found,) = [node for node in opened.found() if node["role"] == "slider" and node.get("focused")]
        assert found["name"] == "How strong is habit?" and opened.value_said() == name
        shown = opened.run("region.querySelector('dd').textContent")
        assert shown.split(" (")[0] in SENTENCES[name] and SENTENCES[name][:12] in shown
    opened.press("ArrowLeft")
    assert opened.run("region.textContent") == "The model saysThere is a ball.", "the dial ends here"
    assert opened.run(f"region === {ANNOUNCED}[0] && region.isConnected"), "a new region would not be announced"
    assert opened.run(f"{ANNOUNCED}[2].textContent").endswith("often have one)."), "the other dial did not move"
    (status, *_) = [node for node in opened.found() if node["role"] == "status"]
    assert status["live"] == "polite" and status["atomic"] is True
    assert opened.faults() == [] and {one.split(":")[0] for one in opened.requests()} <= {"file", "data"}


@needs_browser
def test_lists_follow_each_other_and_the_picture_changes(opened):
    opened.run("document.querySelectorAll('select')[0].focus()")
    opened.press("ArrowDown")
    first, second = (opened.run(f"document.querySelectorAll('select')[{k}].selectedOptions[0].text") for k in (0, 1))
    assert (first, second) == ("cold", "green"), "a list starts where its states say"
    assert opened.run("document.querySelectorAll('select')[1].length") == 2
    opened.press("Tab", "ArrowUp")
    assert opened.run(f"{ANNOUNCED}[1].textContent") == "Colourblue"
    alt = opened.run("document.querySelectorAll('.mm-frame')[1].firstChild.alt")
    assert alt.startswith("Drawn scene.") and "blue ball" in alt
    pixels = opened.run(
        """(async () => {
            const image = document.querySelectorAll('.mm-frame')[1].firstChild;
            await image.decode();
            const draw = Object.assign(document.createElement('canvas'), {width: 192, height: 192}).getContext('2d');
            draw.drawImage(image, 0, 0);
            return [image.naturalWidth, ...draw.getImageData(0, 0, 192, 192).data];
        })()"""
    )
    assert pixels[0] == Frames().size == 192
    drawn = render(BEACH.replace(BALL.but(colour="blue")), 192).image.convert("RGBA")
    assert bytes(pixels[1:]) == drawn.tobytes(), "the whole and the patch over it are the picture, to the pixel"


@needs_browser
def test_everything_has_a_name(opened):
    opened.press("Tab")
    for node in opened.found():
        if node["role"] in ("slider", "combobox", "image", "button"):
            assert node["name"], node
    assert {"The dial", "The lists"} <= {node["name"] for node in opened.found() if node["role"] == "group"}
    roles = [node["role"] for node in opened.found()]
    assert roles.count("slider") == 2 and roles.count("combobox") == 2 and roles.count("status") == 3


@needs_browser
@pytest.mark.parametrize("scheme, theme", [("light", ""), ("dark", ""), ("light", "dark"), ("dark", "light")])
def test_wrong_words_can_be_read_on_light_and_on_dark(chromium, page, scheme, theme):
    with chromium.open(page, 390, 800, dark=scheme == "dark") as opened:
        dark = (theme or scheme) == "dark"
        opened.run(f"document.documentElement.dataset.theme = '{theme}'" if theme else "1")
        style = "getComputedStyle(document.querySelector('.mm-wrong'))"
        red, green, blue = (int(part) for part in opened.run(f"{style}.color.match(/\\d+/g)"))
        assert contrast((red, green, blue), (18, 18, 18) if dark else (255, 255, 255)) > 4.5
        assert "underline" in opened.run(f"{style}.textDecorationLine")
        assert opened.run("document.documentElement.scrollWidth") <= 390, "a phone must not have to scroll sideways"


def contrast(a, b):
    """The contrast of two colours, as WCAG 2.1 defines it."""

    def light(colour):
        parts = [v / 255 for v in colour]
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((light(a), light(b)))
    return (high + 0.05) / (low + 0.05)


# ---------------------------------------------------------------- a real kernel

CELL = """
from mmhallu_core.viz.widgets import caption_marker
from mmhallu_core.world.scene import Scene, Thing
beach = Scene("b", "beach", (Thing("o1", "ball", "red", x=0.3, y=0.95),))
caption_marker(beach, {"true": "There is a red ball.", "false": "There is an umbrella."})
"""


def test_a_kernel_moves_the_live_widget():
    """What a notebook page does when somebody chooses and types, message by message."""
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(kernel_name="python3", startup_timeout=180)
    try:
        models, shown = {}, {}

        def listen(parent):
            """Takes in messages until the kernel is idle again."""
            while True:
                message = client.get_iopub_msg(timeout=300)
                content, kind = message["content"], message["msg_type"]
                if kind == "comm_open":
                    models[content["comm_id"]] = dict(content["data"]["state"])
                elif kind == "comm_msg" and content["data"].get("method") in ("update", "echo_update"):
                    models[content["comm_id"]].update(content["data"]["state"])
                elif kind == "execute_result":
                    shown.update(content["data"])
                elif kind == "error":
                    raise AssertionError("\n".join(content["traceback"]))
                about_us = message["parent_header"].get("msg_id") == parent
                if about_us and kind == "status" and content["execution_state"] == "idle":
                    return

        def set_state(description, **state):
            """Sends what a front end sends when a control was moved."""
            (name,) = [key for key, one in models.items() if one.get("description") == description]
            data = {"method": "update", "state": state, "buffer_paths": []}
            message = client.session.msg("comm_msg", {"comm_id": name, "data": data})
            client.shell_channel.send(message)
            listen(message["header"]["msg_id"])

        def announced():
            (text,) = [one["value"] for one in models.values() if 'role="status"' in str(one.get("value"))]
            return text

        listen(client.execute(CELL))
        assert {"text/plain", "text/html", "application/vnd.jupyter.widget-view+json"} <= set(shown)
        assert shown["application/vnd.jupyter.widget-view+json"]["model_id"] in models
        assert "There is a red ball." in announced() and 'aria-live="polite"' in announced()
        set_state("A ready sentence", index=1)
        assert "umbrella</strong>" in announced() and "habit: beaches often have one" in announced()
        set_state("Or your own", value="There is a blue ball.")
        assert "the ball is red, not blue" in html.unescape(announced())
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@needs_browser
@pytest.mark.slow
@pytest.mark.skipif(find_spec("jupyterlab") is None, reason="needs JupyterLab: `python tasks.py lab` installs it")
def test_jupyterlab_shows_the_live_widget(chromium, tmp_path):
    """JupyterLab in a browser: run the notebook's cell, choose a sentence by keyboard, type another."""
    with notebook_in_lab(chromium, tmp_path, CELL) as page:
        names = {(node["role"], node["name"]) for node in page.found()}
        assert {
            ("combobox", "A ready sentence"),
            ("textbox", "Or your own"),
            ("button", "Mark the wrong words"),
        } <= names
        page.wait("!!document.querySelector('.jp-Notebook-ExecutionIndicator[data-status=idle]')", 60)
        time.sleep(3)
        page.run("document.querySelector('.jp-OutputArea select').focus()")
        for key in ("Space", "ArrowDown", "Enter"):  # JupyterLab keeps the arrow keys, until the list is open
            page.press(key)
            time.sleep(1)  # the open list is a window of its own, which takes a moment
        page.wait("document.querySelector('.mm-said').textContent.includes('habit: beaches often have one')", 60)
        assert "status" in {node["role"] for node in page.found()}
        page.run("document.querySelector('.jp-OutputArea textarea').select()")
        page.run("document.querySelector('.jp-OutputArea textarea').focus()")
        page.write("There is a blue ball.")
        page.press("Tab")
        page.wait("document.querySelector('.mm-said').textContent.includes('the ball is red, not blue')", 60)
