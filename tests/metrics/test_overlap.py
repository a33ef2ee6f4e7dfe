"""Every metric of the registry: numbers worked out by hand, properties, and scikit-learn as an independent oracle."""

from __future__ import annotations

import inspect
import math
import warnings
from fractions import Fraction as F
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as hnp

from fastseg import BinaryCounts, LabelCounts, count_labels
from fastseg.metrics import REGISTRY, get

FEW = settings(deadline=None, max_examples=50)
NAN = float("nan")
METRICS = {metric.name: metric for metric in REGISTRY.values()}
NAMES = sorted(METRICS)
OVERALL_NAMES = [name for name in NAMES if METRICS[name].overall]


def binary(tp: int, fp: int, fn: int, tn: int) -> BinaryCounts:
    cells = (np.array([[cell]]) for cell in (tp, fp, fn, tn))
    return BinaryCounts(("organ",), *cells, np.array([[tp + fp + fn + tn, 0, 0, 0]]))


def labelled(matrix: Any, unknown: Any = None) -> LabelCounts:
    matrix = np.array(matrix)
    unknown = np.zeros(len(matrix), matrix.dtype) if unknown is None else np.array(unknown)
    voxels = np.array([[matrix.sum(), 0, 0, unknown.sum()]]).astype(np.int64)
    return LabelCounts(np.arange(len(matrix)), True, matrix[None], unknown[None], voxels)


CASE = binary(6, 2, 3, 9)
TABLE = labelled([[5, 1, 0], [2, 6, 1], [0, 1, 4]])  # true 6, 9, 5; predicted 7, 8, 5; right 5, 6, 4
MISSED = labelled([[5, 1, 0], [2, 6, 1], [0, 1, 4]], unknown=[1, 0, 2])
ABSENT = labelled([[5, 1, 0, 0], [2, 6, 1, 0], [0, 1, 4, 0], [0, 0, 0, 0]])

# Name: value for TP = 6, FP = 2, FN = 3, TN = 9; parameters and the value with them, where there are any.
GOLDEN: dict[str, Any] = {
    "iou": F(6, 11),
    "dice": F(12, 17),
    "precision": F(6, 8),
    "recall": F(6, 9),
    "specificity": F(9, 11),
    "negative_predictive_value": F(9, 12),
    "fbeta": F(12, 17),
    "tversky": F(12, 17),
    "false_positive_rate": F(2, 11),
    "false_negative_rate": F(3, 9),
    "volume_similarity": F(16, 17),
    "relative_volume_difference": F(-1, 9),
    "prevalence": F(9, 20),
    "support": 9,
    "accuracy": F(15, 20),
    "balanced_accuracy": F(49, 66),  # (6/9 + 9/11) / 2
    "frequency_weighted_iou": F(6, 11),
    "cohen_kappa": F(24, 49),  # observed 15/20, by chance (9*8 + 11*12) / 400
    "matthews_corrcoef": 48 / math.sqrt(8 * 9 * 11 * 12),
}
PARAMETERS: dict[str, list[tuple[dict[str, float], Any]]] = {
    "fbeta": [({"beta": 2}, F(30, 44)), ({"beta": 0}, F(6, 8))],  # 5*6 / (5*6 + 4*3 + 2); precision
    "tversky": [({"alpha": 0.25, "beta": 0.75}, F(24, 35)), ({"alpha": 1, "beta": 1}, F(6, 11))],  # 6 / (6 + 1/2 + 9/4)
}
OWN = {name: cases[0][0] for name, cases in PARAMETERS.items()}  # parameters that make them differ from Dice
# Name: value of TABLE; of MISSED; without background of TABLE (None: refused).
OVERALL: dict[str, Any] = {
    "accuracy": (F(15, 20), F(15, 23), F(10, 14)),
    "balanced_accuracy": (F(23, 30), (F(5, 7) + F(6, 9) + F(4, 7)) / 3, F(11, 15)),  # 5/6, 6/9, 4/5
    "frequency_weighted_iou": (  # 5/8, 6/11, 4/6
        (6 * F(5, 8) + 9 * F(6, 11) + 5 * F(4, 6)) / 20,
        (7 * F(5, 9) + 9 * F(6, 11) + 7 * F(4, 8)) / 23,
        (9 * F(6, 11) + 5 * F(4, 6)) / 14,
    ),
    "cohen_kappa": (F(15 * 20 - 139, 400 - 139), F(15 * 23 - 156, 529 - 156), None),  # 139 = 6*7 + 9*8 + 5*5
    "matthews_corrcoef": (161 / math.sqrt((400 - 138) * (400 - 142)), 189 / math.sqrt((529 - 147) * (529 - 179)), None),
}


