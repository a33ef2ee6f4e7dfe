"""Every row of the table of drop-ins: the host's signature, and the version that they were tested with."""

from __future__ import annotations

import importlib
import inspect

import pytest
from support.drop_ins import assert_same_signature

from fastseg.adapters.calls import ROWS, Row
from fastseg.adapters.hosts import HOSTS, load, version

#: Hosts that there is a module of drop-ins for; those but scikit-learn need PyTorch, and are installed where that is.
MODULES = [
    pytest.param("sklearn"),
    *(pytest.param(name, marks=pytest.mark.torch) for name in ("monai", "torchmetrics")),
    *(
        pytest.param(name, marks=pytest.mark.host(name))
        for name in ("ignite", "medpy", "mmseg", "nnunet", "segmentation_models")
    ),
]


def rows(host: str) -> list[Row]:
    """Return the rows of a host, whose module of drop-ins is imported."""
    importlib.import_module(f"fastseg.adapters.{host}")
    found = [row for row in ROWS.values() if row.host == host]
    assert found
    return found


@pytest.mark.parametrize("host", MODULES)
def test_signatures_are_the_hosts(host: str) -> None:
    for row in rows(host):
        assert_same_signature(row)


@pytest.mark.parametrize("host", MODULES)
def test_the_host_is_of_a_version_that_was_tested(host: str) -> None:
    load(host)
    assert HOSTS[host].tested_with(version(host))


@pytest.mark.parametrize("host", MODULES)
def test_drop_ins_are_found_where_they_say_that_they_are(host: str) -> None:
    """So they can be pickled, and be used by other processes."""
    module = importlib.import_module(f"fastseg.adapters.{host}")
    for row in rows(host):
        assert getattr(module, row.ours.__name__) is row.ours
        assert getattr(importlib.import_module(row.ours.__module__), row.ours.__name__) is row.ours
        assert row.ours.__name__ in module.__all__


@pytest.mark.parametrize("host", MODULES)
def test_drop_ins_are_documented(host: str) -> None:
    for row in rows(host):
        text = inspect.getdoc(row.ours) or ""
        head = inspect.cleandoc(row.theirs.__doc__ or "").splitlines()[:1]  # not what a class inherits
        assert text.splitlines()[: len(head)] == head
        assert f"drop-in for `{row.path}`" in text
