"""Check the built site: no dead links, no accessibility problems, no sideways scrolling.

`python tools/pages.py FOLDER`; needs chromium, and the development extra. Five pages are compared
with the pictures in tools/screens, which are small because fonts differ between machines. `--keep`
replaces these pictures: check them before you commit them.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np

WIDTHS = (390, 1024, 1100, 1366, 1400)
SCHEMES = ("light", "dark")
#: folders of pages with source code, whose headings are not checked
LISTINGS = ("_modules", "_static")
SCREENS = Path(__file__).resolve().parent / "screens"
#: pages that are compared, and their colour schemes
SEEN = {
    "index": ("index.html", "light"),
    "gallery": ("gallery.html", "dark"),
    "nodes": ("tutorial/en/nodes.html", "light"),
    "reference": ("reference/generated/fastgd.Network.html", "dark"),
    "performance": ("performance.html", "light"),
}
#: size of the stored pictures; allowed root mean square of the pixels' differences, of 255. Other
#: fonts give up to 25 (measured with two), a page without its style sheets gives 50 or more.
SCREEN, TOLERANCE = (256, 192), 30.0


class Page(HTMLParser):
    """The links on a page, and the anchors to which others can link."""

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


@contextmanager
def open_browser() -> Iterator[Any]:
    """Open the system's chromium."""
    from playwright.sync_api import sync_playwright

    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        raise SystemExit("there is no chromium on the PATH (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


def screens(site: Path) -> dict[str, Any]:
    """Return small pictures of the pages that are compared."""
    from PIL import Image

    pictures = {}
    with open_browser() as browser:
        for name, (path, scheme) in SEEN.items():
            context = browser.new_context(
                viewport={"width": 1366, "height": 1024}, color_scheme=scheme
            )
            page = context.new_page()
            page.goto((site / path).as_uri())
            picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            pictures[name] = picture.resize(SCREEN, Image.Resampling.BOX)
            context.close()
    return pictures


def difference(first: Any, second: Any) -> float:
    """Return the root mean square of two pictures' differences, of 255."""
    a, b = (np.asarray(picture.convert("RGB"), np.float64) for picture in (first, second))
    return float(np.sqrt(np.mean((a - b) ** 2)))


def changed_screens(site: Path) -> Iterator[str]:
    """Yield the pages that look different from their stored pictures."""
    from PIL import Image

    for name, picture in screens(site).items():
        with Image.open(SCREENS / f"{name}.png") as kept:
            if (apart := difference(kept, picture)) > TOLERANCE:
                yield f"{SEEN[name][0]} looks otherwise than {name}.png: {apart:.1f} of 255 apart"


def barriers(site: Path) -> Iterator[str]:
    """Yield what axe finds on the pages, light and dark, and the pages that scroll sideways."""
    from axe_playwright_python.sync_playwright import Axe

    paths = [
        path
        for path in sorted(site.rglob("*.html"))
        if path.relative_to(site).parts[0] not in LISTINGS
    ]
    with open_browser() as browser:
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


def _too_wide(page: Any, name: str) -> Iterator[str]:
    """Yield the widths at which a page scrolls sideways."""
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        wide = page.evaluate("document.documentElement.scrollWidth")
        if wide > width:
            yield f"{name}: {wide} pixels wide on a screen of {width}"


def main() -> int:
    """Print all problems; return 1 if there are any."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("site", type=Path, help="the folder of the built pages")
    parser.add_argument("--keep", action="store_true", help="write tools/screens anew")
    arguments = parser.parse_args()
    site = arguments.site.resolve()
    if arguments.keep:
        SCREENS.mkdir(exist_ok=True)
        for name, picture in screens(site).items():
            picture.save(SCREENS / f"{name}.png", optimize=True)
        return 0
    problems = [*broken_links(site), *changed_screens(site), *barriers(site)]
    print("\n".join(problems) or "every link leads somewhere, and no page has a barrier")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
