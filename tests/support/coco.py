"""COCO's JSON, written of masks by NumPy alone, but for compressed strings, which pycocotools writes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco


def run_lengths(mask: Any) -> dict[str, Any]:
    """Return the uncompressed run lengths of a mask, column by column, of zeros first."""
    flat = np.concatenate([[False], mask.ravel(order="F"), [False]])
    bounds = np.flatnonzero(np.diff(flat.astype(np.int8)))
    counts = np.diff(np.concatenate([[0], bounds, [mask.size]])).tolist()
    return {"size": list(mask.shape), "counts": counts if counts[-1] or len(counts) == 1 else counts[:-1]}


def compressed(mask: Any) -> dict[str, Any]:
    """Return what pycocotools makes of a mask."""
    found = coco.encode(np.asfortranarray(mask, np.uint8))
    return {"size": found["size"], "counts": found["counts"].decode("ascii")}


def halves(mask: Any) -> list[Any]:
    """Return two masks, which overlap, whose union is the mask."""
    rows = np.arange(len(mask))[:, None]
    return [mask & (rows < 0.6 * len(mask)), mask & (rows > 0.4 * len(mask))]


def annotated(
    pictures: Mapping[str, Mapping[str, Any]], names: Sequence[str], form: Any = run_lengths
) -> dict[str, Any]:
    """Return what a file of annotations holds: two for each mask of each picture that is not empty."""
    images, annotations = [], []
    for number, (picture, masks) in enumerate(pictures.items(), 100):
        height, width = next(iter(masks.values())).shape
        images.append({"id": number, "file_name": f"val/{picture}.jpg", "height": height, "width": width})
        for name, mask in masks.items():
            for half in halves(mask) if mask.any() else ():
                annotations.append({
                    "id": len(annotations) + 1, "image_id": number, "category_id": 10 * names.index(name) + 1,
                    "segmentation": form(half), "iscrowd": 0,
                })  # fmt: skip
    categories = [{"id": 10 * place + 1, "name": name} for place, name in enumerate(names)]
    return {"images": images, "annotations": annotations, "categories": categories}


def results(
    pictures: Mapping[str, Mapping[str, Any]], names: Sequence[str], score: float = 0.9
) -> list[dict[str, Any]]:
    """Return the same as a list of results, which name neither pictures nor categories."""
    found = annotated(pictures, names, compressed)["annotations"]
    return [
        {name: each[name] for name in ("image_id", "category_id", "segmentation")} | {"score": score}
        for each in found
    ]  # fmt: skip


def write(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path
