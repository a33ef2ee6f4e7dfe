"""The few things that are asked of a GPU, through NVIDIA's driver: load a kernel, launch it, move some numbers."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple, Protocol

import numpy.typing as npt

from fastseg.kernels.cuda.compiler import Specialisation, compiled
from fastseg.kernels.protocols.device import Device

__all__ = ["Driver", "Limits", "Nvidia", "driver"]

Array = npt.NDArray[Any]


class Limits(NamedTuple):
    """What a GPU has."""

    multiprocessors: int
    shared_bytes: int
    """Most shared memory of a block that asks for much."""


class Driver(Protocol):
    """What kernels are run by: a GPU's driver, or in tests the CPU."""

    turn: AbstractContextManager[Any]
    """Held from the first call to the last that belong together, as what `zeros` returns is used again."""

    def limits(self, device: Device) -> Limits:
        """Return what a GPU has."""
        ...

    def launch(
        self, what: Specialisation, device: Device, grid: tuple[int, int], shared_bytes: int, job: bytes
    ) -> None:
        """Run a kernel of one argument, a structure, on the device's stream, without waiting for it."""
        ...

    def zeros(self, size: int, device: Device, beyond: int = 0) -> int:
        """Return the address of so many zero bytes, and of `beyond` more that hold anything.

        They are the stream's own: the next call on it may use them again.
        """
        ...

    def write(self, pointer: int, content: bytes, device: Device) -> None:
        """Copy some bytes to the device's memory, once all work before on the stream is done with them."""
        ...

    def upload(self, array: Array, device: Device) -> int:
        """Return the address of a copy of a small array, which is kept for the next time."""
        ...

    def download(self, pointer: int, size: int, device: Device) -> bytearray:
        """Return bytes of the device's memory once all work before on the stream is done."""
        ...

    def fetch(self, pointer: int, size: int, device: Device) -> Fetched:
        """Have bytes of the device's memory copied in the order of the stream, without waiting for them."""
        ...


class Fetched(Protocol):
    """Bytes that are on their way from a GPU."""

    def wait(self) -> bytes:
        """Return them once all work on their stream is done; the same each time."""
        ...


