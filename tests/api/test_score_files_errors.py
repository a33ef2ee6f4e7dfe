"""Files of scores that are wrong: elsewhere in space, of wrong voxels, damaged, or no arrays of numbers."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from support.score_files import ALL, SHAPE, P, T, same, save, written
from support.volumes_on_disk import write

from fastseg.api.score_files import evaluate_score_files, sum_files
from fastseg.volumes import GeometryError, VolumeError

pytestmark = pytest.mark.usefixtures("slab")


def test_geometry_is_guarded(tmp_path: Path, reference: Path) -> None:
    shifted = np.eye(4)
    shifted[1, 3] = 1.0
    prediction = write(tmp_path / "p.nii", P, shifted)
    with pytest.raises(GeometryError, match="translation"):
        sum_files(reference, prediction)
    notes: list[str] = []
    same(sum_files(reference, prediction, geometry="warn", warn=notes.append, **ALL))
    assert "translation" in notes[0]
    with pytest.warns(UserWarning, match="translation"):
        sum_files(reference, prediction, geometry="warn")
    assert evaluate_score_files(reference, prediction, geometry="ignore").files["geometry"] == "not compared"
    array = save(tmp_path / "p.npy", P)
    assert evaluate_score_files(reference, array).files["geometry"] == f"not compared: {array} has none"
    with pytest.raises(VolumeError, match=r"t.npy: expected a NIfTI file"):
        sum_files(save(tmp_path / "t.npy", T), prediction)


def test_wrong_voxels_are_named_with_their_place_in_the_volume(tmp_path: Path, reference: Path, slab: int) -> None:
    wrong, labels, half = P.copy(), T.copy(), P.copy()
    wrong[3, 2, 1, 2], labels[4, 5, 6], half[1, 2, 3] = np.nan, 77, 0.5
    number = "" if slab > 1e6 else r" \(the number is that of a part of the volume\)"
    for prediction in (
        write(tmp_path / "p.nii", wrong),
        save(tmp_path / "p.npy", wrong),
        write(tmp_path / "p.nii.gz", wrong),
    ):
        with pytest.raises(ValueError, match=rf"p\.\S+: expected .* nan at index \(3, 2, 1, 2\){number}$"):
            sum_files(reference, prediction)
    np.savez_compressed(tmp_path / "p.npz", probabilities=wrong.transpose(3, 2, 1, 0))
    with pytest.raises(ValueError, match=r"p.npz: expected .* is nan at index \(2, 1, 2, 3\)"):
        sum_files(reference, tmp_path / "p.npz")
    with pytest.raises(ValueError, match=r"h.nii: .*sum to one.* is 2.0 at index \(1, 2, 3\) of the voxels"):
        sum_files(reference, write(tmp_path / "h.nii", half))
    for name in ("bad.nii", "bad.nii.gz"):
        for prediction in (write(tmp_path / "p.nii", P), save(tmp_path / "p.npy", P)):
            with pytest.raises(ValueError, match=rf"{name}: expected labels .* is 77 at index \(4, 5, 6\)"):
                sum_files(write(tmp_path / name, labels), prediction)
    fractions = T.astype("f4")
    fractions[0, 1, 2] = 1.5
    with pytest.raises(ValueError, match=r"f.nii: expected labels that are whole.* is 1.5 at index \(0, 1, 2\)"):
        sum_files(write(tmp_path / "f.nii", fractions), tmp_path / "p.npy")


@pytest.mark.parametrize("name", ["p.npy", "stored.npz", "deflated.npz", "p.nii", "p.nii.gz"])
def test_damage_anywhere_is_found_or_harmless(tmp_path: Path, name: str, slab: int) -> None:
    """Truncated, and with bits flipped, in many places: an error that names a file; or the same sums, if it has a checksum."""
    step = 3 if slab > 1e6 else 40
    reference = write(tmp_path / "t.nii", T[:3, :4, :5] % 2)
    scores = P[:3, :4, :5, :2]
    prediction = written(tmp_path, name, scores / scores.sum(-1, keepdims=True))
    expected, good = sum_files(reference, prediction), prediction.read_bytes()
    for n in range(0, len(good), step):
        prediction.write_bytes(good[:n])
        with pytest.raises(ValueError, match=name) as failed:
            sum_files(reference, prediction)
        assert str(failed.value).startswith(str(prediction))
    for n in range(0, len(good), step):
        prediction.write_bytes(good[:n] + bytes([good[n] ^ 1 << n % 8]) + good[n + 1 :])
        try:
            found = sum_files(reference, prediction, geometry="ignore", warn=lambda _: None)
        except ValueError as error:
            assert str(prediction) in str(error)
        else:
            if name.endswith(("npz", "gz")):
                same(found, expected)


def test_what_is_no_array_of_numbers(tmp_path: Path, reference: Path) -> None:
    prediction = tmp_path / "p.npy"
    np.save(prediction, np.array([{}, None]), allow_pickle=True)
    with pytest.raises(VolumeError, match="p.npy: expected real numbers of at most 64 bits, found dtype object"):
        sum_files(reference, prediction)
    for array in (P.astype("c8"), np.zeros((), "f4"), np.zeros((*SHAPE, 0), "f4"), np.zeros(3, "f4,f4")):
        with pytest.raises(VolumeError, match="p.npy: expected"):
            sum_files(reference, save(prediction, array))
    save(prediction, P)
    prediction.write_bytes(prediction.read_bytes() + b"\1")
    with pytest.raises(VolumeError, match=r"p.npy: expected the end .* after the last voxel.* at byte 6176"):
        sum_files(reference, prediction)
    for text, message in (
        (b"PK\3\4nonsense", "truncated, corrupt"),
        (b"nonsense", "expected an .npy or .npz file, found the first bytes"),
        (b"", "empty file"),
    ):
        prediction.write_bytes(text)
        with pytest.raises(VolumeError, match=message):
            sum_files(reference, prediction)
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, P, version=(3, 0))
    prediction.write_bytes(buffer.getvalue())
    with pytest.raises(VolumeError, match="version 1 or 2"):
        sum_files(reference, prediction)
    with pytest.raises(VolumeError, match="no such file"):
        sum_files(reference, tmp_path / "missing.npz")
    import zipfile

    with zipfile.ZipFile(tmp_path / "empty.npz", "w"):
        pass
    with pytest.raises(VolumeError, match="found a zip archive without arrays"):
        sum_files(reference, tmp_path / "empty.npz")
