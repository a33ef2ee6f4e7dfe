"""What programs write into HDF5 files: names of enumerations, resolutions of ilastik, HDF-EOS, ITK, Imaris."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastseg
from fastseg.volumes import GeometryError, VolumeError, open_volume

h5py: Any = pytest.importorskip("h5py")

TRUE = np.random.default_rng(0).integers(0, 3, (4, 5, 6)).astype("u1")
EXPECTED = fastseg.count_labels(TRUE, TRUE)


def test_names_of_an_enumeration_name_the_labels(tmp_path: Path) -> None:
    paths = []
    for k, values in enumerate(({"no": 0, "liver": 1, "spleen": 2}, {"no": 0, "spleen": 1, "liver": 2})):
        paths.append(tmp_path / f"{k}.h5")
        stored = np.array([values[name] for name in ("no", "liver", "spleen")], "u1")[TRUE]
        with h5py.File(paths[-1], "w") as file:
            file.create_dataset("labels", data=stored, dtype=h5py.enum_dtype(values, basetype="u1"))
    scores = fastseg.evaluate_files(*paths, metrics="dice", warn=lambda _: None)
    assert (scores["dice"].tolist(), scores.names) == ([1.0] * 3, {0: "no", 1: "liver", 2: "spleen"})
    with h5py.File(tmp_path / "bool.h5", "w") as file:
        file["labels"] = TRUE > 0
    with open_volume(tmp_path / "bool.h5") as volume:
        assert not volume.names


def test_the_resolution_of_ilastik_is_compared(tmp_path: Path) -> None:
    def of(name: str, *steps: float) -> Path:
        entries = [{"key": key, "typeFlags": 2, "resolution": step} for key, step in zip("zyx", steps, strict=True)]
        with h5py.File(tmp_path / name, "w") as file:
            file["labels"] = TRUE
            file["labels"].attrs["axistags"] = json.dumps({"axes": entries})
        return tmp_path / name

    one = of("one.h5", 2, 1, 1)
    assert fastseg.count_files(one, of("same.h5", 2, 1, 1)) == EXPECTED
    assert fastseg.count_files(one, of("none.h5", 0, 0, 0)) == EXPECTED  # not known
    with pytest.raises(GeometryError, match="the voxels lie from 0 to 6, .* and from 0 to 3,"):
        fastseg.count_files(one, of("other.h5", 1, 1, 1))


def test_grids_of_hdf_eos_are_compared(tmp_path: Path) -> None:
    def of(name: str, left: float) -> Path:
        with h5py.File(tmp_path / name, "w") as file:
            said = f"GROUP=GRID_1\nUpperLeftPointMtrs=({left},0)\nProjection=HE5_GCTP_SNSOID\nEND\n"
            file["HDFEOS INFORMATION/StructMetadata.0"] = np.bytes_(said)
            file["HDFEOS/GRIDS/labels"] = TRUE
        return tmp_path / name

    assert fastseg.count_files(of("one.he5", 0), of("same.he5", 0)) == EXPECTED
    with pytest.raises(GeometryError, match="grids of HDF-EOS"):
        fastseg.count_files(of("one.he5", 0), of("other.he5", 9))


def test_images_of_itk_need_no_name(tmp_path: Path) -> None:
    sitk = pytest.importorskip("SimpleITK")
    image = sitk.GetImageFromArray(TRUE)
    image.SetOrigin((5, 6, 7))
    for name in ("a.h5", "a.nii.gz"):
        sitk.WriteImage(image, str(tmp_path / name))
    assert fastseg.count_files(tmp_path / "a.nii.gz", tmp_path / "a.h5") == EXPECTED


def test_imaris_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.ims", "w") as file:
        file.attrs["ImarisVersion"] = np.frombuffer(b"5.5.0", "S1")
        file["DataSet/ResolutionLevel 0/TimePoint 0/Channel 0/Data"] = TRUE
    with pytest.raises(VolumeError, match="found a file of Imaris, whose data are padded"):
        open_volume(tmp_path / "a.ims")