def close(value: Any) -> Any:
    return pytest.approx(float(value), rel=1e-14, nan_ok=True)


def test_no_metric_is_missing_here_and_aliases_are_the_metric_itself() -> None:
    assert set(GOLDEN) == set(METRICS)
    assert set(OVERALL) == set(OVERALL_NAMES)
    assert {n for n in NAMES if len(inspect.signature(METRICS[n].function).parameters) > 1} == set(PARAMETERS)
    assert set(REGISTRY) == {known for metric in METRICS.values() for known in (metric.name, *metric.aliases)}
    for known, name in (("jaccard", "iou"), ("f1", "dice"), ("sensitivity", "recall"), ("mcc", "matthews_corrcoef")):
        assert get(known) is get(name) is REGISTRY[name]
        assert known in get(name).aliases
    with pytest.raises(ValueError, match=r"metrics: expected some of accuracy, .*; found 'jacard'"):
        get("jacard")
    for metric in METRICS.values():
        assert inspect.cleandoc(metric.function.__doc__ or "") in metric.__doc__
        assert metric.formula in metric.__doc__
        assert metric.reference in metric.__doc__


@pytest.mark.parametrize("name", NAMES)
def test_golden_values(name: str) -> None:
    metric = METRICS[name]
    assert metric(CASE).tolist() == [[close(GOLDEN[name])]]
    assert metric(CASE).dtype == np.float64
    for average in ("macro", "micro", "weighted"):  # of one class they are that class's value
        assert metric(CASE, average=average).tolist() == [close(GOLDEN[name])]
    for parameters, value in PARAMETERS.get(name, []):
        assert metric(CASE, **parameters).tolist() == [[close(value)]]
    with pytest.raises(TypeError, match="unexpected keyword argument 'gamma'"):
        metric(CASE, gamma=1.0)
    two_cases = metric(CASE.concat(binary(1, 1, 1, 1)))
    assert two_cases.shape == (2, 1)
    assert two_cases[0, 0] == close(GOLDEN[name])


@pytest.mark.parametrize("name", OVERALL_NAMES)
def test_golden_values_of_all_classes_together(name: str) -> None:
    metric, (value, missed, foreground) = METRICS[name], OVERALL[name]
    assert metric(TABLE).tolist() == [close(value)]
    assert metric(ABSENT).tolist() == [close(value)]
    assert metric(MISSED).tolist() == [close(missed)]  # an unknown prediction stays in the denominators
    assert metric(TABLE.concat(TABLE)).shape == (2,)
    assert metric.is_overall(TABLE)
    assert not metric.is_overall(CASE)
    if foreground is not None:
        assert metric(TABLE, include_background=False).tolist() == [close(foreground)]
    else:
        with pytest.raises(ValueError, match=r"include_background: .* expected True, found False"):
            metric(TABLE, include_background=False)
    for average in ("macro", "micro", "weighted"):
        with pytest.raises(ValueError, match=f"average: {name} .* is one number already; .* found '{average}'"):
            metric(TABLE, average=average)


CELLS = st.one_of(st.integers(0, 3), st.integers(0, 10**15))


@given(st.lists(CELLS, min_size=4, max_size=4), hnp.arrays(np.int64, (4, 3), elements=CELLS))
@FEW
def test_ranges_and_symmetry(cells: list[int], table: np.ndarray) -> None:
    tp, fp, fn, tn = cells
    matrix, pairs = table[:3], [(binary(tp, fp, fn, tn), binary(tp, fn, fp, tn))]
    pairs += [(labelled(matrix), labelled(matrix.T)), (labelled(matrix, unknown=table[3]), None)]
    for metric in METRICS.values():
        low, high = metric.range
        for counts, exchanged in pairs:
            values = metric(counts, **OWN.get(metric.name, {}))
            assert (np.isnan(values) | ((values >= low - 1e-15) & (values <= high + 1e-15))).all(), metric.name
            if metric.symmetric and exchanged is not None:
                np.testing.assert_allclose(values, metric(exchanged), rtol=1e-14, err_msg=metric.name)


