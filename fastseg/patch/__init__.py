"""Let other libraries count with fastseg, without an edit of the code that calls them.

>>> import fastseg
>>> from sklearn.metrics import f1_score
>>> with fastseg.patch("sklearn"):
...     f1_score([0, 1, 1], [0, 0, 1])
0.6666666666666666

`fastseg.patch` is this module, which can be called (see `Patcher.__call__`), with `undo` and `status`; on the command line,
``python -m fastseg.patch sklearn train.py`` runs a script so. The functions that count are swapped, not their names:
what was imported earlier, scorers and metrics that are there already count with fastseg too, in all threads. What
`fastseg.adapters` does not cover goes to the library itself, and `status` says how often.
"""

from __future__ import annotations

import sys
from types import ModuleType

from fastseg.patch.patching import HostStatus, Patch, Patcher, Status, patch

__all__ = ["HostStatus", "Patch", "Patcher", "Status", "status", "undo"]

undo = patch.undo
status = patch.status


class _Callable(ModuleType):
    """A module that patches when it is called."""

    def __call__(self, *hosts: str) -> Patch:
        """Patch hosts; see `Patcher.__call__`."""
        return patch(*hosts)


sys.modules[__name__].__class__ = _Callable
