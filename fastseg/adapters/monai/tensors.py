"""Tensors of MONAI's callers: which of them are arrays that can be counted, and results that look as the host's would."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from monai.data import MetaTensor

from fastseg.adapters.calls import NotCovered
from fastseg.adapters.devices import beside, check_place, is_plain, on_gpu

__all__ = [
    "as_array",
    "check_batch",
    "check_tensor",
    "has_metadata",
    "is_half",
    "like",
    "of_sample",
    "plain",
    "result_dtype",
]

Array = npt.NDArray[Any]
_HALVES = (torch.float16, torch.bfloat16)
_NO_NUMBERS = "tensors of another type"


def check_tensor(tensor: Any) -> None:
    """Raise `NotCovered` unless the values of a tensor can be read here, and nobody differentiates by them."""
    if not is_plain(tensor) and not has_metadata(tensor):
        raise NotCovered("another kind of tensor")
    if torch.compiler.is_compiling():
        raise NotCovered("torch.compile")
    check_place(tensor)
    if tensor.requires_grad and torch.is_grad_enabled():
        raise NotCovered("derivatives of a metric")


def few(tensor: Any, number: int) -> bool:
    """Tell whether there are so few values that the host has its result before a call of ours has begun to count."""
    return bool(tensor.numel() < number) and os.environ.get("FASTSEG_ADAPTERS") != "strict"


def check_batch(y_pred: Any, y: Any, least_axes: int, least_values: int = 1) -> None:
    """Raise `NotCovered` unless two tensors have so many axes, and enough values to be worth it."""
    if isinstance(y_pred, torch.Tensor) and few(y_pred, least_values):
        raise NotCovered("few values")
    check_tensor(y_pred)
    check_tensor(y)
    check_place(y_pred, y)
    if min(y_pred.ndim, y.ndim) < least_axes or not y_pred.numel():
        raise NotCovered("tensors without axes or values")


def plain(tensor: Any) -> Any:
    """Return a tensor without what MONAI or autograd knows of it."""
    if has_metadata(tensor):
        tensor = tensor.as_subclass(torch.Tensor)
    return tensor.detach() if tensor.requires_grad else tensor


def as_array(tensor: Any) -> Any:
    """Return a view of a tensor that `check_tensor` has let pass; one of a GPU without what MONAI or autograd knows of it."""
    if on_gpu(tensor):
        if tensor.is_complex() or tensor.dtype is torch.bfloat16:
            raise NotCovered(_NO_NUMBERS)
        return plain(tensor)
    try:
        array: Array = plain(tensor).numpy()
    except (TypeError, RuntimeError):  # bfloat16 and other types that NumPy does not know; tensors of torch.func
        raise NotCovered(_NO_NUMBERS) from None
    if array.dtype.kind not in "biuf":
        raise NotCovered(_NO_NUMBERS)
    return array


def is_half(tensor: Any) -> bool:
    """Tell whether the host would take sums in 16 bits, whose rounding we do not repeat."""
    return tensor.dtype in _HALVES


def result_dtype(*tensors: Any) -> Any:
    """Return the type of a ratio of sums of these tensors; `NotCovered` if it is none of ours."""
    dtypes = [tensor.dtype for tensor in tensors]
    if torch.get_default_dtype() is not torch.float32 or any(dtype in _HALVES for dtype in dtypes):
        raise NotCovered("results of another type than float32 and float64")
    return torch.float64 if torch.float64 in dtypes else torch.float32


def like(values: npt.NDArray[np.float64], dtype: Any, given: Sequence[Any], place: Any) -> Any:
    """Return values as a tensor where `place` lies, with the metadata of the first given tensor that has any, as hosts do."""
    return with_metadata(beside(values if dtype is torch.float64 else values.astype(np.float32), place), given)


def with_metadata(result: Any, given: Sequence[Any]) -> Any:
    """Return a result with the metadata of the first of the tensors that it came from, if one of them has any."""
    if all(type(each) is not MetaTensor for each in given):
        return result
    return MetaTensor.update_meta([result.as_subclass(MetaTensor)], torch.add, tuple(given), {})[0]


def has_metadata(tensor: Any) -> bool:
    """Tell whether what is computed of a tensor is a MetaTensor again."""
    return type(tensor) is MetaTensor


def of_sample(tensor: Any, sample: int) -> Any:
    """Return something with the metadata of one sample: in a batch of MetaTensors, each has its own."""
    return tensor[sample, 0] if tensor.is_batch else tensor
