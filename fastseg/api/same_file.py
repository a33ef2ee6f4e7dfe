"""References and predictions that are the same files: nothing is wrong with that, but few mean it."""

from __future__ import annotations

import os
from collections.abc import Sequence

from fastseg.labels.names import shown
from fastseg.volumes import is_url, named, split_inside

__all__ = ["same_file_note"]

Path = str | os.PathLike[str]


def same_file_note(pairs: Sequence[tuple[Path, Path | None]]) -> str | None:
    """Say how many predictions are their own references, by whatever path; None where none is."""
    same = [one for one, other in pairs if other is not None and _same_file(os.fsdecode(one), os.fsdecode(other))]
    if not same:
        return None
    many = f" in {len(same)} of {len(pairs)} cases, such as" if len(pairs) > 1 else ":"
    hint = "; patterns (--pattern, twice) tell those of one folder apart" if len(same) > 1 else ""
    return f"reference and prediction are the same file{many} {shown(named(os.fsdecode(same[0])))}{hint}"


def _same_file(one: str, other: str) -> bool:
    if is_url(one) or is_url(other):
        return one == other
    (file, inside), (other_file, other_inside) = split_inside(one), split_inside(other)
    try:
        return inside == other_inside and os.path.samefile(file, other_file)
    except OSError:
        return False
