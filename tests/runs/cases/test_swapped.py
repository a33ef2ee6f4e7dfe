"""Folders in the wrong order are said where something tells, and never where they may be meant so."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from fastseg.runs.cases.swapped import swapped_note

RAN, PLANS, DATASET = "predict_from_raw_data_args.json", "plans.json", "dataset.json"


def made(parent: Path, name: str, files: Sequence[str]) -> Path:
    folder = parent / name
    folder.mkdir(parents=True)
    for file in ("a.nii.gz", *files):
        if file.endswith(".npz"):
            np.savez(folder / file, **{"data" if file == "a.NPZ" else "probabilities": np.zeros(3)})
        else:
            (folder / file).write_text("{}")
    return folder


@pytest.mark.parametrize(
    ("true", "pred", "found"),
    [
        (("out",), ("labelsTs",), r"the predictions' folder .*labelsTs has a name that references have"),
        (("out",), ("labelsTr",), "labelsTr has"),
        (("out",), ("gt",), "gt has"),
        (("out",), ("gtFine",), "gtFine has"),
        (("out",), ("gt_segmentations",), "gt_segmentations has"),
        (("out",), ("cases", DATASET), r"holds dataset.json \(and no plans.json\), as those of references do"),
        (("out", RAN), ("cases",), f"the references' folder .*out holds {RAN}, as nnU-Net leaves it"),
        (("out", PLANS, DATASET), ("cases", DATASET), "the predictions' folder .*cases holds dataset.json"),
        (("out", PLANS, DATASET), ("labelsTs",), "the predictions' folder .*labelsTs has"),
        (("out", "a.npz"), ("cases",), "out holds a.npz, as nnU-Net leaves it beside predictions"),
        # What is as it should be, or may be.
        (("labelsTs",), ("out",), None),
        (("gt", DATASET), ("out", PLANS, DATASET), None),
        (("cases",), ("out", PLANS, DATASET), None),
        (("cases",), ("out", RAN, DATASET), None),
        (("cases",), ("out", "a.npz", DATASET), None),
        (("cases",), ("out", "a.npz"), None),
        (("labelsTr",), ("labelsTs",), None),
        (("rater_1", DATASET), ("rater_2", DATASET), None),
        (("teacher", PLANS), ("student", PLANS, DATASET), None),
        (("labelsTs", PLANS), ("out",), None),
        (("cases",), ("labelsTs", PLANS), None),
        (("cases",), ("gtv",), None),
        (("cases",), ("GTV_predicted",), None),
        (("cases", "b.npz"), ("out",), None),
        (("cases", "a.NPZ"), ("out",), None),
    ],
)
def test_what_tells(tmp_path: Path, true: tuple[str, ...], pred: tuple[str, ...], found: str | None) -> None:
    (name, *files), (other, *others) = true, pred
    note = swapped_note(made(tmp_path / "1", name, files), f"{made(tmp_path / '2', other, others)}/")
    if found is None:
        assert note is None
    else:
        start = "^reference and prediction may be swapped, which are named in this order: "
        with pytest.raises(ValueError, match=f"{start}.*{found}"):
            raise ValueError(note)


def test_what_is_no_folder_says_nothing(tmp_path: Path) -> None:
    folder = made(tmp_path, "labelsTs", [])
    (tmp_path / "gt").mkdir()
    for reference, prediction in (
        (None, None), (tmp_path / "none", tmp_path / "no"), (folder / "a.nii.gz", folder / "a.nii.gz"), (folder, None),
        (folder, folder), (tmp_path, tmp_path / "gt"),
    ):  # fmt: skip
        assert swapped_note(reference, prediction) is None
    (folder / "a.npz").write_text("PK\3\4 and no more")
    assert swapped_note(made(tmp_path, "cases", []), made(tmp_path, "out", [PLANS])) is None
    (tmp_path / "cases" / "a.npz").write_bytes(b"PK\3\4 and no more")
    assert swapped_note(tmp_path / "cases", made(tmp_path, "others", [])) is None
