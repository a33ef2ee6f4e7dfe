"""What the drop-ins of scikit-learn count themselves, and what they hand over: both as scikit-learn answers it."""

from __future__ import annotations

import doctest
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from support.drop_ins import assert_same_call, outcome, went

from fastseg.adapters import FallbackError
from fastseg.adapters.calls import ROWS
from fastseg.metrics.conventions import CONVENTIONS
from fastseg.metrics.registry import REGISTRY

host = pytest.importorskip("sklearn.metrics", reason="needs scikit-learn: pip install scikit-learn")
ours = pytest.importorskip("fastseg.adapters.sklearn")

RNG = np.random.default_rng(7)
TRUE, PRED = RNG.integers(0, 3, (2, 300))
WORDS = np.array(["bone", "liver", "spleen"])
LONG_TRUE, LONG_PRED = RNG.integers(0, 3, (2, 70_000))


def late_words(column: np.ndarray) -> np.ndarray:
    """Return text in which some words first occur late, in other blocks."""
    text = WORDS[column].astype("U20")
    text[-2:] = "kidney", "a word of 20 letters"
    return text


COVERED: dict[str, tuple[Any, Any]] = {
    "lists": (TRUE.tolist(), PRED.tolist()),
    "tuples of NumPy's integers": (tuple(TRUE), tuple(PRED)),
    "lists of bool": ((TRUE > 1).tolist(), (PRED > 1).tolist()),
    "uint8 and int64": (TRUE.astype(np.uint8), PRED),
    "uint64 and int8": (TRUE.astype(np.uint64), PRED.astype(np.int8)),
    "bool": (TRUE > 1, PRED > 1),
    "float32": (TRUE.astype(np.float32), PRED.astype(np.float64)),
    "big-endian": (TRUE.astype(">i4"), PRED.astype(">i4")),
    "read-only and strided": (np.broadcast_to(1, 300), np.repeat(PRED, 2)[::2]),
    "text": (WORDS[TRUE], WORDS[PRED]),
    "lists of text": (WORDS[TRUE].tolist(), WORDS[PRED].tolist()),
    "objects that are text": (WORDS[TRUE].astype(object), WORDS[PRED]),
    "text beside longer text": (np.array(["a", "b"] * 150), np.array(["a", "bc"] * 150)),
    "Series": (pd.Series(TRUE), pd.Series(PRED, index=range(5, 305))),
    "Series of bool": (pd.Series(TRUE > 1), PRED > 1),
    "long, of one byte": (LONG_TRUE.astype(np.uint8), LONG_PRED.astype(np.uint8)),
    "long, of float64": (LONG_TRUE.astype(np.float64), LONG_PRED.astype(np.float64)),
    "long text with late words": (late_words(LONG_TRUE), WORDS[LONG_PRED]),
    "long objects with late words": (late_words(LONG_TRUE).astype(object), WORDS[LONG_PRED].astype(object)),
    "one label": (np.zeros(5, int), np.zeros(5, int)),
    "columns of shape (n, 1)": (TRUE[:, None], PRED),
    "negative and large": (TRUE - 2**62, PRED - 2**62),
}


