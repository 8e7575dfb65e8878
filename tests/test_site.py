"""The built pages: nothing loaded from elsewhere, words for every picture, a zip that opens, colours to tell apart.

One page with everything that a chapter has is built once. The tests that need Chromium say so where there is none.
The one with axe-core runs when MMHALLU_AXE names its axe.min.js (npm pack axe-core).
"""

import base64
import importlib
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from matplotlib.figure import Figure

from mmhallu_core import __version__
from mmhallu_core.viz import style
from mmhallu_core.viz.twins import table, vector, with_twin

ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / "book"


def load(folder, name):
    """A module of book/_tools or book/_ext, which are no packages."""
    sys.path.insert(0, str(BOOK / folder))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(BOOK / folder))


mathml, page_care, build_stamp = (load("_ext", name) for name in ("mathml", "page_care", "build_stamp"))
write_site, read = (load("_tools", name) for name in ("write_site", "read"))
HERE = os.name == "posix"
browser, look = (load("_tools", name) for name in ("browser", "look")) if HERE else (None, None)
CHROMIUM = browser.find() if HERE else None
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (or this is Windows)")


def figure():
    """A bar chart in the book's style, with its words."""
    drawn = Figure(figsize=(style.WIDTH, 2))
    drawn.subplots().bar(["on", "off"], [3, 1], color=[style.BLUE, style.VERMILLION], edgecolor=style.INK)
    numbers = table(("dial", "n"), [("on", "3"), ("off", "1")], "Dial")
    return with_twin(drawn, "Bars: three with the dial on, one with it off.", numbers)


PAGE = r"""# One page

A share $\text{CHAIR}_i = \frac{h}{n}$, and a loss:

$$
\mathcal{L} = -\log\sigma\left(\beta \log\frac{\pi_\theta(y_w\mid x)}{\pi_{\mathrm{ref}}(y_w\mid x)}
- \beta \log\frac{\pi_\theta(y_l\mid x)}{\pi_{\mathrm{ref}}(y_l\mid x)}\right) + \frac{a + b + c + d + e}{f + g + h}
$$ (loss)

As {eq}`loss` says. An umbrella, see [the other page](other.md) and [a paper](https://arxiv.org/abs/2305.10355).

```{raw} html
FIGURE
```

```{exercise}
:label: ask
Change `shorten`.
```

```{solution} ask
:class: dropdown
Keep the first sentence.
```

```{note}
A **token** is a piece of a word.
```

```python
def shorten(text: str) -> str:  # a comment that is so long that on a phone the block of code has to scroll sideways
    return text.split(".")[0]  # 1 sentence
```

| command | what it does |
|---|---|
| `make book` | everything, in some minutes |
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of a built book of two pages, made with the book's own settings and without data."""
    folder = tmp_path_factory.mktemp("site") / "book"
    for name in (folder, folder.parent / "notebooks" / "solved"):
        name.mkdir(parents=True)
    for name in ("page.ipynb", "solved/page.ipynb"):
        (folder.parent / "notebooks" / name).write_text(f'"{name}"', encoding="utf-8")
    for name in ("_config.yml", "references.bib"):
        shutil.copy(BOOK / name, folder)
    for name in ("_static", "_ext"):
        shutil.copytree(BOOK / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "_toc.yml").write_text("format: jb-book\nroot: page\nchapters:\n- file: other\n", encoding="utf-8")
    (folder / "page.md").write_text(PAGE.replace("FIGURE", figure().html), encoding="utf-8")
    (folder / "other.md").write_text("# Another page\n\nA dog named Zebedee.\n", encoding="utf-8")
    variables = {**os.environ, "SOURCE_DATE_EPOCH": "1750000000", "PYTHONUTF8": "1", "MMHALLU_PROFILE": "tiny"}
    variables.pop("MMHALLU_DATA", None)
    command = [shutil.which("jupyter-book", path=str(Path(sys.executable).parent)), "build", str(folder), "-W", "-n"]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder / "_build" / "html"


# ---------------------------------------------------------------- what is on a page


@pytest.mark.kernel
def test_the_pages_load_nothing_from_elsewhere(built):
    assert write_site.all_outside(built) == []
    text = (built / "page.html").read_text(encoding="utf-8")
    assert "mathjax" not in text.lower() and "thebe" not in text.lower()


