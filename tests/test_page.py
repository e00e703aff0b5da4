"""The page of `python -m fastgd compare --html`, read as HTML and opened in a browser."""

import base64
import html
import re
import shlex

import html5lib
import numpy as np
import pytest

from fastgd.commandline import _main as cli

NASTY = "<b>\"price\"</b> & $1 'x' \N{HANGUL SYLLABLE GAM}"
WORDS = ["--epochs", "3", "--hidden", "8", "--batch-size", "4,16,full"]


def write_data(path, target=NASTY):
    quoted = target.replace('"', '""')
    rows = [f"{i % 7},{(i * 5) % 11},{3 * (i % 7) - i % 5 + 0.5}" for i in range(60)]
    path.write_text("\n".join([f'a,b,"{quoted}"', *rows]), encoding="utf-8")


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Make one page of runs that end well, and one where a batch size diverged."""
    folder = tmp_path_factory.mktemp("pages")
    write_data(folder / "a&b.csv")
    words = ["compare", str(folder / "a&b.csv"), "--target", NASTY, *WORDS]
    assert cli.main([*words, "--html", str(folder / "good.html")]) == 0
    rates = ["--learning-rate", "1e20,0.01,0.02"]
    assert cli.main([*words, *rates, "--html", str(folder / "diverged.html")]) == 0
    assert cli.main([*words, "--learning-rate", "1e25", "--html", str(folder / "bad.html")]) == 1
    return folder


@pytest.fixture(params=["good", "diverged", "bad"])
def text(request, pages):
    return (pages / f"{request.param}.html").read_text(encoding="utf-8")


def test_it_is_valid_html(text):
    html5lib.HTMLParser(strict=True).parse(text)
    identifiers = re.findall(r' id="([^"]*)"', text)
    assert len(set(identifiers)) == len(identifiers)


def test_it_needs_nothing_else(text):
    assert "<script" not in text
    sources = re.findall(r'(?:src|srcset|href)="([^"]{0,40})', text)
    assert sources
    assert all(source.startswith(("data:image/svg+xml;base64,", "data:,")) for source in sources)
    assert "url(" not in text
    assert "@import" not in text
    for picture in re.findall(r"svg\+xml;base64,([^\"]*)", text):
        svg = base64.b64decode(picture).decode()
        assert not re.search(r"(?:href|src)=\"(?!#)", svg)


def test_what_the_user_wrote_is_text(text):
    assert "<b>" not in text
    assert "&lt;b&gt;&quot;price&quot;&lt;/b&gt; &amp; $1 &#x27;x&#x27; 감" in text
    assert "a&amp;b.csv" in text


def test_it_says_how_it_was_made(text):
    command = html.unescape(re.findall(r"<pre><code>(.*)</code></pre>", text)[-1])
    assert shlex.split(command)[:2] == ["fastgd", "compare"]
    assert shlex.split(command)[4] == NASTY


def test_pictures_have_words_for_those_who_do_not_see_them(pages):
    text = (pages / "good.html").read_text(encoding="utf-8")
    alternatives = re.findall(r'<img src="[^"]*" alt="([^"]*)"', text)
    assert len(alternatives) == 4
    for words, axis in zip(alternatives, ("epochs", "updates", "training time"), strict=False):
        assert words.startswith(f"Line chart of the loss of each batch size against {axis}")
        assert "atch size" in words.split(". ", 1)[1]


def test_a_run_that_diverged_is_a_row_that_says_so(pages):
    text = (pages / "diverged.html").read_text(encoding="utf-8")
    assert text.count("<td>diverged</td>") == 1
    assert text.count("<img") == 4
    text = (pages / "bad.html").read_text(encoding="utf-8")
    assert text.count("<td>diverged</td>") == 3
    assert "Every run diverged" in text
    assert "there is nothing to draw" in text


def test_it_says_what_to_type_next(pages):
    text = html.unescape((pages / "good.html").read_text(encoding="utf-8"))
    train, use = re.search(r"<pre><code>([^<]*(?:<b>[^<]*</b>)?[^<]*)\n(.*)</code>", text).groups()
    assert train.startswith("fastgd compare ")
    assert train.endswith(" --save MODEL.npz")
    assert use == "fastgd predict MODEL.npz NEW.csv --output PREDICTIONS.csv"


def test_classes_are_shown_with_their_mistakes(pages, tmp_path):
    rng = np.random.default_rng(0)
    x = rng.standard_normal(200)
    for n_classes, caption in ((3, "Rows of each class, by the"), (40, "The most frequent mist")):
        names = [f"class {name}" for name in np.digitize(x, np.linspace(-2, 2, n_classes - 1))]
        names[:n_classes] = [f"class {k}" for k in range(n_classes)]
        rows = "\n".join(f"{value},{name}" for value, name in zip(x, names, strict=True))
        (tmp_path / "c.csv").write_text(f"x,kind\n{rows}\n")
        page = tmp_path / "c.html"
        words = [str(tmp_path / "c.csv"), "--target", "kind", "--seeds", "1", "--html", str(page)]
        assert cli.main(words) == 0
        assert caption in page.read_text(encoding="utf-8")


# --- in a browser -------------------------------------------------------------------------------


@pytest.fixture
def visit(browser, pages):
    """Return a function that opens a page on a screen of some width, and watches it."""
    contexts = []

    def visit(name, width, **options):
        context = browser.new_context(viewport={"width": width, "height": 800}, **options)
        contexts.append(context)
        page = context.new_page()
        page.problems = []
        page.on("console", lambda message: page.problems.append(message.text))
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.on(
            "request",
            lambda request: (
                page.problems.append(request.url[:80])
                if not request.url.startswith(("file:", "data:"))
                else None
            ),
        )
        page.goto((pages / f"{name}.html").as_uri())
        return page

    yield visit
    for context in contexts:
        context.close()


WIDTHS = [360, 768, 1400]


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["good", "diverged", "bad"])
def test_it_opens_without_complaint_and_fits_the_screen(visit, name, width):
    page = visit(name, width)
    assert page.problems == []
    assert page.title().startswith("Batch sizes compared: <b>")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    pictures = page.locator("img")
    for i in range(pictures.count()):
        assert pictures.nth(i).evaluate("image => image.complete && image.naturalWidth") > 0
        box = pictures.nth(i).bounding_box()
        assert 290 < box["width"] <= width
        assert box["width"] / box["height"] == pytest.approx(4.5 / 3.6, rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["good", "diverged", "bad"])
def test_axe_finds_no_barrier(visit, name, width):
    from axe_playwright_python.sync_playwright import Axe

    results = Axe().run(visit(name, width, bypass_csp=True))
    assert results.violations_count == 0, results.generate_report()


@pytest.mark.slow
def test_the_page_is_english_and_its_headings_are_in_order(visit):
    page = visit("good", 1400)
    assert page.locator("html").get_attribute("lang") == "en"
    levels = page.locator("h1, h2, h3").evaluate_all("all => all.map(h => h.tagName)")
    assert levels == ["H1", "H2", "H2", "H2", "H2", "H2"]


@pytest.mark.slow
def test_the_table_of_runs_has_names_for_rows_and_columns(visit):
    runs = visit("good", 1400).get_by_role("table", name="One row for each batch size")
    assert runs.get_by_role("columnheader").count() == 9
    names = runs.get_by_role("rowheader").all_inner_texts()
    assert [name.split()[0] for name in names] == ["4", "16", "48"]


@pytest.mark.slow
def test_tables_pictures_and_regions_have_their_roles(visit):
    page = visit("good", 1400)
    counts = {role: page.get_by_role(role).count() for role in ("main", "table", "img")}
    assert counts == {"main": 1, "table": 1, "img": 4}
    assert page.get_by_role("region", name="The runs").count() == 1


@pytest.mark.slow
def test_the_table_scrolls_by_keyboard_on_a_phone_and_keeps_its_row_names(visit):
    page = visit("good", 360)
    region = page.get_by_role("region", name="The runs")
    region.focus()
    head = page.get_by_role("rowheader").first
    before = head.bounding_box()["x"]
    for _ in range(100):  # scrolling is animated
        page.keyboard.press("ArrowRight")
        if region.evaluate("region => region.scrollLeft") > 50:
            break
    else:
        pytest.fail("the table did not scroll")
    assert head.bounding_box()["x"] == pytest.approx(before, abs=1)


@pytest.mark.slow
def test_letters_in_pictures_are_large_enough_on_a_phone(visit):
    page = visit("good", 360)
    width = page.locator("img").first.bounding_box()["width"]
    assert width / (4.5 * 72) * 9 > 9  # CSS pixels of the smallest letters, 9 points


CONTRAST = """
all => {
  const level = e => {
    const parts = getComputedStyle(e).color.match(/\\d+/g).slice(0, 3).map(Number);
    const linear = v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    const [r, g, b] = parts.map(v => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const sheet = document.createElement("i");
  sheet.style.color = getComputedStyle(document.body).backgroundColor;
  document.body.append(sheet);
  const page = level(sheet);
  return all.map(level).map(v => (Math.max(v, page) + 0.05) / (Math.min(v, page) + 0.05));
}
"""


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_the_page(visit, scheme):
    page = visit("good", 1400, color_scheme=scheme)
    ratios = page.locator("p, th, td, li, h1, h2, caption, figcaption").evaluate_all(CONTRAST)
    assert min(ratios) > 7  # WCAG 2.2, success criterion 1.4.6


@pytest.mark.slow
def test_pictures_follow_the_colour_scheme(visit):
    shown = {
        scheme: visit("good", 1400, color_scheme=scheme)
        .locator("img")
        .first.evaluate("image => image.currentSrc")
        for scheme in ("light", "dark")
    }
    assert shown["light"] != shown["dark"]


@pytest.mark.slow
def test_it_prints_on_a4_without_cutting_the_table(visit):
    page = visit("good", 794)  # the width of A4 at 96 pixels an inch
    page.emulate_media(media="print")
    for table in page.get_by_role("table").all():
        box = table.bounding_box()
        assert box["x"] + box["width"] <= 794
    assert len(page.pdf(format="A4")) > 10_000
