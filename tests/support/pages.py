"""The pages that people read, their blocks, and what a block does when it is run.

Blocks of a page are run from first to last, Python in one namespace, in a folder of their own. What a block prints is what
the page shows: a ```text block right after a ```python block, and in a ```console block all that stands below a command, where
``...`` is anything. A command whose output is left out shows none.
"""

from __future__ import annotations

import ast
import contextlib
import doctest
import io
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastseg import cli
from fastseg.adapters.hosts import HOSTS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
#: Where docs/serve.py builds it.
BUILT = ROOT / "build" / "docs"
#: What a build makes, of which none is committed but the pages that were written by hand.
MADE = ("auto_gallery/", "metrics/", "reference/generated/")
_BY_HAND = ("metrics/which_score.md",)

_BLOCK = re.compile(r"^(?P<fence>`{3,})(?P<kind>[^\n`]*)\n(?P<text>.*?)^(?P=fence)[ ]*$", re.MULTILINE | re.DOTALL)
_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
#: Commands that prepare a shell or an environment: what comes after them is run in one that is ready.
_PREPARING = ("pip", "source", "cd", "git")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    path: Path
    line: int
    kind: str
    text: str
    after: str
    """What stands between the block before it and this one."""

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """Return README, CONTRIBUTING and all pages that were written by hand."""
    found = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    written = sorted(name for name in found if name in _BY_HAND or not name.startswith(MADE))
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(DOCS / name for name in written)]


def blocks(path: Path) -> list[Block]:
    """Return the fenced blocks of a page."""
    text, found, end = path.read_text(encoding="utf-8"), [], 0
    for match in _BLOCK.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(path, line, match["kind"].strip(), match["text"], text[end : match.start()]))
        end = match.end()
    return found


def hosts_of(path: Path) -> set[str]:
    """Return the hosts of drop-ins, and "torch", that the Python blocks of a page import; these may not be there."""
    imported = set()
    for block in blocks(path):
        if block.kind == "python":
            code = "".join(code for code, _ in _examples(block)) if ">>> " in block.text else block.text
            for node in ast.walk(ast.parse(code)):
                names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
                names += (
                    [f"{node.module}.{each.name}" for each in node.names] if isinstance(node, ast.ImportFrom) else []
                )
                for name in names:
                    imported.add(name.removeprefix("fastseg.adapters.").partition(".")[0])
    known = {name for name, host in HOSTS.items() if {name, host.module} & imported}
    return known | ({"torch"} & imported)


def run_page(path: Path) -> int:
    """Run the blocks of a page in the current folder, and return how many commands and blocks were run."""
    names: dict[str, Any] = {"__name__": "__page__"}
    ran, found = 0, blocks(path)
    for block, following in zip(found, [*found[1:], None], strict=True):
        if block.kind == "python":
            shown = following.text if following and following.kind == "text" and not following.after.strip() else ""
            _run_python(block, shown, names)
            ran += 1
        elif block.kind == "console":
            ran += sum(_run_command(block, *each) for each in _commands(block))
    return ran


def _examples(block: Block) -> list[tuple[str, str]]:
    return [(each.source, each.want) for each in doctest.DocTestParser().get_examples(block.text)]


def _run_python(block: Block, shown: str, names: dict[str, Any]) -> None:
    if ">>> " in block.text:
        for source, wanted in _examples(block):
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(source, str(block), "single"), names)
            _compare(block, source, printed.getvalue(), wanted)
        return
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile("\n" * block.line + block.text, str(block.path), "exec"), names)
    _compare(block, "this block", printed.getvalue(), shown)


def _commands(block: Block) -> Iterator[tuple[str, str]]:
    """Yield each command of a console, and what is shown below it."""
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        while command.endswith("\\"):
            more, _, shown = shown.partition("\n")
            command = command[:-1] + more
        yield command, shown


def _run_command(block: Block, command: str, shown: str) -> bool:
    words = shlex.split(command, comments=True)
    if words[0] in _PREPARING:
        return False
    printed, code = _call(words[1:]) if words[0] == "fastseg" else _process(words)
    if shown.strip():
        _compare(block, command, printed, shown)
    failing = "fastseg: error" in shown or "gate failed" in shown
    assert failing == (code != 0), f"{block}: {command}: ends with {code}\n{printed}"
    return True


def _call(arguments: list[str]) -> tuple[str, int]:
    """Call the command line in this process: what it says on both streams, and its exit code."""
    printed, argv = io.StringIO(), sys.argv
    sys.argv = ["fastseg", *arguments]
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            cli.main()
    except SystemExit as done:
        return printed.getvalue(), int(done.code or 0)
    finally:
        sys.argv = argv
    raise AssertionError("the command line ends without an exit code")


def _process(words: list[str]) -> tuple[str, int]:
    assert words[:2] == ["python", "-m"], f"{words[0]}: expected fastseg, python -m, or what prepares a shell"
    done = subprocess.run([sys.executable, *words[1:]], capture_output=True, text=True)
    return done.stdout + done.stderr, done.returncode


def _compare(block: Block, what: str, printed: str, shown: str) -> None:
    if not doctest.OutputChecker().check_output(shown, printed, _FLAGS):
        raise AssertionError(f"{block}: {what}\nshows\n{shown}\nprints\n{printed}")
