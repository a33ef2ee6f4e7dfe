"""nnU-Net's evaluation of files and folders, without nnU-Net: what its drop-ins and ``fastseg nnunet-evaluate`` are made of.

Files are counted as they are decompressed, by threads. As with nnU-Net, it does not matter where in space they lie.

References
----------
nnU-Net 2.8, nnunetv2/evaluation/evaluate_predictions.py: `compute_metrics`, `compute_metrics_on_folder`;
nnunetv2/utilities/label_handling/label_handling.py: `LabelManager`.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from fastseg.adapters.calls import NotCovered, counted
from fastseg.api.files import count_files
from fastseg.counting.threads import get_num_threads

__all__ = ["Dataset", "in_threads", "metrics_of_files", "metrics_of_folders", "summary"]

T = TypeVar("T")
#: nnU-Net's readers whose arrays are the voxels as stored, and the names of files that are read in the same way here.
_READERS = ("SimpleITKIO", "NibabelIO")
_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha")


def metrics_of_files(
    reference: Any, prediction: Any, labels_or_regions: Any, ignore_label: Any, *, threads: int | None
) -> dict[str, Any]:
    """Return what nnU-Net's `compute_metrics` does of a pair of files; raise NotCovered where it may answer otherwise."""
    if not all(isinstance(each, str) and each.endswith(_SUFFIXES) for each in (reference, prediction)):
        raise NotCovered("files that are no NIfTI, NRRD or MetaImage")
    if ignore_label is not None and not _is_label(ignore_label):
        raise NotCovered("ignore_label that is no integer")
    regions = {region: _labels_of(region) for region in labels_or_regions}
    try:
        counts = counted(count_files, reference, prediction, geometry="ignore", threads=threads, warn=lambda _: None)
    except OSError as error:
        raise NotCovered("files that cannot be read") from error
    labels, matrix = counts.labels, counts.matrix[0]
    if ignore_label is not None:
        matrix = matrix * (labels != ignore_label)[:, None]
    return {
        "reference_file": reference,
        "prediction_file": prediction,
        "metrics": {region: _metrics(matrix, np.isin(labels, members)) for region, members in regions.items()},
    }


def in_threads(function: Callable[..., T], cases: Iterable[tuple[Any, ...]], workers: int | None = None) -> list[T]:
    """Call a function of each case, and of how many threads it may use itself; return its results in order."""
    given = list(cases)
    most = get_num_threads()
    workers = max(1, min(workers or most, most, len(given)))
    threads = max(1, most // workers)
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(lambda case: function(*case, threads=threads), given))


@dataclass(frozen=True)
class Dataset:
    """What a dataset says of its labels.

    Parameters
    ----------
    ending
        How its files' names end; others are not looked at.
    labels_or_regions
        Labels, and tuples of them.
    ignore_label
        The true label that is not looked at.
    """

    ending: str
    labels_or_regions: Sequence[Any]
    ignore_label: int | None = None

    @classmethod
    def of_files(cls, dataset_json: str, plans_json: str | None = None) -> Dataset:
        """Read nnU-Net's dataset.json, and its plans.

        Raises
        ------
        ValueError
            If they are not as nnU-Net writes them, or name a reader or a class for labels other than its common ones.
        """
        dataset = _read_json(dataset_json)
        reader = dataset.get("overwrite_image_reader_writer", "None")
        if reader not in ("None", *_READERS):
            raise ValueError(f"{dataset_json}: expected a reader of {', '.join(_READERS)}, found {reader!r}")
        manager = {} if plans_json is None else _read_json(plans_json)
        if (name := manager.get("label_manager", "LabelManager")) != "LabelManager":
            raise ValueError(f"{plans_json}: expected the label_manager LabelManager, found {name!r}")
        ending, labels = dataset.get("file_ending"), dataset.get("labels")
        if not isinstance(ending, str) or not ending:
            raise ValueError(f"{dataset_json}: expected a file_ending, found {ending!r}")
        if not isinstance(labels, dict) or labels.get("background") != 0:
            raise ValueError(f"{dataset_json}: expected labels with the background 0, found {labels!r}")
        ignored = labels.pop("ignore", None)
        if ignored is not None and not _is_label(ignored):
            raise ValueError(f"{dataset_json}: expected the ignore label to be an integer, found {ignored!r}")
        regions = [tuple(each) if isinstance(each, list) else each for each in labels.values()]
        if any(isinstance(each, tuple) and len(each) > 1 for each in regions):
            return cls(ending, [each for each in regions if set(np.atleast_1d(each).tolist()) != {0}], ignored)
        return cls(ending, sorted({int(np.atleast_1d(each)[0]) for each in regions} - {0}), ignored)

    @classmethod
    def of_folder(cls, folder: str, labels: Sequence[int], ignore_label: int | None = None) -> Dataset:
        """Return a dataset of labels, whose files end as the first one of a folder."""
        files = _files(folder)
        if not files:
            raise ValueError(f"{folder}: expected files, found none")
        return cls(os.path.splitext(files[0])[1], labels, ignore_label)


