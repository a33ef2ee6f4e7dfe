"""Kernels of the CUDA backend on the CPU as NVIDIA's compiler made them: their PTX, run an instruction at a time.

Where their own text is compiled for the CPU (on_cpu.py), the compiler for GPUs has no part, nor has what is in the text for
GPUs alone. Here both have, and what a CPU forgives is an error: misaligned vectors, races within shared memory, addresses
beyond it, and parameters that are not there. What an instruction does is compiled by g++ when it is first met.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.cuda.on_cpu import Cpu, Tensor
from support.cuda.ptx_meaning import Kind, meaning
from support.cuda.ptx_text import Instruction, Program, parsed

from fastseg.kernels.cuda import driver
from fastseg.kernels.cuda.compiler import Specialisation, sources, translated
from fastseg.kernels.protocols.device import Device

__all__ = ["PtxCpu", "PtxFaultError", "needs_compilers", "ptx", "run_ptx", "run_ptx_on_cpu"]

HERE = Path(__file__).parent
#: More instructions than any block needs.
MOST_STEPS = 1 << 29


class PtxFaultError(AssertionError):
    """What a GPU would not do, or do wrong."""


class PtxCpu(Cpu):
    """The driver of a GPU that is a CPU which runs PTX."""

    def __init__(self, *options: str, changed: Callable[[str], str] = str, multiprocessors: int = 2) -> None:
        super().__init__(multiprocessors)
        self.options, self.changed = options, changed
        self.lent: list[Any] = []
        self.room = 0, 0

    def tensor(self, array: Any) -> Tensor:
        """Return an array on this GPU; kernels may look at no other memory from then on, but for their own."""
        self.lent.append(array)
        return Tensor(array)

    @property
    def known(self) -> list[tuple[int, int]]:
        """Where the memory begins and ends that kernels may look at; any where there is none."""
        return [*map(np.lib.array_utils.byte_bounds, self.lent + self.uploaded), self.room] if self.lent else []

    def zeros(self, size: int, device: Device, beyond: int = 0) -> int:
        pointer = super().zeros(size, device, beyond)
        self.room = pointer, pointer + size + beyond
        return pointer

    def run(self, what: Specialisation, job: bytes, grid: tuple[int, int], shared_bytes: int) -> None:
        text = self.changed(ptx(what, *self.options))
        run_ptx(text, job, grid, int(dict(what.macros)["THREADS"]), shared_bytes, self.known)


def run_ptx_on_cpu(monkeypatch: pytest.MonkeyPatch, *options: str, changed: Callable[[str], str] = str) -> PtxCpu:
    """Let a test's kernels run from PTX."""
    needs_compilers()
    found = PtxCpu(*options, changed=changed)
    monkeypatch.setattr(driver, "_driver", found)
    return found


def needs_compilers() -> None:
    """Skip a test where there is no compiler for CPUs, or none for GPUs."""
    if shutil.which("g++") is None:
        pytest.skip("needs g++, which pip does not install")
    if importlib.util.find_spec("cuda") is None:
        pytest.skip("needs NVIDIA's compiler: pip install 'fastseg-metrics[cuda13]'")


@functools.cache
def ptx(what: Specialisation, *more: str) -> str:
    """Return a kernel as NVRTC gives it before it is machine code."""
    return translated(what, sources(), "PTX", "compute_90", *more).code.decode().rstrip("\0")


def run_ptx(
    text: str,
    job: bytes,
    grid: tuple[int, int],
    threads: int,
    shared_bytes: int = 0,
    known: Sequence[tuple[int, int]] = (),
) -> None:
    """Run a kernel's blocks; `known` is where the memory begins and ends that it may look at, any where there is none.

    Raises
    ------
    PtxFaultError
        Where a thread does what it must not, or the kernel has parameters beyond those given.
    """
    loaded = _loaded(text)
    program = loaded.program
    if len(job) < program.param_bytes:
        raise PtxFaultError(f"{len(job)} bytes of parameters for a kernel that has {program.param_bytes}")
    images = [(ctypes.addressof(image), ctypes.addressof(image) + len(image)) for image in loaded.images.values()]
    ranges = [each for pair in (*known, *images) for each in pair] if known else []
    where, memory = (ctypes.c_uint32 * 2)(), (ctypes.c_uint64 * len(ranges))(*ranges)
    launch = _Launch(job, ctypes.addressof(memory), *grid, threads, shared_bytes, len(ranges) // 2, MOST_STEPS)
    said = _machine().run(ctypes.byref(loaded.pointers), ctypes.byref(launch), where)
    if said:
        at = program.instructions[where[0]]
        raise PtxFaultError(f"{said.decode()}: thread {where[1]}, line {at.line}: {at.text}")


# ---- What the machine is told: the structures of ptx_machine.cpp


class _Program(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("instructions", "operands", "constants", "met")),
        *((name, ctypes.c_uint32) for name in (
            "constant_count", "cells", "begin", "local_bytes", "shared_bytes", "param_bytes")),
    ]  # fmt: skip


