"""The drop-ins as scorers: scikit-learn calls them, in other processes too."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs scikit-learn: pip install scikit-learn")

from sklearn import metrics as host
from sklearn.metrics import make_scorer
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.neighbors import KNeighborsClassifier

import fastseg.adapters.sklearn as ours

RNG = np.random.default_rng(3)
FEATURES = RNG.normal(size=(120, 2))
LABELS = np.where(FEATURES.sum(1) + RNG.normal(size=120) > 0, "healthy", "ill")


def scorers(module: object) -> dict[str, object]:
    return {
        "f1": make_scorer(module.f1_score, pos_label="ill"),  # type: ignore[attr-defined]
        "kappa": make_scorer(module.cohen_kappa_score),  # type: ignore[attr-defined]
        "loss": make_scorer(module.zero_one_loss, greater_is_better=False),  # type: ignore[attr-defined]
        "macro": make_scorer(module.jaccard_score, average="macro"),  # type: ignore[attr-defined]
    }


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_cross_validate(jobs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTSEG_ADAPTERS", "strict")  # processes take it over
    model = KNeighborsClassifier(3)
    wanted = cross_validate(model, FEATURES, LABELS, scoring=scorers(host), cv=3)
    found = cross_validate(model, FEATURES, LABELS, scoring=scorers(ours), cv=3, n_jobs=jobs, error_score="raise")
    for name in scorers(host):
        np.testing.assert_allclose(found[f"test_{name}"], wanted[f"test_{name}"], rtol=1e-12)


def test_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTSEG_ADAPTERS", "strict")
    grid = {"n_neighbors": [1, 3, 9]}
    found, wanted = (
        GridSearchCV(KNeighborsClassifier(), grid, scoring=make_scorer(module.balanced_accuracy_score), cv=3)
        .fit(FEATURES, LABELS)
        .best_score_
        for module in (ours, host)
    )
    assert found == pytest.approx(wanted, rel=1e-12)


def test_weights_reach_the_scorer() -> None:
    model = KNeighborsClassifier(3).fit(FEATURES, LABELS)
    weight = RNG.random(120)
    found, wanted = (
        make_scorer(module.accuracy_score)(model, FEATURES, LABELS, sample_weight=weight) for module in (ours, host)
    )
    assert found == pytest.approx(wanted, rel=1e-12)
