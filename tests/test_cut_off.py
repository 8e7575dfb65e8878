"""Nothing on a page is cut off: on every page of the built book, and where a figure or a card meets a phone."""

import sys
from pathlib import Path

import pytest

from mmhallu_core.chapters.count_it import recorded
from mmhallu_core.viz.marked import scene_cards
from mmhallu_core.viz.samplings import pope_figure
from mmhallu_core.viz.twins import table
from mmhallu_core.world.edits import sample_edit

BOOK = Path(__file__).resolve().parents[1] / "book"
HTML = BOOK / "_build" / "html"
PAGES = sorted(path for path in HTML.rglob("*.html") if "_static" not in path.parts)
PHONE = 390, 844

sys.path.append(str(BOOK / "_tools"))  # scripts, and no package
import browser  # noqa: E402
import look  # noqa: E402

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(browser.find() is None, reason="no Chromium on this machine (or this is Windows)"),
]


@pytest.fixture(scope="module")
def chromium():
    with browser.Browser(browser.find()) as running:
        yield running


@pytest.fixture
def opened(chromium, tmp_path):
    """Opens what cells show, on a page with the book's style sheet, on a phone."""
    css = (BOOK / "_static" / "mmhallu.css").read_text(encoding="utf-8")

    def show(content, outside=""):
        head = f'<meta name="viewport" content="width=device-width"><title>t</title><style>{css} body {{margin: 1em}}'
        body = f'{outside}<div class="cell"><div class="cell_output">{content}</div></div>'
        page = f'<!doctype html><html lang="en">{head}</style><article class="bd-article">{body}</article></html>'
        (tmp_path / "page.html").write_text(page, encoding="utf-8")
        return chromium.open((tmp_path / "page.html").as_uri(), *PHONE)

    return show


@pytest.fixture(scope="module")
def address():
    with look.served(HTML) as found:
        yield found


@pytest.mark.skipif(not PAGES, reason="the book is not built: `make book`")
@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(HTML).as_posix())
def test_nothing_is_cut_off_on_a_built_page(chromium, address, page):
    with chromium.open(f"{address}/{page.relative_to(HTML).as_posix()}") as one:
        for width, height in look.SIZES.values():
            one.resize(width, height)
            assert one.run(look.CUT) == [], f"{width} pixels wide"


def test_figures_cards_and_tables_fit_a_phone(opened):
    """POPE's figure from its record, a fact card beside a table, a table of many columns, printed lines."""
    scores = recorded("tiny-llava/base")["scores"]["pope"]
    columns = tuple(f"column {number} of a table" for number in range(7))
    row = ("a row with a name", *("12.3 [10.1, 14.5]",) * 5, "on_the_hub.example/somebody/a_data_set_of_photos")
    wide = table(columns, [row] * 2, "A table of many columns")
    printed = f"<pre>{'a line that a cell printed, ' * 9}</pre>"
    card = scene_cards(sample_edit("Counting", 4).before, {"a model": wide}).html
    figure = pope_figure({"tiny-llava": scores, "another": scores}, "POPE").html
    with opened("".join([figure, card, wide.html, printed])) as page:
        assert page.run(look.CUT) == []
        assert page.run("document.documentElement.scrollWidth") <= PHONE[0]
        entry = "getComputedStyle(document.querySelector('.mm-stack td'), '::before').content"
        assert page.run(entry) == '"column 1 of a table"'
        found = [(one["role"], one["name"]) for one in page.found()]
        assert ("rowheader", "a row with a name") in found and ("columnheader", "column 6 of a table") in found


SVG = '<svg class="mm-figure" viewBox="0 0 {} 99" style="width:{}px">{}</svg>'
CUT = {
    "a text in a box that hides": '<div style="overflow:hidden;width:40px;white-space:nowrap">a long line</div>',
    "a text below its box": '<div style="overflow:hidden;height:18px">one<br><span>two</span></div>',
    "a figure that scrolls": f'<figure style="overflow-x:auto">{SVG.format(300, 600, "")}</figure>',
    "a table that scrolls": '<div style="overflow-x:auto"><table><tr><td><p style="width:900px">a</table></div>',
    "a text beside the window": '<p style="position:relative;left:-80px">a word</p>',
    "a figure too small to read": SVG.format(460, 300, ""),
    "a drawing that leaves its figure": SVG.format(200, 260, '<text x="150" y="20">adversarial</text>'),
    "what is folded": '<details><summary>s</summary><div style="overflow:hidden;width:9px">hidden</div></details>',
}


@pytest.mark.parametrize("what", CUT)
def test_what_is_cut_off_is_found(opened, what):
    with opened(CUT[what]) as page:
        assert len(page.run(look.CUT)) == 1


def test_what_may_be_hidden_is_not_cut_off(opened):
    hidden = (
        '<span style="position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)">for readers</span>'
    )
    hidden += '<div style="display:none;width:9px;overflow:hidden">a word</div><p style="visibility:hidden">a word</p>'
    code = f'<div class="highlight"><pre style="overflow-x:auto">{"code = 1  # " * 30}</pre></div>'
    with opened(hidden + SVG.format(200, 260, '<text x="9" y="20">random</text>'), code) as page:
        assert page.run(look.CUT) == []
