"""The report as a browser takes it: hostile names are text, and nothing runs but its own script."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from support.reports import IMAGE, SCRIPT, Page, failed, of_arrays, phantom, run_of

from fastseg.phantom import phantom_pair
from fastseg.report import page, svg

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

HOSTILE = [
    "$\\frac{1}{0}$",
    "two\nlines",
    "كبد",
    "🫀 heart",
    "a & b",
    "\x00\x1b[31m",
    "{{ 7 * 7 }}",
    "\u202eevil",
    "é́\ud800",
]


@pytest.mark.parametrize("name", [SCRIPT, IMAGE, *HOSTILE])
def test_hostile_names_are_text(name: str, volumes: dict[str, Any]) -> None:
    true, pred = phantom_pair((12, 12, 12), 3, foreground=0.4, seed=1)
    case = of_arrays(volumes, true, pred, id=name, geometry=name)
    gates = [{"text": name, "value": None, "passed": False, "message": name}]
    run = run_of(case, failed("x", name), names={1: name, 2: "plain"}, regions={}, facts={name: name, "gates": gates})
    html = page.render(run, title=name)
    found = Page(html)
    assert found.text.count(svg.shown(name)) >= 8
    assert found.count("script") == 1
    assert found.count("img") == 0
    assert "onerror" not in {key for _, attributes in found.elements for key in attributes}
    assert not set(html) & {"\x00", "\x1b", "\u202e"}
    assert "49" not in re.findall(r"\d+", found.text) or name != "{{ 7 * 7 }}"


def test_policy_allows_only_what_is_there() -> None:
    html = page.render(run_of(phantom("a", 0)))
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy is not None
    assert "unsafe" not in policy[1]
    assert policy[1].startswith("default-src &#39;none&#39;; img-src data:;")


def column(tab: Any, number: int) -> Sequence[str]:
    rows = tab.locator("#cases tbody tr:not([hidden])")
    return rows.evaluate_all(f"rows => rows.map(row => row.cells[{number}].textContent)")


@pytest.mark.browser
def test_in_a_browser(tmp_path: Path, volumes: dict[str, Any], chromium: str) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    true, pred = phantom_pair((24, 24, 24), 3, foreground=0.3)
    records = [phantom(f"case {n}", n) for n in (1, 2, 10, 11)]
    run = run_of(
        *records, of_arrays(volumes, true, pred, id=SCRIPT), failed("broken"), names={1: IMAGE}, metrics=("dice", "iou")
    )
    path = tmp_path / "report.html"
    path.write_text(page.render(run, title=SCRIPT), "utf-8")
    problems: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        try:
            tab = browser.new_page()
            tab.on("console", lambda message: problems.append(message.text))
            tab.on("pageerror", lambda error: problems.append(str(error)))
            tab.on("requestfailed", lambda request: problems.append(request.url))
            tab.on("dialog", lambda dialog: (problems.append(dialog.message), dialog.dismiss()))
            requests: list[str] = []
            tab.on("request", lambda request: requests.append(request.url))
            tab.goto(path.as_uri())

            # Hostile names are text
            assert tab.locator("h1").text_content() == SCRIPT
            assert tab.locator("#cases th bdi", has_text=SCRIPT).count() == 1
            assert tab.locator("svg text", has_text="onerror").count() + tab.locator("svg title").count() >= 4
            assert tab.locator("img").count() == 0

            # A click sorts: numbers by their values, names as people count, what is undefined last
            header = tab.locator("#cases thead th").nth(2)
            header.locator("button").click()
            ascending = column(tab, 2)
            assert header.get_attribute("aria-sort") == "ascending"
            assert ascending[-1] == "–"
            assert [float(text) for text in ascending[:-1]] == sorted(float(text) for text in ascending[:-1])
            header.locator("button").press("Enter")
            descending = column(tab, 2)
            assert header.get_attribute("aria-sort") == "descending"
            assert descending == [*ascending[:-1][::-1], "–"]
            tab.locator("#cases thead th button").first.click()
            assert header.get_attribute("aria-sort") is None
            assert [name for name in column(tab, 0) if "case" in name] == ["case 1", "case 2", "case 10", "case 11"]

            # The filter
            tab.fill("#filter", "CASE scored 1")
            assert column(tab, 0) == ["case 1", "case 10", "case 11"]
            assert tab.locator("#filtered").text_content() == "3 of 6 cases"
            tab.fill("#filter", "")
            assert len(column(tab, 0)) == 6

            # The heat map's scale, by keyboard
            assert [tab.locator(f"#heat-{kind}").is_visible() for kind in ("linear", "log")] == [True, False]
            tab.locator("#scale-linear").focus()
            tab.keyboard.press("ArrowRight")
            assert [tab.locator(f"#heat-{kind}").is_visible() for kind in ("linear", "log")] == [False, True]

            # Pictures are painted, links lead to them, and nothing is wider than a phone
            tab.locator("#cases a", has_text=SCRIPT).click()
            tab.locator("article:target").wait_for()
            assert tab.locator("article:target .plane svg image").count() == 9
            tab.set_viewport_size({"width": 360, "height": 700})
            assert tab.evaluate("document.documentElement.scrollWidth") <= 360

            # A plot that is alone is as wide as one of two
            tab.set_viewport_size({"width": 1280, "height": 900})
            widths = [tab.evaluate("document.querySelector('.panels figure').offsetWidth")]
            tab.evaluate("document.querySelectorAll('.panels figure')[1].remove()")
            widths.append(tab.evaluate("document.querySelector('.panels figure').offsetWidth"))
            assert widths[0] == widths[1] < 600
            tab.emulate_media(media="print", color_scheme="dark")
            assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
            assert [url for url in requests if not url.startswith("data:")] == [path.as_uri()]
        finally:
            browser.close()
    assert problems == []
