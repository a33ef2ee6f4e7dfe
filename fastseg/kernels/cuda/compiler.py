"""CUDA C++ to machine code by NVRTC, which needs no GPU; kept on disk, so that it is compiled once."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from fastseg.kernels.protocols.device import NoDevice

__all__ = ["SOURCES", "Compiled", "Specialisation", "compiled", "compiler_version", "sources", "translated"]

SOURCES = Path(__file__).parent / "sources"
#: Where kernels are kept, if not in the user's folder for caches.
_CACHE = "FASTSEG_CUDA_CACHE"


class Specialisation(NamedTuple):
    """A kernel, and what is fixed when it is compiled."""

    name: str
    """Of the function, and of the file in `SOURCES` without its suffix."""
    macros: tuple[tuple[str, str | int], ...]

    @property
    def options(self) -> tuple[str, ...]:
        """The macros as a compiler is told them."""
        return tuple(f"-D{name}={value}" for name, value in self.macros)


class Compiled(NamedTuple):
    """Machine code or PTX, and what the assembler said of registers and spills ("" where the code was kept from before)."""

    code: bytes
    log: str


def sources() -> dict[str, str]:
    """Return the text of every source by the name of its file."""
    return {file.name: file.read_text() for file in sorted(SOURCES.glob("*.cuh"))}


def compiled(what: Specialisation, architecture: str, keep: bool = True) -> Compiled:
    """Return a kernel as machine code of an architecture such as "sm_90".

    Raises
    ------
    NoDevice
        If it does not compile, or there is no compiler.
    """
    texts, more = sources(), "--ptxas-options=-v"
    key = hashlib.sha256(repr((what, _options(what, architecture, more), _nvrtc()[1], texts)).encode()).hexdigest()
    folder = _folder() if keep else None
    file = None if folder is None else folder / f"{what.name}-{architecture}-{key[:32]}.cubin"
    if file is not None and (found := _read(file)) is not None:
        return Compiled(found, "")
    made = translated(what, texts, "CUBIN", architecture, more)
    if file is not None:
        _write(file, made.code)
    return made


def translated(what: Specialisation, texts: dict[str, str], form: str, architecture: str, *more: str) -> Compiled:
    """Return a kernel of these sources in a form that NVRTC has: a "CUBIN" of "sm_90" for example, or "PTX" of "compute_90".

    Raises
    ------
    NoDevice
        If it does not compile, or there is no compiler.
    """
    nvrtc, _ = _nvrtc()
    options = _options(what, architecture, *more)
    names = [name for name in texts if name != f"{what.name}.cuh"]
    program = _call(
        nvrtc,
        nvrtc.nvrtcCreateProgram(
            texts[f"{what.name}.cuh"].encode(),
            f"{what.name}.cuh".encode(),
            len(names),
            [texts[name].encode() for name in names],
            [name.encode() for name in names],
        ),
    )
    try:
        (status,) = nvrtc.nvrtcCompileProgram(program, len(options), [option.encode() for option in options])
        log = _text(nvrtc, program, "ProgramLog")
        if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
            raise NoDevice(f"the CUDA kernel {what.name} does not compile for {architecture}:\n{log.decode()}")
        return Compiled(_text(nvrtc, program, form), log.decode(errors="replace"))
    finally:
        nvrtc.nvrtcDestroyProgram(program)


def _options(what: Specialisation, architecture: str, *more: str) -> tuple[str, ...]:
    return (*what.options, f"--gpu-architecture={architecture}", "--std=c++17", *more)


def compiler_version() -> str:
    """Return the version of NVRTC, such as "13.0"."""
    return ".".join(map(str, _nvrtc()[1]))


def _nvrtc() -> tuple[Any, Any]:
    """Return the compiler, and its version."""
    try:
        from cuda.bindings import nvrtc

        version = nvrtc.nvrtcVersion()
    except (ImportError, RuntimeError) as error:  # not installed, or the bindings are and their library is not
        raise NoDevice(
            "arrays on a GPU need NVIDIA's compiler: pip install 'fastseg-metrics[cuda13]' (or [cuda12], by the driver's CUDA)"
        ) from error
    return nvrtc, _call(nvrtc, version)


def _call(nvrtc: Any, result: tuple[Any, ...]) -> Any:
    status, *values = result
    if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        raise RuntimeError(f"NVRTC failed: {status}")
    return values[0] if len(values) == 1 else tuple(values)


def _text(nvrtc: Any, program: Any, what: str) -> bytes:
    size = _call(nvrtc, getattr(nvrtc, f"nvrtcGet{what}Size")(program))
    text = b" " * (size + 1)  # one more, as Python has but one object for each text of one byte, and this is written to
    _call(nvrtc, getattr(nvrtc, f"nvrtcGet{what}")(program, text))
    return text[:size]


def _folder() -> Path | None:
    """Return where kernels are kept; None for a user without a home."""
    chosen = os.environ.get(_CACHE)
    if chosen:
        return Path(chosen)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fastseg" / "cuda"
    except RuntimeError:
        return None


def _read(file: Path) -> bytes | None:
    """Return what was kept, None where nothing was or it is damaged: machine code that lost a bit may do anything."""
    try:
        content = file.read_bytes()
    except OSError:
        return None
    return content[32:] if hashlib.sha256(content[32:]).digest() == content[:32] else None


def _write(file: Path, code: bytes) -> None:
    """Keep machine code, whole or not at all; a disk that is full or read-only is no reason to fail."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(dir=file.parent)
        try:
            with os.fdopen(handle, "wb") as part:
                part.write(hashlib.sha256(code).digest() + code)
            os.replace(name, file)
        except OSError:
            os.unlink(name)
    except OSError:
        return
