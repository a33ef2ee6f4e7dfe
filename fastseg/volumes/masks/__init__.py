"""Named masks of a case, which may overlap: where they are found, and the volumes that hold them."""

from fastseg.volumes.masks.blank import Blank
from fastseg.volumes.masks.coco import pictures_in
from fastseg.volumes.masks.opening import (
    Kind,
    Place,
    Said,
    check_here,
    is_channels,
    kind_of,
    names_of,
    open_masks,
    renumbered,
)
from fastseg.volumes.masks.source import Layer, MaskSource

__all__ = [
    "Blank", "Kind", "Layer", "MaskSource", "Place", "Said", "check_here", "is_channels", "kind_of", "names_of", "open_masks",
    "pictures_in", "renumbered",
]  # fmt: skip
