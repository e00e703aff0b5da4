"""The interactive figures in a browser: their arithmetic is fastgd's, and they are accessible."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

import fastgd as gd

DOCS = Path(__file__).parents[1] / "docs"
STATIC = DOCS / "_static"
NAMES = ("line", "saddle", "schedules")
#: the figures and what they fetch from the site: a page stays light
MOST_BYTES = 300_000


@pytest.fixture(scope="module")
def figures():
    """The directive that writes a figure into a page."""
    pytest.importorskip("sphinx")
    path = DOCS / "_extensions" / "figures.py"
    spec = importlib.util.spec_from_file_location("figures", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pages(tmp_path_factory, figures):
    """A page for each language with all figures, as they stand in the site."""
    folder = tmp_path_factory.mktemp("figures")
    for language in ("en", "ko"):
        body = "".join(figures.markup(name, language) for name in NAMES)
        head = (
            f'<!doctype html><html lang="{language}"><head><meta charset="utf-8"><title>t</title>'
            '<meta name="viewport" content="width=device-width">'
            f'<link rel="stylesheet" href="{(STATIC / "figures.css").as_uri()}">'
            f'<script defer src="{(STATIC / "figures.js").as_uri()}"></script></head>'
        )
        (folder / f"{language}.html").write_text(
            f"{head}<body><main><h1>t</h1>{body}</main></body></html>", encoding="utf-8"
        )
    return folder


@pytest.fixture
def visit(browser, pages):
    """Return a function that opens the figures, and watches what they ask for."""
    contexts = []

    def visit(language="en", width=1400, **options):
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.problems = []
        page.on("console", lambda message: page.problems.append(message.text))
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.on(
            "request",
            lambda request: (
                None if request.url.startswith("file:") else page.problems.append(request.url)
            ),
        )
        page.goto((pages / f"{language}.html").as_uri())
        return page

    yield visit
    for context in contexts:
        context.close()


def figure(page, name):
    return page.locator(f'.fgd-figure[data-figure="{name}"]')


def press(page, name, button, times=1):
    """Press a button of a figure."""
    place = {"play": 0, "step": 1, "reset": 2}[button]
    buttons = figure(page, name).locator(".fgd-buttons button")
    buttons.nth(place).evaluate("(b, times) => { while (times--) b.click(); }", times)


def choose(page, name, setting, place):
    """Move a slider to a place."""
    figure(page, name).locator(f'input[data-name="{setting}"]').evaluate(
        "(input, place) => { input.value = place; input.dispatchEvent(new Event('input')); }", place
    )


def said(page, name):
    return figure(page, name).locator(".fgd-status").inner_text()


class Played:
    """A sampling that gives the orders of a figure."""

    def __init__(self, orders):
        self.orders = iter(orders)

    def epoch(self, n, rng):
        return np.array(next(self.orders), np.int64)


DESCENT = """
([data, model, start, size, sampling, seed, rates]) => {
  const { Batches, ...models } = window.fastgdFigures;
  const cost = new models[model](data);
  const batches = new Batches(cost.n, size, sampling, seed);
  let theta = start;
  const [path, orders] = [[], []];
  for (const rate of rates) {
    for (let k = 0; k < cost.n; k += size) {
      theta = cost.step(theta, batches.next(), rate);
      if (k === 0) orders.push(batches.order);
      path.push(theta);
    }
  }
  return [path, orders];
}
"""


@pytest.mark.slow
@pytest.mark.parametrize("sampling", ["shuffle", "replacement"])
@pytest.mark.parametrize("batch_size", [1, 8, 32, 64])
def test_the_line_figure_equals_fastgd(visit, figures, batch_size, sampling):
    data = figures.data("line")
    words = [data, "Line", [0, 0], batch_size, sampling, 3, [0.1] * 5]
    path, orders = visit().evaluate(DESCENT, words)
    history = gd.train(
        gd.Network([1, 1], dtype="float64"), np.c_[data["x"]], data["y"], batch_size=batch_size,
        epochs=5, optimizer=gd.SGD(0.1), sampling=Played(orders), record=("params",),
    )  # fmt: skip
    np.testing.assert_allclose(path, history.trace["params"], rtol=1e-12, atol=1e-14)


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 8, 64])
def test_the_quintic_figure_equals_fastgd(visit, figures, batch_size):
    data = figures.data("saddle")
    words = [data, "Quintic", -3, batch_size, "shuffle", 3, [0.3] * 4]
    path, orders = visit().evaluate(DESCENT, words)
    _, history = gd.landscapes.descend(
        gd.landscapes.Quintic(), -3.0, batch_size=batch_size, epochs=4, optimizer=gd.SGD(0.3),
        sampling=Played(orders),
    )  # fmt: skip
    np.testing.assert_allclose(path, history.trace["params"][:, 0], rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "schedule"),
    [
        ("step", gd.schedules.Step(10)),
        ("exponential", gd.schedules.Exponential(0.01 ** (1 / 30))),
        ("inverse_scaling", gd.schedules.InverseScaling(1.0, unit="epoch")),
        ("cosine", gd.schedules.Cosine(30)),
        ("constant", gd.schedules.Constant()),
    ],
)
def test_the_schedule_figure_equals_fastgd(visit, kind, schedule):
    code = """kind => Array.from({ length: 30 }, (_, k) =>
        window.fastgdFigures.SCHEDULES[kind](0.1, k, 30))"""
    rates = visit().evaluate(code, kind)
    np.testing.assert_allclose(rates, schedule.rates(0.1, 0, 30), rtol=1e-12)


@pytest.mark.slow
def test_an_epoch_without_replacement_deals_every_sample_once(visit):
    code = "size => { const b = new fastgdFigures.Batches(64, size, 'shuffle', 1);"
    code += " return [0, 1, 2, 3].map(() => b.next()); }"
    batches = visit().evaluate(code, 16)
    assert sorted(np.ravel(batches)) == list(range(64))


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("width", [360, 1024, 1400])
def test_figures_work_from_a_file_load_nothing_else_and_fit(visit, language, width):
    page = visit(language, width)
    for name in NAMES:
        press(page, name, "step", 5)
    assert page.problems == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_accessibility_problem_in_a_figure(visit, language, scheme):
    from axe_playwright_python.sync_playwright import Axe

    page = visit(language, color_scheme=scheme, bypass_csp=True)
    for name in NAMES:
        press(page, name, "step", 5)
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


@pytest.mark.slow
def test_a_step_says_that_32_forward_passes_make_one_update(visit):
    page = visit()
    choose(page, "line", "batch", 5)
    press(page, "line", "step")
    assert "32 forward passes, 32 sample gradients, one mean, one update" in said(page, "line")
    assert figure(page, "line").locator("circle.fgd-used").count() == 32


@pytest.mark.slow
def test_sliders_and_buttons_work_by_keyboard(visit):
    page = visit()
    slider = figure(page, "line").get_by_label("batch size")
    slider.focus()
    page.keyboard.press("Home")
    assert slider.get_attribute("aria-valuetext") == "1"
    figure(page, "line").get_by_role("button", name="Step").focus()
    page.keyboard.press("Enter")
    assert said(page, "line").startswith("Update 1: 1 forward pass,")


@pytest.mark.slow
def test_a_figure_plays_and_pauses(visit):
    page = visit()
    press(page, "saddle", "play")
    page.wait_for_function("""() => /Update \\d\\d/.test(
        document.querySelector('[data-figure=saddle] .fgd-status').textContent)""")
    press(page, "saddle", "play")
    before = said(page, "saddle")
    page.wait_for_timeout(200)
    assert said(page, "saddle") == before


@pytest.mark.slow
def test_with_reduced_motion_play_shows_the_end(visit):
    page = visit(reduced_motion="reduce")
    press(page, "saddle", "play")
    assert "Update 500: 20 of 20 runs with batch size 1 are past the saddle" in said(page, "saddle")
    assert "(all 64) is at θ = \N{MINUS SIGN}1.51" in said(page, "saddle")


@pytest.mark.slow
def test_too_large_a_learning_rate_says_so(visit):
    page = visit()
    choose(page, "line", "batch", 6)
    choose(page, "line", "rate", 7)
    press(page, "line", "step", 300)
    assert "too large" in said(page, "line")


@pytest.mark.slow
def test_a_rate_that_falls_ends_below_both_that_stay(visit):
    page = visit(reduced_motion="reduce")
    press(page, "schedules", "play")
    numbers = [
        float(word.rstrip(",")) for word in said(page, "schedules").split() if word[:2] == "0."
    ]
    large, small, falling = numbers
    assert falling < small < large


def test_figures_are_light(figures):
    sizes = [(STATIC / name).stat().st_size for name in ("figures.js", "figures.css")]
    assert sum(sizes) + sum(len(json.dumps(figures.data(name))) for name in NAMES) < MOST_BYTES