class Nvidia:
    """The driver of NVIDIA's GPUs, through cuda.bindings."""

    def __init__(self) -> None:
        try:
            from cuda.bindings import driver as cuda
        except ImportError as error:
            raise RuntimeError(
                "arrays on a GPU need NVIDIA's bindings: pip install 'fastseg-metrics[cuda13]' (or [cuda12], by the driver's "
                "CUDA)"
            ) from error
        self.cuda = cuda
        try:
            self._call(cuda.cuInit(0))
        except Exception as error:  # no driver, or none that this version of the bindings knows
            raise RuntimeError(
                f"arrays on a GPU need NVIDIA's driver, which cannot be used here: {error}; update it, or pass .cpu() arrays"
            ) from error
        self._contexts: dict[int, Any] = {}
        self._limits: dict[int, Limits] = {}
        self._kernels: dict[tuple[int, Specialisation], Any] = {}
        self._room: dict[tuple[int, int], tuple[int, int]] = {}
        self._uploads: dict[tuple[int, bytes], int] = {}
        self._pinned: dict[tuple[int, int, int], list[int]] = {}
        self._in_graphs: set[tuple[int, int]] = set()
        self.turn: AbstractContextManager[Any] = threading.RLock()

    def limits(self, device: Device) -> Limits:
        """Return what a GPU has."""
        found = self._limits.get(device.index)
        if found is None:
            names = self.cuda.CUdevice_attribute
            found = self._limits[device.index] = Limits(
                self._attribute(names.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, device),
                self._attribute(names.CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, device),
            )
        return found

    def launch(
        self, what: Specialisation, device: Device, grid: tuple[int, int], shared_bytes: int, job: bytes
    ) -> None:
        """Run a kernel on the device's stream, without waiting for it."""
        with self._on(device):
            function = self._kernel(what, device)
            argument = ctypes.create_string_buffer(job, len(job))
            pointers = (ctypes.c_void_p * 1)(ctypes.addressof(argument))
            self._call(
                self.cuda.cuLaunchKernel(
                    function,
                    *grid,
                    1,
                    dict(what.macros)["THREADS"],
                    1,
                    1,
                    shared_bytes,
                    device.stream,
                    ctypes.addressof(pointers),
                    0,
                )
            )

    def zeros(self, size: int, device: Device, beyond: int = 0) -> int:
        """Return the address of so many zero bytes of the stream's own, and of others beyond."""
        with self._on(device):
            key = (device.index, device.stream)
            pointer, room = self._room.get(key, (0, 0))
            if self._capturing(device):
                self._in_graphs.add(key)
            if room < size + beyond:
                if pointer and key not in self._in_graphs:
                    self._call(self.cuda.cuMemFree(pointer))  # which waits for all work on the device
                self._room.pop(key, None)
                pointer, room = int(self._call(self.cuda.cuMemAlloc(size + beyond))), size + beyond
                self._room[key] = (pointer, room)
            if size:
                self._call(self.cuda.cuMemsetD8Async(pointer, 0, size, device.stream))
            return pointer

    def write(self, pointer: int, content: bytes, device: Device) -> None:
        """Copy some bytes to the device's memory, in the order of the stream; they are taken before this returns."""
        with self._on(device):
            self._call(self.cuda.cuMemcpyHtoDAsync(pointer, content, len(content), device.stream))

    def upload(self, array: Array, device: Device) -> int:
        """Return the address of a copy of a small array."""
        content = array.tobytes()
        with self._on(device):
            pointer = self._uploads.get((device.index, content))
            if pointer is None:
                pointer = int(self._call(self.cuda.cuMemAlloc(max(1, len(content)))))
                self._call(self.cuda.cuMemcpyHtoD(pointer, content, len(content)))
                self._uploads[device.index, content] = pointer
            return pointer

    def download(self, pointer: int, size: int, device: Device) -> bytearray:
        """Return bytes of the device's memory once all work before on the stream is done."""
        host = bytearray(size)
        with self._on(device):
            room = (ctypes.c_char * size).from_buffer(host)
            self._call(self.cuda.cuMemcpyDtoHAsync(ctypes.addressof(room), pointer, size, device.stream))
            self._call(self.cuda.cuStreamSynchronize(device.stream))
        return host

    def fetch(self, pointer: int, size: int, device: Device) -> Fetched:
        """Have bytes copied to memory of the CPU that the GPU can write to while nobody waits."""
        with self._on(device):
            room = 1 << max(12, (size - 1).bit_length())  # few sizes, so that memory is used again
            free = self._pinned.setdefault((device.index, device.stream, room), [])
            host = free.pop() if free else int(self._call(self.cuda.cuMemAllocHost(room)))
            self._call(self.cuda.cuMemcpyDtoHAsync(host, pointer, size, device.stream))
            # Memory that a graph writes to whenever it is launched is nobody else's from now on.
            return _Copy(self, host, size, device, [] if self._capturing(device) else free)

    def finish(self, device: Device) -> None:
        """Wait for all work on the device's stream."""
        with self._on(device):
            self._call(self.cuda.cuStreamSynchronize(device.stream))

    def _capturing(self, device: Device) -> bool:
        """Tell whether the stream's work goes into a graph, and is not done."""
        if not device.stream:
            return False
        none = self.cuda.CUstreamCaptureStatus.CU_STREAM_CAPTURE_STATUS_NONE
        return bool(self._call(self.cuda.cuStreamIsCapturing(device.stream)) != none)

    @contextmanager
    def _on(self, device: Device) -> Iterator[None]:
        """Work in the context of a device that all libraries share, and leave the caller's as it was."""
        with self.turn:
            context = self._contexts.get(device.index)
            if context is None:
                handle = self._call(self.cuda.cuDeviceGet(device.index))
                context = self._contexts[device.index] = self._call(self.cuda.cuDevicePrimaryCtxRetain(handle))
            self._call(self.cuda.cuCtxPushCurrent(context))
            try:
                yield
            finally:
                self._call(self.cuda.cuCtxPopCurrent())

    def _kernel(self, what: Specialisation, device: Device) -> Any:
        function = self._kernels.get((device.index, what))
        if function is None:
            names = self.cuda.CUdevice_attribute
            major = self._attribute(names.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device)
            minor = self._attribute(names.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device)
            module = self._call(self.cuda.cuModuleLoadData(compiled(what, f"sm_{major}{minor}").code))
            function = self._call(self.cuda.cuModuleGetFunction(module, what.name.encode()))
            most = self.cuda.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
            static = self.cuda.CUfunction_attribute.CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES
            used = int(self._call(self.cuda.cuFuncGetAttribute(static, function)))
            self._call(self.cuda.cuFuncSetAttribute(function, most, self.limits(device).shared_bytes - used))
            self._kernels[device.index, what] = function
        return function

    def _attribute(self, which: Any, device: Device) -> int:
        return int(self._call(self.cuda.cuDeviceGetAttribute(which, self._call(self.cuda.cuDeviceGet(device.index)))))

    def _call(self, result: tuple[Any, ...]) -> Any:
        status, *values = result
        if status != self.cuda.CUresult.CUDA_SUCCESS:
            raise RuntimeError(f"the GPU's driver failed: {getattr(status, 'name', status)}")
        return values[0] if len(values) == 1 else tuple(values)


class _Copy:
    """Bytes in memory of the CPU that a GPU writes to; the memory goes to `free` afterwards."""

    def __init__(self, owner: Nvidia, host: int, size: int, device: Device, free: list[int]) -> None:
        self.owner, self.host, self.size, self.device, self.free = owner, host, size, device, free
        self.content: bytes | None = None

    def wait(self) -> bytes:
        with self.owner.turn:
            if self.content is None:
                self.owner.finish(self.device)
                self.content = ctypes.string_at(self.host, self.size)
                self.free.append(self.host)
            return self.content

    def __del__(self) -> None:
        if self.content is None:
            self.free.append(self.host)  # what comes next is written in the order of the same stream


_driver: Driver | None = None
_lock = threading.Lock()


def driver() -> Driver:
    """Return what kernels are run by.

    Raises
    ------
    RuntimeError
        If there is no driver, or the packages that call it are not installed; the message says what to do.
    """
    global _driver
    with _lock:
        if _driver is None:
            _driver = Nvidia()
        return _driver
