"""The few things that are asked of a GPU, through NVIDIA's driver: load a kernel, launch it, move some numbers."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple, Protocol

import numpy.typing as npt

from fastseg.kernels.cuda.compiler import Specialisation, compiled
from fastseg.kernels.cuda.turns import Copy, Pinned, Turn
from fastseg.kernels.protocols.device import Device, NoDevice

__all__ = ["Driver", "Limits", "Nvidia", "driver", "index_of", "usable"]

Array = npt.NDArray[Any]
#: Streams that work space is kept for, and how large memory of the CPU may be that is kept to be written to again.
_MOST_STREAMS, _MOST_PINNED = 32, 32 << 20
#: CUDA's handles of the default stream.
_DEFAULT = (0, 1)


class Limits(NamedTuple):
    """What a GPU has."""

    multiprocessors: int
    shared_bytes: int
    """Most shared memory of a block that asks for much."""


class Driver(Protocol):
    """What kernels are run by: a GPU's driver, or in tests the CPU."""

    def at(self, device: Device) -> AbstractContextManager[Any]:
        """Let the calls within it belong together: nobody else's come between, as what `zeros` returns is used again."""
        ...

    def limits(self, device: Device) -> Limits:
        """Return what a GPU has."""
        ...

    def index_of(self, pointer: int) -> int:
        """Return which GPU an address belongs to."""
        ...

    def launch(
        self, what: Specialisation, device: Device, grid: tuple[int, int], shared_bytes: int, job: bytes
    ) -> None:
        """Run a kernel of one argument, a structure, on the device's stream, without waiting for it."""
        ...

    def zeros(self, size: int, device: Device, beyond: int = 0) -> int:
        """Return the address of so many zero bytes, and of `beyond` more that hold anything.

        They are the stream's own: the next call on it may use them again. It is the first of the calls that belong together:
        all of them come after what the arrays' other streams have to do by now.
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
            raise NoDevice(
                "arrays on a GPU need NVIDIA's bindings: pip install 'fastseg-metrics[cuda13]' (or [cuda12], by the driver's "
                "CUDA)"
            ) from error
        self.cuda = cuda
        try:
            self._call(cuda.cuInit(0))
        except Exception as error:  # no driver, or none that this version of the bindings knows
            raise NoDevice(
                f"arrays on a GPU need NVIDIA's driver, which cannot be used here: {error}; update it, or pass .cpu() arrays"
            ) from error
        self._contexts: dict[int, Any] = {}
        self._limits: dict[int, Limits] = {}
        self._kernels: dict[tuple[int, Specialisation], Any] = {}
        self._room: dict[tuple[int, int], tuple[int, int]] = {}
        self._uploads: dict[tuple[int, bytes], int] = {}
        self._uploading: dict[int, Any] = {}
        self._pinned: dict[tuple[int, int, int], list[Pinned]] = {}
        self._in_graphs: set[tuple[int, int]] = set()
        self.turn = threading.RLock()
        self.here: int | None = None  # whose context is the current one of the thread that has its turn

    def at(self, device: Device) -> AbstractContextManager[Any]:
        """Let the calls within it belong together, in the context of the device."""
        return Turn(self, device.index)

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
        with self.at(device):
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

    def index_of(self, pointer: int) -> int:
        """Return which GPU an address belongs to; 0 of no address."""
        ordinal = self.cuda.CUpointer_attribute.CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL
        return int(self._call(self.cuda.cuPointerGetAttribute(ordinal, pointer))) if pointer else 0

    def zeros(self, size: int, device: Device, beyond: int = 0) -> int:
        """Return the address of so many zero bytes of the stream's own, and of others beyond."""
        with self.at(device):
            self._wait_for_others(device)
            key = (device.index, device.stream)
            pointer, room = self._room.pop(key, (0, 0))
            if self._capturing(device):
                self._in_graphs.add(key)
            if room < size + beyond:
                with self._allocating():
                    if pointer and key not in self._in_graphs:
                        self._call(self.cuda.cuMemFree(pointer))  # which waits for all work on the device
                    pointer, room = int(self._call(self.cuda.cuMemAlloc(size + beyond))), size + beyond
                    self._forget_a_stream()
            self._room[key] = (pointer, room)  # the last one
            if size:
                self._call(self.cuda.cuMemsetD8Async(pointer, 0, size, device.stream))
            return pointer

    def write(self, pointer: int, content: bytes, device: Device) -> None:
        """Copy some bytes to the device's memory, in the order of the stream; they are taken before this returns."""
        with self.at(device):
            self._call(self.cuda.cuMemcpyHtoDAsync(pointer, content, len(content), device.stream))

    def upload(self, array: Array, device: Device) -> int:
        """Return the address of a copy of a small array, which is there when this returns, for all streams."""
        content = array.tobytes()
        with self.at(device):
            pointer = self._uploads.get((device.index, content))
            if pointer is None:
                stream = self._uploading.get(device.index)
                if stream is None:  # one that waits for nobody's work
                    flags = int(self.cuda.CUstream_flags.CU_STREAM_NON_BLOCKING)
                    stream = self._uploading[device.index] = self._call(self.cuda.cuStreamCreate(flags))
                with self._allocating():
                    pointer = int(self._call(self.cuda.cuMemAlloc(max(1, len(content)))))
                    self._call(self.cuda.cuMemcpyHtoDAsync(pointer, content, len(content), stream))
                    self._call(self.cuda.cuStreamSynchronize(stream))
                self._uploads[device.index, content] = pointer
            return pointer

    def download(self, pointer: int, size: int, device: Device) -> bytearray:
        """Return bytes of the device's memory once all work before on the stream is done."""
        host = bytearray(size)
        with self.at(device):
            room = (ctypes.c_char * size).from_buffer(host)
            self._call(self.cuda.cuMemcpyDtoHAsync(ctypes.addressof(room), pointer, size, device.stream))
            self._call(self.cuda.cuStreamSynchronize(device.stream))
        return host

    def fetch(self, pointer: int, size: int, device: Device) -> Fetched:
        """Have bytes copied to memory of the CPU that the GPU can write to while nobody waits."""
        with self.at(device):
            room = 1 << max(12, (size - 1).bit_length())  # few sizes, so that memory is used again
            free = self._pinned.setdefault((device.index, device.stream, room), [])
            host = free.pop() if free else self._new_pinned(room)
            in_graph = self._capturing(device)
            if in_graph:  # what the memory held before is no result, should somebody ask before the graph is launched
                ctypes.memset(host.pointer, 0, size)
            self._call(self.cuda.cuMemcpyDtoHAsync(host.pointer, pointer, size, device.stream))
            if in_graph:
                # Memory that a graph writes to whenever it is launched is nobody else's from now on, and there is no moment
                # at which it is written.
                return Copy(self, host, size, device, in_graph)
            self._call(self.cuda.cuEventRecord(host.written, device.stream))
            return Copy(self, host, size, device, in_graph)

    def wait(self, copy: Copy) -> None:
        """Wait until a copy is there; others may work on meanwhile."""
        self.push(copy.device.index)
        try:
            if copy.in_graph:
                self._call(self.cuda.cuCtxSynchronize())  # a graph may be launched on any stream
            else:
                self._call(self.cuda.cuEventSynchronize(copy.host.written))
        finally:
            self.pop()

    def give_back(self, copy: Copy) -> None:
        """Keep the memory of a copy that was read for the next one, unless it is large."""
        with self.at(copy.device):
            host = copy.host
            if host.room > _MOST_PINNED:
                self._call(self.cuda.cuEventDestroy(host.written))
                self._call(self.cuda.cuMemFreeHost(host.pointer))
            else:
                self.pinned(copy).append(host)

    def pinned(self, copy: Copy) -> list[Pinned]:
        """Return where memory of that size waits to be written to again, in the order of the same stream."""
        return self._pinned[copy.device.index, copy.device.stream, copy.host.room]

    def _new_pinned(self, room: int) -> Pinned:
        with self._allocating():
            untimed = int(self.cuda.CUevent_flags.CU_EVENT_DISABLE_TIMING)
            event = self._call(self.cuda.cuEventCreate(untimed))
            return Pinned(int(self._call(self.cuda.cuMemAllocHost(room))), room, event)

    def _wait_for_others(self, device: Device) -> None:
        """Let what comes next on the stream wait for what the arrays' other streams have to do by now."""
        for other in device.others:
            event = self._call(self.cuda.cuEventCreate(int(self.cuda.CUevent_flags.CU_EVENT_DISABLE_TIMING)))
            self._call(self.cuda.cuEventRecord(event, other))
            self._call(self.cuda.cuStreamWaitEvent(device.stream, event, 0))
            self._call(self.cuda.cuEventDestroy(event))  # once it is over

    def _forget_a_stream(self) -> None:
        """Free the work space of the stream that was not used for longest, where there are many."""
        old = [key for key in self._room if key not in self._in_graphs]
        if len(old) >= _MOST_STREAMS:
            with self.at(Device(old[0][0])):
                self._call(self.cuda.cuMemFree(self._room.pop(old[0])[0]))

    @contextmanager
    def _allocating(self) -> Iterator[None]:
        """Allow this thread to allocate while some stream's work goes into a graph."""
        mode = self.cuda.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_RELAXED
        before = self._call(self.cuda.cuThreadExchangeStreamCaptureMode(mode))
        try:
            yield
        finally:
            self._call(self.cuda.cuThreadExchangeStreamCaptureMode(before))

    def _capturing(self, device: Device) -> bool:
        """Tell whether the stream's work goes into a graph, and is not done."""
        if device.stream in _DEFAULT:
            return False
        none = self.cuda.CUstreamCaptureStatus.CU_STREAM_CAPTURE_STATUS_NONE
        return bool(self._call(self.cuda.cuStreamIsCapturing(device.stream)) != none)

    def push(self, index: int) -> None:
        """Make the context of a device, which all libraries share, the current one of this thread, on top of the caller's."""
        context = self._contexts.get(index)
        if context is None:
            handle = self._call(self.cuda.cuDeviceGet(index))
            context = self._contexts[index] = self._call(self.cuda.cuDevicePrimaryCtxRetain(handle))
        self._call(self.cuda.cuCtxPushCurrent(context))

    def pop(self) -> None:
        """Leave the caller's context as it was."""
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
        if status == self.cuda.CUresult.CUDA_ERROR_OUT_OF_MEMORY:
            raise NoDevice(
                "the GPU has no memory left for the tables of a call (CUDA_ERROR_OUT_OF_MEMORY); what PyTorch keeps for "
                "itself, torch.cuda.empty_cache() gives back"
            )
        if status != self.cuda.CUresult.CUDA_SUCCESS:
            raise RuntimeError(f"the GPU's driver failed: {getattr(status, 'name', status)}")
        return values[0] if len(values) == 1 else tuple(values)


_driver: Driver | None = None
#: The process that asked for the driver; 0 before.
_process = 0
_lock = threading.Lock()


def driver() -> Driver:
    """Return what kernels are run by.

    Raises
    ------
    NoDevice
        If there is no driver, or the packages that call it are not installed; the message says what to do.
    """
    global _driver, _process
    if _process not in (0, os.getpid()):
        raise NoDevice(
            "arrays on a GPU cannot be counted in a process that was forked from one that has used the GPU, as CUDA does not "
            "allow it; start processes with multiprocessing's 'spawn' or 'forkserver'"
        )
    with _lock:
        if _driver is None:
            _driver, _process = Nvidia(), os.getpid()
        return _driver


def index_of(pointer: int) -> int:
    """Return which GPU an address belongs to."""
    return driver().index_of(pointer)


def usable() -> bool:
    """Tell whether arrays on a GPU can be counted here."""
    try:
        driver()
    except NoDevice:
        return False
    return True
