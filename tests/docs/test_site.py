"""The built site: links lead somewhere, nothing is fetched, what a newcomer looks for is near, and a browser shows it well."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from support.pages import BUILT, DOCS

pytestmark = pytest.mark.site


class Page(HTMLParser):
    """What a page of HTML links to, what it fetches, and what it can be linked to by."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.links, self.fetched = path, set[str](), set[str]()
        self.ids: set[str] = set()
        self.language, self.silent = "", 0
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attributes}
        self.ids |= {found[name] for name in ("id", "name") if name in found}
        if tag == "html":
            self.language = found.get("lang", "")
        self.silent += tag == "img" and "alt" not in found
        if tag == "a" and "href" in found:
            self.links.add(found["href"])
        if tag in ("script", "img", "iframe", "source") and "src" in found:
            self.fetched.add(found["src"])
        if tag == "link" and found.get("rel") in ("stylesheet", "preload", "icon"):
            self.fetched.add(found["href"])

    def target(self, link: str) -> tuple[Path, str]:
        """Return the file and the place in it that a link of this page leads to."""
        parts = urlsplit(link)
        return (self.path.parent / unquote(parts.path)).resolve() if parts.path else self.path, unquote(parts.fragment)


def external(link: str) -> bool:
    return bool(urlsplit(link).scheme or urlsplit(link).netloc)


@pytest.fixture(scope="module")
def site() -> dict[Path, Page]:
    return {path: Page(path) for path in sorted(BUILT.rglob("*.html")) if "_static" not in path.parts}


def test_every_link_within_the_site_leads_somewhere(site: dict[Path, Page]) -> None:
    assert len(site) > 100
    broken = []
    for page in site.values():
        for link in {*page.links, *page.fetched} - {"#"}:
            if not external(link):
                path, place = page.target(link)
                if not path.exists() or (place and path in site and place not in site[path].ids):
                    broken.append(f"{page.path.relative_to(BUILT)}: {link}")
    assert broken == []


def test_nothing_is_fetched_from_elsewhere(site: dict[Path, Page]) -> None:
    assert {link for page in site.values() for link in page.fetched if external(link) and "data:" not in link} == set()


def test_pages_can_be_read_aloud(site: dict[Path, Page]) -> None:
    assert {page.language for page in site.values()} == {"en"}
    assert [page.path.name for page in site.values() if page.silent] == []


def test_a_newcomer_finds_it_in_two_clicks(site: dict[Path, Page]) -> None:
    start = site[BUILT / "index.html"]
    first = {start.target(link) for link in start.links if not external(link)}
    second = {
        site[path].target(link) for path, _ in first if path in site for link in site[path].links if not external(link)
    }
    near = {(path.relative_to(BUILT).as_posix(), place) for path, place in first | second if path.is_relative_to(BUILT)}
    for wanted in (
        ("start.html", "install"),
        ("start.html", "the-first-result"),
        ("guide/conventions.html", "dice-of-an-empty-class"),
        ("help.html", ""),
        ("guide/drop_ins.html", ""),
    ):
        assert wanted in near
    hosts = {path for path in (BUILT / "coming_from").glob("*.html") if path.stem != "index"}
    assert {path.relative_to(BUILT).as_posix() for path in hosts} <= {path for path, _ in near}


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield found
        found.close()


def opened(browser: Any, width: int = 1280, scheme: str = "light") -> tuple[Any, list[str]]:
    """Return an empty tab without a network, and what will go wrong in it."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
    tab, wrong = context.new_page(), []
    tab.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    # What was given up, since the tab has gone on to the next page, is no failure.
    tab.on("requestfailed", lambda it: wrong.append(it.url) if it.failure != "net::ERR_ABORTED" else None)
    return tab, wrong


@pytest.mark.browser
def test_pages_fit_a_phone_and_say_no_error(browser: Any, site: dict[Path, Page]) -> None:
    tab, wrong = opened(browser, 390)
    wide = []
    for path in site:
        tab.goto(path.as_uri())
        if tab.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            wide.append(path.relative_to(BUILT).as_posix())
    assert wide == []
    assert wrong == []


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_are_light_or_dark_as_the_system_is(browser: Any, scheme: str, width: int) -> None:
    tab, wrong = opened(browser, width, scheme)
    luminance = (
        "(node) => getComputedStyle(node).%s.match(/[0-9.]+/g).slice(0, 3)"
        ".map((value) => { value /= 255; return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4; })"
        ".reduce((sum, value, k) => sum + value * [0.2126, 0.7152, 0.0722][k], 0)"
    )
    for name in ("index", "guide/folders", "reference/registry"):
        tab.goto((BUILT / f"{name}.html").as_uri())
        ground = tab.locator("body").evaluate(luminance % "backgroundColor")
        text = tab.locator("article p").first.evaluate(luminance % "color")
        assert (ground < 0.1) == (scheme == "dark")
        assert (max(ground, text) + 0.05) / (min(ground, text) + 0.05) >= 7  # as WCAG has it, enhanced
    assert wrong == []


@pytest.mark.browser
def test_search_finds_a_page_and_asks_nobody_else(browser: Any) -> None:
    tab, wrong = opened(browser)
    tab.context.set_offline(False)
    requests: list[str] = []
    tab.on("request", lambda request: requests.append(request.url))
    command = [sys.executable, str(DOCS / "serve.py"), "--as-built", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout is not None
            address = server.stdout.readline().split()[-1]
            tab.goto(address)
            tab.keyboard.press("Control+k")
            tab.keyboard.type("empty class")
            tab.keyboard.press("Enter")
            # The results are listed one by one: on a busy machine the first stands there long before the others.
            tab.wait_for_selector("#search-results ul.search li a[href*=conventions]")
            tab.wait_for_load_state("networkidle")
        finally:
            server.terminate()
    assert [url for url in requests if not url.startswith((address, "data:"))] == []
    assert wrong == []
