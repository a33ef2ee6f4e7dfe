"""Labels of two files that name them in unlike order are matched by name, where nobody says what the labels are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastseg

nibabel: Any = pytest.importorskip("nibabel")

TRUE = np.random.default_rng(0).integers(0, 4, (5, 6, 7)).astype("u1")
OURS = {1: "liver", 2: "spleen", 3: "aorta"}
SWAP = np.array([0, 3, 1, 2], "u1")
THEIRS = {3: "liver", 1: "spleen", 2: "aorta"}


def nifti(path: Path, data: Any, names: dict[int, str]) -> Path:
    """Write a label map with a label table in an extension, as TotalSegmentator does."""
    table = "".join(f'<Label Key="{key}"><![CDATA[{name}]]></Label>' for key, name in names.items())
    image = nibabel.Nifti1Image(data, np.eye(4))
    if names:
        text = f"<CaretExtension><LabelTable>{table}</LabelTable></CaretExtension>"
        image.header.extensions.append(nibabel.nifti1.Nifti1Extension(0, text.encode()))
    path.parent.mkdir(exist_ok=True)
    nibabel.save(image, path)
    return path


def test_labels_are_matched_by_the_names_in_both_files(tmp_path: Path) -> None:
    true, pred = nifti(tmp_path / "t.nii.gz", TRUE, OURS), nifti(tmp_path / "p.nii.gz", SWAP[TRUE], THEIRS)
    notes: list[str] = []
    scores = fastseg.evaluate_files(true, pred, metrics="dice", warn=notes.append)
    assert (scores["dice"].tolist(), scores.names) == ([1.0] * 4, OURS)
    assert notes == [
        f"{pred}: matched by the names of its own labels with those of {true}: liver 1 and 3, spleen 2 and 1, aorta 3 and 2"
    ]
    said: dict[str, Any]
    for said in ({"labels": OURS}, {"num_classes": 4}, {"regions": {"liver": [1]}}, {"map_prediction": {1: 1, 3: 3}}):
        scores = fastseg.evaluate_files(true, pred, metrics="dice", **said)
        assert scores["dice"][-1] < 0.5  # somebody says what the labels are: by value


def test_names_that_only_the_prediction_has_are_classes_of_their_own(tmp_path: Path) -> None:
    true = nifti(tmp_path / "t.nii.gz", np.minimum(TRUE, 2), {1: "liver", 2: "spleen"})
    pred = nifti(tmp_path / "p.nii.gz", np.minimum(TRUE, 2), {1: "liver", 2: "kidney"})
    notes: list[str] = []
    scores = fastseg.evaluate_files(true, pred, metrics="dice", warn=notes.append)
    assert [scores.names[label] for label in (1, 2, int(scores.classes[-1]))] == ["liver", "spleen", "kidney"]
    assert scores["dice"].tolist() == [1.0, 1.0, 0.0, 0.0]
    assert notes[0].endswith("none moved; only in the prediction: kidney")


@pytest.mark.parametrize("names", [OURS, {}, {1: "liver"}, {1: "same", 2: "same", 3: "liver"}])
def test_tables_that_agree_or_say_nothing_change_nothing(tmp_path: Path, names: dict[int, str]) -> None:
    true, pred = nifti(tmp_path / "t.nii.gz", TRUE, OURS), nifti(tmp_path / "p.nii.gz", SWAP[TRUE], names)
    scores = fastseg.evaluate_files(true, pred)  # a note would be a warning, and that an error
    assert scores.counts == fastseg.count_labels(TRUE, SWAP[TRUE])


def test_folders_match_each_case(tmp_path: Path) -> None:
    for case, names, data in (("a", OURS, TRUE), ("b", THEIRS, SWAP[TRUE])):
        nifti(tmp_path / "true" / f"{case}.nii.gz", TRUE, OURS)
        nifti(tmp_path / "pred" / f"{case}.nii.gz", data, names)
    run = fastseg.evaluate_folder(tmp_path / "true", tmp_path / "pred", metrics="dice,hd95", spacing=1)
    assert not run.failed
    assert run.values("dice").tolist() == [[1.0] * 4] * 2
    assert np.nanmax(run.values("hd95")) == 0
    assert [len(record.notes) for record in run.records] == [0, 1]
    assert "liver 1 and 3" in run.records[1].notes[0]
