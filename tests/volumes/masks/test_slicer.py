"""3D Slicer's segmentations: segments by name, in layers or in one, beside each other and beside anything else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from support.mask_cases import found, masks, tallies
from support.segments import write, write_by_hand

import fastseg
from fastseg.runs import evaluate_folder
from fastseg.volumes import VolumeError

NAMES = ("liver", "vessel", "tumour")


@pytest.fixture
def pair() -> tuple[Any, Any]:
    return masks(5, NAMES, (6, 7, 8))


def layered(path: Path, of: dict[str, Any], names: Any = NAMES, first: int = 1) -> Path:
    """Write each mask in a layer of its own, as a value of its own."""
    values = range(first, first + len(names))
    layers = [of[name] * value for name, value in zip(names, values, strict=True)]
    segments = [
        (name, layer, value, f"Segment_{layer + 1}")
        for layer, (name, value) in enumerate(zip(names, values, strict=True))
    ]
    return write(path, layers, segments)


def flat(of: dict[str, Any], values: dict[str, int]) -> Any:
    labels = np.zeros(next(iter(of.values())).shape, np.uint8)
    for name, value in values.items():
        labels[of[name]] = value
    return labels


def test_layers_are_matched_by_the_names_of_their_segments(pair: Any, tmp_path: Path) -> None:
    true, pred = pair
    one = layered(tmp_path / "one.seg.nrrd", true)
    other = layered(tmp_path / "other.seg.nrrd", pred, NAMES[::-1], 4)
    notes: list[str] = []
    scores = fastseg.evaluate_files(one, other, metrics="dice", warn=notes.append)
    assert scores.classes == NAMES
    np.testing.assert_array_equal(found(scores.counts), tallies(true, pred, NAMES))
    assert scores.voxel_ml == pytest.approx(0.006)
    assert len(notes) == 1
    assert notes[0].endswith("liver 1 and 6, vessel 2 and 5, tumour 3 and 4")
    assert notes[0].startswith("matched by name, values in ")


def test_a_header_by_hand(pair: Any, tmp_path: Path) -> None:
    true, pred = pair
    stacked = np.stack([true[name].T for name in NAMES])
    segments = [(name, layer, 1, "") for layer, name in enumerate(NAMES)]
    one = write_by_hand(tmp_path / "one.seg.nrrd", stacked, segments)
    both = [
        (true["liver"] | pred["liver"]).T,
        np.where(pred["vessel"], 2, 0).T + pred["tumour"].T * (~pred["vessel"]).T,
    ]
    other = write_by_hand(
        tmp_path / "other.seg.nrrd", np.stack(both), [("tumour", 1, 1, ""), ("liver", 0, 1, ""), ("vessel", 1, 2, "")]
    )
    counts = fastseg.count_mask_files(one, other)
    own = {"liver": true["liver"] | pred["liver"], "vessel": pred["vessel"], "tumour": pred["tumour"] & ~pred["vessel"]}
    np.testing.assert_array_equal(found(counts), tallies(true, own, NAMES))
    turned = write_by_hand(tmp_path / "turned.seg.nrrd", stacked, segments, kinds="domain list domain domain")
    with pytest.raises(VolumeError, match="turned.seg.nrrd: "):
        fastseg.count_mask_files(one, turned)
    wrong = write_by_hand(tmp_path / "wrong.seg.nrrd", stacked, [("liver", 3, 1, "")])
    with pytest.raises(VolumeError, match=r"expected 3 layer\(s\), found the segment 'liver' in layer 3"):
        fastseg.count_mask_files(one, wrong)
    cut = tmp_path / "cut.seg.nrrd"
    cut.write_bytes(one.read_bytes()[:-12])
    with pytest.raises(VolumeError, match=r"cut.seg.nrrd: "):
        fastseg.count_mask_files(one, cut)


def test_one_layer_is_matched_by_name_unless_labels_are_declared(pair: Any, tmp_path: Path) -> None:
    true, pred = pair
    values, others = {"liver": 1, "vessel": 2, "tumour": 3}, {"tumour": 1, "liver": 2, "vessel": 3}
    labels, predicted = flat(true, values), flat(pred, others)
    one = write(tmp_path / "one.seg.nrrd", [labels], [(n, 0, v, "Segment_1") for n, v in values.items()])
    other = write(tmp_path / "other.seg.nrrd", [predicted], [(n, 0, v, "Segment_1") for n, v in others.items()])
    by_name = [{name: of == value for name, value in v.items()} for of, v in ((labels, values), (predicted, others))]
    scores = fastseg.evaluate_files(one, other, warn=lambda _: None)
    np.testing.assert_array_equal(found(scores.counts), tallies(*by_name, NAMES))
    scores = fastseg.evaluate_files(one, other, num_classes=4)  # by value
    assert scores.counts.matrix[0].tolist() == fastseg.confusion_matrix(labels, predicted, num_classes=4).tolist()
    image = sitk.GetImageFromArray(predicted)
    image.SetSpacing((1, 2, 3))
    sitk.WriteImage(image, str(tmp_path / "plain.nrrd"))
    scores = fastseg.evaluate_files(one, tmp_path / "plain.nrrd")  # which names no labels: they are the same by value
    assert scores.names == {1: "liver", 2: "vessel", 3: "tumour"}
    assert scores.counts.matrix[0].tolist() == fastseg.confusion_matrix(labels, predicted, num_classes=4).tolist()


def test_identifiers_match_what_has_other_names(pair: Any, tmp_path: Path) -> None:
    true, pred = pair
    one = write(tmp_path / "one.seg.nrrd", [*true.values()], [(n, k, 1, f"id-{n}") for k, n in enumerate(NAMES)])
    called = {"Leber": "id-liver", "vessel": "id-x", "Tumor": "id-tumour"}
    other = write(
        tmp_path / "other.seg.nrrd", [*pred.values()], [(n, k, 1, own) for k, (n, own) in enumerate(called.items())]
    )
    notes: list[str] = []
    scores = fastseg.evaluate_files(one, other, warn=notes.append)
    np.testing.assert_array_equal(found(scores.counts), tallies(true, pred, NAMES))
    assert "liver 1 and 1 (there Leber)" in notes[0]
    write(other, [*pred.values()], [(n, k, 1, f"Segment_{k}") for k, n in enumerate(called)])
    write(one, [*true.values()], [(n, k, 1, f"Segment_{k}") for k, n in enumerate(NAMES)])
    with pytest.raises(VolumeError, match="no mask of liver, tumour"):  # what Slicer numbers says nothing
        fastseg.evaluate_files(one, other)


def test_layers_beside_a_file_for_each_class_and_a_label_map(pair: Any, tmp_path: Path) -> None:
    true, pred = pair
    one, folder = layered(tmp_path / "one.seg.nrrd", true), tmp_path / "folder"
    folder.mkdir()
    for name, mask in pred.items():
        image = sitk.GetImageFromArray(mask.astype(np.uint8))
        image.SetSpacing((1, 2, 3))
        sitk.WriteImage(image, str(folder / f"{name}.nii.gz"))
    np.testing.assert_array_equal(found(fastseg.count_mask_files(one, folder)), tallies(true, pred, NAMES))
    values = {"liver": 1, "vessel": 2, "tumour": 3}
    labels = flat(pred, values)
    image = sitk.GetImageFromArray(labels)
    image.SetSpacing((1, 2, 3))
    sitk.WriteImage(image, str(tmp_path / "labels.nii.gz"))
    counts = fastseg.count_mask_files(
        one, tmp_path / "labels.nii.gz", labels={value: name for name, value in values.items()}, warn=lambda _: None
    )
    own = {name: labels == value for name, value in values.items()}
    np.testing.assert_array_equal(found(counts), tallies(true, own, NAMES))


def test_a_folder_of_segmentations(tmp_path: Path) -> None:
    wanted = []
    for case in range(3):
        true, pred = masks(case, NAMES, (6, 7, 8))
        for side, of in (("gt", true), ("pred", pred)):
            (tmp_path / side).mkdir(exist_ok=True)
            layered(tmp_path / side / f"case{case}.seg.nrrd", of, NAMES if case else NAMES[::-1])
        wanted.append(tallies(true, pred, NAMES))
    run = evaluate_folder(tmp_path / "gt", tmp_path / "pred", tmp_path / "out", metrics="dice")
    order = [[each.name for each in run.classes].index(name) for name in NAMES]
    np.testing.assert_array_equal(np.stack([run.binary.tp, run.binary.fp, run.binary.fn], 2)[:, order], wanted)
    assert [record.id for record in run.records] == ["case0", "case1", "case2"]


def test_a_file_that_is_damaged_anywhere_is_refused_or_read_alike(tmp_path: Path) -> None:
    true, pred = masks(1, NAMES, (3, 4, 5))
    one, other = layered(tmp_path / "one.seg.nrrd", true), layered(tmp_path / "other.seg.nrrd", pred)
    content, body = other.read_bytes(), other.read_bytes().index(b"\n\n") + 2
    expected = tallies(true, pred, NAMES)

    def refused() -> bool:
        try:
            np.testing.assert_array_equal(found(fastseg.count_mask_files(one, other, warn=lambda _: None)), expected)
        except (VolumeError, ValueError):
            return True
        return False

    for length in range(0, len(content), 7):
        other.write_bytes(content[:length])
        assert refused()
    rng = np.random.default_rng(0)
    for place in rng.integers(body + 10, len(content), 100):
        other.write_bytes(content[:place] + bytes([content[place] ^ 1 << rng.integers(8)]) + content[place + 1 :])
        refused()
    other.write_bytes(content.replace(b"sizes: 3 5 4 3", b"sizes: 3 50000 40000 30000"))
    assert refused()


def test_two_segments_of_one_value_are_refused(pair: Any, tmp_path: Path) -> None:
    labels = flat(pair[0], {"liver": 1, "vessel": 2, "tumour": 3})
    one = write(tmp_path / "one.seg.nrrd", [labels], [("liver", 0, 1, ""), ("vessel", 0, 1, "")])
    with pytest.raises(VolumeError, match="a value of its own for each segment of a layer, found 1 of 'liver' twice"):
        fastseg.count_mask_files(one, one)


def test_values_of_no_segment_are_noted(pair: Any, tmp_path: Path) -> None:
    values = {"liver": 1, "vessel": 2, "tumour": 3}
    labels = flat(pair[0], values)
    one = write(tmp_path / "one.seg.nrrd", [labels], [(name, 0, value, "") for name, value in values.items()])
    other = write(
        tmp_path / "other.seg.nrrd", [np.where(labels == 3, 7, labels)], [("liver", 0, 1, ""), ("vessel", 0, 2, "")]
    )
    notes: list[str] = []
    counts = fastseg.count_mask_files(one, other, missing_mask="empty", warn=notes.append)
    assert f"{other}: values of no segment are taken for background: 7" in notes
    assert not any(str(one) in note for note in notes if "no segment" in note)
    assert counts.fn.tolist()[0][2] == (labels == 3).sum()
