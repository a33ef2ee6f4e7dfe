"""Surfaces of masks on disk: for every layout the distances of the arrays that were written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.mask_cases import NAMES, masks
from support.segments import write as write_segments
from support.volumes_on_disk import write

import fastseg
from fastseg.volumes import VolumeError

SHAPE, SPACING = (9, 8, 7), (1.0, 2.0, 3.0)
AFFINE = np.diag([*SPACING, 1.0])
METRICS = ["dice", "hd95", "assd", "nsd"]


@pytest.fixture
def pair() -> tuple[Any, Any]:
    true, pred = masks(3, NAMES, SHAPE)
    for of in (true, pred):
        of["liver"] &= of["rib_2"] | of["rib_10"]  # which overlap
    return true, pred


def folder(path: Path, of: dict[str, Any], **options: Any) -> Path:
    path.mkdir()
    for name, mask in of.items():
        write(path / f"{name}.nii.gz", mask.astype(np.uint8), AFFINE)
    return path


def expected(true: dict[str, Any], pred: dict[str, Any], metric: str, **options: Any) -> list[float]:
    own = {"tolerance": 1.5} if metric == "nsd" else {}
    found = []
    for name in NAMES:
        one = fastseg.surface_distances(
            true[name].view("u1"), pred[name].view("u1"), labels=[1], spacing=SPACING, **options
        )
        found.append(float(getattr(fastseg.metrics, metric)(one, **own)[0, 0]))
    return found


@pytest.mark.parametrize("said", [{}, {"surface": "surfel"}, {"border": "extend"}])
def test_files_of_masks_have_the_distances_of_the_arrays(pair: Any, tmp_path: Path, said: dict[str, Any]) -> None:
    one, other = (folder(tmp_path / name, of) for name, of in zip(("one", "other"), pair, strict=True))
    scores = fastseg.evaluate_files(one, other, metrics=METRICS, tolerance=1.5, **said)
    assert scores.classes == NAMES
    for metric in METRICS[1:]:
        np.testing.assert_allclose(scores[metric], expected(*pair, metric, **said), rtol=1e-12)
    assert scores.units["hd95"] == "mm"


def test_other_kinds_of_masks_regions_of_interest_and_spacings(pair: Any, tmp_path: Path) -> None:
    true, pred = pair
    one, other = folder(tmp_path / "one", true), tmp_path / "other.seg.nrrd"
    layers = [pred[name].T.astype("u1") for name in NAMES]
    write_segments(other, layers, [(name, k, 1, "") for k, name in enumerate(NAMES)])
    scores = fastseg.evaluate_files(one, other, metrics="assd", geometry="ignore")
    np.testing.assert_allclose(scores["assd"], expected(true, pred, "assd"), rtol=1e-12)
    roi = np.arange(SHAPE[0])[:, None, None] * np.ones(SHAPE) < 5
    path = write(tmp_path / "roi.nii.gz", roi.astype("u1"), AFFINE)
    inside = fastseg.evaluate_files(one, folder(tmp_path / "third", pred), metrics="assd", roi=path)
    np.testing.assert_allclose(inside["assd"], expected(true, pred, "assd", mask=roi), rtol=1e-12)
    plain = fastseg.evaluate_files(one, tmp_path / "third", metrics="assd", spacing=1)
    far = expected(true, pred, "assd")
    assert (plain["assd"] < far).all()


def test_label_maps_and_missing_masks(pair: Any, tmp_path: Path) -> None:
    true, pred = pair
    labels = np.zeros(SHAPE, np.uint8)
    for label, name in enumerate(NAMES, 1):
        labels[pred[name]] = label
    path = write(tmp_path / "map.nii.gz", labels, AFFINE)
    one = folder(tmp_path / "one", true)
    named = dict(enumerate(NAMES, 1))
    scores = fastseg.evaluate_files(one, path, metrics="hd95", labels=named)
    own = {name: labels == label for label, name in named.items()}
    np.testing.assert_allclose(scores["hd95"], expected(true, own, "hd95"), rtol=1e-12)
    few = folder(tmp_path / "few", {name: pred[name] for name in NAMES[:2]})
    scores = fastseg.evaluate_files(one, few, metrics="hd95", missing_mask="empty")
    assert scores["hd95"].tolist()[2] == np.inf
    assert scores.infinite == {"hd95": 1}


def test_files_without_a_spacing_need_one(pair: Any, tmp_path: Path) -> None:
    places = []
    for side, of in zip(("one", "other"), pair, strict=True):
        places.append(tmp_path / side)
        places[-1].mkdir()
        for name in NAMES:
            np.save(places[-1] / f"{name}.npy", of[name])
    with pytest.raises(VolumeError, match="a volume that says its spacing for distances of surfaces"):
        fastseg.evaluate_files(*places, metrics="hd95")
    scores = fastseg.evaluate_files(*places, metrics="hd95", spacing=SPACING)
    np.testing.assert_allclose(scores["hd95"], expected(*pair, "hd95"), rtol=1e-12)
