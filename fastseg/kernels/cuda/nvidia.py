"""The driver of NVIDIA's GPUs, through the bindings that NVIDIA makes: load a kernel, launch it, move some numbers."""

from __future__ import annotations

import ctypes
import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy.typing as npt

from fastseg.kernels.cuda.compiler import Specialisation, compiled, compiler_version
from fastseg.kernels.cuda.turns import Copy, Lane, Pinned, Turn
from fastseg.kernels.protocols.device import Device, Limits, NoDevice

__all__ = ["Nvidia"]

Array = npt.NDArray[Any]
#: Streams that work space is kept for, arrays that are kept uploaded, and how large memory of the CPU may be that is kept to
#: be written to again.
_MOST_STREAMS, _MOST_UPLOADS, _MOST_PINNED = 32, 1024, 32 << 20
#: Work space is made at least so large, and of a size that is a power of two up to this one: it grows seldom.
_LEAST_ROOM, _LARGE_ROOM = 1 << 16, 1 << 28
#: CUDA's handles of the default stream, and of that which each thread has.
_DEFAULT, _PER_THREAD = (0, 1), 2
#: Bytes of a kernel's arguments, at most.
_MOST_ARGUMENTS = 4096


class _Thread(threading.local):
    """A thread, by a number that no other has had."""

    numbers = itertools.count(1)

    def __init__(self) -> None:
        self.number = next(self.numbers)


