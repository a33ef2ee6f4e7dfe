"""Files that are not what their names say: what they are by their first bytes, and what to do about it."""

from __future__ import annotations

import os

_ANNEX = "git-annex: `git annex get`, or `datalad get`, fetches it"
_NETCDF = "a netCDF file of version 3, or MINC 1: convert it to netCDF 4 (nccopy -k nc4), MINC to NIfTI (mnc2nii)"
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
#: Where it stands, the bytes, and what the file is.
_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"version https://git-lfs.github.com/spec/", "a pointer of Git LFS in its place: `git lfs pull` fetches it"),
    (0, b"/annex/objects/", f"a pointer of {_ANNEX}"),
    (0, b"\x1f\x8b", "a file that is compressed twice with gzip: unpack it once"),
    (0, b"BZh", "a bzip2 file: unpack it with bunzip2, and compress it with gzip if need be"),
    (0, b"\xfd7zXZ\0", "an xz file: unpack it with unxz, and compress it with gzip if need be"),
    (0, b"\x28\xb5\x2f\xfd", "a Zstandard file: unpack it with unzstd, and compress it with gzip if need be"),
    (0, b"\x04\x22\x4d\x18", "an LZ4 file: unpack it with unlz4, and compress it with gzip if need be"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive: unpack it, and name the file in it"),
    (0, b"Rar!\x1a\x07", "a RAR archive: unpack it, and name the file in it"),
    (257, b"ustar", "a tar archive: unpack it, and name the file in it"),
    (0, b"CDF\x01", _NETCDF),
    (0, b"CDF\x02", _NETCDF),
    (0, b"CDF\x05", _NETCDF),
    (0, b"%PDF-", "a PDF document: expected here are voxels"),
)
_HTML, _XML = (b"<!doctype html", b"<html", b"<head"), (b"<?xml", b"<error")
_SERVER = "of a server, such as a login or an error: download the file again"


def foreign(head: bytes, zips: bool) -> str | None:
    """Return what a file is that no format recognises, and what to do; None where that cannot be told.

    Parameters
    ----------
    head : bytes
        Its first bytes, decompressed if they are gzip.
    zips : bool
        Whether it may be a zip archive, by its name.
    """
    for at, signature, what in _SIGNATURES:
        if head.startswith(signature, at):
            return what
    if head.startswith(_ZIP) and not zips:
        return "a zip archive: unpack it, and name the file in it"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if b"<gifti" in text:
        return "a GIFTI surface: its labels are read from CIFTI (.dlabel.nii) or as an array (.npy)"
    if text.startswith(_HTML):
        return f"an HTML page, perhaps {_SERVER}"
    return f"an XML document, perhaps {_SERVER}" if text.startswith(_XML) else None


def note_of(path: str) -> str:
    """Say in brackets what a file of voxels is, if it is foreign by its first bytes; "" else."""
    try:
        with open(path, "rb") as file:
            what = foreign(file.read(512), zips=True)
    except OSError:
        return ""
    return f" ({path} is {what})" if what else ""


def missing(path: str) -> str:
    """Say that there is no such file, or that it is a link to none."""
    try:
        target = os.readlink(path)
    except (OSError, ValueError):
        return "no such file"
    annexed = "annex/objects/" in target.replace(os.sep, "/")
    return f"no such file, but a link to {target!r}{f' of {_ANNEX}' if annexed else ''}"
