"""Every block of Python and every command line of README and site runs, and prints what the page shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.pages import DOCS, ROOT, blocks, hosts_of, pages, run_page

import fastseg
from fastseg.adapters import report


def marked(path: Path) -> object:
    """A page that imports a host is skipped where it is not installed."""
    marks = [pytest.mark.torch if name == "torch" else pytest.mark.host(name) for name in hosts_of(path) - {"sklearn"}]
    return pytest.param(path, id=path.relative_to(ROOT).as_posix(), marks=marks)


def has(path: Path, *kinds: str) -> bool:
    return path.name != "CONTRIBUTING.md" and any(block.kind in kinds for block in blocks(path))


@pytest.fixture
def threads() -> Iterator[None]:
    """Put the number of threads back, which a page may set."""
    yield
    fastseg.set_num_threads(None)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("path", [marked(path) for path in pages() if has(path, "python", "console")])
def test_blocks_run_and_print_what_is_shown(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    report(reset=True)  # of what other pages called
    assert run_page(path) > 0


def test_no_block_is_of_a_kind_that_nobody_checks() -> None:
    known = {"python", "console", "text", "sh", "json"}
    for path in pages():
        for block in blocks(path):
            assert block.kind in known or block.kind.startswith("{"), block
            if block.kind == "sh" and path.name != "README.md":  # the gate runs those of the README
                assert "fastseg " not in re.sub(r"fastseg demo$", "", block.text), block


def test_a_page_that_shows_what_is_not_printed_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("support.pages.ROOT", tmp_path)
    page = tmp_path / "page.md"
    for text in (
        "```python\nprint(1)\n```\n\n```text\n2\n```\n",
        "```python\nprint(1)\n```\n\nFurther below\n\n```text\n1\n```\n",
        "```python\n>>> 1 + 1\n3\n```\n",
        "```console\n$ fastseg --version\nfastseg, version 0.0.0\n```\n",
        "```console\n$ fastseg evaluate there none\n```\n",
        "```console\n$ rm -rf .\n```\n",
    ):
        page.write_text(text)
        with pytest.raises(AssertionError):
            run_page(page)
    page.write_text("```python\nprint(1)\n```\n\n```text\n1\n```\n\n```python\n>>> 1 + 1\n2\n```\n")
    assert run_page(page) == 2


def test_the_two_commands_are_those_of_the_readme() -> None:
    first, second, *_ = (block.text for block in blocks(ROOT / "README.md") if block.kind == "sh")
    shown = [block.text for block in blocks(DOCS / "start.md") if block.kind == "sh"]
    assert [first, second] == shown
