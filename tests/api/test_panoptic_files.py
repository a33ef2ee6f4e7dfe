"""COCO's panoptic format, against its published rules written as loops over segments."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fastseg import match_panoptic_files
from fastseg.labels.table_text import LabelTableError
from fastseg.volumes import VolumeError

CATEGORIES = [
    {"id": 1, "name": "person", "isthing": 1},
    {"id": 2, "name": "car", "isthing": 1},
    {"id": 5, "name": "sky"},
]
Side = tuple[list[np.ndarray], list[dict[int, tuple[int, bool]]]]


def draw(seed: int, crowded: bool) -> Side:
    """Return maps of ids, and category and crowd of each id, of three pictures in which ids mean other things."""
    draw = np.random.default_rng(seed)
    maps, infos = [], []
    for _ in range(3):
        blocks = draw.choice([0, 3, 256, 70_000, 90_001], (4, 5), p=[0.1, 0.3, 0.2, 0.2, 0.2])
        ids = blocks.repeat(3, 0).repeat(3, 1)
        found = np.unique(ids[ids > 0]).tolist()
        maps.append(ids)
        infos.append({k: (int(draw.choice([1, 2, 5])), bool(crowded and draw.random() < 0.3)) for k in found})
    return maps, infos


def written(folder: Path, name: str, side: Side) -> Path:
    (folder / name).mkdir()
    annotations = []
    for n, (ids, info) in enumerate(zip(*side, strict=True)):
        colours = np.stack([ids % 256, ids // 256 % 256, ids // 65536], -1).astype(np.uint8)
        Image.fromarray(colours).save(folder / name / f"{n}.png")
        segments = [{"id": k, "category_id": c, "iscrowd": int(crowd)} for k, (c, crowd) in info.items()]
        annotations.append({"image_id": n, "file_name": f"{n}.png", "segments_info": segments})
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"annotations": annotations, "categories": CATEGORIES}), encoding="utf-8")
    return path


def rules(true: Side, pred: Side) -> dict[int, list[float]]:
    """Return TP, FP, FN and the sum of IoUs of each category, segment by segment."""
    found = {c: [0.0] * 4 for c in (1, 2, 5)}
    for t, of_true, p, of_pred in zip(*true, *pred, strict=True):
        void = t == 0
        matched_true, matched_pred = set(), set()
        for a, (category, crowd) in of_true.items():
            for b, (other, _) in of_pred.items():
                one, two = t == a, p == b
                common = (one & two).sum()
                iou = common / (one.sum() + two.sum() - common - (two & void).sum())
                if not crowd and category == other and iou > 0.5:
                    matched_true.add(a)
                    matched_pred.add(b)
                    found[category][0] += 1
                    found[category][3] += iou
        for a, (category, crowd) in of_true.items():
            found[category][2] += a not in matched_true and not crowd
        for b, (category, _) in of_pred.items():
            crowds = [a for a, info in of_true.items() if info == (category, True)]
            left_out = ((p == b) & (void | np.isin(t, crowds))).sum() / (p == b).sum() > 0.5
            found[category][1] += b not in matched_pred and not left_out
    return found


@pytest.mark.parametrize("seed", range(6))
def test_the_rules_of_coco(tmp_path: Path, seed: int) -> None:
    true = draw(seed, crowded=True)
    pred = (
        [np.roll(ids, 1 + seed % 2, seed % 2) for ids in true[0]],
        [{k: (c if k != 256 else 1, False) for k, (c, _) in info.items()} for info in true[1]],
    )
    paths = written(tmp_path, "true", true), written(tmp_path, "pred", pred)
    found, wanted = match_panoptic_files(*paths), rules(true, pred)
    own = dict.fromkeys(wanted, (0, 0, 0, 0.0)) | {
        int(c): (found.tally.tp[k], found.tally.fp[k], found.tally.fn[k], found.tally.iou[k])
        for k, c in enumerate(found.classes)
    }
    assert {c: list(map(float, each)) for c, each in own.items()} == {
        c: [*each[:3], pytest.approx(each[3])] for c, each in wanted.items()
    }
    values = [iou / (tp + fp / 2 + fn / 2) for tp, fp, fn, iou in wanted.values() if tp + fp + fn]
    assert found.panoptic_quality == pytest.approx(np.mean(values))
    assert found.graph.cases == 3


def test_folders_by_name_and_an_image_that_is_missing(tmp_path: Path) -> None:
    side = draw(1, crowded=False)
    path = written(tmp_path, "true", side)
    (tmp_path / "true").rename(tmp_path / "elsewhere")
    found = match_panoptic_files(path, path, tmp_path / "elsewhere", tmp_path / "elsewhere")
    assert (found.fp, found.fn, found.panoptic_quality) == (0, 0, 1.0)
    with pytest.raises(VolumeError, match=r"0\.png: cannot be opened: No such file"):
        match_panoptic_files(path, path)


def damaged(info: dict[str, Any], how: str) -> dict[str, Any]:
    first = info["annotations"][0]
    if how == "picture":
        first["segments_info"].append({"id": 77, "category_id": 1})
    elif how == "JSON":
        del first["segments_info"][0]
    elif how == "category":
        first["segments_info"][0]["category_id"] = 99
    elif how == "image":
        del info["annotations"][2]
    else:
        del first["segments_info"]
    return info


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("picture", r"0\.png: expected the same segments .* its picture lacks \[77\]"),
        ("JSON", r"0\.png: expected the same segments .* its JSON lacks \["),
        ("category", r"0\.png: expected segments of the categories .*, found segment \d+ of category 99"),
        ("image", r"expected the picture 2 of the reference, found none"),
        ("key", r"expected the annotations and segments_info of a panoptic JSON, found KeyError\('segments_info'\)"),
    ],
)
def test_what_does_not_belong_together(tmp_path: Path, how: str, message: str) -> None:
    path = written(tmp_path, "true", draw(1, crowded=False))
    other = tmp_path / "other.json"
    other.write_text(json.dumps(damaged(json.loads(path.read_text()), how)), encoding="utf-8")
    with pytest.raises((VolumeError, LabelTableError), match=message):
        match_panoptic_files(path, other, prediction_folder=tmp_path / "true")


def test_pictures_that_hold_no_ids(tmp_path: Path) -> None:
    path = written(tmp_path, "true", draw(1, crowded=False))
    file = tmp_path / "true" / "0.png"
    whole = file.read_bytes()
    for content, message in (
        (whole[: len(whole) // 2], "0.png"),
        (whole[:-20] + bytes(20), "0.png"),
        (b"GIF89a", "0.png"),
    ):
        file.write_bytes(content)
        with pytest.raises(VolumeError, match=message):
            match_panoptic_files(path, path)
    Image.fromarray(np.zeros((12, 15), np.uint8)).save(file)
    with pytest.raises(VolumeError, match="expected a PNG of colours that are ids, found Pillow's mode L"):
        match_panoptic_files(path, path)
    path.write_text("[]", encoding="utf-8")
    with pytest.raises(LabelTableError, match="expected a panoptic JSON, which begins with a brace"):
        match_panoptic_files(path, path)
