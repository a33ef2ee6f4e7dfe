"""What NIfTI extensions say: CIFTI's models of the brain and its maps, and label tables, also of other programs."""

from __future__ import annotations

import hashlib
import html
import math
import re
import struct

from fastseg.volumes.bytes import ByteSource
from fastseg.volumes.errors import VolumeError
from fastseg.volumes.positions import Positions
from fastseg.volumes.volume import Geometry

__all__ = ["INTENTS", "check_maps", "extensions", "grayordinates", "label_names"]

#: NIfTI intent codes of CIFTI-2 files.
INTENTS = range(3000, 3100)
_EXTENSION_BYTES = 16 << 20  # models of the brain list a hundred thousand vertices as text
# A name as text or, as TotalSegmentator writes it, as a section of characters.
_LABEL = re.compile(rb"<Label\s([^>]*)>(?:<!\[CDATA\[(.*?)\]\]>|([^<]*))</Label>", re.DOTALL)
_TABLE = re.compile(rb"<LabelTable.*?</LabelTable>", re.DOTALL)
_KEY = re.compile(rb"""\bKey\s*=\s*["'](-?\d{1,18})["']""")
_MODELS = re.compile(rb"<BrainModel\s([^>]*)>")
_MAP = re.compile(rb"<MatrixIndicesMap\s[^>]*CIFTI_INDEX_TYPE_BRAIN_MODELS.*?</MatrixIndicesMap>", re.DOTALL)


def extensions(source: ByteSource, end: int) -> bytes:
    """Read the texts of a header's extensions, up to the voxels; nothing where there are none, or too much.

    Parameters
    ----------
    source : ByteSource
        Behind the header.
    end : int
        Where the voxels begin.
    """
    if not 12 <= end - source.position <= min(_EXTENSION_BYTES, source.limit) or source.take(4)[:1] in (b"", b"\0"):
        return b""
    block = source.take(end - source.position)
    found, at = [], 0
    for order in "<>":
        while at + 8 <= len(block):
            size, _ = struct.unpack_from(f"{order}2i", block, at)
            if not 8 < size <= len(block) - at:
                break
            found.append(block[at + 8 : at + size])
            at += size
    return b"\n".join(found)


def label_names(text: bytes) -> dict[int, str]:
    """Return the names that the first label table of some XML gives to labels, as Connectome Workbench and others write it."""
    table = text.partition(b"<LabelTable")[2].partition(b"</LabelTable>")[0]
    names: dict[int, str] = {}
    for attributes, section, written in _LABEL.findall(table):
        key = _KEY.search(attributes)
        name = section.decode("utf-8", "replace") or html.unescape(written.decode("utf-8", "replace"))
        if key is not None and name.strip():
            names.setdefault(int(key[1]), name.strip())
    return names


def check_maps(path: str, text: bytes) -> None:
    """Raise VolumeError for maps of labels that have tables of their own: a label of one is none of another."""
    if len({b"".join(table.split()) for table in _TABLE.findall(text)}) > 1:
        raise VolumeError(
            f"{path}: expected one label table, found maps that have tables of their own: split it (wb_command -cifti-math, "
            "-cifti-merge)"
        )


def grayordinates(shape: tuple[int, ...], text: bytes) -> Geometry:
    """Return the geometry of a CIFTI file: its maps and its vertices and voxels, which lie as the models of the brain say."""
    kept = tuple(n for n in shape[4:] if n > 1) or shape[-1:]
    found = _MAP.search(text)
    models = b"" if found is None else b"".join(found[0].split())
    count = len(_MODELS.findall(found[0])) if found is not None else 0
    frame = f"{count} models of the brain ({hashlib.sha256(models).hexdigest()[:8]})"
    nothing = (math.nan,) * len(kept)
    axes = "mv"[-len(kept) :] if len(kept) <= 2 else ""
    return Geometry(kept, None, nothing, axes, Positions.of(nothing, nothing, kept, "", frame))
