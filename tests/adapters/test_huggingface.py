"""Mean IoU as Hugging Face computes it, against counts made voxel by voxel, and in its Trainer."""

from __future__ import annotations

import math
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.drop_ins import let_torchvision_be_imported

from fastseg.adapters.huggingface import MeanIoU, SegmentationMetrics, mean_iou

NAMES = ["mean_iou", "mean_accuracy", "overall_accuracy", "per_category_iou", "per_category_accuracy"]


def expected(
    results: Any, truths: Any, num_labels: int, ignore_index: Any, label_map: Any = None, reduce_labels: bool = False
) -> list[Any]:
    """Compute the scores voxel by voxel."""
    both, pred, true = np.zeros((3, num_labels))
    for result, truth in zip(results, truths, strict=True):
        for p, t in zip(np.ravel(result).tolist(), np.ravel(truth).tolist(), strict=True):
            t = (label_map or {}).get(t, t)
            if reduce_labels:
                t = {0: 255, 255: 255}.get(t, t - 1)
            if t == ignore_index:
                continue
            for area, label, counts in ((pred, p, True), (true, t, True), (both, t, p == t)):
                if counts and 0 <= label < num_labels:
                    area[label] += 1
    with np.errstate(all="ignore"):
        iou, accuracy, overall = both / (pred + true - both), both / true, both.sum() / true.sum()
    means = [np.mean(each[~np.isnan(each)]) if (~np.isnan(each)).any() else math.nan for each in (iou, accuracy)]
    return [*means, overall, iou, accuracy]


def assert_scores(found: dict[str, Any], wanted: list[Any]) -> None:
    assert list(found) == NAMES
    for value, number in zip(found.values(), wanted, strict=True):
        np.testing.assert_allclose(value, number, rtol=1e-12)


def test_random_maps() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        classes, dtype = int(rng.integers(1, 9)), rng.choice(["u1", "i8"])
        shapes = [tuple(rng.integers(1, 7, 2)) for _ in range(rng.integers(1, 4))]
        most = rng.choice([classes, classes + 3])
        maps = [[rng.integers(0, most, shape).astype(dtype) for shape in shapes] for _ in range(2)]
        for truth in maps[1]:
            truth[rng.random(truth.shape) < rng.choice([0, 0.2, 1])] = 255
        options: dict[str, Any] = {
            "num_labels": classes,
            "ignore_index": rng.choice([255, 0, 1, None]),
            "label_map": rng.choice([None, {0: 1, 1: 0}, {0: 255, 2: 300, 5: 0}]),
            "reduce_labels": bool(rng.random() < 0.3),
        }
        assert_scores(mean_iou(*maps, **options), expected(*maps, **options))
        metric = MeanIoU()
        for result, truth in zip(*maps, strict=True):
            metric.add(prediction=result.tolist(), reference=truth)
        assert_scores(metric.compute(**options), expected(*maps, **options))
        assert math.isnan(metric.compute(**options)["mean_iou"])  # it has begun anew


def test_the_example_of_evaluates_documentation() -> None:
    predictions = [[[1, 2], [3, 4], [5, 255]], [[2, 7], [9, 2], [3, 6]], [[2, 2, 3], [8, 2, 4], [3, 255, 2]]]
    references = [[[0, 3], [5, 4], [6, 255]], [[1, 7], [9, 2], [3, 6]], [[1, 2, 2], [8, 2, 1], [3, 255, 1]]]
    scores = mean_iou(predictions, references, num_labels=10, ignore_index=255)
    assert [round(float(scores[name]), 12) for name in NAMES[:3]] == [0.4775, 0.591666666667, 0.526315789474]
    assert scores["per_category_iou"].tolist() == [0, 0, 0.375, 0.4, 0.5, 0, 0.5, 1, 1, 1]


def test_nan_to_num_and_several_ignored() -> None:
    options: dict[str, Any] = {"num_labels": 3, "ignore_index": [255, -100]}
    truth = [[0, 1, 255, -100]]
    scores = mean_iou([[0, 1, 1, 1]], truth, nan_to_num=-1, **options)
    assert scores["per_category_iou"].tolist() == [1, 1, -1]
    assert scores["mean_iou"] == 1
    assert math.isnan(mean_iou([[1]], [[255]], **options)["overall_accuracy"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_labels": 0}, "num_labels: expected a whole number"),
        ({"num_labels": 2.0}, "num_labels: expected a whole number"),
        ({"references": None}, "predictions, references: expected both or none"),
        ({"references": [[0, 1, 1]]}, r"prediction: expected the reference's shape \(3,\), found \(2,\)"),
        ({"references": [[0, 1], [0, 1]]}, "references: expected as many as predictions, 1; found 2"),
        ({"nan_to_num": "0"}, "nan_to_num: expected"),
    ],
)
def test_wrong_arguments(options: dict[str, Any], message: str) -> None:
    given = {"predictions": [[0, 1]], "references": [[0, 1]], "num_labels": 2, "ignore_index": 255} | options
    with pytest.raises((TypeError, ValueError), match=message):
        MeanIoU().compute(**given)


