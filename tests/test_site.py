"""The site's own parts: what they write, and what the check of the built site finds.

The site itself is built and checked by `tools/check.py docs`.
"""

import importlib.util
import json
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def extension(name):
    """A fixture: one of the extensions that make the site."""

    def loaded():
        pytest.importorskip("sphinx")
        return load(ROOT / "docs" / "_extensions" / f"{name}.py")

    return pytest.fixture(scope="module", name=name)(loaded)


languages, speed, korean, gallery = map(extension, ("languages", "speed", "korean", "gallery"))


@pytest.fixture(scope="module")
def check():
    return load(ROOT / "tools" / "pages.py")


@pytest.mark.parametrize("form", ["학습률", "학습률을", "학습률이나"])
def test_a_korean_word_is_found_in_its_inflected_forms(languages, form):
    assert "학습률" in languages.SearchBoth({}).split(f"처음에는 {form} 크게")


def test_english_words_are_listed_as_they_are(languages):
    assert languages.SearchBoth({}).split("learning rates") == ["learning", "rates"]


@pytest.mark.parametrize(
    ("title", "korean"), [("1. 배치에서 배치로", True), ("2. Small batches", False)]
)
def test_a_pages_language_is_recognised(languages, title, korean):
    assert languages._is_korean({"title": title}) is korean


@pytest.mark.parametrize(
    ("english", "translated"),
    [
        ("updates of the parameters", "갱신 횟수"),
        ("batch size 1,797", "배치 크기 1,797"),
        (r"$\theta_1$, slope (units of y per unit of x)", "θ₁, 기울기"),
        (
            "Batch size 1 travels 8 times the straight-line distance,\nbatch size 4 only 2 times",
            "배치 크기 1은 직선거리의 8배, 배치 크기 4는 2배를 지나간다",
        ),
        ("batch size (samples); bars: 95 % intervals", "배치 크기 (막대는 95% 신뢰구간)"),
        ("2 error·g", "2 error·g"),
        ("배치 크기 8", "배치 크기 8"),
    ],
)
def test_what_pictures_say_is_korean_on_korean_pages(korean, english, translated):
    assert korean.translate(english) == translated


def test_english_that_is_left_in_a_korean_picture_is_an_error(korean):
    with pytest.raises(ValueError, match="says 'a new title'; write new, title in Korean"):
        korean.translate("a new title")


def test_a_program_of_the_gallery_runs_alone(gallery, monkeypatch):
    monkeypatch.setattr("matplotlib.pyplot.show", lambda: None)
    exec(compile(gallery.program("graph"), "graph", "exec"), {})
    from matplotlib import pyplot

    (ax,) = pyplot.gcf().axes
    assert ax.get_title(loc="left").startswith("The cost is 0.5")


def test_the_gallery_shows_what_a_picture_needs_and_no_more(gallery):
    program = gallery.program("loss_by_epoch")
    assert "def digits_runs()" in program
    assert "BATCH_SIZES =" in program  # digits_runs uses it
    assert "def line_data()" not in program


def test_the_speed_chart_compares_with_the_best_peer(speed):
    results = json.loads((ROOT / "docs" / "peers.json").read_text())["results"]
    rows = speed.rows()
    assert len(rows) == len(results) == 8
    for (_, own, peer, _), result in zip(rows, results, strict=True):
        times = {row["peer"]: row["ms"] for row in result["rows"]}
        assert own == times["fastgd"]
        assert all(peer <= times[name] for name in times if not name.startswith("fastgd"))


def test_workloads_have_readable_names(speed):
    names = [name for name, *_ in speed.rows()]
    assert names[0] == "linear, 32 inputs; batch size 32"
    assert names[4] == "softmax, 784 inputs, 10 classes; batch size 128"
    assert names[5] == "network 20-64-64-1; batch size 32"


def test_a_page_that_looks_different_is_found(check):
    kept = {path.stem: Image.open(path) for path in check.SCREENS.glob("*.png")}
    assert kept.keys() == check.SEEN.keys()
    assert check.difference(kept["index"], kept["index"]) == 0
    for light in ("index", "nodes", "performance"):  # dark pages are others
        for dark in ("gallery", "reference"):
            assert check.difference(kept[light], kept[dark]) > check.TOLERANCE


def test_dead_links_are_found(check, tmp_path):
    (tmp_path / "other.html").write_text('<h2 id="here">x</h2>')
    (tmp_path / "index.html").write_text(
        '<a href="other.html#here">a</a> <a href="other.html#gone">b</a> <a href="no.html">c</a>'
        '<a href="https://example.org/">d</a> <img src="no.png"> <a href="#top" id="top">e</a>'
    )
    assert list(check.broken_links(tmp_path)) == [
        "index.html: other.html#gone has no such place",
        "index.html: no.html does not exist",
        "index.html: no.png does not exist",
    ]
