"""What people get: the one-call function of every metric, and Scores as a dict, a table and a data frame."""

from __future__ import annotations

import inspect
import json
import math
import re
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import fastseg
from fastseg import Scores, count_labels, evaluate
from fastseg.metrics import REGISTRY

# The matrix [[5, 1, 0], [2, 6, 1], [0, 1, 4]].
TRUE, PRED = np.repeat([0, 1, 2], [6, 9, 5]), np.repeat([0, 1, 0, 1, 2, 1, 2], [5, 1, 2, 6, 1, 1, 4])
COUNTS = count_labels(TRUE, PRED, num_classes=4)  # the last class occurs in neither map
CASES = COUNTS.concat(count_labels([1, 1, 2, 2], [1, 1, 1, 2], num_classes=4))
NAMES = {1: "liver", 3: "left kidney"}
OWN = {"fbeta": {"beta": 2.0}, "tversky": {"alpha": 0.25, "beta": 0.75}}


@pytest.mark.parametrize("known", sorted(REGISTRY))
def test_every_metric_is_a_function_of_two_maps(known: str) -> None:
    function, metric, counts = getattr(fastseg, known), REGISTRY[known], count_labels(TRUE, PRED)
    assert function.__name__ == known
    assert known in dir(fastseg)
    own = list(inspect.signature(metric.function).parameters)[1:]
    assert own == list(OWN.get(metric.name, {}))
    shared = ["average", "zero_division", "include_background", "channel_axis"]
    expected = ["y_true", "y_pred", *shared, *own, *list(inspect.signature(count_labels).parameters)[2:]]
    assert list(inspect.signature(function).parameters) == expected
    for wrong in ("gamma", "delta" if "beta" in own else "beta"):
        with pytest.raises(TypeError, match=f"unexpected keyword argument '{wrong}'"):
            function(TRUE, PRED, **{wrong: 1})
    values = function(TRUE, PRED)
    np.testing.assert_array_equal(values, metric(counts)[0])
    if metric.overall:
        assert type(values) is float
        return
    assert values.shape == (3,)
    assert function(TRUE, PRED, labels=[1, 2, 0]).tolist() == values[[1, 2, 0]].tolist()
    for average in ("macro", "micro", "weighted"):
        mean = function(TRUE, PRED, average=average)
        assert type(mean) is float
        assert mean == metric(counts, average=average)[0]
    for parameter, value in OWN.get(metric.name, {}).items():
        assert function(TRUE, PRED, **{parameter: value}).tolist() == metric(counts, **{parameter: value})[0].tolist()
    counting = {"num_classes": 4, "unknown": "count", "ignore_index": 2, "mask": TRUE < 3, "sample_weight": TRUE / 4}
    weighted = metric(count_labels(TRUE, PRED, **counting), include_background=False, zero_division=7)[0]
    found = function(TRUE, PRED, include_background=False, zero_division=7, **counting)
    np.testing.assert_array_equal(found, weighted)  # NaN for the ignored label


def test_confusion_matrix_follows_the_labels_given() -> None:
    matrix = fastseg.confusion_matrix(TRUE, PRED, labels=[2, 1, 0], mask=np.arange(20) > 0)
    assert matrix.tolist() == [[4, 1, 0], [1, 6, 2], [0, 1, 4]]
    matrix[0] = 0  # it is the caller's


def strict(scores: Scores) -> dict[str, Any]:
    """Send a dict of scores through strict JSON."""
    return json.loads(json.dumps(scores.to_dict(), allow_nan=False))


