"""Docstrings as they are written for `help`: names in backticks are links where they have a page, and bars are bars."""

from __future__ import annotations

import re
from typing import Any

from sphinx.domains.python import PyXRefRole

#: A bar that docutils would take for the start of a substitution.
_BAR = re.compile(r"(?<!\\)\|(?=\S)")


def keep_bars(lines: list[str]) -> list[str]:
    """Escape the bars of formulas such as |p − t|; examples, and what is in backticks, are left as they are."""
    kept, example = [], False
    for line in lines:
        example = line.lstrip().startswith(">>>") or (example and bool(line.strip()))
        kept.append(line if example or "`" in line else _BAR.sub(r"\\|", line))
    return kept


def _process(*known: Any) -> None:
    lines = known[-1]  # after what is documented, and how
    lines[:] = keep_bars(lines)


def setup(app: Any) -> dict[str, bool]:
    """Register the role `known`, which conf.py makes the default one, and what is done to docstrings after numpydoc."""
    app.add_role_to_domain("py", "known", PyXRefRole())
    app.connect("autodoc-process-docstring", _process, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
