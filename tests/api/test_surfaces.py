"""Metrics of surfaces beside those of counts: `evaluate`, `Evaluator`, and what of arrays is refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import fastseg
from fastseg import Evaluator, evaluate, surface_distances
from fastseg.metrics import hd95, normalized_surface_dice

TRUE = np.zeros((1, 9, 9), int)
TRUE[0, :3, :3], TRUE[0, 4:7, :3], TRUE[0, :3, 5:8] = 1, 2, 3
PRED = np.where(TRUE == 2, 0, TRUE)
PRED[0, 3, 6] = 3
METRICS = ["dice", "hd95", "nsd"]


def test_evaluate_has_columns_of_surfaces() -> None:
    scores = evaluate(TRUE, PRED, metrics=METRICS, spacing=(3, 1, 0.5), tolerance=0.4, num_classes=4)
    surfaces = surface_distances(TRUE, PRED, spacing=(3, 1, 0.5), labels=[1, 2, 3])
    np.testing.assert_array_equal(scores["hd95"], [np.nan, *hd95(surfaces)[0]])
    np.testing.assert_array_equal(scores["nsd"][1:], normalized_surface_dice(surfaces, tolerance=0.4)[0])
    np.testing.assert_array_equal(scores["dice"], fastseg.dice(TRUE, PRED, num_classes=4))
    assert scores.surfaces == surfaces
    assert scores.infinite == {"hd95": 1, "nsd": 0}
    assert scores.mean["hd95"] == hd95(surfaces)[0, [0, 2]].mean()
    assert (scores.defined["hd95"], scores.defined["nsd"]) == (2, 3)
    assert [cells for cells in scores.rows()[1] if cells[0] == "infinite"] == [
        ["infinite", "values", "", "1", "0", "", ""]
    ]
    plain = json.loads(json.dumps(scores.to_dict()))
    assert plain["infinite"] == {"hd95": 1, "nsd": 0}
    assert plain["classes"]["2"]["hd95"] is None


def test_tolerances_of_classes_by_label_and_by_name() -> None:
    options: Any = {"metrics": "nsd", "spacing": 1, "num_classes": 4, "names": {3: "liver"}}
    tight, loose = (evaluate(TRUE, PRED, tolerance=t, **options)["nsd"] for t in (0, 1))
    assert tight[3] < loose[3] == 1
    for tolerance in ({"liver": 1, None: 0}, {1: 0, 2: 0, 3: 1}):
        np.testing.assert_array_equal(evaluate(TRUE, PRED, tolerance=tolerance, **options)["nsd"], [*tight[:3], 1])
    with pytest.raises(ValueError, match="tolerance: nsd needs one, a distance in the unit of the spacing; found None"):
        evaluate(TRUE, PRED, **options)
    with pytest.raises(ValueError, match=r"tolerance: expected one for each class, found none for \[1, 2\]"):
        evaluate(TRUE, PRED, tolerance={3: 1}, **options)
    for wrong in ("livre", 7):
        with pytest.raises(ValueError, match=rf"tolerance: expected a class by its label or name .*, found {wrong!r}"):
            evaluate(TRUE, PRED, tolerance={wrong: 1, None: 0}, **options)
    by_label = fastseg.nsd(TRUE, PRED, spacing=1, num_classes=4, tolerance={3: 1, None: 0})
    np.testing.assert_array_equal(by_label[1:], [*tight[1:3], 1])


def test_what_evaluate_refuses_of_surfaces() -> None:
    with pytest.raises(TypeError, match="spacing: expected a positive number, or 3"):
        evaluate(TRUE, PRED, metrics="hd95")
    with pytest.raises(ValueError, match="sample_weight: surfaces have no weights of voxels"):
        evaluate(TRUE, PRED, metrics="hd95", spacing=1, sample_weight=np.ones(TRUE.shape))
    with pytest.raises(ValueError, match="metrics: 'assd' is made of surfaces, which were not measured"):
        fastseg.Scores(fastseg.count_labels(TRUE, PRED), metrics=["dice", "assd"])
    with pytest.raises(ValueError, match="expected two or three axes of space for surfaces, found 1"):
        evaluate(TRUE[0, 0], PRED[0, 0], metrics="hd95", spacing=1)
    empty = evaluate(TRUE * 0, PRED * 0, metrics=["dice", "hd95"], spacing=1)
    assert np.isnan(empty["hd95"]).all()
    assert empty.defined["hd95"] == 0


def test_images_know_their_spacing() -> None:
    sitk, nib = pytest.importorskip("SimpleITK"), pytest.importorskip("nibabel")
    spacing = (0.8, 0.9, 3.0)
    pair = [each.astype(np.uint8) for each in (TRUE, PRED)]
    images = [sitk.GetImageFromArray(each) for each in pair]
    for image in images:
        image.SetSpacing(spacing)
    expected = surface_distances(*pair, spacing=spacing[::-1])
    assert surface_distances(*images) == expected
    assert surface_distances(pair[0], images[1]) == expected
    assert surface_distances(*images, spacing=1) == surface_distances(*pair, spacing=1)
    turned = [nib.Nifti1Image(each.transpose(2, 1, 0), np.diag([*spacing, 1])) for each in pair]
    assert surface_distances(*turned) == surface_distances(*(each.transpose(2, 1, 0) for each in pair), spacing=spacing)
    np.testing.assert_array_equal(fastseg.hd95(*images), hd95(expected)[0])
    np.testing.assert_array_equal(evaluate(*images, metrics="hd95")["hd95"][1:], hd95(expected)[0])
    flat = [sitk.GetImageFromArray(each[0]) for each in pair]
    flat[0].SetSpacing((2, 1))
    flat[1].SetSpacing((2, 1))
    assert surface_distances(*flat) == surface_distances(*(each[0] for each in pair), spacing=(1, 2))
    sheared = np.diag([*spacing, 1])
    sheared[0, 1] = 0.3
    with pytest.raises(ValueError, match="y_true: expected axes at right angles for distances of surfaces"):
        surface_distances(*(nib.Nifti1Image(each.transpose(2, 1, 0), sheared) for each in pair))


def evaluator(**options: Any) -> Evaluator:
    given: Any = {"num_classes": 4, "surfaces": True, "spacing": (3, 1, 1), "metrics": METRICS, "tolerance": 1}
    return Evaluator(**{**given, **options})


def batches() -> list[Any]:
    random = np.random.default_rng(2)
    return [random.integers(0, 3, (2, 4, 5, 6)) for _ in range(3)]


def test_an_evaluator_keeps_the_surfaces_of_each_case() -> None:
    ours = evaluator()
    for true, pred in batches():
        ours.update(true, pred)
    assert ours.surfaces is not None
    each = [surface_distances(*pair, spacing=(3, 1, 1), labels=[1, 2, 3]) for pair in batches()]
    assert ours.surfaces == each[0].concat(*each[1:])
    scores = ours.compute()
    assert scores["hd95"].shape == scores["dice"].shape == (3, 4)
    assert scores.class_values["hd95"][1] == hd95(ours.surfaces)[:, 0].mean()
    together = evaluator()
    together.update(*np.stack(batches(), axis=1), sample_axis=0)
    assert together.surfaces == ours.surfaces
    assert together.counts == ours.counts


def test_an_evaluator_of_labels_that_nobody_has_declared() -> None:
    first, second, third = batches()
    pairs = [first, second * 0, third * [[[[1]]], [[[4]]]]]
    ours, halves = Evaluator(surfaces=True, spacing=1), [Evaluator(surfaces=True, spacing=1) for _ in range(2)]
    for k, (true, pred) in enumerate(pairs):
        ours.update(true, pred)
        halves[k // 2].update(true, pred)
    assert ours.surfaces is not None
    assert ours.surfaces.classes == (1, 2, 4, 8)
    each = [surface_distances(*pair, spacing=1, labels=[1, 2, 4, 8]) for pair in pairs]
    assert ours.surfaces == each[0].concat(*each[1:])
    halves[0].merge(halves[1])
    assert (halves[0].surfaces, halves[0].counts) == (ours.surfaces, ours.counts)
    copy = Evaluator(surfaces=True, metrics=["hd95", "dice"])
    copy.load_state_dict(json.loads(json.dumps(ours.state_dict())))
    assert copy.surfaces == ours.surfaces
    values = copy.compute()["hd95"]
    np.testing.assert_array_equal(values[:, 1:], hd95(ours.surfaces))
    assert np.isnan(values[1]).all()


def test_an_evaluator_of_regions() -> None:
    ours = Evaluator(surfaces=True, spacing=1, regions={"any": [1, 2], "two": 2}, metrics=["hd95"])
    for true, pred in batches():
        ours.update(true, pred)
    each = [surface_distances(*pair, spacing=1, regions={"any": [1, 2], "two": [2]}) for pair in batches()]
    np.testing.assert_array_equal(ours.compute()["hd95"], hd95(each[0].concat(*each[1:])))


def test_evaluators_of_surfaces_merge_and_go_to_disk() -> None:
    one, other = evaluator(), evaluator()
    one.update(*batches()[0])
    other.update(*batches()[1], spacing=2)
    copy = evaluator()
    copy.load_state_dict(json.loads(json.dumps(one.state_dict())))
    assert (copy.surfaces, copy.counts) == (one.surfaces, one.counts)
    one.merge(other)
    assert one.surfaces is not None
    assert one.surfaces.spacing.tolist() == [[3, 1, 1], [2, 2, 2]]
    state = copy.state_dict()
    state["surfaces"] = one.surfaces.to_dict()
    with pytest.raises(ValueError, match=r"state: expected surfaces of 1 cases and the classes \[1, 2, 3\], found 2"):
        copy.load_state_dict(state)
    with pytest.raises(ValueError, match="other: expected an evaluator with measuring=None, found"):
        Evaluator(num_classes=4, per_case=True).merge(one)
    with pytest.raises(ValueError, match="other: expected an evaluator with measuring=.*'surfel'.*found"):
        evaluator(surface="surfel").merge(one)
    one.reset()
    assert one.surfaces is None


def test_a_batch_that_is_refused_changes_nothing() -> None:
    ours = evaluator()
    ours.update(*batches()[0])
    before = ours.state_dict()
    for wrong in ({"spacing": (1, 2)}, {"sample_weight": np.ones((4, 5, 6))}):
        with pytest.raises(ValueError, match="spacing: expected|sample_weight: surfaces"):
            ours.update(*batches()[1], **wrong)
    assert ours.state_dict() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"surfaces": "surfel"}, "surfaces: expected False or True, found 'surfel'"),
        ({"scores": True}, "surfaces: expected False of scores"),
        ({"spacing": (1, -1, 1)}, "spacing: expected a positive number"),
        ({"surface": "vertex"}, "surface: expected 'voxel'"),
        ({"tolerance": None}, "tolerance: nsd needs one"),
        ({"surfaces": False}, "spacing: it is for an evaluator with surfaces=True"),
        ({"surfaces": False, "spacing": None}, "tolerance: it is for an evaluator with surfaces=True"),
    ],
)
def test_options_that_do_not_fit(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluator(**options)
