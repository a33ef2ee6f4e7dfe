"""The images that were segmented: which file of a folder is a case's."""

from __future__ import annotations

import os

from fastseg.labels.names import shown
from fastseg.runs.cases import ids
from fastseg.runs.cases.folders import list_folder

__all__ = ["Images"]


class Images:
    """The images of a folder, each by the id of its case; of nnU-Net's several channels the first.

    Parameters
    ----------
    folder : path
        Of volumes, named after the cases, or ``case_0000``, ``case_0001``, …
    fill : bool
        Whether classes are filled, so that the image shines through, instead of outlined.

    Raises
    ------
    ValueError
        If it cannot be listed, or holds no volume.
    """

    def __init__(self, folder: str | os.PathLike[str], fill: bool = False) -> None:
        self.folder, self.fill = os.fsdecode(folder), fill
        problems: list[str] = []
        listed = list_folder(self.folder, "images", None, problems) if os.path.isdir(self.folder) else None
        if listed is None or not listed.files:
            found = "no such folder" if listed is None else "none"
            raise ValueError(f"images: {shown(self.folder)}: expected a folder of volumes, found {found}")
        self._paths: dict[str, str] = {}
        for case, path in sorted(listed.files.values()):
            for known in (case, ids.before_channel(case)):
                if known is not None:
                    self._paths.setdefault(ids.composed(known), path)

    def of(self, case: str) -> str:
        """Return the path of a case's image; ValueError where there is none."""
        path = self._paths.get(ids.composed(case))
        if path is None:
            raise ValueError(f"there is none for {shown(case)} in {shown(self.folder)}")
        return path
