"""Pages of hosts: each host has one, and what is made on them is what the adapters and the last run say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("sphinx", reason='needs the site: pip install ".[docs]"')

from ext.drop_ins import drop_ins
from ext.figures import read_run
from ext.host_pages import drop_in_table, handed_over

from fastseg.adapters.hosts import HOSTS

pytestmark = pytest.mark.site
PAGES = Path(__file__).parents[2] / "docs" / "coming_from"
#: Those whose table is made; that of evaluate has functions of its own, and its page is written by hand.
TABLES = [name for name in HOSTS if drop_ins(name)]


def text_of(name: str) -> str:
    return (PAGES / f"{name}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [*HOSTS, "exacta"])
def test_each_host_has_a_page_that_is_listed(name: str) -> None:
    assert f"]({name}.md)" in text_of("index")
    assert f"\n{name}\n" in text_of("index")
    assert text_of(name).startswith("# Coming from ")


@pytest.mark.parametrize("name", TABLES)
def test_a_page_shows_the_table_the_versions_and_the_example(name: str) -> None:
    page = text_of(name)
    assert f"```{{drop-ins}} {name}\n```" in page
    said = re.search(r"^Tested with .*$", page, re.MULTILINE)
    assert said
    assert all(version in said[0] for version in HOSTS[name].tested)
    assert f"../examples/{name}_drop_in.py" in page
    for heading in ("What is counted here", "What differs on purpose", "Proof"):
        assert f"\n## {heading}\n" in page


@pytest.mark.parametrize("name", TABLES)
def test_the_table_has_every_drop_in_once(name: str) -> None:
    shown = re.findall(r"`(\w+)`", drop_in_table(name).replace("sklearn.metrics", ""))
    shown += handed_over(name)
    assert sorted(shown) == sorted(row.name for row in drop_ins(name))


def test_of_several_tasks_one_line_has_all() -> None:
    table = drop_in_table("torchmetrics")
    assert "| `BinaryF1Score`, `MulticlassF1Score`, `MultilabelF1Score`, `F1Score` | label maps |" in table
    assert "[dice](../metrics/dice.md)" in table


@pytest.mark.parametrize("path", sorted(PAGES.glob("*.md")), ids=lambda path: path.stem)
def test_figures_that_a_page_asks_for_are_there(path: Path) -> None:
    for block in re.findall(r"```\{figures\}\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL):
        options = dict(re.findall(r":(\w+): (.*)", block))
        assert read_run().select(**options), options
