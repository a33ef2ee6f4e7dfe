"""How every kernel is compiled: one set of Numba flags, one cache policy."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from numba.core.caching import FunctionCache, IndexDataCacheFile

from fastseg.kernels.loading import loading
from fastseg.kernels.numba.switch import DISABLED

__all__ = ["Kernel", "cache_folder", "device", "kernel"]


#: Arrays are their caller's for the time of a call, so kernels count no references; and only Python calls them, as Python.
_OPTIONS = {"nogil": True, "_nrt": False, "no_cfunc_wrapper": True}


def device(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a helper that kernels call; it is inlined into them and not cached by itself."""
    compiled: Callable[..., Any] = njit(**_OPTIONS, no_cpython_wrapper=True)(function)
    return compiled


def kernel(function: Callable[..., Any]) -> Kernel:
    """Compile `function` without the GIL, once for each signature asked for, cached on disk where that is safe."""
    return Kernel(function)


class Kernel:
    """A Numba function with explicit signatures, so that read-only, unaligned and plain arrays share one compilation.

    Without an `entry` Python cannot call it, only another kernel.
    """

    def __init__(self, function: Callable[..., Any], entry: bool = True) -> None:
        self.function, self.entry = function, entry
        self._compiled: dict[tuple[Any, ...], Callable[..., Any]] = {}
        self.__doc__ = function.__doc__

    def specialise(self, *signature: Any) -> Callable[..., Any]:
        """Return the compiled function for one tuple of Numba types, compiling it at the first request."""
        found = self._compiled.get(signature)
        return found if found is not None else self._compile(signature)

    def address(self, *signature: Any) -> int:
        """Return where the compiled function for one tuple of Numba types lies."""
        with loading():
            compiled = self.specialise(*signature).overloads[signature]  # type: ignore[attr-defined]
            return int(compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name))

    def _compile(self, signature: tuple[Any, ...]) -> Callable[..., Any]:
        with loading():
            if signature not in self._compiled:
                if DISABLED:  # NumPy's scalars warn where machine words wrap around
                    self._compiled[signature] = np.errstate(over="ignore", invalid="ignore")(self.function)
                else:
                    dispatcher = njit(**_OPTIONS, no_cpython_wrapper=not self.entry)(self.function)
                    dispatcher._cache = _open_cache(self.function) or dispatcher._cache
                    dispatcher.compile(signature)
                    dispatcher.disable_compile()
                    self._compiled[signature] = dispatcher
            return self._compiled[signature]


def _open_cache(function: Callable[..., Any]) -> FunctionCache | None:
    """Return the disk cache for a kernel, or None where there is no folder that only this user can write."""
    try:
        cache = _Cache(function)
        cache._impl.locator.ensure_cache_path()
        if not _trusted(Path(cache.cache_path)):
            return None
    except (RuntimeError, OSError):
        return None
    return cache


def _trusted(folder: Path) -> bool:
    """Tell whether pickles may be read from `folder`: nobody but this user, their own group and root may write there."""
    if os.name != "posix":
        return True
    status = folder.stat()
    by_others = status.st_mode & (0o002 if status.st_gid in (os.getgid(), 0) else 0o022)
    return status.st_uid in (os.getuid(), 0) and not by_others


def _source_stamp() -> str:
    """Hash the sources of all kernels, in every folder of them: Numba alone would not notice a change in a helper's file."""
    digest = hashlib.sha256()
    folder = Path(__file__).parents[1]
    for source in sorted(folder.rglob("*.py")):
        digest.update(source.relative_to(folder).as_posix().encode() + source.read_bytes())
    return digest.hexdigest()


class _CheckedFile(IndexDataCacheFile):
    """Cached machine code with a checksum before it: code that one bit was lost of would kill the process.

    With it stands for which types it is: of two processes that write at once, the index may be one's and the code the other's.
    """

    def save(self, key: Any, data: Any) -> None:
        super().save(key, (key, data))

    def load(self, key: Any) -> Any:
        found = super().load(key)
        return found[1] if found is not None and found[0] == key else None

    def _save_data(self, name: str, data: Any) -> None:
        content = self._dump(data)
        with self._open_for_write(self._data_path(name)) as file:
            file.write(hashlib.sha256(content).digest() + content)

    def _load_data(self, name: str) -> Any:
        stored = Path(self._data_path(name)).read_bytes()
        if hashlib.sha256(stored[32:]).digest() != stored[:32]:
            raise ValueError("the cached kernel is damaged")
        return pickle.loads(stored[32:])


class _Cache(FunctionCache):
    """Numba's disk cache, except that no state of the disk makes a call fail: at worst the kernel is compiled again."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self._cache_file = _CheckedFile(
            cache_path=self._cache_path,
            filename_base=self._impl.filename_base,
            source_stamp=(self._impl.locator.get_source_stamp(), _source_stamp()),
        )

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # a truncated or foreign file can raise anything while it is unpickled
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except Exception:  # a full or read-only disk, or a corrupt index: go on without
            try:
                self.flush()
                super().save_overload(sig, data)
            except Exception:
                return


def cache_folder(kernel: Kernel) -> str | None:
    """Return where a kernel is kept once it is compiled, or None where it is not."""
    cache = _open_cache(kernel.function)
    return None if cache is None else str(cache.cache_path)
