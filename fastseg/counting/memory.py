"""How much memory there is to take."""

from __future__ import annotations

from pathlib import Path

__all__ = ["available_memory"]


def available_memory(root: Path = Path("/")) -> int | None:
    """Return the bytes that this process can still take, by what the system says and its control group allows.

    Parameters
    ----------
    root
        Where the system's files lie.

    Returns
    -------
    bytes : int or None
        None where nothing is known.
    """
    found = [_free(root / "proc/meminfo"), _left(root / "sys/fs/cgroup")]
    return min((each for each in found if each is not None), default=None)


def _free(meminfo: Path) -> int | None:
    try:
        lines = meminfo.read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, IndexError, StopIteration):
        return None


def _left(group: Path) -> int | None:
    """Return what the group's limit leaves, of either version; what it keeps of files can be had."""
    for limit, usage in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            most, used = int((group / limit).read_text()), int((group / usage).read_text())
            said = dict(
                line.split(maxsplit=1) for line in (group / limit).with_name("memory.stat").read_text().splitlines()
            )
            return max(0, most - used + int(said.get("inactive_file", 0)))
        except (OSError, ValueError):  # "max": no limit
            continue
    return None