def test_to_dict() -> None:
    given = strict(Scores(COUNTS, metrics=["dice"], names=NAMES))
    assert given.pop("mean") == {"dice": pytest.approx((10 / 13 + 12 / 17 + 8 / 10) / 3, rel=1e-14)}
    assert given.pop("foreground_mean") == {"dice": pytest.approx((12 / 17 + 8 / 10) / 2, rel=1e-14)}
    assert given == {
        "classes": {
            "0": {"name": "0", "dice": 10 / 13, "true_voxels": 6, "pred_voxels": 7},
            "1": {"name": "liver", "dice": 12 / 17, "true_voxels": 9, "pred_voxels": 8},
            "2": {"name": "2", "dice": 8 / 10, "true_voxels": 5, "pred_voxels": 5},
            "3": {"name": "left kidney", "dice": None, "true_voxels": 0, "pred_voxels": 0},
        },
        "defined": {"dice": 3},
        "foreground_defined": {"dice": 2},
        "voxels": {"counted": 20, "ignored": 0, "outside_mask": 0, "unknown": 0},
        "cases": 1,
        "fastseg": fastseg.__version__,
    }


def test_to_dict_of_several_cases_regions_and_files() -> None:
    scores = Scores(CASES, metrics=["iou", "accuracy"])
    given = strict(scores)
    assert given["cases"] == 2
    assert [row["iou"] for row in given["classes"].values()] == [5 / 8, (6 / 11 + 2 / 3) / 2, (2 / 3 + 1 / 2) / 2, None]
    assert given["mean"]["iou"] == scores.mean["iou"] == pytest.approx(scores.class_values["iou"][:3].mean(), rel=1e-14)
    assert given["overall"] == {"accuracy": (15 / 20 + 3 / 4) / 2}
    assert given["voxels"]["counted"] == 24
    given = strict(Scores(COUNTS.regions({"whole": [1, 2], 0: [0]}), names=NAMES, metrics="accuracy"))
    assert given["classes"]["whole"] == {"name": "whole", "accuracy": 17 / 20, "true_voxels": 14, "pred_voxels": 13}
    assert given["foreground_mean"] == {"accuracy": 17 / 20}
    missed = count_labels([0, 1, 1, 9], [0, 1, 7, 0], num_classes=2, ignore_index=9, unknown="count")
    given = strict(Scores(missed, voxel_ml=0.5, files={"reference": "a.nii"}))
    assert given["voxels"] == {"counted": 2, "ignored": 1, "outside_mask": 0, "unknown": 1}
    volumes = {"true_voxels": 2, "pred_voxels": 1, "true_ml": 1.0, "pred_ml": 0.5}
    assert given["classes"]["1"] == {"name": "1", "dice": 2 / 3, "iou": 0.5, "precision": 1, "recall": 0.5, **volumes}
    assert given["files"] == {"reference": "a.nii"}


@pytest.mark.parametrize("counts", [COUNTS, CASES, CASES.one_vs_rest(), count_labels([], [])])
def test_all_metrics(counts: Any) -> None:
    scores = Scores(counts, metrics="all")
    overall = {metric.name for metric in REGISTRY.values() if metric.is_overall(counts)}
    assert set(scores.overall) == overall
    every = {metric.name for metric in REGISTRY.values()}
    assert set(scores.values) | overall == every
    assert [*Scores(counts, metrics=["all"]).values] == [*scores.values]
    assert all(set(given["overall"]) == overall for given in [strict(scores)] if overall)
    for name in (*scores.values, *overall):
        values = REGISTRY[name](counts)
        np.testing.assert_array_equal(scores[name], values if counts.num_cases > 1 else values[0])
        assert name in str(scores)
        assert name in repr(scores)


def test_infinite_values_are_null_in_json() -> None:
    given = strict(Scores(COUNTS, metrics=["iou"], zero_division=math.inf))
    assert given["classes"]["3"]["iou"] is given["mean"]["iou"] is None
    assert given["defined"] == {"iou": 4}
    assert strict(Scores(COUNTS, zero_division=0))["classes"]["3"]["iou"] == 0


