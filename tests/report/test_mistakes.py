"""Mistakes that a report lists: those of the confusion matrix, the largest first."""

from __future__ import annotations

import numpy as np
import pytest
from support.reports import missed, phantom, run_of, scored

from fastseg.report import mistakes as confusion
from fastseg.runs import CaseRecord

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")


def test_mistakes_are_those_of_the_matrix() -> None:
    run = run_of(*(phantom(f"{n}", n, 6) for n in range(3)), missed("d"), missing="worst")
    found = confusion.mistakes(run)
    assert found is not None
    assert found.matrix is not None
    pooled = run.pooled()
    np.testing.assert_array_equal(found.matrix.voxels, np.concatenate([pooled.matrix[0], pooled.unknown.T], 1))
    assert found.matrix.columns == [*map(str, run.labels), "no prediction"]
    wrong = np.where(np.eye(*found.matrix.voxels.shape), 0.0, found.matrix.shares)
    assert [each.share for each in found.common] == np.sort(wrong, axis=None)[::-1][:5].tolist()


def test_labels_of_the_largest_mistakes() -> None:
    true = np.repeat(np.arange(100), 100)
    pred = true.copy()
    for label in range(60):  # the first `label` voxels are taken for the label 40 above
        pred[100 * label : 100 * label + label] = label + 40
    lost = CaseRecord("b", "missing", "r", None, unknown=np.array([[70, 900]]), voxels=(0, 0, 0, 900))
    run = run_of(scored("a", true, pred), lost, missing="worst")
    found = confusion.mistakes(run)
    assert found is not None
    assert found.matrix is not None
    names = [*map(str, sorted([*range(40, 60), *range(80, 100)]))]
    assert (found.labels, found.matrix.rows) == (100, names)
    assert found.matrix.columns == [*names, "other labels"]
    assert found.matrix.voxels.sum(1).tolist() == [100] * 40
    assert found.common[:2] == [("70", "with", "no prediction", 0.9, 900), ("59", "taken for", "99", 0.59, 59)]


def test_labels_with_nothing_but_missing_predictions() -> None:
    unknown = np.stack([np.arange(50), np.full(50, 3)], 1)
    found = confusion.mistakes(
        run_of(CaseRecord("b", "missing", "r", None, unknown=unknown, voxels=(0, 0, 0, 150)), missing="worst")
    )
    assert found is not None
    assert found.matrix is not None
    assert found.matrix.columns == [*map(str, range(40)), "other labels", "no prediction"]
    assert found.matrix.voxels[:, -1].tolist() == [3] * 40