def test_a_trainers_batches_of_label_maps() -> None:
    rng = np.random.default_rng(1)
    names = {"0": "road", "1": "car", "2": "sky"}
    metrics = SegmentationMetrics(3, 255, names)
    pairs = [(rng.integers(0, 3, (2, 5, 6)), rng.choice([0, 1, 255], (2, 5, 6))) for _ in range(3)]
    wanted = expected(*zip(*pairs, strict=True), 3, 255)
    for predictions, labels in pairs[:-1]:
        batch = SimpleNamespace(predictions=predictions, label_ids=labels)
        assert metrics(batch, compute_result=False) == {}
    scores = pickle.loads(pickle.dumps(metrics))(pairs[-1], compute_result=True)
    assert list(scores)[:3] == NAMES[:3]
    assert {type(each) for each in scores.values()} == {float}
    np.testing.assert_allclose([scores[name] for name in NAMES[:3]], wanted[:3], rtol=1e-12)
    np.testing.assert_allclose([scores[f"iou_{name}"] for name in names.values()], wanted[3], rtol=1e-12)
    np.testing.assert_allclose([scores[f"accuracy_{name}"] for name in names.values()], wanted[4], rtol=1e-12)
    with pytest.raises(ValueError, match=r"id2label: expected names of the labels 0\.\.2"):
        SegmentationMetrics(3, id2label={0: "road"})
    with pytest.raises(ValueError, match="num_labels"):
        SegmentationMetrics(-1)


def test_evaluate_style_has_arrays() -> None:
    metrics = SegmentationMetrics(2, ignore_index=None)
    metrics.add(prediction=[0, 1], reference=[0, 1])
    metrics.add_batch(predictions=np.array([[1, 1]]), references=np.array([[0, 1]]))
    assert metrics.compute()["per_category_accuracy"].tolist() == [0.5, 1]
    outputs = (np.array([[0]]), "hidden states")
    assert SegmentationMetrics(2)((outputs, np.array([[0]])))["mean_iou"] == 1


@pytest.mark.torch
def test_scores_are_brought_to_the_size_of_the_references() -> None:
    import torch

    torch.manual_seed(0)
    labels = torch.randint(0, 4, (2, 16, 24))
    small, large = torch.randn(2, 4, 4, 6), torch.randn(2, 4, 16, 24)
    wide = torch.nn.functional.interpolate(small, size=(16, 24), mode="bilinear", align_corners=False)
    for logits, full in ((small, wide), (large, large)):
        for given in ((logits, labels), (logits.numpy(), labels.numpy()), ((logits, None), labels)):
            found = SegmentationMetrics(4)(SimpleNamespace(predictions=given[0], label_ids=given[1]))
            wanted = expected(full.argmax(1).numpy(), labels.numpy(), 4, 255)
            np.testing.assert_allclose([found[name] for name in NAMES[:3]], wanted[:3], rtol=1e-12)
    with pytest.raises(ValueError, match="predictions: expected 1 to 3 spatial axes"):
        SegmentationMetrics(4)((np.zeros((1, 2, 3, 3, 3, 3)), np.zeros((1, 2, 2, 2, 2), int)))


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("by_batches", [False, True])
def test_in_a_trainer(tmp_path: Path, by_batches: bool) -> None:
    transformers = pytest.importorskip(
        "transformers", reason="needs a host of drop-ins: pip install transformers accelerate"
    )
    import torch

    let_torchvision_be_imported()  # which the Trainer does where it is installed

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Conv2d(3, 4, 1)

        def forward(self, pixel_values: Any, labels: Any = None) -> dict[str, Any]:
            logits = self.layer(pixel_values[:, :, ::2, ::2])
            return {"loss": logits.mean(), "logits": logits}

    torch.manual_seed(0)
    images, labels = torch.randn(5, 3, 8, 8), torch.randint(0, 4, (5, 8, 8))
    data = [{"pixel_values": image, "labels": label} for image, label in zip(images, labels, strict=True)]
    model = Model()
    trainer = transformers.Trainer(
        model,
        transformers.TrainingArguments(
            str(tmp_path), per_device_eval_batch_size=2, batch_eval_metrics=by_batches, report_to=[], use_cpu=True
        ),
        eval_dataset=data,
        compute_metrics=SegmentationMetrics(4),
    )
    with torch.no_grad():
        logits = torch.nn.functional.interpolate(model(images)["logits"], size=(8, 8), mode="bilinear")
    wanted = expected(logits.argmax(1).numpy(), labels.numpy(), 4, 255)
    for _ in range(2):
        found = trainer.evaluate()
        np.testing.assert_allclose([found[f"eval_{name}"] for name in NAMES[:3]], wanted[:3], rtol=1e-12)
