"""Check the built site: every link leads somewhere, no page has a barrier, none scrolls sideways.

`python tools/site.py FOLDER`; needs chromium, and the development extra.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

WIDTHS = (390, 1024, 1100, 1366, 1400)
SCHEMES = ("light", "dark")
#: made of the package's source, line by line: nobody reads their headings
LISTINGS = ("_modules", "_static")


class Page(HTMLParser):
    """What a page links to, and what in it can be linked to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("href", "src") and value is not None:
                self.links.append(value)
            elif name in ("id", "name") and value:
                self.places.add(value)


def broken_links(site: Path) -> Iterator[str]:
    """Yield the links of all pages that lead nowhere within the site."""
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    for path, page in pages.items():
        for link in dict.fromkeys(page.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            place = unquote(parts.fragment)
            if not target.exists():
                yield f"{path.relative_to(site)}: {link} does not exist"
            elif place and target in pages and place not in pages[target].places:
                yield f"{path.relative_to(site)}: {link} has no such place"


def barriers(site: Path) -> Iterator[str]:
    """Yield what axe finds on the pages, light and dark, and the pages that scroll sideways."""
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import sync_playwright

    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        raise SystemExit("there is no chromium on the PATH (Debian: apt-get install chromium)")
    paths = [
        path
        for path in sorted(site.rglob("*.html"))
        if path.relative_to(site).parts[0] not in LISTINGS
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for scheme in SCHEMES:
            context = browser.new_context(color_scheme=scheme, bypass_csp=True)
            page = context.new_page()
            for path in paths:
                page.goto(path.as_uri())
                name = f"{path.relative_to(site)} ({scheme})"
                if scheme == SCHEMES[0]:
                    yield from _too_wide(page, name)
                found: Any = Axe().run(page).response["violations"]
                for violation in found:
                    where = violation["nodes"][0]
                    yield f"{name}: {violation['id']} at {where['target']}: {where['html'][:90]}"
            context.close()
        browser.close()


def _too_wide(page: Any, name: str) -> Iterator[str]:
    """Yield the widths at which a page scrolls sideways."""
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        wide = page.evaluate("document.documentElement.scrollWidth")
        if wide > width:
            yield f"{name}: {wide} pixels wide on a screen of {width}"


def main() -> int:
    """Print what is wrong; return 1 when something is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("site", type=Path, help="the folder of the built pages")
    site = parser.parse_args().site.resolve()
    problems = [*broken_links(site), *barriers(site)]
    print("\n".join(problems) or "every link leads somewhere, and no page has a barrier")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