@pytest.mark.parametrize("name", COVERED)
def test_columns_that_are_counted_here(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTSEG_ADAPTERS", "strict")
    assert_same_call(host.confusion_matrix, ours.confusion_matrix, *COVERED[name])
    assert_same_call(host.f1_score, ours.f1_score, *COVERED[name], average="macro", zero_division=0)
    assert_same_call(host.accuracy_score, ours.accuracy_score, *COVERED[name])


@pytest.mark.parametrize("weight", [np.float64, np.float32, np.int64, np.uint8, np.bool_, list, pd.Series])
def test_weights_that_are_counted_here(weight: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTSEG_ADAPTERS", "strict")
    numbers = RNG.integers(0, 4, 300)
    given = weight(numbers) if weight in (list, pd.Series) else numbers.astype(weight)
    for name in ("confusion_matrix", "multilabel_confusion_matrix", "matthews_corrcoef", "zero_one_loss"):
        assert_same_call(getattr(host, name), getattr(ours, name), TRUE, PRED, sample_weight=given)


INDICATOR = np.eye(3, dtype=int)
#: Why, and what is handed over.
HANDED_OVER: list[tuple[str, Any, Any, dict[str, Any]]] = [
    ("columns of other or different shapes, or without samples", TRUE, PRED[1:], {}),
    ("labels of dtype object", TRUE.astype(object), PRED, {}),
    ("labels of dtype |S6", WORDS.astype("S"), WORDS.astype("S"), {}),
    ("a Series", pd.Series(TRUE, dtype="Int64"), PRED, {}),
    ("a csr_array", csr_array(INDICATOR), INDICATOR, {}),
    ("text and numbers", WORDS[TRUE], PRED, {}),
    ("fastseg refuses y_true", TRUE + 0.5, PRED, {}),
    ("fastseg refuses y_pred", TRUE, np.where(PRED == 0, np.nan, PRED), {}),
    ("fastseg refuses labels", np.arange(5_000), np.arange(5_000), {}),
    ("more labels than are counted", np.arange(5_000).astype(str), np.arange(5_000).astype(str), {}),
    ("a list of other than one type of numbers or text", [1, "a"], ["a", "a"], {}),
    ("fastseg refuses sample_weight", TRUE, PRED, {"sample_weight": TRUE - 1.0}),
    ("weights of another shape", TRUE, PRED, {"sample_weight": np.ones(299)}),
    ("weights that are all 0", TRUE, PRED, {"sample_weight": np.zeros(300)}),
    ("weights of dtype float16", TRUE, PRED, {"sample_weight": np.ones(300, np.float16)}),
    ("weights of dtype <U1", TRUE, PRED, {"sample_weight": ["1"] * 300}),
    ("a float", TRUE, PRED, {"sample_weight": 2.0}),
    ("labels= with a label twice", TRUE, PRED, {"labels": [1, 1, 0]}),
    ("labels= of another kind", TRUE, PRED, {"labels": [0.0, 1.0]}),
    ("labels= beyond 64 bits", TRUE, PRED, {"labels": np.array([1, 2**63], np.uint64)}),
    ("labels= beyond the columns", INDICATOR, INDICATOR, {"labels": [3]}),
    ("arrays of two dimensions that are no indicators", np.eye(3), np.eye(3), {}),
    ("average='binary' of several classes", TRUE, PRED, {"average": "binary"}),
    ("average='samples' of columns", TRUE, PRED, {"average": "samples"}),
    ("average= that is not known", TRUE, PRED, {"average": "mean"}),
    ("pos_label= that does not occur", TRUE > 1, PRED > 1, {"average": "binary", "pos_label": 2}),
    ("pos_label= of another kind", TRUE > 1, PRED > 1, {"average": "binary", "pos_label": "1"}),
    ("zero_division= that is not known", TRUE, PRED, {"zero_division": 0.5}),
    ("more labels than are counted", np.arange(6_000).astype(str), np.arange(6_000).astype(str), {}),
    ("pos_label= of another kind", TRUE, PRED, {"pos_label": [1]}),
    ("labels= of another kind", INDICATOR, INDICATOR, {"labels": [0.0]}),
    ("average='binary' of several labels, pos_label=int", INDICATOR, INDICATOR, {"average": "binary"}),
    ("fastseg refuses y_true", 2 * INDICATOR, INDICATOR, {}),
]


@pytest.mark.parametrize(("reason", "true", "pred", "options"), HANDED_OVER, ids=[each[0] for each in HANDED_OVER])
def test_what_is_handed_over(
    reason: str, true: Any, pred: Any, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"average": None, **options}
    with went("sklearn.f1_score", host=1):
        assert_same_call(host.f1_score, ours.f1_score, true, pred, **options)
    monkeypatch.setenv("FASTSEG_ADAPTERS", "strict")
    error = outcome(ours.f1_score, true, pred, **options).error
    assert isinstance(error, FallbackError)
    assert str(error).endswith(reason)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("confusion_matrix", {"normalize": "rows"}),
        ("confusion_matrix", {"labels": [7, 8]}),
        ("confusion_matrix", {"sample_weight": np.full(300, 2**60)}),
        ("multilabel_confusion_matrix", {"samplewise": True}),
        ("multilabel_confusion_matrix", {"samplewise": 1}),
        ("accuracy_score", {"normalize": 1}),
        ("zero_one_loss", {"normalize": None}),
        ("balanced_accuracy_score", {"adjusted": 1}),
        ("cohen_kappa_score", {"weights": "cubic"}),
        ("cohen_kappa_score", {"labels": [7]}),
        ("cohen_kappa_score", {"replace_undefined_by": 0.5}),
        ("class_likelihood_ratios", {}),
        ("fbeta_score", {"beta": -1}),
        ("precision_recall_fscore_support", {"warn_for": "precision"}),
        ("classification_report", {"digits": -1}),
        ("classification_report", {"target_names": ["a"]}),
        ("classification_report", {"target_names": [1, 2, 3]}),
        ("classification_report", {"labels": [0, 1], "target_names": ["a", "b", "c"]}),
        ("jaccard_score", {"average": None, "zero_division": float("nan")}),
    ],
)
def test_options_that_are_handed_over(name: str, options: dict[str, Any]) -> None:
    with went(f"sklearn.{name}", host=1):
        assert_same_call(getattr(host, name), getattr(ours, name), TRUE, PRED, **options)


