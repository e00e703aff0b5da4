"""Pictures on Korean pages: a Korean font, and Korean for what `fastgd.plot` writes in English.

A page's own code holds its own labels, in the page's language. Titles and labels that fastgd.plot
writes are translated here, when the picture is saved. An English word that is left is an error.
"""

from __future__ import annotations

import re
import textwrap
from importlib.metadata import files
from typing import Any

from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.text import Text
from sphinx.application import Sphinx

#: where the font comes from: a package of the extra `docs`, of which only the fonts are used
PACKAGE, FONT = "koreanize-matplotlib", "NanumGothic"
#: letters on a line of a title; Korean ones are about twice as wide as Latin ones
TITLE_WIDTH = 44
#: Latin words that a Korean picture may have: names of nodes, and formulas
NAMES = {"product", "prediction", "error", "loss", "cost", "sum", "mathdefault"}
#: matplotlib's formulas have no Korean letters beside them
FORMULAS = {r"$\theta_1$": "θ₁", r"$\theta_0$": "θ₀", r"$\theta$": "θ"}

#: patterns of whole texts, and their Korean; `<topic>` becomes the particle 은 or 는
TRANSLATIONS = {
    # axes
    "epochs": "에포크",
    "updates of the parameters": "갱신 횟수",
    r"training loss \(mean of the samples\)": "훈련 손실 (샘플 평균)",
    r"loss of each batch \(mean of its samples\)": "배치마다의 손실 (샘플 평균)",
    r"learning rate \(the optimizer's: (.+)\)": r"학습률 (처음 \1)",
    r"draws \(an epoch of (.+) samples has .+\)": r"뽑은 횟수 (한 에포크에 \1번)",
    r"distinct samples seen \(% of all\)": "한 번이라도 본 샘플 (%)",
    r"batch size \(samples\); bars: (.+) intervals": r"배치 크기 (막대는 \1 신뢰구간)",
    r"runs that leave the saddle within (.+) updates \(%\)": (
        r"\1번 갱신 안에 안장점을 떠난 비율 (%)"
    ),
    r"gradient of the loss by (.+) \(loss per unit\)": r"\1에 대한 손실의 그래디언트",
    r"(θ₁), slope \(units of y per unit of x\)": r"\1, 기울기",
    r"(θ₀), intercept \(units of y\)": r"\1, 절편",
    # lines and points
    r"batch size ([\d,]+)": r"배치 크기 \1",
    r"all ([\d,]+)": r"전체 \1개",
    r"([\d,]+) \(all\)": r"\1 (전체)",
    r"loss ([\d.]+)": r"손실 \1",
    "cost above the lowest": "최소 비용을 넘는 양",
    r"lowest cost, (.+)": r"최소 비용, \1",
    r"single samples \((.+)\)": r"샘플 하나하나 (\1개)",
    "one standard deviation: single samples": "표준편차: 샘플 하나",
    r"one standard deviation: batches of (.+)": r"표준편차: \1개짜리 배치",
    r"their mean \((.+)\)": r"평균 (\1)",
    # titles
    r"Batch size (.+) reaches loss (.+) in (.+) epochs, batch size (.+) in (.+) "
    r"\((.+) times as many\); batch size (.+) does not": (
        r"손실 \2까지 배치 크기 \1<topic> \3에포크, 배치 크기 \4<topic> \5에포크(\6배) 걸리고, "
        r"배치 크기 \7<topic> 이르지 못한다"
    ),
    r"Batch size (.+) reaches loss (.+) in (.+) updates, batch size (.+) in (.+) "
    r"\((.+) times as many\); batch size (.+) does not": (
        r"손실 \2까지 배치 크기 \1<topic> \3번, 배치 크기 \4<topic> \5번(\6배) 갱신하고, "
        r"배치 크기 \7<topic> 이르지 못한다"
    ),
    r"In the last of (.+) epochs the learning rate is (.+) with '(.+)', (.+) with '(.+)'": (
        r"\1에포크의 마지막 학습률: \3 \2, \5 \4"
    ),
    r"The cost is (.+), its gradient by (.+) is (.+), by (.+) (.+)": (
        r"비용은 \1, 그래디언트는 \2에 대해 \3, \4에 대해 \5"
    ),
    r"Single gradients deviate from their mean by (.+) times its length, "
    r"those of batches of (.+) by (.+) times": (
        r"샘플별 그래디언트는 평균에서 그 길이의 \1배만큼, \2개짜리 배치의 것은 \3배만큼 벗어난다"
    ),
    r"In the second half the losses scatter by (.+) of their mean with batch size (.+), "
    r"by (.+) with batch size (.+)": (
        r"후반의 손실은 배치 크기 \2에서 평균의 \1, 배치 크기 \4에서 \3만큼 흩어진다"
    ),
    r"Batch size (.+) travels (.+) times the straight-line distance, "
    r"batch size (.+) only (.+) times": (
        r"배치 크기 \1<topic> 직선거리의 \2배, 배치 크기 \3<topic> \4배를 지나간다"
    ),
    r"(.+) travels (.+) times the straight-line distance, (.+) only (.+) times": (
        r"\1는 직선거리의 \2배, \3는 \4배를 지나간다"
    ),
    r"Batch size (.+) leaves the saddle in (.+) of (.+) runs, batch size (.+) \(all\) in (.+)": (
        r"\3번 가운데 안장점을 떠난 비율: 배치 크기 \1에서 \2, 전체(\4개)에서 \5"
    ),
    r"After (.+) draws the sampling '(.+)' has seen (.+) of the samples, '(.+)' (.+)": (
        r"\1번 뽑는 동안 한 번이라도 본 샘플: \2 \3, \4 \5"
    ),
}


