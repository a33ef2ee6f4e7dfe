"""The law of files: each format has a table of what its files can state, and each row a test that is there."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from ext.file_laws import PAGE, page_with_tables, statements
from support.formats_on_disk import modules

HERE = Path(__file__).parent
#: What every format can say in one way or another: whoever adds one thinks of these.
LEAST = 4


def functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("module", modules())
def test_every_format_says_what_its_files_can_state(module: str) -> None:
    _, rows = statements()[module]
    assert len(rows) >= LEAST
    assert len({row.says for row in rows}) == len(rows)
    for row in rows:
        assert row.says
        assert row.done in ("obeyed", "refused", "noted", "irrelevant"), row
        assert row.how or row.done in ("obeyed", "refused"), row  # why it is irrelevant, what is noted
        name, _, test = row.test.partition("::")
        assert (HERE / name).is_file(), row
        assert test in functions(HERE / name), row
        assert test.startswith("test_"), row


def test_the_guide_has_the_tables() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert page_with_tables(text) == text, "run: python docs/ext/file_laws.py"
    for name, rows in statements().values():
        assert f"#### {name}\n" in text
        assert all(f"| {row.done} |" in text for row in rows)
