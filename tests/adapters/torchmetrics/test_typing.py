"""What tools that read the source, not run it, are told of the drop-ins."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

pytestmark = pytest.mark.torch


def test_type_checkers_find_each_name_where_the_host_has_it() -> None:
    from fastseg.adapters.calls import ROWS

    module = importlib.import_module("fastseg.adapters.torchmetrics")
    stub = ast.parse(Path(str(module.__file__)).with_suffix(".pyi").read_text())
    found = {
        f"{line.module}.{name.name}" for line in stub.body if isinstance(line, ast.ImportFrom) for name in line.names
    }
    assert found == {row.path for row in ROWS.values() if row.host == "torchmetrics"}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of scripting, and of properties that it reads
def test_metrics_are_scripted() -> None:
    import torch

    module = importlib.import_module("fastseg.adapters.torchmetrics")
    for name in ("BinaryF1Score", "MultilabelRecall", "MulticlassJaccardIndex"):
        size = {"Multilabel": {"num_labels": 3}, "Multiclass": {"num_classes": 3}}.get(name[:10], {})
        torch.jit.script(getattr(module, name)(**size))
