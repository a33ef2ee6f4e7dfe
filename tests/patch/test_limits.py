"""What patching cannot reach: a test for each line of the guide's list."""

from __future__ import annotations

import multiprocessing
from types import FunctionType

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs scikit-learn: pip install scikit-learn")

from sklearn import metrics
from sklearn.metrics import cluster, f1_score
from sklearn.model_selection import cross_validate
from sklearn.neighbors import KNeighborsClassifier
from support.patched import is_patched

import fastseg
from fastseg.adapters import report

RNG = np.random.default_rng(8)
FEATURES, LABELS = RNG.normal(size=(60, 2)), RNG.integers(0, 2, 60)


@pytest.mark.slow
def test_workers_of_joblib_are_not_patched() -> None:
    scoring = {"f1": "f1_macro", "patched": is_patched}
    model = KNeighborsClassifier(3)
    before = report()
    with fastseg.patch("sklearn"):
        found = cross_validate(model, FEATURES, LABELS, scoring=scoring, cv=2, n_jobs=2)
    assert report() == before
    wanted = cross_validate(model, FEATURES, LABELS, scoring=scoring, cv=2)
    assert found["test_patched"].tolist() == [0, 0]
    np.testing.assert_array_equal(found["test_f1"], wanted["test_f1"])


@pytest.mark.parametrize(
    ("method", "patched"),
    [pytest.param("spawn", 0.0, marks=pytest.mark.slow), ("fork", 1.0)],
)
def test_spawned_processes_are_not_patched_and_forked_ones_are(method: str, patched: float) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} on this system")
    with fastseg.patch("sklearn"), multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.apply(is_patched) == patched


def test_functions_without_a_drop_in_are_the_hosts() -> None:
    before = report()
    with fastseg.patch("sklearn"):
        metrics.log_loss(LABELS, RNG.random(60))
        metrics.roc_auc_score(LABELS, RNG.random(60))
        cluster.pair_confusion_matrix(LABELS, LABELS)
    assert report() == before


def test_copies_of_a_function_that_were_made_before() -> None:
    """As libraries make them that rewrite functions: compilers, mocks."""
    inner = f1_score.__wrapped__
    copied = FunctionType(inner.__code__, inner.__globals__)
    copied.__kwdefaults__ = inner.__kwdefaults__
    before = report()
    with fastseg.patch("sklearn"):
        copied([0, 1, 1], [0, 1, 0])
    assert report().get("sklearn.f1_score") == before.get("sklearn.f1_score")
