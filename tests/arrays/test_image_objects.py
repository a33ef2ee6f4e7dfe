"""Images of other libraries in the place of arrays: by stubs that look alike, so that no library is needed."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import fastseg
from fastseg import count_labels, count_masks, evaluate
from fastseg.arrays.convert import as_array
from fastseg.arrays.image_objects import opened, voxel_ml

RNG = np.random.default_rng(0)
TRUE, PRED = (RNG.integers(0, 3, (4, 5, 6)).astype(np.uint8) for _ in range(2))  # along z, y, x
EXPECTED = count_labels(TRUE, PRED)


def stub(module: str, name: str, **members: Any) -> type:
    return type(name, (), {"__module__": module, **members})


class _Untouchable:
    """What NumPy would take apart voxel by voxel."""

    def __len__(self) -> int:
        raise AssertionError("taken apart item by item")

    def __getitem__(self, index: Any) -> Any:
        raise AssertionError("taken apart item by item")


class ItkBase(_Untouchable):
    """As SimpleITK's: the size is that of x, y, z, and the array is the other way round."""

    def __init__(
        self, array: np.ndarray, spacing: Any = (1, 2, 3), origin: Any = (0, 0, 0), direction: Any = None, many: int = 1
    ) -> None:
        self.array, self.spacing, self.origin, self.many = array, spacing, origin, many
        self.direction = np.eye(len(spacing)) if direction is None else direction

    def GetSize(self) -> tuple[int, ...]:
        return self.array.shape[: len(self.spacing)][::-1]

    def GetSpacing(self) -> Any:
        return self.spacing

    def GetOrigin(self) -> Any:
        return self.origin

    def GetDirection(self) -> Any:
        return tuple(np.ravel(self.direction))

    def GetNumberOfComponentsPerPixel(self) -> int:
        return self.many

    def GetPixelIDTypeAsString(self) -> str:
        return "8-bit unsigned integer"


Itk = type("Image", (ItkBase,), {"__module__": "SimpleITK.SimpleITK"})
DerivedItk = type("Mine", (Itk,), {"__module__": "mine"})


class Proxy:
    """As nibabel's of a file: an array when it is asked for one."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.array


class NiftiBase(_Untouchable):
    def __init__(
        self, array: np.ndarray, affine: Any = ((-1, 0, 0, 0), (0, -2, 0, 0), (0, 0, 3, 0), (0, 0, 0, 1))
    ) -> None:
        self.dataobj, self.shape, self.affine = Proxy(array), array.shape, affine


Nifti = type("Nifti1Image", (type("DataobjImage", (NiftiBase,), {"__module__": "nibabel.dataobj_images"}),), {})


class XarrayBase:
    def __init__(self, data: np.ndarray, dims: tuple[str, ...], **indexes: Any) -> None:
        self.data, self.dims, self.shape, self.indexes = data, dims, data.shape, indexes


Xarray = type("DataArray", (XarrayBase,), {"__module__": "xarray.core.dataarray"})


@pytest.fixture(autouse=True)
def itk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a module in SimpleITK's place."""
    module = ModuleType("SimpleITK")

    def view(image: Any) -> np.ndarray:
        array = image.array.view()
        array.flags.writeable = False
        return array

    module.GetArrayViewFromImage = view  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "SimpleITK", module)


def nifti(array: np.ndarray, **options: Any) -> Any:
    return Nifti(array.transpose(2, 1, 0), **options)


MAKERS: dict[str, Callable[[np.ndarray], Any]] = {
    "SimpleITK": Itk,
    "derived": DerivedItk,
    "nibabel": nifti,
    "xarray": lambda a: Xarray(a, ("z", "y", "x")),
    "xarray turned": lambda a: Xarray(a.transpose(1, 2, 0), ("y", "x", "z")),
}


