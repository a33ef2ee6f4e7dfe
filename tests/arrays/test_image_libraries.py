"""SimpleITK, nibabel, MONAI and xarray themselves: their images give the numbers of their arrays, at their arrays' cost."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastseg
from fastseg import count_labels, evaluate
from fastseg.arrays.convert import as_array

RNG = np.random.default_rng(0)
TRUE, PRED = (RNG.integers(0, 3, (4, 5, 6)).astype(np.uint8) for _ in range(2))  # along z, y, x
EXPECTED = count_labels(TRUE, PRED)
AFFINE = np.diag([-1.0, -2.0, 3.0, 1.0])


def itk(array: np.ndarray, **options: Any) -> Any:
    image = pytest.importorskip("SimpleITK").GetImageFromArray(array, **options)
    image.SetSpacing((1, 2, 3))
    return image


def nifti(array: np.ndarray, affine: Any = AFFINE) -> Any:
    return pytest.importorskip("nibabel").Nifti1Image(array.transpose(2, 1, 0), affine)


def meta(array: np.ndarray, affine: Any = AFFINE) -> Any:
    import torch

    return pytest.importorskip("monai.data").MetaTensor(torch.tensor(array.T.copy()), affine=torch.tensor(affine))


def xarray(array: np.ndarray, **options: Any) -> Any:
    return pytest.importorskip("xarray").DataArray(array, dims=("z", "y", "x"), **options)


MAKERS: dict[str, Callable[..., Any]] = {"SimpleITK": itk, "nibabel": nifti, "MONAI": meta, "xarray": xarray}


ONE_OF_EACH = [
    pytest.param(maker, id=library, marks=[pytest.mark.torch] if library == "MONAI" else [])
    for library, maker in MAKERS.items()
]


@pytest.mark.parametrize("pred", ONE_OF_EACH)
@pytest.mark.parametrize("true", ONE_OF_EACH)
def test_any_two(true: Callable[..., Any], pred: Callable[..., Any]) -> None:
    assert count_labels(true(TRUE), pred(PRED), mask=pred(np.ones_like(TRUE))) == EXPECTED
    assert ("true ml" in str(evaluate(true(TRUE), pred(PRED)))) == bool({true, pred} & {itk, nifti})


def test_simpleitk() -> None:
    sitk = pytest.importorskip("SimpleITK")
    with pytest.raises(ValueError, match=r"y_pred: expected the shape \(6, 5, 4\) of y_true, found \(5, 6, 4\)"):
        fastseg.dice(itk(TRUE), itk(np.zeros((4, 6, 5), np.uint8)))  # as many voxels
    moved = itk(PRED)
    moved.SetOrigin((0, 0, 1.5))
    with pytest.raises(ValueError, match=r"a pure translation by \(0, 0, 0.5\) voxels"):
        fastseg.dice(itk(TRUE), moved)
    with pytest.raises(ValueError, match="stored as LPS, the prediction as RAS"):
        fastseg.dice(itk(TRUE), sitk.DICOMOrient(itk(PRED), "RAS"))
    with pytest.raises(TypeError, match=r"pass SimpleITK\.Cast"):
        fastseg.dice(itk(TRUE), sitk.LabelImageToLabelMap(itk(PRED)))
    cast = sitk.Cast(sitk.LabelImageToLabelMap(itk(PRED)), sitk.sitkUInt16)
    assert count_labels(itk(TRUE), cast) == EXPECTED
    p = RNG.random((*TRUE.shape, 3))
    p /= p.sum(-1, keepdims=True)
    assert fastseg.cross_entropy(itk(TRUE), itk(p, isVector=True)) == fastseg.cross_entropy(TRUE, p)
    flat = count_labels(sitk.GetImageFromArray(TRUE[0]), sitk.GetImageFromArray(PRED[0]))
    assert flat == count_labels(TRUE[0], PRED[0])


def test_simpleitk_is_not_copied() -> None:
    sitk = pytest.importorskip("SimpleITK")
    images = [sitk.Image([256, 256, 256], sitk.sitkUInt8) for _ in range(2)]
    assert fastseg.accuracy(*images) == 1  # compiles, and makes the threads
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert fastseg.accuracy(*images) == 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 8 << 10  # KiB; an image is 16 MiB
    image = images[0]
    image[3, 2, 1] = 7
    array = as_array(image, "y_true")
    assert array[1, 2, 3] == 7
    assert np.shares_memory(array, sitk.GetArrayViewFromImage(image))


def test_nibabel_files(tmp_path: Path) -> None:
    nib = pytest.importorskip("nibabel")
    paths = [tmp_path / name for name in ("true.nii", "pred.nii.gz")]
    for path, array in zip(paths, (TRUE, PRED), strict=True):
        nib.save(nifti(array), path)
    true, pred = map(nib.load, paths)
    assert count_labels(true, pred) == EXPECTED
    array = as_array(true, "y_true")
    assert isinstance(array.base, np.memmap)
    assert array.dtype == np.uint8
    scaled = nib.Nifti1Image(TRUE.T, AFFINE)
    scaled.header.set_slope_inter(2, 1)
    nib.save(scaled, tmp_path / "scaled.nii")
    again = nib.load(tmp_path / "scaled.nii")
    assert count_labels(TRUE, again.dataobj.get_unscaled().T) == count_labels(TRUE, as_array(again, "y_pred").T // 2)
    scores = evaluate(true, pred)
    from_files = fastseg.evaluate_files(*paths)
    assert str(scores) == str(from_files)
    with open(paths[0], "r+b") as file:
        file.truncate(400)
    with pytest.raises(ValueError, match="y_true: expected an image that can be read, found "):
        count_labels(nib.load(paths[0]), pred)


def test_nibabel_places() -> None:
    moved = AFFINE.copy()
    moved[0, 3] = 0.5
    with pytest.raises(ValueError, match=r"corners lie up to 0.5 mm .*numpy\.asanyarray\(image\.dataobj\)"):
        count_labels(nifti(TRUE), nifti(PRED, moved))
    metres = nifti(PRED, AFFINE * [[1e-3], [1e-3], [1e-3], [1]])
    metres.header.set_xyzt_units("meter")
    assert count_labels(nifti(TRUE), metres) == EXPECTED


@pytest.mark.torch
def test_metatensors() -> None:
    import torch

    data = pytest.importorskip("monai.data")
    moved = AFFINE.copy()
    moved[2, 3] = 1
    with pytest.raises(ValueError, match=r"a pure translation .*tensor\.as_tensor"):
        count_labels(meta(TRUE), meta(PRED, moved))
    assert count_labels(meta(TRUE), meta(PRED, np.eye(4))) == EXPECTED  # MONAI's default says nothing
    assert count_labels(meta(TRUE).to(torch.bfloat16), meta(PRED)) == EXPECTED
    volume = meta(TRUE)[None]
    assert "true ml" in str(evaluate(volume, meta(PRED)[None]))
    batch = data.list_data_collate([volume, volume])
    other = data.list_data_collate([meta(PRED)[None], meta(PRED, moved)[None]])
    with pytest.raises(ValueError, match=r"y_pred: its corners lie up to 1 mm"):
        count_labels(batch, other)
    assert count_labels(batch, data.list_data_collate([meta(PRED)[None]] * 2), sample_axis=0).num_cases == 2
    plane = data.MetaTensor(torch.tensor(TRUE[:1]), affine=torch.diag(torch.tensor([2.0, 3.0, 1.0])))
    assert count_labels(plane, plane).voxels[0, 0] == 30


def test_xarray() -> None:
    coords = {"z": [0.0, 1.5, 3.0, 4.5]}
    true, turned = xarray(TRUE, coords=coords), xarray(PRED, coords=coords).transpose("x", "z", "y")
    assert count_labels(true, turned, mask=turned >= 0) == EXPECTED
    cube = TRUE[:4, :4, :4]
    assert fastseg.dice(xarray(cube), xarray(cube).T, average="macro") == 1
    with pytest.raises(ValueError, match="coordinates of y_true along 'z'"):
        count_labels(true, turned.assign_coords(z=[0.0, 1.5, 3.0, 5.0]))
    with pytest.raises(ValueError, match="y_pred: expected the dims"):
        count_labels(true, turned.rename(x="t"))
    p = xarray(TRUE).expand_dims({"class": 2}).astype(float) * 0 + 0.5
    assert fastseg.cross_entropy(xarray(TRUE % 2).T, p, channel_axis="class") == pytest.approx(np.log(2))