@pytest.mark.kernel
def test_a_page_has_formulas_a_folded_solution_and_what_it_was_built_from(built):
    page = BeautifulSoup((built / "page.html").read_text(encoding="utf-8"), "html.parser")
    assert [bool(math.find("mfrac")) for math in page.find_all("math")] == [True, True]
    assert page.find("math", alttext=re.compile("beta")) and "(1)" in page.find(class_="math-block").get_text()
    solution = page.select_one("details.solution")
    assert solution and not solution.has_attr("open") and solution.find("summary").get_text(strip=True)
    assert "Keep the first sentence." in solution.get_text()
    footer = page.select_one(".stamp").get_text()
    assert f"Version {__version__}" in footer and "built 2025-06-15" in footer and "profile tiny" in footer
    assert json.loads((built / "build.json").read_text(encoding="utf-8"))["data"] is False
    assert page_care.wordless(page) == []


@pytest.mark.kernel
def test_a_page_links_its_ready_notebooks_and_another_page_none(built):
    page, other = (
        BeautifulSoup((built / f"{name}.html").read_text(encoding="utf-8"), "html.parser") for name in ("page", "other")
    )
    links = page.find("h1").find_next("p").find_all("a", download=True)
    assert [link.get_text() for link in links] == ["with open exercises", "with the solutions"]
    found = [(built / link["href"]).read_text(encoding="utf-8") for link in links]
    assert found == ['"page.ipynb"', '"solved/page.ipynb"']
    assert not other.find_all("a", href=re.compile("ipynb"))


@pytest.mark.parametrize(
    "page",
    [
        '<script src="https://cdn.example/x.js"></script>',
        '<script>const URL = "https://cdn.example/thebe.js"</script>',
        '<link rel="stylesheet" href="//fonts.example/css">',
        '<link rel="preconnect" href="https://fonts.example">',
        '<img src="http://pictures.example/cat.png" alt="a cat">',
        '<img srcset="a.png 1x, https://pictures.example/cat.png 2x" alt="a cat">',
        '<iframe src="https://video.example"></iframe>',
        "<style>@import 'https://fonts.example/css'; p {color: red}</style>",
        '<p style="background: url(https://pictures.example/cat.png)">words</p>',
        '<svg><use xlink:href="https://icons.example/all.svg#cat"></use></svg>',
    ],
)
def test_what_comes_from_elsewhere_is_found(page):
    assert len(write_site.outside(page)) == 1


def test_links_to_click_and_local_files_are_not_requests():
    page = '<a href="https://arxiv.org">paper</a><img src="data:image/png;base64,AA==" alt="x">'
    page += '<script src="_static/a.js"></script><script>const svg = "http://www.w3.org/2000/svg"</script>'
    assert write_site.outside(page) == []


@pytest.mark.parametrize(
    ("page", "faults"),
    [
        ('<img src="a.png" alt="A dog by the sea.">', 0),
        ('<img src="a.png">', 1),
        ('<img src="a.png" alt=" ">', 1),
        ('<img src="_images/a.png" alt="_images/a.png">', 1),
        ("<svg><path/></svg>", 1),
        ('<svg role="img" aria-label="A chart."></svg>', 0),
        ('<button aria-hidden="true"><svg></svg></button>', 0),
        ("<canvas></canvas>", 1),
    ],
)
def test_a_picture_without_words_is_found(page, faults):
    assert len(page_care.wordless(BeautifulSoup(page, "html.parser"))) == faults


def test_a_mended_page_stays_as_it_is():
    page = """<div id="pst-primary-sidebar"></div><button class="search-button-field" aria-label="Find">Search</button>
    <button title="Menu"><i title="x"></i></button><summary aria-label="Toggle">Show</summary>
    <ul class="bd-sidenav"><li><a href="x">Library</a><details><summary><i></i></summary></details></li></ul>
    <dl><dt class="sig">f(<dl><dd>a</dd></dl>)</dt></dl>
    <div class="admonition dropdown solution"><p class="admonition-title">Solution</p><p>Yes.</p></div>"""
    seen = []
    for _ in range(2):
        soup = BeautifulSoup(seen[-1] if seen else page, "html.parser")
        for step in (page_care.fold, page_care.mend, page_care.plain_signatures):
            step(soup)
        seen.append(str(soup))
    assert seen[0] == seen[1] and soup.find(class_="solution").summary.get_text() == "Solution"
    assert [button.get("aria-label") for button in soup.find_all("button")] == [None, "Menu"]
    assert [summary.get("aria-label") for summary in soup.find_all("summary")] == [None, "Pages under Library", None]
    assert soup.i["aria-hidden"] == "true" and len(soup.find_all("dl")) == 1
    assert soup.find(id="pst-primary-sidebar")["role"] == "navigation"


