"""Panoptic quality of files as COCO and Cityscapes have them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastseg.api.pairs import count_pairs
from fastseg.arrays.arguments import keyword_options
from fastseg.arrays.convert import same_shape
from fastseg.arrays.option_names import check_options
from fastseg.counts import PairCounts
from fastseg.labels.panoptic import PanopticImage, read_panoptic_json
from fastseg.metrics.instances import InstanceMatching, match_pairs
from fastseg.volumes import VolumeError
from fastseg.volumes.panoptic import read_panoptic_png
from fastseg.volumes.paths import Path

__all__ = ["match_panoptic_files"]

_GIVEN = {"true_classes", "pred_classes", "crowd", "convention"}


def match_panoptic_files(
    reference: Path,
    prediction: Path,
    reference_folder: Path | None = None,
    prediction_folder: Path | None = None,
    *,
    convention: str = "coco-panoptic",
    **options: Any,
) -> InstanceMatching:
    """Match the segments of all pictures of a panoptic JSON with those of another, class by class.

    Parameters
    ----------
    reference, prediction : path
        The JSON files: ``annotations``, each with ``image_id``, ``file_name`` and ``segments_info``. Pictures are PNG files
        whose colours are ids, R + 256 G + 65,536 B. All pictures of the reference are scored.
    reference_folder, prediction_folder : path, optional
        Where the pictures are; by default in the folder that is called as the JSON file without its suffix.
    convention
        As in `match_instances`: 0 is void in the truth, predictions in void and crowds are left out.
    **options
        Those of `fastseg.metrics.instances.match_pairs` that the files do not say.

    Returns
    -------
    matching : InstanceMatching
        A case for each picture; metrics are means over categories: ``matching.mean("panoptic_quality", things)`` of some.

    Raises
    ------
    LabelTableError
        If a JSON file cannot be read or is none of this kind.
    VolumeError
        If a picture cannot be read, is not there, or has ids that the JSON lacks, or the other way round; if a segment is of a
        category that is not among the ``categories`` of the reference, where it lists some.

    Examples
    --------
    >>> import json, tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> info = {"annotations": [{"image_id": 7, "file_name": "7.png", "segments_info": [{"id": 258, "category_id": 1}]}]}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, "true").mkdir()
    ...     Image.new("RGB", (4, 4), (2, 1, 0)).save(Path(folder, "true", "7.png"))
    ...     _ = Path(folder, "true.json").write_text(json.dumps(info))
    ...     found = match_panoptic_files(Path(folder, "true.json"), Path(folder, "true.json"))
    >>> found.pairs.true.tolist(), found.panoptic_quality
    ([258], 1.0)
    """
    check_options("match_panoptic_files", options, keyword_options(match_pairs).keys() - _GIVEN | {"threshold"})
    tables = [read_panoptic_json(path) for path in (reference, prediction)]
    folders = [
        os.path.splitext(os.fsdecode(path))[0] if folder is None else os.fsdecode(folder)
        for path, folder in ((reference, reference_folder), (prediction, prediction_folder))
    ]
    counted, classes, crowds = [], [], []
    for image_id in tables[0].images:
        if image_id not in tables[1].images:
            raise VolumeError(
                f"{os.fsdecode(prediction)}: expected the picture {image_id!r} of the reference, found none"
            )
        images = [table.images[image_id] for table in tables]
        maps = [_ids(folder, image) for folder, image in zip(folders, images, strict=True)]
        same_shape(maps[0], images[0].file_name, maps[1], f"prediction {images[1].file_name}")
        pairs = count_pairs(*maps)
        for side, image, folder in zip((pairs.true, pairs.pred), images, folders, strict=True):
            _require_same_ids(side, image, folder)
            _require_known(image, tables[0].names, folder)
        counted.append(pairs)
        classes.append([image.classes for image in images])
        crowds.append(images[0].crowds)
    pairs = counted[0].concat(*counted[1:]) if counted else PairCounts.zeros(cases=0)
    true_classes, pred_classes = ([own[side] for own in classes] for side in range(2))
    return match_pairs(
        pairs, true_classes=true_classes, pred_classes=pred_classes, crowd=crowds, convention=convention, **options
    )


def _ids(folder: str, image: PanopticImage) -> Any:
    return read_panoptic_png(os.path.join(folder, image.file_name))


def _require_known(image: PanopticImage, names: Mapping[int, str], folder: str) -> None:
    """Raise VolumeError where a segment is of a category that the reference does not list, if it lists any."""
    unknown = {label: category for label, category in image.classes.items() if names and category not in names}
    if unknown:
        label, category = next(iter(unknown.items()))
        name = os.path.join(folder, image.file_name)
        raise VolumeError(
            f"{name}: expected segments of the categories of the reference's JSON, found segment {label} of category "
            f"{category}"
        )


def _require_same_ids(found: Any, image: PanopticImage, folder: str) -> None:
    """Raise VolumeError where a picture and its JSON have not the same segments."""
    in_picture = set(np.unique(found).tolist()) - {0}
    for missing, where in ((in_picture - image.classes.keys(), "JSON"), (image.classes.keys() - in_picture, "picture")):
        if missing:
            name = os.path.join(folder, image.file_name)
            raise VolumeError(
                f"{name}: expected the same segments in picture and JSON; its {where} lacks {sorted(missing)[:5]}"
            )