@pytest.mark.parametrize("pred", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize("true", MAKERS.values(), ids=MAKERS)
def test_images_lie_as_the_first_of_them(true: Callable[..., Any], pred: Callable[..., Any]) -> None:
    assert count_labels(true(TRUE), pred(PRED)) == EXPECTED
    inside, weight = TRUE != 1, RNG.random(TRUE.shape)
    expected = count_labels(TRUE, PRED, mask=inside, sample_weight=weight)
    found = count_labels(true(TRUE), pred(PRED), mask=pred(inside), sample_weight=true(weight))
    assert np.allclose(found.matrix, expected.matrix, rtol=1e-12)
    assert found.voxels.tolist() == expected.voxels.tolist()


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_views_of_their_own_memory(make: Callable[..., Any]) -> None:
    array = as_array(make(TRUE), "y_true")
    assert np.shares_memory(array, TRUE)


def test_a_view_keeps_its_image_alive() -> None:
    image = Itk(TRUE.copy())
    alive, array = weakref.ref(image), as_array(image, "y_true")
    del image
    gc.collect()
    assert alive() is not None
    assert not array.flags.writeable
    assert np.array_equal(array, TRUE)
    del array
    gc.collect()
    assert alive() is None


def test_every_call_takes_them() -> None:
    true, pred = Itk(TRUE), Itk(PRED)
    assert fastseg.iou(true, pred).tolist() == fastseg.iou(TRUE, PRED).tolist()
    assert fastseg.confusion_matrix(true, pred).tolist() == EXPECTED.matrix[0].tolist()
    evaluator = fastseg.Evaluator()
    evaluator.update(true, pred)
    assert evaluator.counts == EXPECTED
    assert np.array_equal(fastseg.one_hot(true, 3), fastseg.one_hot(TRUE, 3))
    p = RNG.random((*TRUE.shape, 3))
    p /= p.sum(-1, keepdims=True)
    scores = Itk(p, many=3)
    assert fastseg.cross_entropy(true, scores) == fastseg.cross_entropy(TRUE, p)
    assert fastseg.soft_dice_loss(true, scores, sample_axis=None) == fastseg.soft_dice_loss(TRUE, p, sample_axis=None)
    options = {"sample_axis": None, "activation": None}
    found = fastseg.losses.cross_entropy_with_gradient(nifti(TRUE), scores, **options)
    assert np.array_equal(found[1], fastseg.losses.cross_entropy_with_gradient(TRUE, p, **options)[1])
    assert np.array_equal(fastseg.argmax_labels(scores), fastseg.argmax_labels(p))


def test_components_are_channels() -> None:
    true, pred = (RNG.integers(0, 2, (4, 5, 6, 3), np.uint8) for _ in range(2))
    region = TRUE > 0
    expected = count_masks(true, pred, mask=region)
    assert count_masks(Itk(true, many=3), Itk(pred, many=3), mask=nifti(region)) == expected


def test_names_of_axes() -> None:
    p = RNG.random((3, *TRUE.shape))
    p /= p.sum(0)
    scores, true = Xarray(p, ("class", "z", "y", "x")), Xarray(TRUE.T, ("x", "y", "z"))
    for truth in (true, nifti(TRUE), TRUE):
        assert fastseg.cross_entropy(truth, scores, channel_axis="class") == fastseg.cross_entropy(
            TRUE, p, channel_axis=0
        )
    with pytest.raises(ValueError, match=r"channel_axis: expected an axis of y_score or one of its dims .* found 'c'"):
        fastseg.cross_entropy(true, scores, channel_axis="c")
    by_name = count_labels(Xarray(TRUE, ("z", "y", "x")), Xarray(PRED, ("z", "y", "x")), sample_axis="y")
    assert by_name == count_labels(TRUE, PRED, sample_axis=1)
    with pytest.raises(TypeError, match="sample_axis: expected an integer, found 'y'"):
        count_labels(TRUE, PRED, sample_axis="y")


def test_other_dims_are_an_error() -> None:
    message = r"y_pred: expected the dims \('z', 'y', 'x'\) of y_true in any order, found \('t', 'y', 'x'\)"
    with pytest.raises(ValueError, match=message):
        count_labels(Xarray(TRUE, ("z", "y", "x")), Xarray(PRED, ("t", "y", "x")))


COORDS: dict[str, tuple[Any, Any, bool]] = {
    "equal": ([0, 1, 2, 3], [0, 1, 2, 3], True),
    "noise": ([0, 0.5, 1, 1.5], [0, 0.5, 1.004, 1.5], True),
    "moved": ([0, 1, 2, 3], [1, 2, 3, 4], False),
    "backwards": ([0, 1, 2, 3], [3, 2, 1, 0], False),
    "unsigned": (np.array([0, 1, 2, 3], "u1"), np.array([0, 1, 2, 4], "u1"), False),
    "names": (list("abcd"), list("abdc"), False),
    "kinds": (list("0123"), [0, 1, 2, 3], False),
}


@pytest.mark.parametrize(("one", "other", "same"), COORDS.values(), ids=COORDS)
def test_coordinates(one: Any, other: Any, same: bool) -> None:
    dims = ("z", "y", "x")
    true, pred = Xarray(TRUE, dims, z=one), Xarray(PRED.T, dims[::-1], z=other)
    if same:
        assert count_labels(true, pred) == EXPECTED
    else:
        with pytest.raises(ValueError, match=r"y_pred: expected the coordinates of y_true along 'z', .* index \d"):
            count_labels(true, pred)
    assert count_labels(true, Xarray(PRED, dims)) == EXPECTED  # one alone says nothing


PLACES: dict[str, tuple[Any, str]] = {
    "moved": (Itk(PRED, origin=(0, 0, 1)), r"up to 1 mm .* a pure translation by \(0, 0, 0.3333\) voxels"),
    "spacing": (Itk(PRED, spacing=(1, 2, 4)), "the affines differ"),
    "backwards": (Itk(PRED, direction=np.diag([-1, 1, 1]), origin=(5, 0, 0)), "a pure flip .*DICOMOrient"),
    "NaN": (Itk(PRED, origin=(0, 0, np.nan)), "y_pred: expected an affine that places voxels, .* not finite"),
    "other library": (nifti(PRED, affine=np.diag([1, -2, 3, 1])), "y_pred: its corners lie up to 10 mm"),
}


@pytest.mark.parametrize(("pred", "message"), PLACES.values(), ids=PLACES)
def test_other_places_are_an_error(pred: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"{message}.*to leave out where the voxels lie, pass arrays .SimpleITK"):
        count_labels(Itk(TRUE), pred)
    assert count_labels(TRUE, pred if isinstance(pred, Itk) else as_array(pred, "y_pred").T) == EXPECTED
    for first in (Itk(TRUE), Xarray(TRUE, ("z", "y", "x"))):  # of which the second has no place
        with pytest.raises(ValueError, match="mask: its corners lie up to 1 mm from those of y_"):
            count_labels(first, Itk(PRED), mask=Itk(TRUE, origin=(0, 0, 1)))


def test_nothing_is_read_before_places_are_compared() -> None:
    true = nifti(TRUE)
    true.dataobj = None
    with pytest.raises(ValueError, match="a pure translation"):
        count_labels(true, Itk(PRED, origin=(0, 0, 1)))


def test_other_shapes_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"y_pred: expected the shape \(6, 5, 4\) of y_true, found \(6, 5, 3\)$"):
        count_labels(Itk(TRUE), Itk(PRED[:3]))
    note = r"\(y_true: SimpleITK.Image with the axes z, y, x\)$"
    with pytest.raises(
        ValueError, match=rf"y_pred: expected the shape of y_true, \(4, 5, 6\); found \(6, 5, 4\) {note}"
    ):
        count_labels(Itk(TRUE), PRED.T)
    with pytest.raises(
        ValueError, match=r"y_true: .* found shape \(6, 5, 4\) \(y_score: SimpleITK.Image with the axes"
    ):
        fastseg.sum_scores(TRUE.T, Itk(np.ones((4, 5, 6, 2)) / 2, many=2))