@pytest.mark.parametrize("name", NAMES)
def test_metrics_change_when_truth_and_prediction_are_exchanged_unless_they_are_symmetric(name: str) -> None:
    metric, own = METRICS[name], OWN.get(name, {})
    if name == "frequency_weighted_iou":  # of binary counts it is IoU
        change = abs(metric(TABLE) - metric(labelled(TABLE.matrix[0].T)))
    else:
        change = abs(metric(CASE, **own) - metric(binary(6, 3, 2, 9), **own))
    assert metric.symmetric == (change < 1e-15)
    assert (change < 1e-15) == (change < 1e-4)


def test_no_rounding_leads_out_of_the_range() -> None:
    metric = METRICS["matthews_corrcoef"]
    assert metric(labelled(np.diag([2464059690509, 9237453573751, 1365434143008]))).tolist() == [1.0]
    assert metric(binary(0, 484498942346250, 898823765248484, 0)).tolist() == [[-1.0]]


def test_an_entry_knows_its_own_parameters() -> None:
    assert {name: [each.name for each in METRICS[name].own] for name in ("dice", "fbeta", "tversky")} == {
        "dice": [],
        "fbeta": ["beta"],
        "tversky": ["alpha", "beta"],
    }


def test_what_is_no_statistic_or_no_weight_is_refused() -> None:
    for name, own in OWN.items():
        for parameter in own:
            with pytest.raises(ValueError, match=f"{parameter}: expected a number that is not negative, found -1"):
                METRICS[name](CASE, **{parameter: -1})
    with pytest.raises(
        TypeError, match=r"counts: expected LabelCounts or BinaryCounts, found ndarray \(of arrays: fastseg.dice"
    ):
        METRICS["dice"](np.zeros(3))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NAMES)
def test_a_perfect_prediction_reaches_the_better_end_of_the_range(name: str) -> None:
    metric = METRICS[name]
    best = {"higher": metric.range[1], "lower": metric.range[0], "zero": 0.0}.get(metric.better)
    for perfect in (binary(5, 0, 0, 7), labelled(np.diag([5, 10**12, 7]))):
        if best is not None:
            assert set(metric(perfect).ravel()) == {best}
            assert abs(metric(CASE) - best) > 0.05
    if best is None:  # it describes the truth, whatever is predicted
        assert metric(binary(1, 4, 8, 7)) == metric(CASE)


OVERLAPS = {"iou", "dice", "fbeta", "tversky", "volume_similarity", "frequency_weighted_iou"}
OF_TRUTH = {"recall", "false_negative_rate", "relative_volume_difference", "balanced_accuracy", "matthews_corrcoef"}


@pytest.mark.parametrize(
    ("cells", "iou", "undefined"),
    [
        ((0, 0, 0, 9), None, OVERLAPS | OF_TRUTH | {"precision", "cohen_kappa"}),  # both empty
        ((0, 2, 0, 7), 0, OF_TRUTH),  # truth empty
        ((0, 0, 3, 6), 0, {"precision", "matthews_corrcoef"}),  # prediction empty
        ((4, 0, 5, 0), F(4, 9), {"specificity", "false_positive_rate", "balanced_accuracy", "matthews_corrcoef"}),
        ((4, 5, 0, 0), F(4, 9), {"negative_predictive_value", "matthews_corrcoef"}),
    ],
)
def test_empty_classes(cells: tuple[int, ...], iou: Any, undefined: set[str]) -> None:
    counts = binary(*cells)
    assert {name for name in NAMES if np.isnan(METRICS[name](counts))} == undefined
    for zero_division in (NAN, 0, 1):
        for name in undefined:
            assert METRICS[name](counts, zero_division=zero_division).tolist() == [[close(zero_division)]]
        for name, value in (("iou", iou), ("dice", iou and 2 * iou / (1 + iou))):
            expected = zero_division if value is None else value
            assert METRICS[name](counts, zero_division=zero_division).tolist() == [[close(expected)]]


