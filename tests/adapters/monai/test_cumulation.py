"""What MONAI's metrics are besides a function: buffers, lists, reductions, handlers of ignite, metadata, copies."""

from __future__ import annotations

import copy
import itertools
import pickle
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.drop_ins import assert_same, assert_same_call, strictly, went
from support.tensors import label_maps, masks

pytestmark = pytest.mark.torch
KINDS: list[tuple[str, dict[str, Any]]] = [
    ("DiceMetric", {}), ("DiceMetric", {"include_background": False, "ignore_empty": False}), ("MeanIoU", {}),
    ("DiceMetric", {"reduction": "mean_batch", "return_with_label": True}), ("GeneralizedDiceScore", {}),
    ("DiceMetric", {"reduction": "mean_batch", "return_with_label": ["liver", "spleen", "pancreas"]}),
    ("MeanIoU", {"ignore_empty": False, "include_background": False}), ("GeneralizedDiceScore", {"weight_type": "simple"}),
    ("ConfusionMatrixMetric", {}), ("ConfusionMatrixMetric", {"metric_name": ["ppv", "f1 score"], "compute_sample": True}),
    ("MeanIoU", {"ignore_index": 1}), ("DiceMetric", {"ignore_index": 1}), ("ConfusionMatrixMetric", {"ignore_index": 0}),
]  # fmt: skip
REDUCTIONS = ["none", "mean", "sum", "mean_batch", "sum_batch", "mean_channel", "sum_channel"]


def both(name: str, **options: Any) -> tuple[Any, Any]:
    """Return a metric of the host's and one of ours."""
    import monai.metrics

    import fastseg.adapters.monai

    return tuple(getattr(module, name)(**options) for module in (monai.metrics, fastseg.adapters.monai))  # type: ignore[return-value]