def translate(text: str) -> str:
    """Return a text of a picture in Korean, on as many lines as it needs.

    Raises
    ------
    ValueError
        When it has English words that no pattern knows.
    """
    text = _plain(text)
    joined = " ".join(text.split())
    for pattern, korean in TRANSLATIONS.items():
        if match := re.fullmatch(pattern, joined):
            joined = re.sub(r"(\d)<topic>", _with_topic, match.expand(korean))
            return "\n".join(textwrap.wrap(joined.replace(" %", "%"), TITLE_WIDTH))
    if left := set(re.findall("[A-Za-z]{3,}", text)) - NAMES:
        raise ValueError(
            f"a picture on a Korean page says {joined!r}; write {', '.join(sorted(left))} in "
            "Korean on the page, or add the text to docs/_extensions/korean.py"
        )
    return text


def _plain(text: str) -> str:
    """Return a text with letters for its formulas."""
    for formula, plain in FORMULAS.items():
        text = text.replace(formula, plain)
    return text


def _with_topic(match: re.Match[str]) -> str:
    """Return a number's last digit with the particle that its reading takes."""
    return match[1] + ("은" if match[1] in "013678" else "는")


def add_font() -> None:
    """Let matplotlib find the Korean font."""
    for file in files(PACKAGE) or ():
        if file.suffix == ".ttf":
            font_manager.fontManager.addfont(str(file.locate()))


def follow_page(app: Sphinx, page: str, source: list[str]) -> None:
    """Translate pictures while a Korean page is read."""
    Figure.savefig = _savefig_korean if page.startswith("tutorial/ko/") else _SAVEFIG  # type: ignore[method-assign]


_SAVEFIG = Figure.savefig


def _savefig_korean(figure: Figure, *arguments: Any, **settings: Any) -> None:
    for text in figure.findobj(Text):
        text.set_text(_plain(text.get_text()))
    figure.draw_without_rendering()  # makes the texts of ticks
    for axis in (axis for ax in figure.axes for axis in (ax.xaxis, ax.yaxis)):
        labels = [label.get_text() for label in axis.get_ticklabels()]
        if (korean := [translate(label) for label in labels]) != labels:
            axis.set_ticks(axis.get_majorticklocs(), labels=korean)  # they are made anew otherwise
    for text in figure.findobj(Text):
        if text.get_visible() and text.get_text().strip():
            text.set_text(translate(text.get_text()))
    _SAVEFIG(figure, *arguments, **settings)


def setup(app: Sphinx) -> dict[str, Any]:
    """Follow the pages as they are read."""
    add_font()
    app.connect("source-read", follow_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