def test_volumes() -> None:
    assert voxel_ml(Itk(TRUE)) == voxel_ml(TRUE, nifti(PRED)) == pytest.approx(0.006)
    assert voxel_ml(TRUE) is voxel_ml(Itk(TRUE[0], (1, 2), (0, 0))) is voxel_ml(Xarray(TRUE, ("z", "y", "x"))) is None
    scores = evaluate(Itk(TRUE), PRED)
    assert scores.to_dict()["classes"]["1"]["true_ml"] == pytest.approx((TRUE == 1).sum() * 0.006)
    assert "true ml" in str(scores)
    assert "ml" not in str(evaluate(TRUE, PRED))
    assert "ml" not in str(evaluate(Itk(TRUE), PRED, sample_weight=np.ones(TRUE.shape)))


def test_what_has_no_array() -> None:
    runs = type("Image", (Itk,), {"GetPixelIDTypeAsString": lambda _: "label of 8-bit unsigned integer"})(TRUE)
    with pytest.raises(TypeError, match=r"y_pred: expected an image that has an array, .* pass SimpleITK\.Cast"):
        count_labels(TRUE, runs)

    class Broken:
        def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
            raise OSError("Expected 120 bytes, got 7 bytes")

    image = nifti(TRUE)
    image.dataobj = Broken()
    with pytest.raises(
        ValueError, match="y_pred: expected an image that can be read, found OSError: Expected 120 bytes"
    ):
        count_labels(nifti(TRUE), image)


def test_others_are_not_taken_for_images() -> None:
    for kind in (stub("mine", "Image"), stub("SimpleITKextra", "Image"), stub("nibabel.x", "Header")):
        assert opened(kind(), "y_true") is None


def test_less_than_a_tenth_of_a_voxel_passes_with_a_warning() -> None:
    nibabel: Any = pytest.importorskip("nibabel")
    data, sheared = np.zeros((24, 24, 24), "u1"), np.eye(4)
    sheared[0, 1] = 1e-3
    images = [nibabel.Nifti1Image(data, affine) for affine in (np.eye(4), sheared)]
    with pytest.warns(UserWarning, match=r"0\.023 voxels, which passes for the same place \(tolerance: 0\.1 voxels\)"):
        assert fastseg.count_labels(*images) == fastseg.count_labels(data, data)
