"""What COCO's panoptic JSON says: which pictures there are, and of which category each of their segments is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastseg.labels.names import shown
from fastseg.labels.table_text import LabelTableError, load_json, quoted

__all__ = ["PanopticImage", "PanopticTable", "read_panoptic_json"]

Path = str | os.PathLike[str]


@dataclass(frozen=True)
class PanopticImage:
    """A picture and its segments."""

    file_name: str
    classes: Mapping[int, int]
    """The category of each id."""
    crowds: tuple[int, ...]
    """Ids of groups."""


@dataclass(frozen=True)
class PanopticTable:
    """The pictures by their ids, in the order of the file; categories by theirs."""

    images: Mapping[Any, PanopticImage]
    names: Mapping[int, str]
    things: tuple[int, ...]


def read_panoptic_json(path: Path) -> PanopticTable:
    """Return what a panoptic JSON of COCO or Cityscapes says.

    Raises
    ------
    LabelTableError
        If it cannot be read, or is no such file.
    """
    name = shown(os.fsdecode(path))
    try:
        with open(path, encoding="utf-8-sig") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise LabelTableError(f"{name}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not text.lstrip().startswith("{"):
        raise LabelTableError(f"{name}: expected a panoptic JSON, which begins with a brace, found {quoted(text[:40])}")
    loaded = load_json(name, text)
    try:
        images = {entry["image_id"]: _image(entry) for entry in loaded["annotations"]}
        categories = loaded.get("categories", [])
        names = {int(entry["id"]): str(entry.get("name", entry["id"])) for entry in categories}
        things = tuple(int(entry["id"]) for entry in categories if entry.get("isthing"))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise LabelTableError(
            f"{name}: expected the annotations and segments_info of a panoptic JSON, found {error!r}"
        ) from None
    return PanopticTable(images, names, things)


def _image(entry: Mapping[str, Any]) -> PanopticImage:
    segments = entry["segments_info"]
    classes = {int(segment["id"]): int(segment["category_id"]) for segment in segments}
    crowds = tuple(int(segment["id"]) for segment in segments if segment.get("iscrowd"))
    return PanopticImage(str(entry["file_name"]), classes, crowds)