@pytest.mark.parametrize(
    ("latex", "warned"),
    [
        (r"\frac{a}{b}", False),
        (r"\begin{aligned} a &= b \\ c &= d \end{aligned}", False),
        (r"\log x \pm y \sim z", False),
        (r"\unheardof{x}", True),
        (r"a & b", True),
        (r"a \\ b", True),
        (r"\left( x", True),
        ("", True),
    ],
)
def test_a_formula_that_cannot_be_drawn_whole_is_a_warning(latex, warned, monkeypatch):
    said = []
    monkeypatch.setattr(mathml.logger, "warning", lambda *words, **more: said.append(words))
    drawn = mathml.formula(latex, block=False)
    assert bool(said) == warned
    if not warned:
        assert drawn.startswith("<math ") and BeautifulSoup(drawn, "html.parser").math["alttext"] == latex
        assert "<mi>&#x000B1;" not in drawn and "<mi>log</mi><mi>" not in drawn


# ---------------------------------------------------------------- colours


def luminance(colour):
    """Relative luminance as WCAG defines it, and the linear light of each channel."""
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2], linear


def contrast(one, other):
    """WCAG's contrast ratio, from 1 to 21."""
    bright, dim = sorted((luminance(one)[0], luminance(other)[0]), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def sheet(mode):
    """The custom properties that the style sheet sets for one mode."""
    css = (BOOK / "_static" / "mmhallu.css").read_text(encoding="utf-8")
    block = re.search(rf'html\[data-theme="{mode}"\] {{(.*?)\n}}', css, re.DOTALL)[1]
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))


def test_colours_stand_out_from_the_page():
    for mode, which in (("light", 0), ("dark", 1)):
        set_here = sheet(mode)
        page = set_here["pst-color-background"]
        for name, pair in style.PALETTE.items():
            assert contrast(pair[which], page) >= 3, f"{name} on a {mode} page"  # WCAG 1.4.11, graphics
        letters = ("text-base", "text-muted", "link", "link-hover")
        for name in (*(f"pst-color-{one}" for one in letters), "mm-wrong"):
            for ground in ("pst-color-background", "pst-color-surface", "pst-color-primary-bg"):
                assert contrast(set_here[name], set_here[ground]) >= 4.5, f"{name} on {ground}, {mode}"  # 1.4.3, text


def test_the_style_sheet_has_the_dark_colours_of_the_figures():
    dark = sheet("dark")
    for name, (_, in_the_dark) in style.PALETTE.items():
        assert dark[f"mm-{name}"] == in_the_dark


# What a person without red or without green cones sees, in linear light: Viénot, Brettel and Mollon 1999.
BLIND = {
    "protan": ((0.11238, 0.88762, 0), (0.11238, 0.88762, 0), (0.00401, -0.00401, 1)),
    "deutan": ((0.29275, 0.70725, 0), (0.29275, 0.70725, 0), (-0.02234, 0.02234, 1)),
}


def apart(one, other, matrix):
    """The distance of two colours as such a person sees them, in CIE Lab."""
    labs = []
    for colour in (one, other):
        light = luminance(colour)[1]
        r, g, b = (max(0.0, sum(w * part for w, part in zip(row, light, strict=True))) for row in matrix)
        xyz = (0.4124 * r + 0.3576 * g + 0.1805 * b, 0.2126 * r + 0.7152 * g + 0.0722 * b)
        xyz += (0.0193 * r + 0.1192 * g + 0.9505 * b,)
        ratio = [value / white for value, white in zip(xyz, (0.9505, 1.0, 1.089), strict=True)]
        x, y, z = (value ** (1 / 3) if value > 0.008856 else 7.787 * value + 16 / 116 for value in ratio)
        labs.append((116 * y - 16, 500 * (x - y), 200 * (y - z)))
    return sum((a - b) ** 2 for a, b in zip(*labs, strict=True)) ** 0.5


