"""A plugin of pytest: scikit-learn's own tests, which import its functions by name, get the drop-ins under these names.

At the end it prints how the calls went. ``-p support.sklearn_substituted --pyargs sklearn.metrics.tests.test_common``
"""

from __future__ import annotations

import sklearn.metrics

import fastseg.adapters.sklearn as ours
from fastseg.adapters import report

for name in ours.__all__:
    setattr(sklearn.metrics, name, getattr(ours, name))


def pytest_terminal_summary(terminalreporter: object) -> None:
    """Print what `report` says."""
    terminalreporter.write_line(str(report()))  # type: ignore[attr-defined]
