"""Folders of references and predictions that were named in the wrong order, as far as what lies in them tells."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from fastseg.labels.names import shown
from fastseg.volumes import VolumeError, split_suffix
from fastseg.volumes.formats.npy import array_names
from fastseg.volumes.sources import NNUNET

__all__ = ["swapped_note"]

Path = str | os.PathLike[str]

#: Folders of references: nnU-Net's, and "gt", "gts", "gt_masks", "gtFine", but not "gtv", a tumour.
_NAMES = re.compile(r"labels(Tr|Ts|Val)|(gt|GT)(s?|[^A-Za-z].*|[A-Z][a-z].*)|ground[-_ ]?truths?", re.DOTALL)

#: What nnU-Net leaves beside the predictions that it makes; it copies dataset.json there, too.
_OF_PREDICTIONS = ("predict_from_raw_data_args.json", "plans.json")
_OF_DATASETS = "dataset.json"


class _Signs(NamedTuple):
    """What a folder is by its name and its files: each a sentence for people, or None."""

    references: str | None
    predictions: str | None


def swapped_note(reference: Path | None, prediction: Path | None) -> str | None:
    """Say that two folders seem to be in the wrong order, and what says so; None where nothing does, or both ways.

    Parameters
    ----------
    reference, prediction : path or None
        As in `fastseg.evaluate_folder`; what is no folder says nothing.
    """
    true, pred = (_Signs(None, None) if path is None else _signs(os.fsdecode(path)) for path in (reference, prediction))
    found = None
    if pred.references and not (pred.predictions or true.references):
        found = f"the predictions' {pred.references}"
    elif true.predictions and not (true.references or pred.predictions):
        found = f"the references' {true.predictions}"
    return found and f"reference and prediction may be swapped, which are named in this order: {found}"


def _signs(folder: str) -> _Signs:
    try:
        names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    except OSError:  # who lists it for cases says so
        names = []
    if not names:
        return _Signs(None, None)
    name = os.path.basename(os.path.abspath(folder))
    where = f"folder {shown(folder.rstrip(os.sep))} "
    left = next((file for file in _OF_PREDICTIONS if file in names), None) or _probabilities(folder, names)
    predictions = f"{where}holds {shown(left)}, as nnU-Net leaves it beside predictions" if left else None
    references = None
    if _NAMES.fullmatch(name):
        references = f"{where}has a name that references have"
    elif _OF_DATASETS in names and predictions is None:
        references = f"{where}holds {_OF_DATASETS} (and no plans.json), as those of references do"
    return _Signs(references, predictions)


def _probabilities(folder: str, names: list[str]) -> str | None:
    """Return the first .npz file that lies beside a label map of its name, if it holds nnU-Net's probabilities."""
    stems = {stem for stem, suffix in map(split_suffix, names) if suffix and suffix.lower() != ".npz"}
    beside = next((name for name in names if name.lower().endswith(".npz") and name[: -len(".npz")] in stems), None)
    try:
        return beside if beside is not None and NNUNET in array_names(os.path.join(folder, beside)) else None
    except VolumeError:
        return None