def test_the_colours_with_a_meaning_can_be_told_apart_without_red_or_green():
    dark = {light: dark for light, dark in style.PALETTE.values()}
    for one, other in itertools.combinations((style.BLUE, style.VERMILLION, style.GREY, style.GREEN), 2):
        for matrix in BLIND.values():
            assert apart(one, other, matrix) > 10
            assert apart(dark[one], dark[other], matrix) > 10


def test_a_figure_takes_the_colours_of_its_page():
    drawn = figure().html
    assert "currentColor" in drawn and f"var(--mm-blue,{style.BLUE})" in drawn
    assert style.INK not in drawn and "<style" not in drawn and "<?xml" not in drawn
    once, twice = figure().html, figure().html
    assert once == twice, "the same numbers must give the same bytes"
    names = re.findall(r' id="([^"]+)"', drawn)
    assert names and len({name.split("-")[0] for name in names}) == 1, "ids carry the figure's own mark"
    assert set(re.findall(r'(?:href="|url\()#([^")]+)', drawn)) <= set(names)
    with pytest.raises(ValueError, match="words"):
        vector(Figure(), " ")


# ---------------------------------------------------------------- the zip


@pytest.fixture
def pages(tmp_path):
    """A folder that looks like a built book."""
    html = tmp_path / "html"
    (html / "_static").mkdir(parents=True)
    (html / "index.html").write_text("<p>Somebody asks what a small model says about a dog.</p>", encoding="utf-8")
    (html / "_static" / "theme.css.map").write_text("{}", encoding="utf-8")
    (html / "build.json").write_text(json.dumps({"version": "0.0.1", "data": False}), encoding="utf-8")
    return html


def test_the_zip_holds_the_pages_and_is_the_same_each_time(pages, tmp_path, capsys):
    assert write_site.main([str(pages), str(tmp_path / "one")]) == 0
    assert write_site.main([str(pages), str(tmp_path / "two")]) == 0
    one, two = (tmp_path / name / "mmhallu-book-0.0.1.zip" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes() and str(one) in capsys.readouterr().out
    assert sorted(zipfile.ZipFile(one).namelist()) == ["mmhallu-book/build.json", "mmhallu-book/index.html"]


PICTURE = b"a photo, byte for byte"
SENTENCE = "the quick brown umbrella stands beside two small dogs and one very large yellow boat"


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("build.json", json.dumps({"version": "0.0.1", "data": True}), "built with MMHALLU_DATA"),
        ("index.html", '<img src="https://a.example/b.png" alt="x">', "loaded from elsewhere"),
        ("index.html", f"<p>It says: {SENTENCE.capitalize()}!</p>", "captions.json"),
        ("index.html", f'<img src="data:image/png;base64,{base64.b64encode(PICTURE).decode()}" alt="x">', "photo.png"),
    ],
)
def test_no_zip_of_pages_with_what_belongs_to_others(pages, tmp_path, capsys, file, content, said):
    data = tmp_path / "data"
    data.mkdir()
    lines = json.dumps({"image_id": 1, "caption": SENTENCE}) + '\n{"a": "b"}'
    (data / "captions.json").write_text(lines, encoding="utf-8")
    (data / "photo.png").write_bytes(PICTURE)
    assert write_site.main([str(pages), str(tmp_path / "out"), "--data", str(data)]) == 0
    (pages / file).write_text(content, encoding="utf-8")
    capsys.readouterr()
    assert write_site.main([str(pages), str(tmp_path / "never"), "--data", str(data)]) == 1
    assert said in capsys.readouterr().err and not (tmp_path / "never").exists()


def test_no_zip_without_a_book(tmp_path):
    assert write_site.main([str(tmp_path), str(tmp_path / "out")]) == 2


# ---------------------------------------------------------------- in a browser


@pytest.fixture(scope="module")
def chromium():
    with browser.Browser(CHROMIUM) as running:
        yield running


