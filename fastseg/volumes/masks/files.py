"""One binary file a class: `liver.nii.gz`, `spleen.nii.gz` in a folder, or wherever else a layout has them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import partial

from fastseg.volumes.errors import VolumeError
from fastseg.volumes.masks.dicom import check_segmentation, is_dicom
from fastseg.volumes.masks.source import Layer, MaskSource
from fastseg.volumes.open import open_volume, split_suffix

__all__ = ["masks_in", "natural", "of_files"]

_DIGITS = re.compile(r"([0-9]+)")


def natural(name: str) -> list[tuple[bool, int, str]]:
    """Return what sorts names as people number them: rib_2 before rib_10."""
    return [(not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in _DIGITS.split(name)]


def of_files(path: str, files: Mapping[str, str]) -> MaskSource:
    """Return the masks of a case of which each has a file, by the names of their classes."""
    ordered = sorted(files.items(), key=lambda item: natural(item[0]))
    return MaskSource(path, [Layer(file, partial(open_volume, file), {name: None}) for name, file in ordered])


def masks_in(folder: str) -> dict[str, str]:
    """Return the volumes that lie in a folder, by their names without the suffix.

    Raises
    ------
    VolumeError
        If it cannot be listed, there is none, or two would have the same name.
    """
    found: dict[str, str] = {}
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if not entry.name.startswith("."))
    except OSError as error:
        raise VolumeError(f"{folder}: cannot be listed: {error.strerror}") from error
    for name in names:
        stem, suffix = split_suffix(name)
        if not suffix:
            continue
        if stem in found:
            raise VolumeError(
                f"{folder}: expected one file for each mask, found {os.path.basename(found[stem])}, {name}"
            )
        found[stem] = os.path.join(folder, name)
    if not found:
        raise VolumeError(f"{folder}: expected files of masks, one for each class; found none")
    first = next(iter(found.values()))
    if is_dicom(first):  # perhaps the slices of an image
        check_segmentation(first)
    return found
