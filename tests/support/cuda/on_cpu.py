"""Kernels of the CUDA backend on the CPU: their own text, compiled by g++, and arrays that say they lie on a GPU."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastseg.kernels.cuda import driver
from fastseg.kernels.cuda.compiler import SOURCES, Specialisation
from fastseg.kernels.protocols.device import Device, Limits

__all__ = ["Cpu", "Tensor", "run_text"]

HERE = Path(__file__).parent


class Tensor:
    """An array of another library in the memory of a GPU, as far as anybody can tell without reading it."""

    def __init__(self, array: Any, device: int = 0, stream: int | None = 1, writeable: bool = True) -> None:
        self.array, self.device, self.stream, self.writeable = np.asarray(array), device, stream, writeable
        self.dtype, self.shape = self.array.dtype, self.array.shape

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, self.device

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """CUDA's array interface, version 3."""
        interface = dict(self.array.__array_interface__, version=3, stream=self.stream)
        interface["data"] = (interface["data"][0], not self.writeable)
        return {key: interface[key] for key in ("shape", "typestr", "data", "strides", "version", "stream")}


def run_text(what: Specialisation, job: bytes, grid: tuple[int, int], shared_bytes: int) -> None:
    """Run a kernel from its own text."""
    library(what).run(job, *grid, dict(what.macros)["THREADS"], shared_bytes)


class Cpu:
    """The driver of a GPU that is a CPU: its memory is that of the process."""

    run: Any = staticmethod(run_text)

    def __init__(self, multiprocessors: int = 2, shared_bytes: int = 227 << 10) -> None:
        self.turn = threading.RLock()
        self._limits = Limits(multiprocessors, shared_bytes)
        self.kept: list[Any] = []
        self.uploaded: list[Any] = []
        self.launched: list[Specialisation] = []
        self.waited = 0

    def at(self, device: Device) -> Any:
        return self.turn

    def limits(self, device: Device) -> Limits:
        return self._limits

    def index_of(self, pointer: int) -> int:
        return 0

    def launch(
        self, what: Specialisation, device: Device, grid: tuple[int, int], shared_bytes: int, job: bytes | bytearray
    ) -> None:
        self.launched.append(what)
        self.run(what, bytes(job), grid, shared_bytes)

    def zeros(self, size: int, device: Device, beyond: int = 0) -> int:
        room = np.full((size + beyond) // 8 + 1, -0x21524110, np.int64)
        room.view(np.uint8)[:size] = 0
        self.kept = [room]
        return int(room.ctypes.data)

    def write(self, pointer: int, content: bytes, device: Device) -> None:
        ctypes.memmove(pointer, content, len(content))

    def upload(self, array: Any, device: Device) -> int:
        copy = np.ascontiguousarray(array).copy()
        self.uploaded.append(copy)
        return int(copy.ctypes.data)

    def download(self, pointer: int, size: int, device: Device) -> bytearray:
        return bytearray(ctypes.string_at(pointer, size))

    def fetch(self, pointer: int, size: int, device: Device) -> Any:
        return Fetched(self, ctypes.string_at(pointer, size))


class Fetched:
    """Bytes that were copied already; their driver counts who waits for them."""

    def __init__(self, cpu: Cpu, content: bytes) -> None:
        self.cpu, self.content = cpu, content

    def wait(self) -> bytes:
        self.cpu.waited += 1
        return self.content


@functools.cache
def library(what: Specialisation) -> Any:
    """Return a kernel compiled for the CPU."""
    with tempfile.TemporaryDirectory(prefix="fastseg-cuda-") as name:
        loaded = ctypes.CDLL(str(built(what, Path(name))))  # it stays when its file goes
    loaded.run.argtypes = [ctypes.c_char_p, *(ctypes.c_uint,) * 4]
    loaded.run.restype = None
    return loaded


def built(what: Specialisation, folder: Path) -> Path:
    """Compile a kernel for the CPU, into a folder, and return the file of the library."""
    key = hashlib.sha256(repr(what).encode()).hexdigest()[:16]
    source, target = folder / f"{key}.cpp", folder / f"{key}.so"
    source.write_text(
        f'#include "{HERE / "cuda_on_cpu.h"}"\n#include "{SOURCES / what.name}.cuh"\n'
        f"static void body(const void *job) {{ {what.name}(*(const Job *)job); }}\n"
        f'extern "C" const char *name_of_kernel = "{what.name}";\n'
        'extern "C" void run(const void *job, unsigned x, unsigned y, unsigned threads, unsigned bytes) '
        "{ cpu::run_grid(body, job, {x, y, 1}, threads, bytes); }\n"
    )
    flags = ["-std=c++17", "-O1", "-w", "-shared", "-fPIC", "-U_FORTIFY_SOURCE"]
    subprocess.run(["g++", *flags, *what.options, str(source), "-o", str(target)], check=True)
    return target


def run_on_cpu(monkeypatch: pytest.MonkeyPatch) -> Cpu:
    """Let a test's kernels run on the CPU; skip it where they cannot be compiled for it."""
    if shutil.which("g++") is None:
        pytest.skip("needs g++, which pip does not install")
    found = Cpu()
    monkeypatch.setattr(driver, "_driver", found)
    return found
