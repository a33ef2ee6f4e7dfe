"""What a page says is the same number elsewhere is that number, of the page's example."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import numpy as np
import pytest
from ext import example, metric_pages, partition_pages, surface_pages
from ext.explained_partitions import PARTITIONS
from ext.explained_surfaces import SURFACES
from ext.explanation import split_name
from ext.metric_pages import EXPLAINED

ENTRIES = metric_pages.entries()
PAIR = np.stack([1 - example.PROBABILITY, example.PROBABILITY], axis=-1)
EXACTA = importlib.util.find_spec("exacta") is not None  # of the extra `bench`
#: In the test extra, and what the drop-ins' tests have; exacta where it is.
PACKAGES = [
    "sklearn",
    pytest.param("torchmetrics", marks=[pytest.mark.torch, pytest.mark.host("torchmetrics")]),
    pytest.param("monai", marks=[pytest.mark.torch, pytest.mark.host("monai")]),
    *(["exacta"] if EXACTA else []),
]
#: What they are called with, beside the arrays.
OPTIONS: dict[str, dict[str, Any]] = {
    "balanced_accuracy": {"average": "macro"},
    "accuracy": {"average": "micro"},
    "frequency_weighted_iou": {"average": "weighted"},
}
LOSSES: dict[str, dict[str, Any]] = {
    "soft_dice_loss": {"squared_pred": True, "softmax": True},
    "soft_iou_loss": {"jaccard": True, "softmax": True},
    "generalized_dice_loss": {"softmax": True},
    "tversky_loss": {"softmax": True, "alpha": 0.3, "beta": 0.7},
    "cross_entropy": {"softmax": True, "lambda_dice": 0},
    "dice_cross_entropy_loss": {"softmax": True, "squared_pred": True},
}

MONAI_OPTIONS: dict[str, Any] = {"percentile": 95, "symmetric": True, "class_thresholds": [0.5]}


def path_of(name: str, package: str) -> str:
    return split_name(EXPLAINED[name].peers.get(package, ""))[0]


def resolved(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


@pytest.mark.filterwarnings("ignore")  # of the hosts
@pytest.mark.parametrize("package", PACKAGES)
def test_names_are_there(package: str) -> None:
    paths = [path for name in EXPLAINED if (path := path_of(name, package))]
    assert len(paths) > 5
    for path in paths:
        assert resolved(path), path


@pytest.mark.parametrize(
    "name", ["accuracy", "balanced_accuracy", "frequency_weighted_iou", "cohen_kappa", "matthews_corrcoef"]
)
def test_scikit_learn_of_labels(name: str) -> None:
    options = OPTIONS.get(name, {}) if name == "frequency_weighted_iou" else {}
    theirs = resolved(path_of(name, "sklearn"))(example.TRUTH.ravel(), example.PREDICTION.ravel(), **options)
    assert theirs == pytest.approx(example.value(ENTRIES[name], EXPLAINED[name]))


@pytest.mark.parametrize("name", ["cross_entropy", "negative_log_likelihood", "brier_score", "top_k_accuracy"])
def test_scikit_learn_of_probabilities(name: str) -> None:
    options = {"brier_score": {"scale_by_half": False}, "top_k_accuracy": {"k": 1}}.get(name, {})
    theirs = resolved(path_of(name, "sklearn"))(example.TRUTH.ravel(), example.PROBABILITY.ravel(), **options)
    assert theirs == pytest.approx(example.value(ENTRIES[name], EXPLAINED[name]), rel=1e-6)


@pytest.mark.torch
@pytest.mark.host("torchmetrics")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["accuracy", "balanced_accuracy", "frequency_weighted_iou"])
def test_torchmetrics_of_labels(name: str) -> None:
    import torch

    arrays = (torch.from_numpy(array.ravel()) for array in (example.PREDICTION, example.TRUTH))
    theirs = resolved(path_of(name, "torchmetrics"))(*arrays, num_classes=2, **OPTIONS[name])
    assert float(theirs) == pytest.approx(example.value(ENTRIES[name], EXPLAINED[name]))


@pytest.mark.torch
@pytest.mark.host("torchmetrics")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "norm"), [("expected_calibration_error", "l1"), ("maximum_calibration_error", "max")])
def test_torchmetrics_of_calibration(name: str, norm: str) -> None:
    import torch

    pair, truth = torch.from_numpy(PAIR.reshape(-1, 2)), torch.from_numpy(example.TRUTH.ravel())
    theirs = resolved(path_of(name, "torchmetrics"))(pair, truth, num_classes=2, n_bins=5, norm=norm)
    assert float(theirs) == pytest.approx(example.value(ENTRIES[name], EXPLAINED[name]))


def of_partition(name: str, theirs: float) -> None:
    """Compare another package's number, of information in nats, with that of the page."""
    theirs *= 1 / np.log(2) if "nats" in EXPLAINED[name].peers["sklearn"] else 1
    assert theirs == pytest.approx(partition_pages.value(ENTRIES[name]), rel=1e-5)


@pytest.mark.parametrize("name", [name for name in PARTITIONS if path_of(name, "sklearn")])
def test_scikit_learn_of_partitions(name: str) -> None:
    of_partition(
        name, resolved(path_of(name, "sklearn"))(partition_pages.TRUTH.ravel(), partition_pages.PREDICTION.ravel())
    )


