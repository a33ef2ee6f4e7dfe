"""HDF5 files of programs whose first axis is the fastest: MATLAB's of version 7.3 (.mat), and Julia's (.jld, .jld2).

Both store the axes of their arrays in reverse, and say in the user block before the HDF5 part whose file it is.
"""

from __future__ import annotations

from typing import Any

from fastseg.volumes.errors import VolumeError

_MATLAB, _OLD_MATLAB = b"MATLAB 7.3 MAT-file", b"MATLAB 5.0 MAT-file"
_JULIA = (b"HDF5-based Julia Data Format", b"Julia data file (HDF5)")
#: MATLAB's classes whose datasets hold the values themselves.
_NUMBERS = {"logical", "double", "single", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))}


def is_old_matlab(head: bytes) -> bool:
    """Say whether a file begins as MATLAB's do that are no HDF5 files, of version 5 to 7."""
    return head.startswith(_OLD_MATLAB)


def check_version(name: str, head: bytes, is_hdf5: bool) -> None:
    """Raise VolumeError for a file that is named as MATLAB's but is no HDF5 file."""
    if not is_hdf5:
        found = "one of version 5 to 7" if is_old_matlab(head) else f"the first bytes {head[:8]!r}"
        raise VolumeError(
            f"{name}: expected a MATLAB file of version 7.3, found {found}: save it with save(file, 'labels', '-v7.3')"
        )


class Writer:
    """What is known of a file's arrays from the program that wrote it.

    Parameters
    ----------
    head : bytes
        What the file begins with.
    """

    def __init__(self, head: bytes) -> None:
        self._matlab, self._julia = head.startswith(_MATLAB), head.startswith(_JULIA)

    def reverses(self, dataset: Any) -> bool:
        """Say whether the axes of a dataset are stored in reverse."""
        return self._julia or self.kind(dataset) is not None

    def kind(self, node: Any) -> str | None:
        """Return what MATLAB calls a dataset or group, None for what is none of its variables."""
        found = node.attrs.get("MATLAB_class") if self._matlab else None
        if found is None:
            return None
        if "MATLAB_sparse" in node.attrs:
            return "sparse"
        name = found.decode("latin-1") if isinstance(found, bytes) else str(found)
        return f"empty {name}" if node.attrs.get("MATLAB_empty") else name  # its dataset holds the shape

    def may_be_meant(self, dataset: Any) -> bool:
        """Say whether a dataset of several axes may be the labels where none is named; in MATLAB scalars have two, too."""
        kind = self.kind(dataset)
        if kind is None:
            return True
        long = sum(extent > 1 for extent in dataset.shape)
        return kind in _NUMBERS and long >= 2 and not dataset.name.startswith("/#")  # where it keeps what cells hold

    def check(self, name: str, node: Any) -> None:
        """Raise VolumeError for a variable of MATLAB's that is no array of numbers, or an empty one."""
        kind = self.kind(node)
        if kind is None or kind in _NUMBERS:
            return
        advice = {
            "sparse": "save full(...) of it",
            "struct": f"name the field that holds the labels, as in {name}/field",
            "cell": "save what is in it as a variable of its own",
        }.get(kind, "save the labels as numbers")
        raise VolumeError(f"{name}: expected an array of numbers or logicals of MATLAB's, found {kind}: {advice}")
