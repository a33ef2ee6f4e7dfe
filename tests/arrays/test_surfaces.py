"""What is refused of maps whose surfaces are to be measured, and maps with nothing in them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastseg
from fastseg import surface_distances
from fastseg.kernels import BACKENDS

TRUE, PRED = np.random.default_rng(0).integers(0, 3, (2, 5, 6, 7))
ONE = "spacing: expected a positive number, or 3 (one for each axis of space, in the arrays' order); found "


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"spacing": 0}, f"{ONE}0"),
        ({"spacing": (1, 2)}, f"{ONE}(1, 2)"),
        ({"spacing": (1, 2, -1)}, f"{ONE}(1, 2, -1)"),
        ({"spacing": np.nan}, f"{ONE}nan"),
        ({"spacing": 1e200}, "spacing: expected numbers from 1e-100 to 1e100"),
        ({"labels": [1, 1]}, "labels: expected each label once, found [1] more than once"),
        (
            {"labels": [1], "num_classes": 2},
            "labels: expected one of num_classes, labels and regions, found num_classes and",
        ),
        ({"regions": {"a": []}}, "regions: expected at least one label for 'a', found none"),
        ({"max_distance": -1}, "max_distance: expected a distance that is not negative, found -1"),
        ({"channel_axis": 0, "labels": [1]}, "channel_axis: masks with channels have no labels; found labels too"),
        ({"channel_axis": 0, "num_classes": 4}, "num_classes: expected 5, the channels of the masks, found 4"),
        ({"num_classes": 2}, "y_true: expected labels among the 2 classes 0..1, found 83 voxel(s) outside"),
        ({"surface": "edge"}, "surface: expected 'voxel', 'surfel' or 'object', found 'edge'"),
        ({"border": "mirror"}, "border: expected 'background' or 'extend', found 'mirror'"),
        ({"sample_axis": 0, "channel_axis": 1}, "expected two or three axes of space for surfaces, found 1"),
    ],
)
def test_values_that_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        surface_distances(TRUE, PRED, **{"spacing": 1, **options})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"spacing": None}, f"{ONE}None (distances in voxels: spacing=1)"),
        ({"spacing": "1"}, f"{ONE}'1'"),
        ({"regions": {}}, "regions: expected a dict of names and labels, found {}"),
        ({"regions": {"a": 1.5}}, "regions['a']: expected an integer, found 1.5"),
        ({"mask": np.ones(TRUE.shape)}, "mask: expected bool or integers"),
        ({"voxel_spacing": 1}, "got an unexpected keyword argument 'voxel_spacing' (did you mean 'spacing'?)"),
    ],
)
def test_types_that_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError) as caught:
        surface_distances(TRUE, PRED, **{"spacing": 1, **options})
    assert message in str(caught.value)


def test_labels_that_are_none_and_shapes_that_differ() -> None:
    with pytest.raises(
        ValueError, match=r"y_true: expected labels that are whole numbers .* the first is 1.5 at index"
    ):
        surface_distances(TRUE * 1.5, PRED, spacing=1, labels=[1])
    with pytest.raises(ValueError, match="y_pred: .*whole numbers"):
        surface_distances(TRUE, np.where(PRED == 2, np.nan, PRED), spacing=1, labels=[1])
    with pytest.raises(ValueError, match="y_true: expected masks of zeros and ones"):
        surface_distances(TRUE, PRED, spacing=1, channel_axis=0)
    with pytest.raises(ValueError, match=r"y_pred: expected the shape of y_true, \(5, 6, 7\); found \(4, 6, 7\)"):
        surface_distances(TRUE, PRED[:4], spacing=1)


@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_to_measure(backend: str) -> None:
    options: Any = {"spacing": 1, "backend": backend}
    for shape in ((0, 5), (3, 0, 4), (0, 0, 0)):
        empty = np.zeros(shape, np.uint8)
        assert surface_distances(empty, empty, **options).classes == ()
        assert surface_distances(empty, empty, num_classes=3, **options).elements.tolist() == [[[0, 0]] * 3]
    assert surface_distances(TRUE[:0], PRED[:0], sample_axis=0, num_classes=2, **options).elements.shape == (0, 2, 2)
    nowhere = surface_distances(TRUE, PRED, mask=np.zeros(TRUE.shape, bool), num_classes=3, **options)
    assert np.isnan(fastseg.metrics.hd95(nowhere)).all()
    assert surface_distances(TRUE, PRED, ignore_index=[0, 1, 2], **options).classes == ()
    assert surface_distances(TRUE, PRED, ignore_index=1, num_classes=3, **options).elements[0, 1].tolist() == [0, 0]
