"""Which tensors of PyTorch are counted where they lie: those of the CPU, and those of a GPU whose kernels can be run."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from fastseg.adapters.calls import NotCovered
from fastseg.kernels import device_backend

__all__ = ["beside", "check_place", "check_table", "check_tensors", "is_plain", "memory_of", "on_gpu"]


#: Classes whose tensors are that and nothing more.
_PLAIN = (torch.Tensor,)
#: Bytes of a table that may come back from a GPU in any case.
_SMALL = 1 << 20


def is_plain(tensor: Any) -> bool:
    """Tell whether it is a tensor and nothing more."""
    return type(tensor) in _PLAIN


def on_gpu(tensor: Any) -> bool:
    """Tell whether a tensor lies on a GPU; `NotCovered` where it does, and nothing can be counted there."""
    if not tensor.is_cuda:
        return False
    if not device_backend("auto", "a GPU").usable():
        raise NotCovered("tensors of a GPU, without its driver or fastseg-metrics[cuda13]")
    return True


def check_place(*tensors: Any) -> None:
    """Raise `NotCovered` unless tensors are dense, and all lie in the memory of the CPU, or all on one GPU.

    Nor are those of a GPU while a graph of CUDA's is captured, in which no number can be waited for.
    """
    for tensor in tensors:
        there = on_gpu(tensor)
        if tensor.layout is not torch.strided or not (there or tensor.is_cpu):
            raise NotCovered("tensors on another device, or sparse ones")
        if there and torch.cuda.is_current_stream_capturing():
            raise NotCovered("a CUDA graph that is being captured")
        if there and not _has_memory(tensor):
            raise NotCovered("tensors without memory")
    if len({tensor.device for tensor in tensors}) > 1:
        raise NotCovered("tensors on two devices")


def _has_memory(tensor: Any) -> bool:
    """Tell whether a tensor has an address: those of torch.func have none."""
    try:
        tensor.data_ptr()
    except RuntimeError:
        return False
    return True


def check_tensors(*tensors: Any) -> None:
    """Raise `NotCovered` unless all are tensors and nothing more, which `check_place` lets pass, and nothing is compiled."""
    if torch.compiler.is_compiling():
        raise NotCovered("torch.compile")
    if not all(map(is_plain, tensors)):
        raise NotCovered("no plain tensors")
    check_place(*tensors)


def check_table(tensor: Any, samples: int, classes: int) -> None:
    """Raise `NotCovered` where what comes back from a GPU, a table for each sample, would be larger than what is counted."""
    if tensor.is_cuda and samples * (classes + 1) ** 2 * 8 > max(tensor.numel() * tensor.itemsize, _SMALL):
        raise NotCovered("tables of classes that are larger than the labels, on a GPU")


def memory_of(tensor: Any) -> Any:
    """Return what is counted of a tensor that `check_place` has let pass: a view as an array, or of a GPU itself."""
    found = tensor.detach() if tensor.requires_grad else tensor
    if tensor.is_cuda:
        return found
    try:
        return found.numpy()
    except (TypeError, RuntimeError):  # types that NumPy does not know; tensors of torch.func
        raise NotCovered("tensors of another type, or without memory") from None


def beside(values: Any, tensor: Any) -> Any:
    """Return an array as a tensor, where another tensor lies."""
    made = torch.from_numpy(values if values.flags.writeable else np.array(values))
    return made.to(tensor.device) if tensor.is_cuda else made