@pytest.mark.parametrize(("name", "options"), KINDS, ids=str)
def test_batches_and_lists(name: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    batches = [masks(rng, (2, 7, 6), 3), masks(rng, (3, 7, 6), 3)]
    for reduction, not_nans in itertools.product(REDUCTIONS, [True, False]):
        if "return_with_label" in options and reduction != "mean_batch":
            continue
        if name != "GeneralizedDiceScore":
            options = options | {"get_not_nans": not_nans}
        metrics = both(name, **options | {"reduction": reduction})
        with strictly(monkeypatch):
            for pair in batches:
                assert_same_call(*metrics, *pair, rtol=1e-6)
            assert_same_call(*metrics, *map(list, batches[0]), rtol=1e-6)
            assert_same_call(*metrics, y_pred=[*batches[1][0]], y=batches[1][1], rtol=1e-6)
        theirs, ours = metrics
        assert len(ours) == len(theirs) == 10
        assert_same_call(theirs.get_buffer, ours.get_buffer, rtol=1e-6)
        assert_same_call(theirs.aggregate, ours.aggregate, rtol=1e-6)
        if name != "GeneralizedDiceScore":
            assert_same_call(theirs.aggregate, ours.aggregate, reduction="mean_channel", rtol=1e-6)
        for metric in metrics:
            metric.reset()
        assert len(ours) == len(theirs) == 0
        assert_same_call(theirs.aggregate, ours.aggregate)


def test_label_maps_and_images_of_several_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    metrics = both("DiceMetric", num_classes=4, reduction="mean_batch")
    pairs = [label_maps(rng, (1, side, 9), 4) for side in (5, 8, 11)]
    lists = [[pair[i][0] for pair in pairs] for i in range(2)]
    with strictly(monkeypatch):
        assert_same_call(*metrics, *lists, rtol=1e-6)
    assert_same_call(*(metric.aggregate for metric in metrics), rtol=1e-6)


@pytest.mark.parametrize("name", ["DiceMetric", "MeanIoU", "GeneralizedDiceScore", "ConfusionMatrixMetric"])
def test_wrong_calls_are_refused_alike(name: str) -> None:
    pred, true = masks(np.random.default_rng(3), (2, 5, 5), 3)
    for args in [
        (pred, None),
        (pred, true[:, :2]),
        (pred[:, 0, 0], true[:, 0, 0]),
        (pred[0, 0, 0], true[0, 0, 0]),
        (1, 2),
    ]:
        assert_same_call(*both(name), *args, rtol=1e-6)


def test_classification_is_the_hosts() -> None:
    pred, true = masks(np.random.default_rng(4), (4,), 3)
    metrics = both("ConfusionMatrixMetric", compute_sample=True)
    with went("monai.ConfusionMatrixMetric", host=1):
        assert_same_call(*metrics, pred, true, rtol=1e-6)
    assert [metric.compute_sample for metric in metrics] == [False, False]


@pytest.mark.parametrize(("name", "options"), KINDS[:2] + KINDS[-4:], ids=str)
def test_copies(name: str, options: dict[str, Any]) -> None:
    pair = masks(np.random.default_rng(5), (2, 6, 6), 3)
    _, ours = both(name, **options)
    ours(*pair)
    for other in (pickle.loads(pickle.dumps(ours)), copy.deepcopy(ours)):
        assert type(other) is type(ours)
        other(*pair)
        assert len(other) == 4
        assert str(other) == str(ours) == name
    assert len(ours) == 2


def metadata(tensor: Any) -> Any:
    """Return what can be seen of a tensor besides its numbers."""
    from monai.data import MetaTensor

    if not isinstance(tensor, MetaTensor):
        return None
    return tensor.affine.tolist(), tensor.is_batch, tensor.applied_operations, sorted(map(str, tensor.meta))


@pytest.mark.parametrize("name", ["compute_dice", "compute_iou", "compute_generalized_dice", "get_confusion_matrix"])
def test_tensors_with_metadata(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import monai.metrics
    import torch
    from monai.data import MetaTensor

    import fastseg.adapters.monai

    theirs, ours = (getattr(module, name) for module in (monai.metrics, fastseg.adapters.monai))
    pred, true = masks(np.random.default_rng(6), (2, 6, 5), 3)
    affines = [torch.diag(torch.tensor([s, s, s, 1.0])) for s in (2.0, 3.0)]
    with_pred, with_true = (
        MetaTensor(t, affine=a, meta={"who": i}) for i, (t, a) in enumerate(zip((pred, true), affines, strict=True))
    )
    for pair in [
        (with_pred, with_true),
        (pred, with_true),
        (with_pred, true),
        (with_pred, with_true * 0),
        (pred, true),
    ]:
        with strictly(monkeypatch):
            found = ours(*pair)
        wanted = theirs(*pair)
        assert type(found) is type(wanted)
        assert metadata(found) == metadata(wanted)
        assert_same(torch.Tensor(np.asarray(found)), torch.Tensor(np.asarray(wanted)), 1e-6)


def test_collated_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch of MetaTensors holds the metadata of each of its samples."""
    from monai.data import MetaTensor, list_data_collate

    pred, true = masks(np.random.default_rng(7), (3, 6, 5), 2)
    pred, true = (
        list_data_collate([MetaTensor(t, meta={"file": str(i)}) for i, t in enumerate(each)]) for each in (pred, true)
    )
    theirs, ours = both("DiceMetric")
    with strictly(monkeypatch):
        found = ours(pred, true)
    wanted = theirs(pred, true)
    assert type(found) is type(wanted)
    np.testing.assert_allclose(np.asarray(found), np.asarray(wanted), rtol=1e-6)
    assert_same_call(theirs.aggregate, ours.aggregate, rtol=1e-6)


def test_handlers_of_ignite() -> None:
    """MONAI's handlers make their metric themselves, under the name that their module imported."""
    command = [sys.executable, "-W", "ignore", "-m", "support.ignite_handlers"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "the same\n", done.stderr


def test_example(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(Path(__file__).parents[3] / "docs/examples/monai_drop_in.py"), run_name="__main__")
    theirs, ours, *_ = capsys.readouterr().out.splitlines()
    assert theirs.replace("monai", "fastseg").split() == ours.split()
