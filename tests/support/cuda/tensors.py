"""Tensors of PyTorch that say they lie in the memory of a GPU."""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["Pretended", "pretended"]

_KINDS = {
    torch.bool: "|b1", torch.uint8: "|u1", torch.int8: "|i1", torch.int16: "<i2", torch.int32: "<i4", torch.int64: "<i8",
    torch.float16: "<f2", torch.float32: "<f4", torch.float64: "<f8",
}  # fmt: skip


class Pretended(torch.Tensor):
    """A tensor whose memory is the CPU's; what is made of it says the same of itself."""

    is_cuda = True  # type: ignore[assignment]

    def __dlpack_device__(self) -> Any:
        return 2, 0

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        size = self.element_size()
        return {
            "version": 3,
            "shape": tuple(self.shape),
            "typestr": _KINDS[self.dtype],
            "data": (self.data_ptr(), False),
            "strides": tuple(stride * size for stride in self.stride()),
        }


def pretended(tensor: torch.Tensor) -> Any:
    """Return a tensor of the same memory that says it lies on a GPU."""
    return tensor.as_subclass(Pretended)
