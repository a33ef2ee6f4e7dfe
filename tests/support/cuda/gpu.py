"""A GPU for PyTorch that is a CPU: its tensors are refused beside others, and what is copied or waited for is noted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from support.cuda.on_cpu import Cpu
from support.cuda.tensors import Pretended
from torch.overrides import TorchFunctionMode

__all__ = ["FEW", "PLACE", "Gpu", "OnGpu", "assert_same_there", "brought", "here", "there"]

PLACE = torch.device("cuda", 0)
#: Numbers that a tensor may have which is copied from the GPU: more are voxels.
FEW = 64
#: What takes tensors of both places.
_OF_BOTH = (torch.Tensor.copy_, torch.Tensor.__getitem__, torch.Tensor.__setitem__)
_READ = (torch.Tensor.numpy, torch.Tensor.__array__)
_WAIT = {
    getattr(torch.Tensor, name)
    for name in ("item", "tolist", "__bool__", "__int__", "__float__", "__index__", "__contains__")
}


class OnGpu(Pretended):
    """A tensor on the GPU, as far as Python can tell."""

    is_cpu = False  # type: ignore[assignment]

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        """The GPU."""
        return PLACE

    def get_device(self) -> int:
        """Return the number of the GPU."""
        return 0

    def __deepcopy__(self, memo: Any) -> OnGpu:
        """Return a copy there."""
        copy: OnGpu = there(self.detach().clone())
        return memo.setdefault(id(self), copy)


def there(tensor: torch.Tensor) -> Any:
    """Return a tensor of the same memory on the GPU."""
    return tensor.as_subclass(OnGpu)


def here(tensor: Any) -> Any:
    """Return a tensor of the same memory, or those of containers, on the CPU; they must all lie on the GPU."""
    if isinstance(tensor, torch.Tensor):
        assert type(tensor) is OnGpu, tensor.device
        return torch.Tensor.as_subclass(tensor, torch.Tensor)
    if isinstance(tensor, dict):
        return {key: here(each) for key, each in tensor.items()}
    return type(tensor)(map(here, tensor))


class Gpu(TorchFunctionMode):
    """While it is entered, tensors can be brought to the GPU and made there."""

    def __init__(self, cpu: Cpu) -> None:
        super().__init__()
        self._cpu = cpu
        self.copied: list[int] = []
        """How many numbers of each tensor were copied from the GPU."""
        self.waited = 0
        """How often a number was asked for."""

    @property
    def launched(self) -> list[str]:
        """The names of the kernels that have run."""
        return [each.name for each in self._cpu.launched]

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Do what a function does on the CPU; tell where the result lies."""
        kwargs = dict(kwargs or {})
        if func in (torch.Tensor.to, torch.Tensor.cpu, torch.Tensor.cuda):
            return self._brought(func, args, kwargs)
        on_gpu = _check_places(func, args, kwargs)
        if on_gpu and func in _READ:
            raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first.")
        self.waited += bool(on_gpu and func in _WAIT)
        if "device" in kwargs and kwargs["device"] is not None:
            on_gpu = torch.device(kwargs.pop("device")).type == "cuda"
        with torch._C.DisableTorchFunctionSubclass():
            found = func(*args, **kwargs)
        return _placed(found) if on_gpu else found

    def within(self, backward: Callable[..., Any]) -> Callable[..., Any]:
        """Return how autograd is to go back: its engine knows of no tensors that are more than that."""

        def entered(ctx: Any, *upstream: Any) -> Any:
            with torch._C._EnableTorchFunction(), self:
                return backward(ctx, *map(there, upstream))

        return entered

    def _brought(self, func: Any, args: Any, kwargs: Any) -> Any:
        tensor, *others = args
        to = {torch.Tensor.cpu: torch.device("cpu"), torch.Tensor.cuda: PLACE}.get(func, kwargs.pop("device", None))
        rest = []
        for each in others:
            if isinstance(each, torch.Tensor):
                to = each.device
                rest.append(each.dtype)
            elif isinstance(each, str | torch.device):
                to = torch.device(each)
            elif each is not None and not isinstance(each, bool):  # whether to wait
                rest.append(each)
        to = tensor.device if to is None else torch.device(to)
        kwargs.pop("non_blocking", None)
        with torch._C.DisableTorchFunctionSubclass():
            found = tensor.to(*rest, **kwargs) if rest or kwargs else tensor
            if to.type == tensor.device.type:
                return _placed(found) if to.type == "cuda" else found
            if to.type == "cpu":
                self.copied.append(tensor.numel())
            found = found.clone() if found is tensor else found
            return found.as_subclass(OnGpu if to.type == "cuda" else torch.Tensor)


def _check_places(func: Callable[..., Any], args: Any, kwargs: Any) -> bool:
    """Tell whether one of the tensors lies on the GPU; they must all, but for single numbers."""
    tensors = list(_tensors((args, kwargs)))
    on_gpu = any(isinstance(each, OnGpu) for each in tensors)
    if on_gpu and func not in _OF_BOTH and any(not isinstance(each, OnGpu) and each.ndim for each in tensors):
        raise RuntimeError(f"Expected all tensors to be on the same device, in {getattr(func, '__name__', func)}")
    return on_gpu


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        yield from _tensors(tuple(value.values()))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _tensors(each)


def _placed(value: Any) -> Any:
    """Return what a function has returned, its tensors on the GPU."""
    if type(value) is torch.Tensor:
        return torch.Tensor.as_subclass(value, OnGpu)
    if isinstance(value, list | tuple):
        made = [_placed(each) for each in value]
        return type(value)(*made) if hasattr(value, "_fields") else type(value)(made)
    return value


def brought(value: Any) -> Any:
    """Return arguments with their tensors on the GPU."""
    if isinstance(value, torch.Tensor):
        return there(value)
    if isinstance(value, dict):
        return {key: brought(each) for key, each in value.items()}
    return type(value)(map(brought, value)) if type(value) in (list, tuple) else value


def assert_same_there(
    gpu: Gpu, theirs: Callable[..., Any], ours: Callable[..., Any], *args: Any, rtol: float = 1e-6, **kwargs: Any
) -> Any:
    """Call the host with tensors of the CPU, ours with the same on the GPU; its results must be the same, on the GPU.

    They are counted there: no tensor of more than a few numbers is copied from it.
    """
    launched, copied = len(gpu.launched), len(gpu.copied)
    found = ours(*brought(args), **kwargs)
    assert len(gpu.launched) > launched
    assert max(gpu.copied[copied:], default=0) <= FEW
    wanted = theirs(*args, **kwargs)
    torch.testing.assert_close(here(found), wanted, rtol=rtol, atol=1e-8, equal_nan=True)
    return found
