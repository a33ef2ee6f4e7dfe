"""The libraries that there are drop-ins for: what to install, and the versions that they were tested with."""

from __future__ import annotations

import importlib
import importlib.metadata
import re
from dataclasses import dataclass
from types import ModuleType
from typing import Any

__all__ = ["HOSTS", "Host", "host_of", "load", "resolve", "version"]


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
    "huggingface": Host("evaluate", "evaluate", oldest="0.4", tested=("0.4",)),
    "ignite": Host("ignite", "pytorch-ignite", oldest="0.5", tested=("0.5",)),
    "medpy": Host("medpy", "medpy", oldest="0.4", tested=("0.5",)),
    "mmseg": Host("mmseg", "mmsegmentation", oldest="1.0", tested=("1.2",)),
    "monai": Host("monai", "monai", oldest="1.6", tested=("1.6",)),
    "nnunet": Host("nnunetv2", "nnunetv2", oldest="2.2", tested=("2.8",)),
    "segmentation_models": Host(
        "segmentation_models_pytorch", "segmentation-models-pytorch", oldest="0.3", tested=("0.6",)
    ),
    "sklearn": Host("sklearn", "scikit-learn", oldest="1.7", tested=("1.7", "1.9")),
    "torchmetrics": Host("torchmetrics", "torchmetrics", oldest="1.9", tested=("1.9",)),
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
    found = version(name)
    if _numbers(found) < _numbers(host.oldest):
        raise ImportError(
            f"fastseg.adapters.{name} needs {host.distribution} {host.oldest} or later, found {found}", name=host.module
        )
    return module


def version(name: str) -> str:
    """Return the version of a host that is installed; some say it only in what is known of the distribution."""
    host = HOSTS[name]
    module = importlib.import_module(host.module)
    return str(getattr(module, "__version__", None) or importlib.metadata.version(host.distribution))


def host_of(path: str) -> str:
    """Return which of `HOSTS` has what a dotted path names; ValueError if none has.

    Examples
    --------
    >>> host_of("sklearn.metrics.f1_score")
    'sklearn'
    """
    module = path.partition(".")[0]
    found = next((name for name, host in HOSTS.items() if host.module == module), None)
    if found is None:
        raise ValueError(f"path: expected one in {', '.join(host.module for host in HOSTS.values())}; found {path!r}")
    return found


def resolve(path: str) -> Any:
    """Return what a dotted path in a host names, such as ``"sklearn.metrics.f1_score"``."""
    module, _, attribute = path.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def _numbers(version: str) -> tuple[int, ...]:
    """Return the numbers that a version begins with: 1.9.0rc1 is (1, 9, 0)."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found else ()