def cells(table: str) -> list[list[str]]:
    """Cut a table at the columns that its second line draws, having checked that all is aligned to them."""
    lines = table.splitlines()
    columns = [match.span() for match in re.finditer("-+", lines[1])]
    assert max(map(len, lines)) == columns[-1][1]
    for (_, end), (start, _) in pairwise(columns):
        assert not any(line[end:start].strip() for line in lines)
    for start, end in columns[2:]:  # numbers end where their header ends
        assert all(line[end - 1 : end].strip() for line in lines if line[start:end].strip())
    return [[line[start:end].strip() for start, end in columns] for line in (lines[0], *lines[2:])]


def test_the_table() -> None:
    thousandfold = COUNTS.concat(*[COUNTS] * 999).pooled()
    assert cells(str(Scores(thousandfold, metrics=["dice", "support"], names=NAMES))) == [
        ["class", "name", "dice", "support", "true voxels", "pred voxels"],
        ["0", "0", "0.7692", "6,000", "6,000", "7,000"],
        ["1", "liver", "0.7059", "9,000", "9,000", "8,000"],
        ["2", "2", "0.8000", "5,000", "5,000", "5,000"],
        ["3", "left kidney", "-", "0.0000", "0", "0"],
        ["mean", "", "0.7584", "5,000", "", ""],
        ["over", "classes", "3", "4", "", ""],
        ["foreground mean", "", "0.7529", "4,667", "", ""],
        ["over", "classes", "2", "3", "", ""],
    ]


def test_the_table_says_more_where_there_is_more_to_say() -> None:
    text = str(Scores(CASES, metrics=["iou", "cohen_kappa"], voxel_ml=0.25))
    *table, kappa, cases = text.splitlines()
    assert cells("\n".join(table))[0][3:] == ["true ml", "pred ml", "true voxels", "pred voxels"]
    assert cells("\n".join(table))[2][2:] == ["0.6061", "2.75", "2.75", "11", "11"]
    assert kappa == f"cohen_kappa: {(161 / 261 + 1 / 2) / 2:.4f}"
    assert cases == "values are means over the cases where they are defined; cases: 2"
    weighted = count_labels([0, 0, 1], [0, 1, 1], num_classes=2, sample_weight=[1000, 234.5, 0.25])
    rows = cells(str(Scores(weighted, metrics=["support"])))
    assert rows[1:3] == [["0", "0", "1,234", "1,234.5", "1,000.0"], ["1", "1", "0.2500", "0.2", "234.8"]]


def test_to_dataframe() -> None:
    frame = Scores(CASES, metrics=["dice", "iou", "accuracy"], names=NAMES).to_dataframe()
    assert frame.index.names == ["case", "class"]
    assert list(frame.columns) == ["name", "dice", "iou"]
    assert frame.index.tolist() == [(n, k) for n in range(2) for k in range(4)]
    assert frame.loc[(0, 1)].tolist() == ["liver", 12 / 17, 6 / 11]
    assert frame.loc[(1, 2), "dice"] == 2 / 3
    assert frame["dice"].isna().tolist() == [False, False, False, True, True, False, False, True]


def test_getitem_names_and_errors() -> None:
    scores = evaluate(TRUE, PRED, metrics=["f1", "mcc"], names=NAMES, num_classes=4)
    assert scores["f1"].shape == (4,)
    assert scores["mcc"].shape == ()
    assert [scores.name_of(label) for label in (0, 1, "core")] == ["0", "liver", "core"]
    with pytest.raises(KeyError, match=r"'dice' was not asked for; there are \['f1', 'mcc'\]"):
        scores["dice"]
    for wrong in ("everything", ["dice", "everything"]):
        with pytest.raises(ValueError, match=r"metrics: expected some of accuracy, .*; found 'everything'"):
            evaluate(TRUE, PRED, metrics=wrong)
    with pytest.raises(TypeError, match="unexpected keyword argument 'classes'"):
        evaluate(TRUE, PRED, classes=4)
    assert list(evaluate(TRUE, PRED).values) == ["dice", "iou", "precision", "recall"]
    assert evaluate(TRUE, PRED, metrics="iou")["iou"].tolist() == [5 / 8, 6 / 11, 4 / 6]
