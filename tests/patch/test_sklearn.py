"""scikit-learn while it is patched: the same answers, counted here, by whatever way its functions are reached."""

from __future__ import annotations

import functools
import inspect
import threading
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs scikit-learn: pip install scikit-learn")

from sklearn import metrics
from sklearn.metrics import accuracy_score, classification_report, f1_score, get_scorer, make_scorer
from sklearn.model_selection import cross_validate
from sklearn.neighbors import KNeighborsClassifier
from support.drop_ins import TOLERANCE, strictly, went
from support.patched import assert_same_patched
from support.sklearn_cases import OPTIONS, columns, indicators, options, weights

import fastseg
import fastseg.adapters.sklearn as ours
from fastseg.adapters import report
from fastseg.adapters.calls import ROWS

RNG = np.random.default_rng(5)
FEATURES = RNG.normal(size=(90, 2))
LABELS = np.where(FEATURES.sum(1) + RNG.normal(size=90) > 0, "healthy", "ill")
NUMBERS = RNG.integers(0, 4, (2, 500))
COUNTED = sorted(row.path for row in ROWS.values() if row.host == "sklearn" and row.statistic != "none")


@pytest.fixture(autouse=True)
def _put_back() -> Any:
    yield
    assert not fastseg.patch.status()["sklearn"].patched


@pytest.mark.parametrize("path", COUNTED)
def test_answers_are_those_of_before(path: str) -> None:
    """Random calls, errors among them, give the same values, warnings and errors, some of them counted here."""
    name, rng, function = path.rpartition(".")[2], np.random.default_rng(11), ROWS[path].theirs
    multilabel_too = name not in (
        "confusion_matrix",
        "cohen_kappa_score",
        "balanced_accuracy_score",
        "matthews_corrcoef",
    )
    before = report().get(f"sklearn.{name}")
    for turn in range(60):
        multilabel = multilabel_too and turn % 4 == 0
        true, pred, labels = (indicators if multilabel else columns)(rng)
        given = options(rng, name, labels, multilabel=multilabel)
        given["sample_weight"] = weights(rng, len(true))
        narrow = getattr(given["sample_weight"], "dtype", None) == np.float32  # which scikit-learn adds up as such
        assert_same_patched("sklearn", function, true, pred, rtol=1e-6 if narrow else TOLERANCE, **given)
    after = report()[f"sklearn.{name}"]
    assert after.fast - (before.fast if before else 0) > 2


def test_every_option_is_drawn() -> None:
    assert {path.rpartition(".")[2] for path in COUNTED} == set(OPTIONS)


def test_what_was_imported_earlier(monkeypatch: pytest.MonkeyPatch) -> None:
    bound, table = functools.partial(f1_score, average="macro"), {"accuracy": accuracy_score}
    with strictly(monkeypatch), fastseg.patch("sklearn"):
        with went("sklearn.f1_score", fast=3):
            for call in (functools.partial(metrics.f1_score, average="micro"), bound):
                call(*NUMBERS)
            f1_score([0, 1], [1, 1])
        with went("sklearn.accuracy_score", fast=1):
            table["accuracy"](*NUMBERS)
    with went("sklearn.f1_score"):
        bound(*NUMBERS)


def test_scorers_displays_and_estimators(monkeypatch: pytest.MonkeyPatch) -> None:
    model, scorer = KNeighborsClassifier(3).fit(FEATURES, LABELS), get_scorer("f1_macro")
    with strictly(monkeypatch), fastseg.patch("sklearn"):
        with went("sklearn.f1_score", fast=2):
            scorer(model, FEATURES, LABELS)
            get_scorer("f1_weighted")(model, FEATURES, LABELS)
        with went("sklearn.balanced_accuracy_score", fast=1):
            get_scorer("balanced_accuracy")(model, FEATURES, LABELS)
        with went("sklearn.accuracy_score", fast=1):
            model.score(FEATURES, LABELS)


def test_a_display(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib").use("Agg")
    with strictly(monkeypatch), fastseg.patch("sklearn"), went("sklearn.confusion_matrix", fast=1):
        metrics.ConfusionMatrixDisplay.from_predictions(*NUMBERS)


def test_folds_in_this_process_and_in_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    import joblib

    scoring = {"f1": "f1_macro", "ill": make_scorer(f1_score, pos_label="ill"), "accuracy": "accuracy"}
    wanted = cross_validate(KNeighborsClassifier(3), FEATURES, LABELS, scoring=scoring, cv=3)
    for jobs in (1, 2):
        with (
            strictly(monkeypatch),
            joblib.parallel_config(backend="threading"),
            fastseg.patch("sklearn"),
            went("sklearn.f1_score", fast=6),
        ):
            found = cross_validate(
                KNeighborsClassifier(3), FEATURES, LABELS, scoring=scoring, cv=3, n_jobs=jobs, error_score="raise"
            )
        for name in scoring:
            np.testing.assert_allclose(found[f"test_{name}"], wanted[f"test_{name}"], rtol=1e-12)


@pytest.mark.parametrize("function", [f1_score, ours.f1_score], ids=["theirs", "drop-in"])
def test_what_is_not_covered_is_the_hosts_from_top_to_bottom(function: Any) -> None:
    """The host's f1_score calls others that are patched too: while it is asked, they do as they did."""
    sparse = pytest.importorskip("scipy.sparse").csr_array(RNG.integers(0, 2, (20, 3)))
    wanted = f1_score(sparse, sparse[::-1], average="macro")
    before = report()
    with fastseg.patch("sklearn"), went("sklearn.f1_score", host=1):
        assert function(sparse, sparse[::-1], average="macro") == wanted
    changed = {name for name, calls in report().items() if before.get(name) != calls}
    assert changed == {"sklearn.f1_score"}


@pytest.mark.parametrize("function", [f1_score, ours.f1_score], ids=["theirs", "drop-in"])
def test_what_the_host_is_asked_to_warn_of(function: Any) -> None:
    with fastseg.patch("sklearn"), went("sklearn.f1_score", fast=1), pytest.warns(match="F-score is ill-defined"):
        assert function([0, 0], [0, 0], labels=[5, 0], average="macro") == 0.5


def test_errors_are_the_hosts() -> None:
    with fastseg.patch("sklearn"):
        with pytest.raises(ValueError, match="'average' par"):
            f1_score(*NUMBERS, average="mean")
        with pytest.raises(TypeError, match="y_pred"):
            f1_score(NUMBERS[0])
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            classification_report([0, 1], [1])
    assert inspect.signature(f1_score) == inspect.signature(ours.f1_score)


def test_threads_that_count_while_others_patch() -> None:
    wanted, wrong, over = f1_score(*NUMBERS, average="macro"), [], threading.Event()

    def count() -> None:
        while not over.is_set():
            found = f1_score(*NUMBERS, average="macro")
            if abs(found - wanted) > 1e-12:
                wrong.append(found)

    threads = [threading.Thread(target=count) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(100):
            with fastseg.patch("sklearn"):
                f1_score(*NUMBERS, average="macro")
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert not wrong
