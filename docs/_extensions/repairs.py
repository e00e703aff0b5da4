"""What the theme and Sphinx leave out of their pages, and a screen reader misses (found by axe)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

#: texts of the theme's pages, and what they should be
REPAIRS = {
    '<p class="caption" role="heading">': '<p class="caption" role="heading" aria-level="2">',
    '<aside class="sidebar-drawer">': '<aside class="sidebar-drawer" aria-label="Site navigation">',
    '<aside class="toc-drawer">': '<aside class="toc-drawer" aria-label="On this page">',
    '<aside class="toc-drawer no-toc">': '<aside class="toc-drawer no-toc" aria-label="Empty">',
    '<div id="search-results"></div>': '<h1>Search</h1>\n<div id="search-results"></div>',
}


def repair(app: Sphinx, error: Exception | None) -> None:
    """Mend the pages once they are written."""
    if error or app.builder.name != "html":
        return
    site = Path(app.outdir)
    for path in site.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        for left_out, there in REPAIRS.items():
            text = text.replace(left_out, there)
        if "_modules" in path.parts:
            text = _without_dead_ends(path, text)
        path.write_text(text, encoding="utf-8")


def _without_dead_ends(path: Path, text: str) -> str:
    """Leave out the links back to names that the reference has elsewhere."""

    def keep(match: re.Match[str]) -> str:
        page = (path.parent / match[1]).resolve()
        there = page.exists() and f'id="{match[2]}"' in page.read_text(encoding="utf-8")
        return match[0] if there else ""

    return re.sub(r'<a class="viewcode-back" href="([^"#]*)#([^"]*)">\[docs\]</a>', keep, text)


def setup(app: Sphinx) -> dict[str, Any]:
    """Follow the end of the build."""
    app.connect("build-finished", repair, priority=400)  # before the navigation is translated
    return {"parallel_read_safe": True, "parallel_write_safe": True}