# Of ABSENT, whose fourth class occurs in neither map: name, average, zero_division and value.
AVERAGES = [
    ("recall", "macro", NAN, (F(5, 6) + F(6, 9) + F(4, 5)) / 3),
    ("recall", "macro", 0, (F(5, 6) + F(6, 9) + F(4, 5)) / 4),
    ("recall", "macro", 1, (F(5, 6) + F(6, 9) + F(4, 5) + 1) / 4),
    ("recall", "micro", NAN, F(15, 20)),
    ("recall", "weighted", NAN, F(15, 20)),
    ("recall", "weighted", 1, F(15, 20)),
    ("iou", "macro", NAN, (F(5, 8) + F(6, 11) + F(4, 6)) / 3),
    ("iou", "macro", 0, (F(5, 8) + F(6, 11) + F(4, 6)) / 4),
    ("iou", "macro", 1, (F(5, 8) + F(6, 11) + F(4, 6) + 1) / 4),
    ("iou", "micro", 0, F(15, 25)),
    ("iou", "weighted", 0, (6 * F(5, 8) + 9 * F(6, 11) + 5 * F(4, 6)) / 20),
    ("specificity", "micro", NAN, F(55, 60)),  # TN 12 + 9 + 14 + 20, FP 2 + 2 + 1
    ("support", "micro", NAN, 20),
]


@pytest.mark.parametrize(("name", "average", "zero_division", "value"), AVERAGES)
def test_averages(name: str, average: Any, zero_division: float, value: Any) -> None:
    assert METRICS[name](ABSENT, average=average, zero_division=zero_division).tolist() == [close(value)]


def test_defined_says_over_how_many_classes_the_mean_is_taken() -> None:
    assert get("iou").defined(ABSENT).tolist() == [3]
    assert get("iou").defined(ABSENT, zero_division=0).tolist() == [4]
    assert get("iou").defined(ABSENT, include_background=False).tolist() == [2]
    assert get("fbeta").defined(ABSENT.concat(LabelCounts.zeros(4)), beta=2).tolist() == [3, 0]
    assert get("accuracy").defined(ABSENT).tolist() == [1]
    assert np.isnan(get("iou")(LabelCounts.zeros(4), average="macro")).tolist() == [True]
    with pytest.raises(ValueError, match="average: expected None, 'macro', 'micro' or 'weighted'; found 'mean'"):
        get("iou")(TABLE, average="mean")


def test_correlation_is_undefined_where_one_class_is_all_there_is() -> None:
    """Whatever the rounding of sums of weights, which are not taken in the same order for both maps."""
    weights = np.random.default_rng(0).random((100, 20))
    matrix = np.zeros((100, 20, 20))
    matrix[:, :, 0] = weights
    voxels = np.full((100, 4), [20, 0, 0, 0])
    for cells in (matrix, matrix.transpose(0, 2, 1)):
        counts = LabelCounts(np.arange(20), True, cells, np.zeros((100, 20)), voxels)
        assert np.isnan(get("mcc")(counts)).all()
    assert get("mcc")(labelled([[5, 0], [0, 1]])).tolist() == [1.0]
    assert np.isnan(get("mcc")(labelled([[5, 0], [0, 0]]))).tolist() == [True]


def test_background_is_the_integer_0() -> None:
    iou = get("iou")
    shuffled = TABLE.rename({0: 7, 1: 0})  # labels 7, 0, 2
    assert iou(TABLE, include_background=False).tolist() == [[close(F(6, 11)), close(F(4, 6))]]
    assert iou(shuffled, include_background=False).tolist() == [[close(F(5, 8)), close(F(4, 6))]]
    assert iou(TABLE, include_background=False, average="macro").tolist() == [close((F(6, 11) + F(4, 6)) / 2)]
    assert iou(TABLE, include_background=False, average="micro").tolist() == [close(F(10, 17))]
    named = TABLE.regions({0: [0], "zero": [0], "background": [0], 2: [2]})
    assert iou(named, include_background=False).tolist() == [[close(F(5, 8)), close(F(5, 8)), close(F(4, 6))]]