@pytest.mark.torch
@pytest.mark.host("torchmetrics")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [name for name in PARTITIONS if path_of(name, "torchmetrics")])
def test_torchmetrics_of_partitions(name: str) -> None:
    import torch

    maps = [torch.from_numpy(labels.ravel()) for labels in (partition_pages.PREDICTION, partition_pages.TRUTH)]
    of_partition(name, float(resolved(path_of(name, "torchmetrics"))(*maps)))


@pytest.mark.torch
@pytest.mark.host("monai")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [*LOSSES, "focal_loss"])
def test_monai_of_losses(name: str) -> None:
    import torch

    import fastseg

    logits = torch.from_numpy(np.log(np.moveaxis(PAIR, -1, 0)[None]))
    options = LOSSES.get(name, {"use_softmax": True})
    theirs = resolved(path_of(name, "monai"))(to_onehot_y=True, **options)(
        logits, torch.from_numpy(example.TRUTH[None, None])
    )
    one_case = {"sample_axis": None} if ENTRIES[name].defaults else {}
    own = {key: options[key] for key in ("alpha", "beta") if key in options}
    ours = getattr(fastseg, name)(example.TRUTH, PAIR, **one_case, **own)
    assert float(theirs) == pytest.approx(ours / 2 if name == "focal_loss" else ours, abs=1e-5)


@pytest.mark.torch
@pytest.mark.host("monai")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name", [name for name in EXPLAINED if "metric_name" in EXPLAINED[name].peers.get("monai", "")]
)
def test_monai_of_confusion_matrices(name: str) -> None:
    import torch

    _, words = split_name(EXPLAINED[name].peers["monai"])
    metric = resolved(path_of(name, "monai"))(metric_name=words.split('"')[1], include_background=False)
    maps = (torch.from_numpy(np.stack([1 - array, array])[None]) for array in (example.PREDICTION, example.TRUTH))
    metric(*maps)
    assert float(metric.aggregate()[0]) == pytest.approx(example.value(ENTRIES[name], EXPLAINED[name]))


def of_exacta(kind: str) -> list[str]:
    """Return what there is to compare."""
    return [name for name in EXPLAINED if path_of(name, "exacta").startswith(f"exacta.{kind}.")]


@pytest.fixture
def exacta() -> Any:
    return pytest.importorskip("exacta", reason="needs a host of drop-ins: pip install exacta")


@pytest.mark.torch
@pytest.mark.usefixtures("exacta")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name", [name for name in of_exacta("functional") if name not in ("threshold_curve", *SURFACES)]
)
def test_exacta_of_metrics(name: str) -> None:
    import torch

    function, truth = resolved(path_of(name, "exacta")), torch.from_numpy(example.TRUTH[None])
    if EXPLAINED[name].term is None:
        theirs = function(torch.from_numpy(example.PREDICTION[None]), truth, num_classes=2)[0, 1]
    else:
        bins = {"bins": 5} if "calibration" in name else {}
        theirs = function(torch.from_numpy(np.moveaxis(PAIR, -1, 0)[None].astype(np.float32)), truth, **bins)
    assert float(theirs) == pytest.approx(example.value(ENTRIES[name], EXPLAINED[name]), abs=1e-5)


@pytest.mark.torch
@pytest.mark.usefixtures("exacta")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [name for name in of_exacta("functional") if name in SURFACES])
def test_exacta_of_surfaces(name: str) -> None:
    import torch

    own: dict[str, Any] = dict(EXPLAINED[name].options)
    own |= {"combine": "mean"} if "combine" in EXPLAINED[name].peers["exacta"] else {}
    maps = (torch.from_numpy(array[None]) for array in (example.PREDICTION, example.TRUTH))
    theirs = resolved(path_of(name, "exacta"))(*maps, num_classes=2, spacing=1.0, **own)[0, 1]
    assert float(theirs) == pytest.approx(surface_pages.value(ENTRIES[name], EXPLAINED[name]))


@pytest.mark.torch
@pytest.mark.host("monai")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [name for name in SURFACES if path_of(name, "monai")])
def test_monai_of_surfaces(name: str) -> None:
    import torch

    _, words = split_name(EXPLAINED[name].peers["monai"])
    own = {key: value for key, value in MONAI_OPTIONS.items() if key in words}
    maps = [torch.from_numpy(np.stack([1 - array, array])[None]) for array in (example.PREDICTION, example.TRUTH)]
    theirs = resolved(path_of(name, "monai"))(*maps, **own)
    assert float(theirs) == pytest.approx(surface_pages.value(ENTRIES[name], EXPLAINED[name]))


@pytest.mark.torch
@pytest.mark.usefixtures("exacta")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", of_exacta("losses"))
def test_exacta_of_losses(name: str) -> None:
    import torch

    import fastseg

    own: dict[str, Any] = {"alpha": 0.3, "beta": 0.7} if "tversky" in name else {}
    their_own = {**own, "gamma": 0.5} if name == "focal_tversky_loss" else dict(own)
    _, words = split_name(EXPLAINED[name].peers["exacta"])
    their_own |= {"squared_pred": True} if "squared_pred" in words else {}
    their_own |= {"lambda_dice": 0} if "lambda_dice" in words else {}
    logits = torch.from_numpy(np.log(np.moveaxis(PAIR, -1, 0)[None]))
    theirs = resolved(path_of(name, "exacta"))(**their_own)(logits, torch.from_numpy(example.TRUTH[None]))
    one_case = {"sample_axis": None} if ENTRIES[name].defaults else {}
    own |= {"gamma": 2} if name == "focal_tversky_loss" else {}
    assert float(theirs) == pytest.approx(getattr(fastseg, name)(example.TRUTH, PAIR, **one_case, **own), abs=1e-5)
