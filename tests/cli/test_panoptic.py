"""Panoptic JSON files on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.command_line import call

from fastseg import match_panoptic_files

CATEGORIES = [{"id": 1, "name": "person", "isthing": 1}, {"id": 5, "name": "sky", "isthing": 0}]


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    ids = np.zeros((8, 9), int)
    ids[:4, :4], ids[:4, 5:], ids[5:] = 7, 300, 70_000
    paths = []
    for name, shift in (("true", 0), ("pred", 1)):
        (tmp_path / name).mkdir()
        moved = np.roll(ids, shift, 1)
        colours = np.stack([moved % 256, moved // 256 % 256, moved // 65536], -1).astype(np.uint8)
        Image.fromarray(colours).save(tmp_path / name / "a.png")
        segments = [{"id": k, "category_id": 5 if k == 70_000 else 1} for k in (7, 300, 70_000)]
        plain = {"annotations": [{"image_id": 3, "file_name": "a.png", "segments_info": segments}]}
        paths.append(tmp_path / f"{name}.json")
        paths[-1].write_text(json.dumps(plain | {"categories": CATEGORIES}))
    return paths[0], paths[1]


def test_a_table_of_categories(pair: Any, capsys: Any, monkeypatch: Any) -> None:
    code, out, err = call(capsys, monkeypatch, "evaluate", *pair)
    assert (code, err) == (0, "")
    found = match_panoptic_files(*pair)
    lines = {line.split()[0]: line.split() for line in out.splitlines()[2:]}
    person, sky = found.of_classes("panoptic_quality")
    assert lines["1"] == ["1", "person", "2", "0", "0", f"{person:.4f}", f"{person:.4f}", "1.0000"]
    assert lines["5"][-3:] == ["1.0000"] * 3
    assert lines["things"][-3] == f"{person:.4f}"
    assert lines["all"][-3] == f"{(person + sky) / 2:.4f}"
    code, out, _ = call(capsys, monkeypatch, "evaluate", *pair, "--match", "iou>0.9", "--json", "-")
    told = json.loads(out)
    assert [(each["name"], each["found"]) for each in told["categories"]] == [("person", 0), ("sky", 1)]
    assert told["means"]["stuff"] == {
        "panoptic_quality": 1.0, "segmentation_quality": 1.0, "recognition_quality": 1.0, "categories": 1,
    }  # fmt: skip
    told = call(capsys, monkeypatch, "evaluate", *pair, "--convention", "cityscapes")
    assert told == call(capsys, monkeypatch, "evaluate", *pair)


def test_wrong_usage(pair: Any, capsys: Any, monkeypatch: Any) -> None:
    code, _, err = call(capsys, monkeypatch, "evaluate", *pair, "--metrics", "dice")
    assert code == 2
    assert "--metrics: expected none but --match, --convention, --json and --quiet beside panoptic JSON files" in err
    code, _, err = call(capsys, monkeypatch, "evaluate", *pair, "--convention", "medpy")
    assert code == 2
    assert "--convention: expected one of fastseg, panoptica, " in err
    (pair[1].parent / "pred" / "a.png").unlink()
    code, _, err = call(capsys, monkeypatch, "evaluate", *pair)
    assert code == 3
    assert "a.png: cannot be opened" in err
