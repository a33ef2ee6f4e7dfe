"""A class that is ignored: one rule for arrays, files and folders. It keeps its place in arrays and has no score."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastseg
from fastseg import metrics
from fastseg.counts import LabelCounts, ScoreSums

TRUE = np.array([[0, 0, 0, 0, 1, 1], [1, 1, 2, 2, 2, 2]], np.uint8)
PRED = np.array([[0, 0, 1, 2, 1, 0], [1, 2, 2, 2, 1, 1]], np.uint8)  # class 1 is predicted at true 0 and 2, too
# Of the true 0: 2 hits, 1 taken for 1, 1 for 2; of the true 2: 2 hits and 2 taken for 1.
MATRIX = [[2, 1, 1], [0, 0, 0], [0, 2, 2]]
DICE = {0: 2 * 2 / (4 + 2), 2: 2 * 2 / (4 + 3)}
IOU = {0: 2 / 4, 2: 2 / 5}
OPTIONS: dict[str, Any] = {"num_classes": 3, "ignore_index": 1}


def test_matrices_keep_its_place() -> None:
    assert fastseg.confusion_matrix(TRUE, PRED, **OPTIONS).tolist() == MATRIX
    counts = fastseg.count_labels(TRUE, PRED, **OPTIONS)
    assert counts.labels.tolist() == [0, 1, 2]
    assert counts.ignored.tolist() == [1]
    assert counts.voxels.tolist() == [[8, 4, 0, 0]]


@pytest.mark.parametrize("zero_division", [math.nan, 0.0, 1.0])
def test_its_value_is_nan_and_no_mean_is_over_it(zero_division: float) -> None:
    options = {**OPTIONS, "zero_division": zero_division}
    assert fastseg.dice(TRUE, PRED, **options) == pytest.approx([DICE[0], math.nan, DICE[2]], nan_ok=True)
    assert fastseg.iou(TRUE, PRED, **options, average="macro") == pytest.approx((IOU[0] + IOU[2]) / 2)
    assert fastseg.iou(TRUE, PRED, **options, average="micro") == pytest.approx((2 + 2) / (4 + 5))
    assert fastseg.iou(TRUE, PRED, **options, average="weighted") == pytest.approx((IOU[0] + IOU[2]) / 2)
    assert fastseg.iou(TRUE, PRED, **options, average="macro", include_background=False) == pytest.approx(IOU[2])
    counts = fastseg.count_labels(TRUE, PRED, **OPTIONS)
    assert metrics.REGISTRY["dice"].defined(counts, zero_division=zero_division).tolist() == [2]
    assert fastseg.accuracy(TRUE, PRED, **OPTIONS) == 4 / 8  # what was taken for it was taken wrongly


def test_the_background_may_be_ignored() -> None:
    options: dict[str, Any] = {"num_classes": 3, "ignore_index": 0}
    values = fastseg.iou(TRUE, PRED, **options)
    assert isinstance(values, np.ndarray)
    assert np.isnan(values).tolist() == [True, False, False]
    assert fastseg.iou(TRUE, PRED, **options, average="macro") == pytest.approx(values[1:].mean())


def test_all_classes_ignored() -> None:
    options: dict[str, Any] = {"num_classes": 3, "ignore_index": [0, 1, 2]}
    for average in ("macro", "micro", "weighted"):
        assert math.isnan(fastseg.dice(TRUE, PRED, **options, average=average))
        assert fastseg.dice(TRUE, PRED, **options, average=average, zero_division=1.0) == 1.0


@pytest.mark.torch
@pytest.mark.parametrize("average", ["macro", "micro"])
def test_the_jaccard_index_of_torchmetrics(average: str) -> None:
    import torch

    theirs = pytest.importorskip("torchmetrics.functional.classification")
    rng = np.random.default_rng(5)
    true, pred = (rng.integers(0, 4, 500) for _ in range(2))
    for ignored in range(4):
        expected = theirs.multiclass_jaccard_index(
            torch.from_numpy(pred), torch.from_numpy(true), 4, average=average, ignore_index=ignored
        )
        found = fastseg.iou(true, pred, num_classes=4, ignore_index=ignored, average=average)
        assert found == pytest.approx(float(expected), rel=1e-6)


# ---- Tables


def table(scores: Any) -> dict[str, Any]:
    plain = scores.to_dict()
    return {
        key: plain[key] for key in ("classes", "mean", "foreground_mean", "defined", "foreground_defined", "voxels")
    }


@pytest.fixture(name="paths")
def write_files(tmp_path: Path) -> dict[str, Path]:
    paths = {}
    for name, array in (("true", TRUE), ("pred", PRED)):
        (tmp_path / name).mkdir()
        paths[name] = tmp_path / name / "case.npy"
        np.save(paths[name], array)
    return paths


@pytest.mark.parametrize("declared", [True, False])
def test_arrays_files_and_folders_agree(paths: dict[str, Path], declared: bool) -> None:
    options: dict[str, Any] = {"num_classes": 3} if declared else {}
    arrays = fastseg.evaluate(TRUE, PRED, ignore_index=1, **options)
    files = fastseg.evaluate_files(paths["true"], paths["pred"], ignore_index=1, **options)
    evaluator = fastseg.Evaluator(ignore_index=1, **options)
    for part in range(2):
        evaluator.update(TRUE[part], PRED[part])
    run = fastseg.evaluate_folder(paths["true"].parent, paths["pred"].parent, ignore=1, **options)
    assert arrays.classes == files.classes == evaluator.compute().classes == (0, 2)
    assert [each.key for each in run.classes] == [0, 2]
    without_ml = table(files)
    for row in without_ml["classes"].values():
        del row["true_ml"], row["pred_ml"]
    assert table(arrays) == without_ml == table(evaluator.compute())
    assert arrays.mean["dice"] == pytest.approx((DICE[0] + DICE[2]) / 2)
    assert arrays.foreground_mean["dice"] == pytest.approx(DICE[2])
    for metric in ("dice", "iou", "precision", "recall"):
        assert run.class_values(metric) == pytest.approx(arrays[metric])
    assert run.mean("dice") == pytest.approx(arrays.mean["dice"] if run.in_means.all() else DICE[2])
    counts = fastseg.count_labels(TRUE, PRED, ignore_index=1, **options)
    assert run.pooled() == counts == fastseg.count_files(paths["true"], paths["pred"], ignore_index=1, **options)
    assert str(arrays).splitlines()[2].split()[0] == "0"
    assert str(arrays).splitlines()[3].split()[0] == "2"
    assert str(arrays).splitlines()[4].startswith("mean")


def test_tables_of_scores_have_no_row_for_it() -> None:
    rng = np.random.default_rng(6)
    true, p = rng.integers(0, 3, 60), rng.dirichlet(np.ones(3), 60)
    options: dict[str, Any] = {"ignore_index": 1, "sample_axis": None}
    for quantities in (["dice"], ["dice", "argmax"]):
        sums = fastseg.sum_scores(true, p, quantities=quantities, **options)
        assert sums.pred is not None
        assert sums.pred.shape == (1, 3)
        scores = fastseg.evaluate_scores(true, p, quantities=quantities, **options)
        evaluator = fastseg.Evaluator(scores=True, ignore_index=1, quantities=quantities)
        evaluator.update(true[:30], p[:30])
        evaluator.update(true[30:], p[30:])
        assert scores.classes == evaluator.compute().classes == (0, 2)
        assert scores.mean["soft_dice"] == pytest.approx(scores["soft_dice"].mean())
        whole = fastseg.soft_dice_loss(true, p, **options)  # a loss is over all classes: each has a probability
        assert scores.overall["soft_dice_loss"] == pytest.approx(whole)
        assert ScoreSums.from_dict(json.loads(json.dumps(sums.to_dict()))) == sums


# ---- Counts carry it along


def test_what_is_done_with_counts_keeps_it() -> None:
    counts = fastseg.count_labels(TRUE, PRED, **OPTIONS, sample_axis=0)
    whole = fastseg.count_labels(TRUE, PRED, num_classes=3, sample_axis=0)
    for same in (counts.pooled(), counts.cases([0]), counts.select([2, 1]), counts.concat(whole), whole.merge(counts)):
        assert same.ignored.tolist() == [1]
    assert counts.merge(LabelCounts.zeros(3, cases=2)) == LabelCounts.zeros(3, cases=2).merge(counts) == counts
    assert counts.rename({1: 7}).ignored.tolist() == [7]
    assert counts.rename({1: 2}).ignored.tolist() == [2]
    assert LabelCounts.from_bytes(counts.to_bytes()) == counts
    older = {key: value for key, value in counts.to_dict().items() if key != "ignored"}
    assert LabelCounts.from_dict(older).ignored.tolist() == []


def test_labels_that_can_be_no_class_are_not_kept() -> None:
    assert fastseg.count_labels([0, 255], [0, 1], num_classes=2, ignore_index=255).ignored.tolist() == []
    assert fastseg.count_labels([0, 255], [0, 1], ignore_index=[255, 3]).ignored.tolist() == [3, 255]


def test_wrong_lists_of_ignored_labels() -> None:
    zeros = LabelCounts.zeros(2)
    arguments = (zeros.labels, True, zeros.matrix, zeros.unknown, zeros.voxels)
    with pytest.raises(ValueError, match="ignored: expected each label once, sorted"):
        LabelCounts(*arguments, np.array([1, 0]))
    with pytest.raises(TypeError, match="ignored: expected a 1-D int64 array"):
        LabelCounts(*arguments, [1])  # type: ignore[arg-type]