_here = _Thread()


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
                "arrays on a GPU need NVIDIA's driver: install or update it, or pass arrays in the memory of the CPU "
                f"({' '.join(str(error).split()).rstrip('.')})"
            ) from error
        self._contexts: dict[int, Any] = {}
        self._limits: dict[int, Limits] = {}
        self._kernels: dict[tuple[int, Specialisation], tuple[Any, int]] = {}
        self._lanes: dict[tuple[int, int, int], Lane] = {}
        self._uploads: dict[tuple[int, bytes], int] = {}
        self._in_graphs: set[tuple[int, bytes]] = set()
        self._uploading: dict[int, Any] = {}
        self.turn = threading.RLock()
        self.here: int | None = None  # whose context is the current one of the thread that has its turn
        # A launch takes its arguments before it returns, so that all have the same place.
        self._job = ctypes.create_string_buffer(_MOST_ARGUMENTS)
        self._job_bytes = memoryview(self._job).cast("B")
        self._arguments = (ctypes.c_void_p * 1)(ctypes.addressof(self._job))
        self._arguments_at = ctypes.addressof(self._arguments)

    def at(self, device: Device) -> Turn:
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
        self, what: Specialisation, device: Device, grid: tuple[int, int], shared_bytes: int, job: bytes | bytearray
    ) -> None:
        """Run a kernel on the device's stream, without waiting for it."""
        function, threads = self._kernels.get((device.index, what)) or self._load(what, device)
        self._job_bytes[: len(job)] = job
        columns, rows = grid
        self._call(
            self.cuda.cuLaunchKernel(
                function, columns, rows, 1, threads, 1, 1, shared_bytes, device.stream, self._arguments_at, 0
            )
        )

    def index_of(self, pointer: int) -> int:
        """Return which GPU an address belongs to; 0 of no address."""
        ordinal = self.cuda.CUpointer_attribute.CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL
        return int(self._call(self.cuda.cuPointerGetAttribute(ordinal, pointer))) if pointer else 0

    def zeros(self, size: int, device: Device, beyond: int = 0) -> int:
        """Return the address of so many zero bytes of the stream's own, and of others beyond."""
        if device.others:
            self._wait_for_others(device)
        lane, wanted = self._lane(device), size + beyond
        lane.capturing = self._capturing(device)
        if lane.capturing:
            # What a graph works with is nobody else's: it may be launched at any time, on any stream.
            with self._unhindered():
                pointer = int(self._call(self.cuda.cuMemAlloc(wanted)))
        else:
            if lane.room < wanted:
                self._enlarge(lane, wanted)
            pointer = lane.pointer
        if size:
            self._call(self.cuda.cuMemsetD8Async(pointer, 0, size, device.stream))
        return pointer

    def _enlarge(self, lane: Lane, wanted: int) -> None:
        """Give a stream more work space."""
        room = wanted if wanted > _LARGE_ROOM else max(_LEAST_ROOM, 1 << (wanted - 1).bit_length())
        with self._unhindered():
            if lane.room:
                lane.room, pointer = 0, lane.pointer
                self._call(self.cuda.cuMemFree(pointer))  # which waits for all work on the device
            lane.pointer, lane.room = int(self._call(self.cuda.cuMemAlloc(room))), room

    def _lane(self, device: Device) -> Lane:
        """Return what a stream has of its own, and let those go that were not asked for longest, where they are many."""
        thread = _here.number if device.stream == _PER_THREAD else 0
        key = (device.index, device.stream, thread)
        lane = self._lanes.pop(key, None)
        if lane is None:
            if len(self._lanes) >= _MOST_STREAMS:
                (index, _, _), old = next(iter(self._lanes.items()))
                with self.at(Device(index)), self._unhindered():
                    del self._lanes[next(iter(self._lanes))]
                    old.gone = True
                    if old.room:
                        self._call(self.cuda.cuMemFree(old.pointer))
                    for host in [each for some in old.free.values() for each in some]:
                        self._let_go(host)
            lane = Lane()
        self._lanes[key] = lane  # the last one
        return lane

    def write(self, pointer: int, content: bytes, device: Device) -> None:
        """Copy some bytes to the device's memory, in the order of the stream."""
        # Kept, as a GPU that reads the CPU's memory by itself may take them later than this returns.
        self._lane(device).written = content
        self._call(self.cuda.cuMemcpyHtoDAsync(pointer, content, len(content), device.stream))

    def upload(self, array: Array, device: Device) -> int:
        """Return the address of a copy of a small array, which is there when this returns, for all streams."""
        content = array.tobytes()
        key = (device.index, content)
        with self.at(device):
            pointer = self._uploads.pop(key, None)
            if pointer is None:
                with self._unhindered():
                    if len(self._uploads) >= _MOST_UPLOADS:
                        self._forget_an_upload()
                    stream = self._uploading.get(device.index)
                    if stream is None:  # one that waits for nobody's work
                        flags = int(self.cuda.CUstream_flags.CU_STREAM_NON_BLOCKING)
                        stream = self._uploading[device.index] = self._call(self.cuda.cuStreamCreate(flags))
                    pointer = int(self._call(self.cuda.cuMemAlloc(max(1, len(content)))))
                    self._call(self.cuda.cuMemcpyHtoDAsync(pointer, content, len(content), stream))
                    self._call(self.cuda.cuStreamSynchronize(stream))
            self._uploads[key] = pointer  # the last one
            if self._lane(device).capturing:
                self._in_graphs.add(key)
            return pointer

    def _forget_an_upload(self) -> None:
        """Free the array that was not asked for longest, and is in no graph."""
        key = next((key for key in self._uploads if key not in self._in_graphs), None)
        if key is not None:
            with self.at(Device(key[0])):
                self._call(self.cuda.cuMemFree(self._uploads.pop(key)))  # which waits for all work on the device

    def download(self, pointer: int, size: int, device: Device) -> bytearray:
        """Return bytes of the device's memory once all work before on the stream is done."""
        host = bytearray(size)
        with self.at(device):
            if self._capturing(device):
                raise RuntimeError(
                    "while a CUDA graph is captured nothing can be waited for: declare the labels (num_classes=, labels=), "
                    "and ask for numbers once the graph was launched"
                )
            room = (ctypes.c_char * size).from_buffer(host)
            with self._unhindered():
                self._call(self.cuda.cuMemcpyDtoHAsync(ctypes.addressof(room), pointer, size, device.stream))
                self._call(self.cuda.cuStreamSynchronize(device.stream))
        return host

    def fetch(self, pointer: int, size: int, device: Device) -> Copy:
        """Have bytes copied to memory of the CPU that the GPU can write to while nobody waits."""
        lane = self._lane(device)
        room = 1 << max(12, (size - 1).bit_length())  # few sizes, so that memory is used again
        free = lane.free.get(room)
        host = free.pop() if free else self._new_pinned(room)
        if lane.capturing:  # what the memory held before is no result, should somebody ask before the graph is launched
            ctypes.memset(host.pointer, 0, size)
        self._call(self.cuda.cuMemcpyDtoHAsync(host.pointer, pointer, size, device.stream))
        if not lane.capturing:
            self._call(self.cuda.cuEventRecord(host.written, device.stream))
        # Memory that a graph writes to whenever it is launched is nobody else's from now on, and there is no moment at which
        # it is written.
        return Copy(self, host, size, device, lane, lane.capturing)

    def wait(self, copy: Copy) -> None:
        """Wait until a copy is there; others may work on meanwhile."""
        self.push(copy.device.index)
        try:
            if not copy.in_graph:
                with self._unhindered():  # else a graph that another thread captures would be spoilt
                    self._call(self.cuda.cuEventSynchronize(copy.host.written))
            elif self._capturing(copy.device):
                raise RuntimeError(
                    "a number was asked for while the CUDA graph that counts it is captured: ask once the graph was launched"
                )
            else:
                self._call(self.cuda.cuCtxSynchronize())  # a graph may be launched on any stream
        finally:
            self.pop()

    def give_back(self, copy: Copy) -> None:
        """Keep the memory of a copy that was read for the next one, unless it is large or its stream is forgotten."""
        if copy.host.room > _MOST_PINNED or copy.lane.gone:
            with self.at(copy.device):
                self._let_go(copy.host)
        else:
            copy.keep()

    def _let_go(self, host: Pinned) -> None:
        self._call(self.cuda.cuEventDestroy(host.written))
        self._call(self.cuda.cuMemFreeHost(host.pointer))

    def _new_pinned(self, room: int) -> Pinned:
        with self._unhindered():
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

    @contextmanager
    def _unhindered(self) -> Iterator[None]:
        """Allow this thread to allocate, and to wait, while the work of a stream that is not asked here goes into a graph."""
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

    def _load(self, what: Specialisation, device: Device) -> tuple[Any, int]:
        """Return a kernel and how many threads its blocks have."""
        names = self.cuda.CUdevice_attribute
        major = self._attribute(names.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device)
        minor = self._attribute(names.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device)
        code = compiled(what, f"sm_{major}{minor}").code
        most = self.cuda.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
        static = self.cuda.CUfunction_attribute.CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES
        with self._unhindered():
            try:
                module = self._call(self.cuda.cuModuleLoadData(code))
            except NoDevice:  # no memory
                raise
            except RuntimeError as error:
                raise NoDevice(self._of_two_versions(error)) from error
            function = self._call(self.cuda.cuModuleGetFunction(module, what.name.encode()))
            used = int(self._call(self.cuda.cuFuncGetAttribute(static, function)))
            self._call(self.cuda.cuFuncSetAttribute(function, most, self.limits(device).shared_bytes - used))
        found = self._kernels[device.index, what] = function, int(dict(what.macros)["THREADS"])
        return found

    def _of_two_versions(self, error: Exception) -> str:
        """Say why machine code cannot be loaded: most often a compiler is newer than the driver."""
        version = int(self._call(self.cuda.cuDriverGetVersion()))
        return (
            f"a kernel cannot be loaded: {error}; it was compiled by NVRTC {compiler_version()} for a driver of CUDA "
            f"{version // 1000}.{version % 1000 // 10}: install the extra for that CUDA (fastseg-metrics[cuda12] or "
            "[cuda13]), or a newer driver"
        )

    def _attribute(self, which: Any, device: Device) -> int:
        return int(self._call(self.cuda.cuDeviceGetAttribute(which, self._call(self.cuda.cuDeviceGet(device.index)))))

    def _call(self, result: tuple[Any, ...]) -> Any:
        """Return what a call of the driver returns behind its status, None of nothing."""
        status = result[0]
        if not status:  # CUDA_SUCCESS is 0
            return result[1] if len(result) == 2 else None
        if status == self.cuda.CUresult.CUDA_ERROR_OUT_OF_MEMORY:
            raise NoDevice(
                "the GPU has no memory left for the tables of a call (CUDA_ERROR_OUT_OF_MEMORY); what PyTorch keeps for "
                "itself, torch.cuda.empty_cache() gives back"
            )
        raise RuntimeError(f"the GPU's driver failed: {getattr(status, 'name', status)}")
