"""The cache of compiled kernels: whatever is wrong with the disk, the counts are right and nothing is printed."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fastseg
from fastseg.kernels.numba.jit import _CheckedFile

# Of all kernels, that of masks takes least to compile.
CHILD = """
import fastseg
counts = fastseg.count_masks(b"\\0\\0\\1\\1\\1", b"\\0\\1\\1\\1\\0", channel_axis=None)
assert (counts.tp.tolist(), counts.fp.tolist(), counts.fn.tolist()) == ([[2]], [[1]], [[1]]), counts
from fastseg.kernels.numba.masks import count_rows
stats = [kernel.stats for kernel in count_rows._compiled.values()]
print(fastseg.__file__, *(sum(s.cache_hits.values()) for s in stats))
"""


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.folder),)


def start(package: Path, cache: Path, **changes: str) -> subprocess.Popen[str]:
    """Start a process that counts with that copy of the package and that cache folder; warnings are errors."""
    environment = {**os.environ, "PYTHONPATH": str(package.parent), "NUMBA_CACHE_DIR": str(cache), **changes}
    environment.pop("NUMBA_DISABLE_JIT", None)
    command = [sys.executable, "-B", "-W", "error", "-c", CHILD]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, **pipes, text=True, env=environment, cwd=package.parent)


def kernels_loaded(package: Path, child: subprocess.Popen[str]) -> int:
    """Return how many kernels such a process took from the cache, having checked that it counted right and was silent."""
    output, errors = child.communicate(timeout=600)
    assert (child.returncode, errors) == (0, "")
    origin, loaded = output.split()
    assert Path(origin).parent == package
    return int(loaded)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the package, so that its __pycache__ can be spoilt."""
    copy = tmp_path_factory.mktemp("site") / "fastseg"
    shutil.copytree(Path(fastseg.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


@pytest.fixture(scope="module")
def filled(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fill a cache folder, by two processes at once; the next one loads what they wrote."""
    cache = tmp_path_factory.mktemp("filled")
    for child in [start(package, cache) for _ in range(2)]:
        kernels_loaded(package, child)
    assert kernels_loaded(package, start(package, cache)) == 1
    assert len(list(cache.rglob("*.nbi"))) == 1
    return cache


def garbled(data: bytes) -> bytes:
    return bytes(byte ^ 0xFF for byte in data)


def halved(data: bytes) -> bytes:
    return data[: len(data) // 2]


@pytest.mark.slow
@pytest.mark.parametrize("change", [garbled, halved], ids=["garbled", "truncated"])
@pytest.mark.parametrize("pattern", ["*.nbi", "*.nbc"], ids=["index", "data"])
def test_broken_files(
    pattern: str, change: Callable[[bytes], bytes], package: Path, filled: Path, tmp_path: Path
) -> None:
    """They cost a compilation, once: the next process loads what this one wrote."""
    cache = shutil.copytree(filled, tmp_path / "cache")
    for file in cache.rglob(pattern):
        file.write_bytes(change(file.read_bytes()))
    assert kernels_loaded(package, start(package, cache)) == 0
    assert kernels_loaded(package, start(package, cache)) == 1


@pytest.mark.parametrize("place", range(3))
def test_one_flipped_bit_in_machine_code(place: int, package: Path, filled: Path, tmp_path: Path) -> None:
    """Unpickling would not notice, and running such code may kill the process."""
    cache = shutil.copytree(filled, tmp_path / "cache")
    (file,) = cache.rglob("*.nbc")
    code = bytearray(file.read_bytes())
    code[(2 * place + 1) * len(code) // 6] ^= 0x10
    file.write_bytes(bytes(code))
    assert kernels_loaded(package, start(package, cache)) == 0


@pytest.mark.skipif(os.name != "posix", reason="no modes of files here")
@pytest.mark.parametrize("mode", [0o755, 0o777], ids=["private", "world-writable"])
def test_a_folder_that_others_can_write(mode: int, package: Path, filled: Path, tmp_path: Path) -> None:
    """Its pickles are not read, since anybody may have put them there, and nothing is written."""
    cache = shutil.copytree(filled, tmp_path / "cache")
    (index,) = cache.rglob("*.nbi")
    index.write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    index.parent.chmod(mode)
    before = {file.name: file.read_bytes() for file in index.parent.iterdir()}
    assert kernels_loaded(package, start(package, cache)) == 0
    after = {file.name: file.read_bytes() for file in index.parent.iterdir()}
    open_to_all = mode == 0o777
    assert (tmp_path / "sprung").exists() != open_to_all  # in a private folder the trap works, so this tests something
    assert (after == before) == open_to_all


def test_two_processes_that_write_code_for_other_types_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both call their file alike: the index of one and the code of the other are no kernel, and are written again."""
    one, other = (_CheckedFile(str(tmp_path), "kernel", "stamp") for _ in range(2))
    write = one._save_data
    monkeypatch.setattr(other, "_load_index", dict)  # it had read the index before
    monkeypatch.setattr(one, "_save_data", lambda *given: (other.save("i8", "code of i8"), write(*given)))
    one.save("u1", "code of u1")
    monkeypatch.undo()
    assert [one.load(types) for types in ("u1", "i8")] == [None, None]
    for types in ("u1", "i8"):
        one.save(types, f"code of {types}")
    assert [other.load(types) for types in ("u1", "i8")] == ["code of u1", "code of i8"]


def test_no_folder_to_write_to(package: Path, tmp_path: Path) -> None:
    """First the configured one is missing, and the one beside the sources is used; then there is none at all."""
    file = tmp_path / "file"
    file.touch()
    nowhere = {"HOME": f"{file}/home", "XDG_CACHE_HOME": f"{file}/cache", "LOCALAPPDATA": f"{file}/cache"}
    copy = shutil.copytree(package, tmp_path / "fastseg", ignore=shutil.ignore_patterns("__pycache__"))
    beside = copy / "kernels" / "numba" / "__pycache__"
    assert kernels_loaded(copy, start(copy, file / "x", **nowhere)) == 0
    assert list(beside.glob("*.nbi"))
    shutil.rmtree(beside)
    beside.touch()
    assert kernels_loaded(copy, start(copy, file / "x", **nowhere)) == 0
    assert file.read_bytes() == beside.read_bytes() == b""
