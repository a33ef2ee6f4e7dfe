"""Look into what is to be published: `wheel.py CHECKOUT WHEEL SAME_WHEEL SDIST`, or `wheel.py --version WHEEL`.

The wheel holds what git knows of the package, each file as it is, and nothing else; the wheel that was built in another way
holds the same; the sdist holds what is needed to build it; and all that names a version names the same.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path

NEEDED = {"README.md", "LICENSE", "pyproject.toml"}
SUFFIXES = {"py.typed", ".pyi", ".j2", ".css", ".js", ".cuh"}


def contents(wheel: str) -> dict[str, bytes]:
    """Return the files of a wheel by name."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def version_of(files: dict[str, bytes]) -> str:
    """Return the version in the wheel's metadata."""
    (name,) = (name for name in files if name.endswith(".dist-info/METADATA"))
    return str(message_from_bytes(files[name])["Version"])


def faults(checkout: Path, wheel: str, same: str, sdist: str) -> list[str]:
    """Return what is wrong, a line each."""
    found: list[str] = []
    files, version = contents(wheel), version_of(contents(wheel))
    known = subprocess.run(["git", "ls-files", "fastseg"], cwd=checkout, capture_output=True, text=True, check=True)
    tracked = set(known.stdout.splitlines())
    packed = {name for name in files if ".dist-info/" not in name}
    found += [f"{wheel}: expected {name}, which git knows" for name in sorted(tracked - packed)]
    found += [f"{wheel}: expected nothing but the package, found {name}" for name in sorted(packed - tracked)]
    differing = [name for name in sorted(packed & tracked) if files[name] != (checkout / name).read_bytes()]
    found += [f"{wheel}: expected {name} as it is in the checkout" for name in differing]
    kinds = {suffix for suffix in SUFFIXES if not any(name.endswith(suffix) for name in packed)}
    found += [f"{wheel}: expected files of the kind {kind}" for kind in sorted(kinds)]
    if contents(same) != files:
        found.append(f"{wheel}: expected the same of the sdist as of the checkout")
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    found += [f"{sdist}: expected {name}" for name in sorted((NEEDED | tracked) - inside)]
    says = {
        wheel: Path(wheel).name.split("-")[1],
        "fastseg/_version.py": _matched(checkout / "fastseg/_version.py", r'__version__ = "(.*)"'),
        "CITATION.cff": _matched(checkout / "CITATION.cff", r"version: (.*)"),
        "CHANGELOG.md": _matched(checkout / "CHANGELOG.md", r"## (\S+)"),
    }
    return found + [
        f"{name}: expected the version {version}, found {other}" for name, other in says.items() if other != version
    ]


def _matched(path: Path, pattern: str) -> str | None:
    match = re.search(f"^{pattern}", path.read_text(encoding="utf-8"), re.MULTILINE)
    return None if match is None else match[1]


if __name__ == "__main__":
    if sys.argv[1] == "--version":
        print(version_of(contents(sys.argv[2])))
    else:
        checkout, wheel, same, sdist = sys.argv[1:]
        sys.exit("\n".join(faults(Path(checkout), wheel, same, sdist)) or 0)
