"""A plugin of pytest that prints `fastseg.patch.status()` and the report of calls at the end."""

from __future__ import annotations

import fastseg
from fastseg.adapters import report


def pytest_terminal_summary(terminalreporter: object) -> None:
    """Print what they say."""
    terminalreporter.write_line(f"{fastseg.patch.status()}\n\n{report()}")  # type: ignore[attr-defined]