def metrics_of_folders(
    references: str, predictions: str, dataset: Dataset, *, chill: bool = False, workers: int | None = None
) -> list[dict[str, Any]]:
    """Return the metrics of each case for which there is a prediction, in the order of their names.

    Parameters
    ----------
    references, predictions
        Folders, in which files of one name are a case.
    dataset
        Which files, and which labels.
    chill
        Whether references may be without a prediction.
    workers
        How many cases are counted at once, at most; None: as many as there are threads.

    Raises
    ------
    ValueError
        If there is no prediction; if one has no reference, or, unless `chill`, a reference no prediction; if a file is of
        another kind, or cannot be read, or holds no labels.
    """
    found, expected = _files(predictions, dataset.ending), _files(references, dataset.ending)
    if not found:
        raise ValueError(f"{predictions}: expected files that end with {dataset.ending!r}, found none")
    missing = sorted(set(expected) - set(found))
    if missing and not chill:
        raise ValueError(
            f"{predictions}: expected a prediction of each reference, found none of {len(missing)}: {missing[0]}"
        )

    def one(name: str, *, threads: int) -> dict[str, Any]:
        pair = os.path.join(references, name), os.path.join(predictions, name)
        try:
            return metrics_of_files(*pair, dataset.labels_or_regions, dataset.ignore_label, threads=threads)
        except NotCovered as error:
            raise ValueError(f"{pair[1]}: {error.__cause__ or error.reason}") from error

    return in_threads(one, ((name,) for name in found), workers)


def summary(cases: list[dict[str, Any]]) -> bytes:
    """Return the ``summary.json`` that nnU-Net writes of the metrics of cases, byte for byte."""
    values = [case["metrics"] for case in cases]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that no case has, and of means over none
        means = {
            region: {name: float(np.nanmean([each[region][name] for each in values])) for name in metrics}
            for region, metrics in values[0].items()
        }
        foreground = [each for region, each in means.items() if region != 0]
        names: dict[str, Any] = next(iter(values[0].values()), {})
        foreground_mean = {name: float(np.mean([each[name] for each in foreground])) for name in names}
    result = {
        "metric_per_case": [{**case, "metrics": _by_text(case["metrics"])} for case in cases],
        "mean": _by_text(means),
        "foreground_mean": foreground_mean,
    }
    return json.dumps(result, sort_keys=True, indent=4, default=lambda number: number.item()).encode()


def _by_text(of_regions: dict[Any, Any]) -> dict[str, Any]:
    return {str(region): each for region, each in of_regions.items()}


def _metrics(matrix: Any, inside: Any) -> dict[str, Any]:
    """Return what nnU-Net says of a region, from the counts of all pairs and which labels it is made of."""
    true, pred = matrix[inside], matrix[:, inside]
    tp = true[:, inside].sum()
    fp, fn = pred.sum() - tp, true.sum() - tp
    tn = matrix.sum() - tp - fp - fn
    found = tp + fp + fn
    dice, iou = (2 * tp / (found + tp), tp / found) if found else (np.nan, np.nan)
    return {"Dice": dice, "IoU": iou, "FP": fp, "TP": tp, "FN": fn, "TN": tn, "n_pred": fp + tp, "n_ref": fn + tp}


def _labels_of(region: Any) -> tuple[int, ...]:
    members = (region,) if np.isscalar(region) else region
    if not isinstance(members, tuple) or not all(map(_is_label, members)):
        raise NotCovered("labels or regions that are no integers, or tuples of them")
    return members


def _is_label(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _files(folder: str, ending: str = "") -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(each.name for each in entries if each.is_file() and each.name.endswith(ending))


def _read_json(path: str) -> dict[str, Any]:
    with open(path, encoding="utf-8") as file:
        try:
            content = json.load(file)
        except ValueError as error:
            raise ValueError(f"{path}: expected JSON: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected a JSON object, found {type(content).__name__}")
    return content
