"""Names of labels that the references themselves have, where nobody else names them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fastseg.volumes import VolumeError, open_volume

__all__ = ["names_in_files"]


def names_in_files(references: Iterable[str]) -> dict[int, str]:
    """Return the label table that all references have, as CIFTI and TotalSegmentator's files do; none where they differ.

    Only the first is opened where that has none. Names that two labels share are no names of classes.
    """
    common: Mapping[int, str] | None = None
    for path in references:
        try:
            with open_volume(path) as volume:
                names = volume.names
        except VolumeError:  # its case will fail, with its reason
            continue
        if not names or len(set(names.values())) < len(names) or names != (common or names):
            return {}
        common = names
    return dict(common or {})
