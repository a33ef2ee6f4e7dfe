"""The libraries that there are drop-ins for: what to install, and the versions that they were tested with."""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from types import ModuleType
from typing import Any

__all__ = ["HOSTS", "Host", "load", "resolve"]


@dataclass(frozen=True)
class Host:
    """A library that there are drop-ins for."""

    module: str
    """What is imported."""
    distribution: str
    """What is installed."""
    oldest: str
    """Older versions are refused."""
    tested: tuple[str, ...]
    """The versions, up to the minor number, whose answers the tests have compared."""

    def tested_with(self, version: str) -> bool:
        """Tell whether the drop-ins were tested with that version, or another patch of it."""
        return _numbers(version)[:2] in [_numbers(each)[:2] for each in self.tested]


#: Every host by the name of its module of drop-ins.
HOSTS = {
    "monai": Host("monai", "monai", oldest="1.5", tested=("1.6",)),
    "sklearn": Host("sklearn", "scikit-learn", oldest="1.7", tested=("1.7", "1.9")),
    "torchmetrics": Host("torchmetrics", "torchmetrics", oldest="1.4", tested=("1.9",)),
}


def load(name: str) -> ModuleType:
    """Import a host.

    Parameters
    ----------
    name
        One of `HOSTS`.

    Raises
    ------
    ImportError
        If it is not installed, or is too old.
    """
    host = HOSTS[name]
    try:
        module = importlib.import_module(host.module)
    except ModuleNotFoundError as error:
        if error.name != host.module:  # it is there, but something that it needs is not
            raise
        raise ImportError(
            f"fastseg.adapters.{name} needs {host.distribution}: pip install {host.distribution}", name=host.module
        ) from None
    found = str(module.__version__)
    if _numbers(found) < _numbers(host.oldest):
        raise ImportError(
            f"fastseg.adapters.{name} needs {host.distribution} {host.oldest} or later, found {found}", name=host.module
        )
    return module


def resolve(path: str) -> Any:
    """Return what a dotted path in a host names, such as ``"sklearn.metrics.f1_score"``."""
    module, _, attribute = path.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def _numbers(version: str) -> tuple[int, ...]:
    """Return the numbers that a version begins with: 1.9.0rc1 is (1, 9, 0)."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found else ()
