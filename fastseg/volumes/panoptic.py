"""Pictures of COCO's panoptic format, whose colours are ids: R + 256 G + 65,536 B."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.volumes.decoded import failures_of, quiet
from fastseg.volumes.errors import VolumeError
from fastseg.volumes.paths import Path
from fastseg.volumes.volume import require

__all__ = ["read_panoptic_png"]


def read_panoptic_png(path: Path) -> npt.NDArray[np.int32]:
    """Return the id of each pixel, (H, W), 0 where it is of no segment.

    Raises
    ------
    VolumeError
        If the file cannot be read, is damaged, or is no PNG of three colours with eight bits each.
    """
    name = os.fsdecode(path)
    images = require("PIL.Image", "images", name, "a panoptic PNG")
    try:
        with open(name, "rb") as file, failures_of("Pillow", name), quiet("PIL"):
            colours = _decoded(images, file, name)
    except OSError as error:
        if isinstance(error, VolumeError):
            raise
        raise VolumeError(f"{name}: cannot be opened: {error.strerror}") from error
    wide = colours.astype(np.int32)
    ids: npt.NDArray[np.int32] = wide[..., 0] + 256 * wide[..., 1] + 65536 * wide[..., 2]
    return ids


def _decoded(images: Any, file: Any, name: str) -> npt.NDArray[np.uint8]:
    images.open(file, formats=("PNG",)).verify()  # decoding passes over the checksums
    file.seek(0)
    with images.open(file, formats=("PNG",)) as picture:
        if picture.mode not in ("RGB", "RGBA"):
            raise VolumeError(f"{name}: expected a PNG of colours that are ids, found Pillow's mode {picture.mode}")
        found: npt.NDArray[np.uint8] = np.asarray(picture)[..., :3]
        return found
