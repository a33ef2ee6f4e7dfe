"""Opening a volume: the formats, and which of them reads a path."""

from __future__ import annotations

import functools
import importlib
import os
import pkgutil
from contextlib import ExitStack

from fastseg.volumes import formats
from fastseg.volumes.bytes import HEAD_BYTES, ByteSource
from fastseg.volumes.errors import UnrecognisedError, VolumeError
from fastseg.volumes.foreign import foreign
from fastseg.volumes.paths import Url, is_url, split_inside
from fastseg.volumes.remote import Spooled, called, local_copy
from fastseg.volumes.volume import Format, Volume

__all__ = ["open_volume", "split_suffix"]


@functools.cache
def _formats() -> tuple[Format, ...]:
    """Collect the formats, so that a new one is a new module of that folder and no edit here."""
    modules = (
        importlib.import_module(f"{formats.__name__}.{module.name}")
        for module in pkgutil.iter_modules(formats.__path__)
    )
    found = (getattr(module, "FORMAT", None) for module in modules)
    return tuple(entry for entry in found if isinstance(entry, Format))


def open_volume(path: str | os.PathLike[str]) -> Volume:
    """Open a volume, choosing the format by content first and by suffix second.

    Nothing of the size that a header declares is allocated; voxels come through `Volume.read_into` or `Volume.read_block`.

    Parameters
    ----------
    path : str or path-like
        A file (or folder, for Zarr) of a format that this package has a module for. ``file::inside`` names an array inside
        a file that holds several (HDF5, Zarr, NPZ). It may be a URL that fsspec knows, such as ``s3://bucket/a.zarr``:
        folders of Zarr are read there, other files from a temporary copy.

    Raises
    ------
    VolumeError
        If the file is missing, a folder, truncated, corrupt, of no known format, or of one whose library is not installed.
    """
    name = os.fsdecode(path)
    if is_url(name):
        return _open_url(Url(name))
    formats, (outer, _) = _formats(), split_inside(name)
    if os.path.isdir(outer):
        for entry in formats:
            if entry.folder is not None and entry.folder(outer):
                return entry.open(name)
    by_suffix = next((entry for entry in formats if outer.lower().endswith(entry.suffixes)), None)
    mistaken: UnrecognisedError | None = None
    if by_suffix is not None and by_suffix.sure:
        try:
            return by_suffix.open(name)
        except UnrecognisedError as error:
            mistaken = error
    source = ByteSource(outer)
    try:
        head = source.take(HEAD_BYTES)
    finally:
        source.close()
    recognised = next((entry for entry in formats if entry.recognises(head)), None)
    what = None if recognised is not None else foreign(head, by_suffix is not None and by_suffix.zips)
    if what is not None:
        raise UnrecognisedError(f"{name}: expected a volume, found {what}")
    chosen = recognised or by_suffix
    if mistaken is not None and chosen is by_suffix:
        raise mistaken
    if chosen is None:
        known = "; ".join(f"{entry.name} ({', '.join(entry.suffixes)})" for entry in formats)
        raise VolumeError(f"{name}: expected a volume in a known format: {known}; found the first bytes {head[:8]!r}")
    return chosen.open(name)


def _open_url(url: Url) -> Volume:
    """Open a volume at a URL."""
    outer, inside = split_inside(url)
    assert isinstance(outer, Url)
    if split_suffix(f"_{outer.file_name}")[1].lower() in ("", ".zarr"):
        for entry in _formats():
            if entry.folder is not None and entry.folder(outer):
                return entry.open(url)
    with ExitStack() as stack:
        copy = stack.enter_context(local_copy(outer))
        with called(copy, url):
            volume = open_volume(copy if inside is None else f"{copy}::{inside}")
        return Spooled(volume, copy, url, stack.pop_all())


def split_suffix(name: str) -> tuple[str, str]:
    """Split a file's name into its stem and the suffix of a known format, "" where it has none.

    Examples
    --------
    >>> split_suffix("liver_001.NII.gz")
    ('liver_001', '.NII.gz')
    """
    lower = name.lower()
    for suffix in _suffixes():
        if lower.endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)], name[-len(suffix) :]
    return name, ""


@functools.cache
def _suffixes() -> tuple[str, ...]:
    """Return the suffixes of all formats, the longest first."""
    return tuple(sorted((suffix for entry in _formats() for suffix in entry.suffixes), key=len, reverse=True))