def test_weights_of_nothing_where_scikit_learn_speaks() -> None:
    """A label that only occurs with weight 0 is not among the pairs, but among the labels."""
    given = {"sample_weight": [0, 1, 1], "average": None}
    with went("sklearn.f1_score", host=1):
        assert_same_call(host.f1_score, ours.f1_score, [5, 0, 1], [5, 0, 0], **given)
    with went("sklearn.f1_score", fast=1):
        assert_same_call(host.f1_score, ours.f1_score, [5, 0, 1], [5, 0, 0], zero_division=0, **given)


def test_probabilities_are_handed_over() -> None:
    true, probabilities = np.array([0, 1, 1]), np.array([0.1, 0.8, 0.3])
    for name in ("log_loss", "brier_score_loss"):
        with went(f"sklearn.{name}", host=1):
            assert_same_call(getattr(host, name), getattr(ours, name), true, probabilities)


def test_sums_beyond_32_bits_do_not_wrap() -> None:
    """The products of the host's likelihood ratios and correlation are those of larger integers here."""
    weight = np.array([3, 1, 1, 4]) * 10**9
    true, pred = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    assert ours.matthews_corrcoef(true, pred, sample_weight=weight) == pytest.approx(11 / 20)
    ratios = ours.class_likelihood_ratios(true, pred, sample_weight=weight)
    assert ratios == pytest.approx((4 / 5 / (1 / 4), 1 / 5 / (3 / 4)))


@pytest.mark.parametrize(
    "row", [row for row in ROWS.values() if row.host == "sklearn" and row.metric], ids=lambda row: row.path
)
def test_rows_are_the_metrics_that_they_say(row: Any) -> None:
    """The mean over classes is that of the registry's metric under the convention of the host."""
    assert row.convention is CONVENTIONS["sklearn"]
    options = {"beta": 1.0} if row.metric == "fbeta" else {}
    binary = __import__("fastseg").count_labels(TRUE, PRED, num_classes=5).one_vs_rest()
    values = REGISTRY[row.metric](binary)
    mean = row.convention.mean(row.metric, values, binary, np.ones(5, bool))
    assert row.ours(TRUE, PRED, average="macro", **options) == pytest.approx(mean, rel=1e-12)


def test_functions_can_be_pickled_and_called_by_many_threads() -> None:
    for name in ours.__all__:
        assert pickle.loads(pickle.dumps(getattr(ours, name))) is getattr(ours, name)
    with went("sklearn.f1_score", fast=200), ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: ours.f1_score(TRUE, PRED, average="macro"), range(200)))
    assert found == {host.f1_score(TRUE, PRED, average="macro")}


def test_arguments_are_left_as_they_are(tmp_path: Path) -> None:
    true, pred, weight = TRUE.copy(), PRED.copy(), np.ones(300)
    matrix = ours.confusion_matrix(true, pred, sample_weight=weight)
    matrix[:] = 0  # it is the caller's
    assert ours.confusion_matrix(true, pred).sum() == 300
    np.testing.assert_array_equal((true, pred, weight), (TRUE, PRED, np.ones(300)))
    np.save(tmp_path / "labels.npy", true)
    mapped = np.load(tmp_path / "labels.npy", mmap_mode="r")
    with went("sklearn.confusion_matrix", fast=1):
        assert_same_call(host.confusion_matrix, ours.confusion_matrix, mapped, pred)


def test_examples() -> None:
    assert doctest.testmod(ours).attempted == 3
    assert not doctest.testmod(ours).failed
