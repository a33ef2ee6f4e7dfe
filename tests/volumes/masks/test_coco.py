"""COCO's JSON as masks: a class is the union of the annotations of a category."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco
from support.coco import annotated, compressed, halves, results, run_lengths, write
from support.mask_cases import dice, found, masks, tallies

import fastseg
from fastseg.volumes import VolumeError
from fastseg.volumes.masks.runs import counts_of_text

NAMES = ("person", "dog", "kite")
SHAPE = (13, 21)


@pytest.fixture
def pair() -> tuple[Any, Any]:
    return masks(8, NAMES, SHAPE)


@pytest.mark.parametrize("form", [run_lengths, compressed])
def test_a_class_is_the_union_of_a_category(form: Any, pair: Any, tmp_path: Path) -> None:
    true, pred = pair
    pred["kite"] = np.zeros(SHAPE, bool)  # no annotation
    one = write(tmp_path / "one.json", annotated({"a": true, "b": pred}, NAMES, form))
    other = write(tmp_path / "other.json", annotated({"b": true, "a": pred}, NAMES[::-1], run_lengths))
    scores = fastseg.evaluate_files(f"{one}::a", f"{other}::a", metrics="dice")
    assert scores.classes == NAMES
    np.testing.assert_array_equal(found(scores.counts), tallies(true, pred, NAMES))
    np.testing.assert_array_equal(scores.counts.tn[0], [(~true[n] & ~pred[n]).sum() for n in NAMES])
    swapped = fastseg.count_mask_files(f"{one}::101", f"{other}::val/b.jpg")
    np.testing.assert_array_equal(found(swapped), tallies(pred, true, NAMES))


def test_beside_masks_and_label_maps(pair: Any, tmp_path: Path) -> None:
    true, pred = pair
    one = write(tmp_path / "one.json", annotated({"a": true}, NAMES))
    (tmp_path / "masks").mkdir()
    for name, mask in pred.items():
        Image.fromarray(mask.astype(np.uint8)).save(tmp_path / "masks" / f"{name}.png")
    counts = fastseg.count_mask_files(one, tmp_path / "masks")
    np.testing.assert_array_equal(found(counts), tallies(true, pred, NAMES))
    labels = np.random.default_rng(1).integers(0, 4, SHAPE).astype(np.uint8)
    Image.fromarray(labels).save(tmp_path / "labels.png")
    counts = fastseg.count_mask_files(tmp_path / "labels.png", one, labels=dict(enumerate(NAMES, 1)))
    own = {name: labels == label for label, name in enumerate(NAMES, 1)}
    np.testing.assert_array_equal(found(counts), tallies(own, true, NAMES))
    nibabel.save(nibabel.Nifti1Image(labels, np.eye(4)), tmp_path / "labels.nii")
    with pytest.raises(VolumeError, match=r"expected names of its labels"):
        fastseg.count_mask_files(one, tmp_path / "labels.nii")


def test_results_are_matched_by_ids(pair: Any, tmp_path: Path) -> None:
    true, pred = pair
    pred["dog"] = np.zeros(SHAPE, bool)
    one = write(tmp_path / "one.json", annotated({"a": true, "b": true}, NAMES))
    listed = results({"a": pred}, NAMES)
    listed += [{**each, "score": 0.2} for each in results({"a": true}, NAMES)]
    other = write(tmp_path / "results.json", listed)
    counts = fastseg.count_mask_files(f"{one}::a", f"{other}::100", threshold=0.5)
    assert counts.classes == NAMES
    np.testing.assert_array_equal(found(counts), tallies(true, pred, NAMES))
    notes: list[str] = []
    counts = fastseg.count_mask_files(f"{one}::a", f"{other}::100", warn=notes.append)
    both = {name: true[name] | pred[name] for name in NAMES}
    np.testing.assert_array_equal(found(counts), tallies(true, both, NAMES))
    assert any("annotations have scores from 0.2 on; all are taken" in note for note in notes)
    counts = fastseg.count_mask_files(f"{one}::b", f"{other}::101")  # in which nothing was found
    empty = dict.fromkeys(NAMES, np.zeros(SHAPE, bool))
    np.testing.assert_array_equal(found(counts), tallies(true, empty, NAMES))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' decode
def test_polygons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = annotated({"a": {"person": np.ones((30, 40), bool)}}, NAMES)
    points = [[3.0, 4.0, 30.5, 6.0, 20.0, 25.0], [1, 20, 8, 20, 8, 28, 1, 28]]
    content["annotations"] = [{**content["annotations"][0], "segmentation": points}]
    drawn = np.stack([coco.decode([each])[..., 0] for each in coco.frPyObjects(points, 30, 40)]).any(0)
    assert drawn.sum() > 300
    true = {"person": drawn, "dog": drawn & False, "kite": drawn & False}
    one, other = write(tmp_path / "one.json", content), write(tmp_path / "other.json", annotated({"a": true}, NAMES))
    np.testing.assert_array_equal(found(fastseg.count_mask_files(one, other)), tallies(true, true, NAMES))
    monkeypatch.setitem(sys.modules, "pycocotools.mask", None)
    with pytest.raises(VolumeError, match=r"annotation 1: reading polygons needs pycocotools.*fastseg-metrics\[coco\]"):
        fastseg.count_mask_files(one, other)


def test_strings_are_those_of_pycocotools() -> None:
    rng = np.random.default_rng(3)
    for density in (0, 0.001, 0.02, 0.5, 0.98, 1):
        for shape in ((1, 1), (1, 7), (300, 200), (900, 1100)):
            mask = rng.random(shape) < density
            assert counts_of_text(compressed(mask)["counts"]) == run_lengths(mask)["counts"]


WRONG = [
    ({"counts": [2, 3]}, r"annotation 1: expected counts whose sum is height times width, 273, found 5"),
    ({"counts": [280, -7]}, r"annotation 1: expected counts of 0 or more, found -7"),
    ({"counts": [273.0]}, r"annotation 1: expected counts that are a list of whole numbers or a string"),
    ({"counts": [10**30, -(10**30), 273]}, r"expected counts of 0 or more"),
    ({"counts": None}, r"expected counts that are a list"),
    ({"counts": "P"}, r"annotation 1: expected counts with an end"),
    ({"counts": ""}, r"expected counts with an end"),
    ({"counts": "\n"}, r"expected characters from '0' to 'o'"),
    ({"counts": "oooooooo0"}, r"expected counts of at most 7 characters"),
    ({"counts": "o"}, r"expected counts with an end"),
    ({"counts": "11"}, r"whose sum is height times width, 273, found 2"),
    ({"counts": "@"}, r"expected counts of 0 or more, found -16"),
    ({"size": [21, 13]}, r"annotation 1: expected the size \[13, 21\] of its picture, found \[21, 13\]"),
    ({"size": None}, r"expected the size \[13, 21\] of its picture, found None"),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_segmentations_that_are_none(change: Any, message: str, pair: Any, tmp_path: Path) -> None:
    good = annotated({"a": pair[0]}, NAMES)
    one = write(tmp_path / "one.json", good)
    good["annotations"][0]["segmentation"] |= change
    other = write(tmp_path / "other.json", good)
    with pytest.raises(VolumeError, match=rf"other\.json.*{message}"):
        fastseg.count_mask_files(one, other)


@pytest.mark.parametrize(
    "polygon", [[], [[1, 2, 3, 4]], [[1, 2, 3, 4, 5, 1e9]], [["a"] * 6], [[float("nan")] * 6], "x"]
)
def test_polygons_that_are_none(polygon: Any, pair: Any, tmp_path: Path) -> None:
    good = annotated({"a": pair[0]}, NAMES)
    one = write(tmp_path / "one.json", good)
    good["annotations"][0]["segmentation"] = polygon
    other = write(tmp_path / "other.json", good)
    with pytest.raises(VolumeError, match=r"other\.json.*annotation 1: expected (a segmentation|polygons|points)"):
        fastseg.count_mask_files(one, other)


def test_files_that_are_none(pair: Any, tmp_path: Path) -> None:
    good = annotated({"a": pair[0], "b": pair[1]}, NAMES)
    one = write(tmp_path / "one.json", good)
    image, note, category = good["images"][0], good["annotations"][0], good["categories"][0]
    wrong = [
        ({}, "expected COCO's JSON"),
        ([3], "expected COCO's JSON"),
        ({**good, "images": None}, "expected a list of images"),
        (
            {**good, "images": [{**image, "height": -3}]},
            "image 100: expected height and width above 0, found -3 and 21",
        ),
        ({**good, "images": [{**image, "height": 1 << 40}]}, "image 100: expected at most 1073741824 pixels"),
        ({**good, "images": [image, image]}, "found one of them twice"),
        ({**good, "categories": [category, category]}, "category 1: expected an id of its own"),
        (
            {**good, "annotations": [{**note, "image_id": 7}]},
            "annotation 1: expected an image_id that images has, found 7",
        ),
        ({**good, "annotations": [{**note, "category_id": 7}]}, "expected a category_id that categories has, found 7"),
        ([{**note, "segmentation": []}], "result 0: expected run lengths with a size"),
        ([{**note, "score": "high"}], "expected a number as its score"),
    ]
    for content, message in wrong:
        other = write(tmp_path / "other.json", content)
        other.touch()
        with pytest.raises(VolumeError, match=message):
            fastseg.count_mask_files(f"{one}::100", f"{other}::100")
        other.unlink()
    (tmp_path / "other.json").write_text("[" * 100_000)
    with pytest.raises(VolumeError, match=r"other\.json.*expected COCO's JSON"):
        fastseg.count_mask_files(f"{one}::a", tmp_path / "other.json")
    with pytest.raises(VolumeError, match=r"one\.json: expected one picture or the name of one .*found 2: a, b"):
        fastseg.count_mask_files(one, one)
    with pytest.raises(VolumeError, match=r"expected the name or id of a picture, found none such among a, b"):
        fastseg.count_mask_files(f"{one}::c", f"{one}::a")
    small = write(tmp_path / "small.json", annotated({"a": {n: m[1:] for n, m in pair[0].items()}}, NAMES))
    with pytest.raises(VolumeError, match="shape"):
        fastseg.count_mask_files(f"{one}::a", f"{small}::a")


def test_a_byte_order_mark_and_categories_of_one_name(pair: Any, tmp_path: Path) -> None:
    content = annotated({"a": pair[0]}, NAMES)
    content["categories"][1]["name"] = "person"
    one = write(tmp_path / "one.json", content)
    one.write_text(one.read_text(), "utf-8-sig")
    counts = fastseg.count_mask_files(one, one)
    assert counts.classes == ("person (1)", "person (11)", "kite")
    np.testing.assert_array_equal(counts.tp[0], [pair[0][name].sum() for name in NAMES])


def test_halves_overlap(pair: Any) -> None:
    first, second = halves(pair[0]["dog"])
    assert (first & second).any()
    assert dice({"dog": first | second}, pair[0], ["dog"]) == [1]


def test_panoptic_files_are_named(tmp_path: Path) -> None:
    images = [{"id": 1, "file_name": "a.jpg", "height": 3, "width": 4}]
    said = {"image_id": 1, "file_name": "a.png", "segments_info": [{"id": 1, "category_id": 1}]}
    path = tmp_path / "panoptic.json"
    path.write_text(json.dumps({"images": images, "annotations": [said], "categories": [{"id": 1, "name": "person"}]}))
    with pytest.raises(VolumeError, match="found a panoptic file, .*fastseg.match_panoptic_files"):
        fastseg.count_mask_files(path, path)