@given(hnp.arrays(np.int64, (4, 3), elements=st.integers(10**12, 10**17)))
@FEW
def test_huge_counts_do_not_overflow(table: np.ndarray) -> None:
    cells = [[int(x) for x in row] for row in table]
    true = [sum(cells[i]) + cells[3][i] for i in range(3)]
    pred = [sum(row[j] for row in cells[:3]) for j in range(3)]
    hits, total = sum(cells[i][i] for i in range(3)), sum(true)
    assert total**2 > 2**63
    counts = labelled(table[:3], unknown=table[3])

    def agreement(hits: int, true: list[int], pred: list[int], total: int, missed: int = 0) -> tuple[float, float]:
        chance = sum(t * p for t, p in zip(true, pred, strict=True))
        above = hits * total - chance
        spread = (total**2 - sum(t * t for t in true)) * (total**2 - sum(p * p for p in [*pred, missed]))
        return float(F(above, total**2 - chance)), math.copysign(math.sqrt(F(above**2, spread)), above)

    kappa, mcc = get("cohen_kappa"), get("matthews_corrcoef")
    expected = agreement(hits, true, pred, total, missed=sum(cells[3]))
    np.testing.assert_allclose([kappa(counts)[0], mcc(counts)[0]], expected, rtol=1e-12)
    for k in range(3):
        tp, both = cells[k][k], total - true[k] - pred[k] + 2 * cells[k][k]
        expected = agreement(both, [true[k], total - true[k]], [pred[k], total - pred[k]], total)
        one = counts.one_vs_rest()
        np.testing.assert_allclose([kappa(one)[0, k], mcc(one)[0, k]], expected, rtol=1e-12)
        rest = F(total - true[k] - pred[k] + tp, total - true[k])
        expected = float((F(tp, true[k]) + rest) / 2), float(rest)
        found = get("balanced_accuracy")(one)[0, k], get("specificity")(one)[0, k]
        np.testing.assert_allclose(found, expected, rtol=1e-12)


CLASSES = range(4)
PER_CLASS = {
    "iou": (sk.jaccard_score, {}),
    "dice": (sk.f1_score, {}),
    "precision": (sk.precision_score, {}),
    "recall": (sk.recall_score, {}),
    "fbeta": (sk.fbeta_score, {"beta": 0.5}),
}
TOGETHER = {
    "accuracy": sk.accuracy_score,
    "balanced_accuracy": sk.balanced_accuracy_score,
    "cohen_kappa": sk.cohen_kappa_score,
    "matthews_corrcoef": sk.matthews_corrcoef,  # 0 where it is undefined
}


@given(st.data(), st.booleans())
@settings(deadline=None, max_examples=25)
def test_scikit_learn_agrees(data: Any, weighted: bool) -> None:
    size = data.draw(st.integers(1, 40))
    true, pred = (data.draw(hnp.arrays(np.uint8, size, elements=st.sampled_from(CLASSES))) for _ in range(2))
    quarters = st.integers(1, 40).map(lambda n: n / 4)
    weight = data.draw(hnp.arrays(np.float64, size, elements=quarters)) if weighted else None
    counts = count_labels(true, pred, num_classes=4, sample_weight=weight)
    one = counts.one_vs_rest()
    same = {"sample_weight": weight, "labels": CLASSES}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of classes that do not occur
        np.testing.assert_array_equal(counts.matrix[0], sk.confusion_matrix(true, pred, **same))
        cells = np.stack([one.tn[0], one.fp[0], one.fn[0], one.tp[0]], 1).reshape(4, 2, 2)
        np.testing.assert_array_equal(cells, sk.multilabel_confusion_matrix(true, pred, **same))
        for name, (oracle, own) in PER_CLASS.items():
            for average in (None, "macro", "micro", "weighted"):
                # With NaN its weighted mean is no mean where all defined classes weigh nothing; IoU does not take NaN.
                for zero in (0, 1) if name == "iou" or average == "weighted" else (0, 1, NAN):
                    expected = oracle(true, pred, average=average, zero_division=zero, **same, **own)
                    found = METRICS[name](counts, average=average, zero_division=zero, **own)[0]
                    np.testing.assert_allclose(found, expected, rtol=1e-12, err_msg=f"{name}, {average}, {zero}")
        for name, oracle in TOGETHER.items():
            found = METRICS[name](counts, zero_division=0 if name == "matthews_corrcoef" else NAN)[0]
            expected = oracle(true, pred, sample_weight=weight)
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15, err_msg=name)