class _Launch(ctypes.Structure):
    _fields_ = [
        ("job", ctypes.c_char_p),
        ("known", ctypes.c_void_p),
        *((name, ctypes.c_uint32) for name in ("x", "y", "threads", "shared_bytes", "known_count")),
        ("most_steps", ctypes.c_uint64),
    ]


class _Instruction(ctypes.Structure):
    _fields_ = [
        ("run", ctypes.c_void_p),
        *((name, ctypes.c_int32) for name in ("kind", "guard", "negated", "operands")),
    ]


class _Constant(ctypes.Structure):
    _fields_ = [("value", ctypes.c_uint64), ("cell", ctypes.c_int32), ("base", ctypes.c_int32)]


class _Loaded:
    """A program in memory."""

    def __init__(self, program: Program) -> None:
        self.program, given = program, program.instructions
        meanings = [meaning(each) for each in given]
        _compile(part for _, part in meanings if part)
        self.images = {name: (ctypes.c_char * len(image)).from_buffer(image) for name, image in program.images.items()}
        instructions, cells = (_Instruction * len(given))(), list[int]()
        for place, each, (kind, part) in zip(instructions, given, meanings, strict=True):
            place.run, place.kind = _compiled.get(part), kind
            place.guard, place.negated, place.operands = each.guard, each.negated, len(cells)
            cells += each.cells[-1:] + each.cells[:-1] if kind is Kind.TOGETHER else each.cells  # the mask comes first
        constants = [
            (value % (1 << 64), cell, base)
            for value, cell, base in program.loaded(
                {name: ctypes.addressof(image) for name, image in self.images.items()}
            )
        ]
        self.kept = (
            instructions,
            (ctypes.c_int32 * len(cells))(*cells),
            (_Constant * len(constants))(*constants),
            (ctypes.c_uint8 * len(given))(),
        )
        self.pointers = _Program(
            *map(ctypes.addressof, self.kept), len(constants), program.cells, program.begin, program.local_bytes,
            program.shared_bytes, program.param_bytes,
        )  # fmt: skip

    def never_met(self) -> list[Instruction]:
        """Return the instructions that no thread has come to."""
        return [each for each, met in zip(self.program.instructions, self.kept[-1], strict=True) if not met]


@functools.cache
def _loaded(text: str) -> _Loaded:
    return _Loaded(parsed(text))


# ---- What g++ makes

#: Addresses of what instructions do, by their C++; and the libraries in which they are.
_compiled: dict[str, int] = {}
_libraries: list[Any] = []


def _compile(parts: Iterable[str]) -> None:
    """Compile what instructions do that was not met before."""
    new = sorted({part for part in parts if part not in _compiled})
    if not new:
        return
    given = ["Group &w" if part.endswith("(w)") else "Machine &m, u64 *r, const s32 *o" for part in new]
    functions = [f'extern "C" void part_{k}({given[k]}) {{ {part}; }}\n' for k, part in enumerate(new)]
    library = _built('#include "ptx_warps.h"\n' + "".join(functions))
    _libraries.append(library)
    for k, part in enumerate(new):
        _compiled[part] = ctypes.cast(library[f"part_{k}"], ctypes.c_void_p).value or 0


@functools.cache
def _machine() -> Any:
    library = _built((HERE / "ptx_machine.cpp").read_text())
    library.run.restype = ctypes.c_char_p
    return library


def _built(source: str) -> Any:
    with tempfile.TemporaryDirectory(prefix="fastseg-ptx-") as name:
        file, target = Path(name, "source.cpp"), Path(name, "library.so")
        file.write_text(source)
        flags = ["-std=c++17", "-O1", "-w", "-shared", "-fPIC", "-ffp-contract=off", "-frounding-math", f"-I{HERE}"]
        subprocess.run(["g++", *flags, str(file), "-o", str(target)], check=True)
        return ctypes.CDLL(str(target))  # it stays when its file goes
