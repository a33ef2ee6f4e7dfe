"""The hosts that can be patched: one module each, whose `STEPS` say which functions count, and what is called instead.

They are made when the module is imported: once, and before anything is swapped.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from fastseg.adapters.hosts import HOSTS, load, version
from fastseg.patch.swaps import Step

__all__ = ["PATCHED", "check", "steps"]

#: By name, as in `fastseg.adapters.hosts.HOSTS`: the module that says how.
PATCHED = {
    name: f"fastseg.patch.hosts.{name}"
    for name in (
        "huggingface",
        "ignite",
        "medpy",
        "mmseg",
        "monai",
        "nnunet",
        "segmentation_models",
        "sklearn",
        "torchmetrics",
    )
}


def check(names: Sequence[str]) -> None:
    """Raise ValueError for names that are no hosts, or if there are none."""
    wrong = [name for name in names if name not in PATCHED]
    if wrong or not names:
        found = ", ".join(map(repr, wrong)) or "none"
        raise ValueError(f"hosts: expected some of {', '.join(map(repr, PATCHED))}, found {found}")


def steps(name: str) -> tuple[str, Sequence[Step]]:
    """Return the version of a host, and its steps.

    Raises
    ------
    ImportError
        If it is not installed, or is not of a version whose steps are known.
    """
    load(name)
    host, found = HOSTS[name], version(name)
    if not host.tested_with(found):
        raise ImportError(
            f"fastseg.patch({name!r}): expected {host.distribution} {' or '.join(host.tested)}, whose inner steps are known, "
            f"found {found}; fastseg.adapters.{name} takes that version",
            name=host.module,
        )
    its_steps: Sequence[Step] = importlib.import_module(PATCHED[name]).STEPS
    return found, its_steps