@needs_browser
@pytest.mark.kernel
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_pages_make_no_request_log_no_error_and_name_every_control(built, chromium, dark):
    axe = os.environ.get("MMHALLU_AXE")
    source = Path(axe).read_text(encoding="utf-8") if axe else None
    with look.served(built) as address:
        for name, width in (("page.html", 1280), ("page.html", 390), ("other.html", 390), ("search.html", 1280)):
            page = chromium.open(f"{address}/{name}", width, 844, dark)
            assert look.findings(page, source) == [], name
            assert page.run("document.documentElement.dataset.theme") == ("dark" if dark else "light")
            page.close()


@needs_browser
@pytest.mark.kernel
def test_the_zip_opens_from_a_disk_and_its_search_finds(built, chromium, tmp_path):
    assert write_site.main([str(built), str(tmp_path)]) == 0
    zipfile.ZipFile(next(tmp_path.glob("*.zip"))).extractall(tmp_path)
    start = (tmp_path / "mmhallu-book" / "index.html").as_uri()
    page = chromium.open(start)
    assert page.run("document.querySelector('h1').innerText").startswith("One page") and page.faults() == []
    page.close()
    page = chromium.open(start.replace("index.html", "search.html?q=Zebedee"))
    found = page.run("[...document.querySelectorAll('#search-results li a')].map(link => link.innerText)")
    assert [title for title in found if "Another page" in title] and page.faults() == []
    page.close()


CHAPTERS = sorted((BOOK / "_build" / "html" / "chapters").glob("*.html"))


@needs_browser
@pytest.mark.long
@pytest.mark.skipif(not CHAPTERS, reason="the book is not built: `make book`")
@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_can_be_read_without_seeing_it(chromium, chapter):
    with look.served(chapter.parents[1]) as address, chromium.open(f"{address}/chapters/{chapter.name}") as page:
        assert page.nameless() == []
        text = read.reading(page.tree())
    assert "NO NAME" not in text
    headings = [one.partition(":")[0] for one in re.findall(r"^#+ [\d. ]*(.*)$", text, re.M)]  # "Exercise: a title"
    wanted = [
        heading.lower() for heading in ("Goal", "Try it", "Exercise", "Take-away", "Files used", "Further reading")
    ]
    assert [one.lower() for one in headings if one.lower() in wanted] == wanted, "in this order, each once"
    order = [text.index(part) for part in ("[group: Code]", "[button: Copy to clipboard]", "[group: Output]")]
    assert order == sorted(order), "code, then the button that copies it, then what it printed"


def test_a_tree_is_told_in_its_order():
    nodes = []

    def node(role, name="", *below, ignored=False, **more):
        """Adds a node of an accessibility tree, and returns its id."""
        about = {"role": {"value": role}, "name": {"value": name}, "childIds": list(below), "ignored": ignored}
        nodes.append({"nodeId": str(len(nodes)), **about, **more})
        return nodes[-1]["nodeId"]

    def text(role, words):
        return node(role, "", node("StaticText", words))

    node(
        "RootWebArea", "Title",
        node("heading", "One", properties=[{"name": "level", "value": {"value": 2}}]),
        node("paragraph", "", node("StaticText", "See "), node("link", "here", node("StaticText", "here"))),
        node("list", "", node("listitem", "", node("ListMarker", "- "), text("paragraph", "a"))),
        node("table", "T", node("row", "", text("cell", "a\nb"), text("cell", "c"))),
        node("none", "", node("image"), ignored=True), node("slider", "Dial", value={"value": 2}),
    )  # fmt: skip
    told = read.reading([nodes.pop(), *nodes])
    lines = ["## One", "See [link: here]", "- a", "[table: T]", "a b | c", "[image: NO NAME][slider: Dial = 2]"]
    assert [line for line in told.split("\n") if line] == lines


@needs_browser
@pytest.mark.kernel
def test_a_bad_page_does_not_pass(chromium, tmp_path):
    bad = '<title>t</title><img src="https://a.example/b.png"><button></button><a href="x"></a>'
    bad += '<script>nothing()</script><p style="width:3000px">wide</p>'
    (tmp_path / "bad.html").write_text(bad, encoding="utf-8")
    with look.served(tmp_path) as address:
        page = chromium.open(f"{address}/bad.html")
        found = "\n".join(look.findings(page))
        page.close()
    for fault in ("request to https://a.example", "failed request", "nothing is not defined", "pixels wide"):
        assert fault in found
    assert {"button without a name", "image without a name", "link without a name"} <= set(found.splitlines())
