"""Pages in two languages: a switch, Korean navigation, and a search that finds Korean words."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sphinx import search
from sphinx.application import Sphinx
from sphinx.search.en import SearchEnglish

KOREAN = "tutorial/ko/"
ENGLISH = "tutorial/en/"

#: what the theme and Sphinx write around a page; longer texts first where one holds another
NAVIGATION = {
    "Toggle Light / Dark / Auto color theme": "밝게, 어둡게, 자동으로 바꾸기",
    "Toggle site navigation sidebar": "차례 열고 닫기",
    "Toggle table of contents sidebar": "이 페이지의 차례 열고 닫기",
    "Toggle navigation of ": "펼치고 접기: ",
    "Skip to content": "본문으로 건너뛰기",
    "Back to top": "맨 위로",
    "On this page": "이 페이지의 차례",
    "Link to this heading": "이 제목으로 가는 링크",
    "Made with": "만든 도구:",
    "Previous": "이전",
    "Search": "찾기",
    "Home": "처음",
    "Next": "다음",
    "Learn": "배우기 (영어)",
    "Use": "쓰기 (영어)",
    "Know": "알아두기 (영어)",
    "Getting started": "시작하기",
    "Tutorial": "길잡이",
    "Notebooks": "노트북",
    "Gallery": "그림 모음",
    "How to": "방법 찾기",
    "scikit-learn\u2019s estimators": "scikit-learn의 추정기",
    "Reference": "참조",
    "Environment variables": "환경 변수",
    "The numerical promises": "수치에 대한 약속",
    "Performance": "성능",
    "Architecture": "구조",
    "Changelog": "변경 기록",
}


def add_languages(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """Say which language a page has, offer it in the other, and lead on in the same one."""
    korean = page.startswith(KOREAN)
    if korean:  # for browsers and screen readers
        context["language"] = "ko"
    for which in ("prev", "next"):
        beside = context.get(which)
        if beside and page.startswith((KOREAN, ENGLISH)) and ("/ko/" in page) != _is_korean(beside):
            context[which] = None
    here, there = (KOREAN, ENGLISH) if korean else (ENGLISH, KOREAN)
    if page == "index":
        other = KOREAN + "index"
    elif page.startswith(here):
        other = page.replace(here, there)
    else:
        return
    language, name = ("en", "English") if korean else ("ko", "한국어")
    address = context["pathto"](other)
    link = f'<a href="{address}" lang="{language}" hreflang="{language}">{name}</a>'
    context["body"] = f'<p class="language">{link}</p>\n{context.get("body", "")}'


def _is_korean(beside: dict[str, str]) -> bool:
    """Return whether a neighbour, of which the title is known, is a Korean page."""
    return re.search("[가-힣]", beside["title"]) is not None


def translate_navigation(app: Sphinx, error: Exception | None) -> None:
    """Write what stands around the Korean pages in Korean: the theme has one language a site."""
    if error or app.builder.name != "html":
        return
    texts = "|".join(map(re.escape, NAVIGATION))
    pattern = re.compile(rf'(?<=[>"\s])({texts})(?=[<"\s]|[가-힣A-Z0-9])')
    for path in (Path(app.outdir) / KOREAN).glob("*.html"):
        html = path.read_text(encoding="utf-8")
        begin = html.index('<article role="main"')
        end = html.index("</article>", begin)
        around = [
            pattern.sub(lambda m: NAVIGATION[m[1]], part) for part in (html[:begin], html[end:])
        ]
        inside = html[begin:end].replace("Link to this heading", NAVIGATION["Link to this heading"])
        path.write_text(around[0] + inside + around[1], encoding="utf-8")


class SearchBoth(SearchEnglish):
    """English search that finds a Korean word in its inflected forms, too.

    Korean puts particles behind a word: 학습률 stands in a text as 학습률을, 학습률이. A word of
    Hangul is therefore listed with all its beginnings of two letters or more.
    """

    def split(self, input: str) -> list[str]:
        """Return the words of a text, and the beginnings of the Korean ones."""
        words = super().split(input)
        korean = [word for word in words if re.fullmatch("[가-힣]{3,}", word)]
        return words + [word[:k] for word in korean for k in range(2, len(word))]


def setup(app: Sphinx) -> dict[str, Any]:
    """Follow the pages as they are written."""
    search.languages["en"] = SearchBoth
    app.connect("html-page-context", add_languages)
    app.connect("build-finished", translate_navigation)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
