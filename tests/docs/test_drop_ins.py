"""The table of drop-ins that pages are made of is that of the adapters."""

from __future__ import annotations

import pytest
from ext.drop_ins import drop_ins, found, same_number

from fastseg.adapters.hosts import HOSTS

NEEDS_TORCH = {name: [] if name in ("medpy", "sklearn") else [pytest.mark.torch] for name in HOSTS}


@pytest.mark.filterwarnings("ignore")  # of the hosts
@pytest.mark.parametrize(
    "host", [pytest.param(name, marks=[pytest.mark.host(name), *NEEDS_TORCH[name]]) for name in HOSTS]
)
def test_the_table_is_that_of_the_adapters(host: str) -> None:
    assert found([host]).get(host, []) == drop_ins(host), "python docs/ext/drop_ins.py makes it again"


def test_every_host_is_in_the_table() -> None:
    assert [name for name in HOSTS if not drop_ins(name)] == ["huggingface"]  # whose names are functions of their own


def test_of_several_tasks_that_of_many_classes_is_named() -> None:
    assert same_number("iou", "torchmetrics") == [
        "torchmetrics.functional.classification.multiclass_jaccard_index",
        "torchmetrics.functional.segmentation.mean_iou",
    ]
    assert same_number("dice", "sklearn") == ["sklearn.metrics.f1_score"]
    assert same_number("dice", "nobody") == []
