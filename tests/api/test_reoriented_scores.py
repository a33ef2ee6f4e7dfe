"""Files of scores that lie otherwise than their references: the sums of those that do not, wherever one may turn them."""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from support.volumes_on_disk import write

import fastseg
from fastseg import cli, sum_files, sum_scores
from fastseg.counting import score_files
from fastseg.volumes import GeometryError, sources

RNG = np.random.default_rng(4)
SHAPE, C = (7, 6, 5), 3
P = RNG.dirichlet(np.ones(C), SHAPE).astype("f4")
T = np.where(RNG.random(SHAPE) < 0.6, P.argmax(-1), RNG.integers(0, C, SHAPE)).astype("u1")
AFFINE = np.array([[0.0, 1.5, 0, 3], [2, 0, 0, -4], [0, 0, 3, 5], [0, 0, 0, 1]])
TURNS = [np.stack([axes, flips], 1) for axes, flips in itertools.product(
    itertools.permutations(range(3)), itertools.product((1, -1), repeat=3))]  # fmt: skip


def turned(path: Path, voxels: Any, turn: Any) -> Path:
    nibabel.save(nibabel.Nifti1Image(voxels, AFFINE).as_reoriented(turn), path)
    return path


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_every_flip_and_permutation(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reference, mask = write(tmp_path / f"t{suffix}", T, AFFINE), RNG.random(SHAPE) < 0.7
    expected = sum_scores(T, P, mask=mask, quantities=["dice", "cross_entropy", "argmax"])
    for number, turn in enumerate(TURNS):
        prediction = turned(tmp_path / f"p{suffix}", P, turn)
        monkeypatch.setattr(score_files, "SLAB_BYTES", (300, 16 << 20)[number % 2])
        monkeypatch.setattr(sources, "MEMORY_BYTES", (100, 1 << 20)[number // 2 % 2])
        found = sum_files(reference, prediction, mask=mask, reorient=True, quantities=expected.quantities)
        assert found.argmax_counts == expected.argmax_counts
        assert found.true.tolist() == expected.true.tolist()
        np.testing.assert_allclose(found.cross_entropy, expected.cross_entropy, rtol=1e-6)


def test_facts_are_those_of_the_reference(tmp_path: Path) -> None:
    reference, prediction = write(tmp_path / "t.nii", T, AFFINE), turned(tmp_path / "p.nii", P, TURNS[29])
    scores = fastseg.evaluate_files(reference, prediction, reorient=True)
    assert scores.files is not None
    facts = [scores.files[name] for name in ("shape", "spacing_mm", "geometry")]
    assert facts == [[7, 6, 5], [2.0, 1.5, 3.0], "equal"]
    assert scores.voxel_ml == pytest.approx(0.009)
    counts: Any = scores.counts
    assert counts.matrix.tolist() == fastseg.count_labels(T, P.argmax(-1), num_classes=C).matrix.tolist()


def test_what_is_no_turn_is_refused_as_that_of_labels_is(tmp_path: Path) -> None:
    reference = write(tmp_path / "t.nii", T, AFFINE)
    for turn in (TURNS[1], TURNS[29]):  # the second has another shape
        prediction = turned(tmp_path / "p.nii", P, turn)
        for geometry in ("error", "warn")[: 1 if turn is TURNS[1] else 2]:
            with pytest.raises(GeometryError, match=r"a pure flip or permutation of axes.*--reorient, resolves that"):
                fastseg.evaluate_files(reference, prediction, geometry=geometry)
    moved = AFFINE.copy()
    moved[0, 3] += 1
    prediction = write(tmp_path / "p.nii", P, moved)
    with pytest.raises(GeometryError, match="a pure translation"):
        fastseg.evaluate_files(reference, prediction, reorient=True)
    notes: list[str] = []
    scores = fastseg.evaluate_files(reference, prediction, reorient=True, geometry="warn", warn=notes.append)
    assert "a pure translation" in notes[0]
    assert scores.files is not None
    assert scores.files["geometry"] == notes[0]
    with pytest.raises(TypeError, match="reorient: expected True or False, found 1"):
        sum_files(reference, prediction, reorient=1)  # type: ignore[arg-type]


def test_an_array_has_no_place_to_be_turned_to(tmp_path: Path) -> None:
    np.save(tmp_path / "p.npy", P)
    reference = write(tmp_path / "t.nii", T, AFFINE)
    assert sum_files(reference, tmp_path / "p.npy", reorient=True).argmax_counts == sum_scores(T, P).argmax_counts


def test_wrong_voxels_are_named_with_their_place_in_their_own_file(tmp_path: Path) -> None:
    labels, scores = T.copy(), P.copy()
    labels[4, 5, 1], scores[3, 2, 1, 2] = 77, np.nan
    for turn in TURNS[::7]:
        reference, prediction = write(tmp_path / "t.nii", labels, AFFINE), turned(tmp_path / "p.nii", P, turn)
        with pytest.raises(ValueError, match=r"t.nii: expected labels .* is 77 at index \(4, 5, 1\)"):
            sum_files(reference, prediction, reorient=True)
        reference, prediction = write(tmp_path / "t.nii", T, AFFINE), turned(tmp_path / "p.nii", scores, turn)
        where = tuple(np.argwhere(np.isnan(nibabel.load(prediction).get_fdata()))[0].tolist())
        with pytest.raises(ValueError, match=rf"p.nii: expected .* nan at index \({', '.join(map(str, where))}\)"):
            sum_files(reference, prediction, reorient=True)


def test_the_command_and_runs(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    reference, prediction = write(tmp_path / "t.nii.gz", T, AFFINE), turned(tmp_path / "p.nii.gz", P, TURNS[29])
    run = fastseg.evaluate_folder(reference, prediction, reorient=True)
    expected = fastseg.evaluate(T, P.argmax(-1).astype("u1")).mean["dice"]
    assert run.records[0].status == "scored"
    monkeypatch.setattr(
        sys, "argv", ["fastseg", "evaluate", str(reference), str(prediction), "--reorient", "--json", "-"]
    )
    with pytest.raises(SystemExit) as done:
        cli.main()
    out, err = capsys.readouterr()
    assert (done.value.code or 0, err) == (0, "")
    found = json.loads(out)
    assert found["mean"]["dice"] == pytest.approx(expected, rel=1e-15)
    assert found["scores"] == run.records[0].scores
    values = fastseg.evaluate_folder(reference, prediction).records[0].reason
    assert values is not None
    assert "resolves that" in values
