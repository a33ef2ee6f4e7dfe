"""The segmentation metrics: the host's own arithmetic, on sums of classes that are counted here."""

from __future__ import annotations

import functools
import sys
from types import FunctionType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from fastseg.adapters.calls import NotCovered, counted, drop_in, drop_in_class
from fastseg.adapters.devices import beside
from fastseg.adapters.hosts import resolve
from fastseg.adapters.torchmetrics.functions import with_steps
from fastseg.adapters.torchmetrics.labels import check_classes, per_sample
from fastseg.adapters.torchmetrics.states import Counted, View, named
from fastseg.adapters.torchmetrics.table import PUBLIC
from fastseg.adapters.torchmetrics.tensors import check_plain, label_array, score_labels
from fastseg.api.encoding import one_hot
from fastseg.api.masks import count_masks

__all__ = ["FORMATS", "SEGMENTATION"]

Array = npt.NDArray[Any]
Tensor = Any
Ints = npt.NDArray[np.int64]

_FUNCTIONS = "torchmetrics.functional.segmentation"
_CLASSES = "torchmetrics.segmentation"


def class_sums(
    preds: Tensor, target: Tensor, include_background: bool, num_classes: int | None, input_format: str
) -> tuple[Ints, Ints, Ints]:
    """Return hits, true and predicted voxels of each class in each sample, (N, C)."""
    check_plain(preds)
    check_plain(target)
    if not (preds.numel() and target.numel()):
        raise NotCovered("no voxels at all")
    if input_format == "mixed":
        masks = (preds.ndim == target.ndim + 1, target.ndim == preds.ndim + 1)
        spatial = [(each.shape[0], *each.shape[1 + mask :]) for each, mask in zip((preds, target), masks, strict=True)]
        fits = any(masks) and spatial[0] == spatial[1]
    else:
        masks = (input_format == "one-hot",) * 2
        fits = preds.shape == target.shape
    if not fits or any(each.ndim < 2 + mask for each, mask in zip((preds, target), masks, strict=True)):
        raise NotCovered("shapes that do not fit")
    if num_classes is None and any(masks):
        num_classes = int((preds if masks[0] else target).shape[1])
    if type(num_classes) is not int or num_classes < 1:
        raise NotCovered("a number of classes that is none")
    sides = [_side(each, mask) for each, mask in zip((preds, target), masks, strict=True)]
    if all(labels is not None for labels, _ in sides):
        tp, fp, _, fn = per_sample(sides[1][0], sides[0][0], num_classes)
    else:
        made = [_mask(labels, num_classes) if mask is None else mask for labels, mask in sides]
        if made[0].shape != made[1].shape:
            raise NotCovered("shapes that do not fit")
        counts = counted(count_masks, made[1], made[0], channel_axis=1, sample_axis=0)
        tp, fp, fn = counted(lambda: (counts.tp, counts.fp, counts.fn))  # of a GPU what is wrong is known by then
    first = 0 if include_background or tp.shape[1] == 1 else 1
    return tp[:, first:], (tp + fn)[:, first:], (tp + fp)[:, first:]


def _side(tensor: Tensor, has_classes: bool) -> tuple[Any, Any]:
    """Return labels or, where classes may overlap, masks: the host takes scores for labels of which one is the largest."""
    if has_classes and tensor.is_floating_point():
        return score_labels(tensor), None
    array = label_array(tensor)
    if has_classes:
        return None, array
    if tensor.dtype != torch.int64:
        raise NotCovered("labels that are not of 64 bits")  # which the host refuses
    return array, None


def _mask(labels: Any, num_classes: int) -> Any:
    """Return labels (N, ...) as masks (N, C, ...)."""
    if isinstance(labels, np.ndarray):
        return counted(one_hot, labels, num_classes, channel_axis=1, dtype=bool)
    check_classes(labels, num_classes)
    classes = torch.arange(num_classes, device=labels.device)
    return labels.unsqueeze(1) == classes.view(-1, *(1,) * (labels.ndim - 1))


def _stand_ins(sums: tuple[Ints, Ints, Ints], one: int, place: Tensor) -> tuple[Tensor, Tensor]:
    """Return predictions and targets of three voxels, (N, C, 3), which have these sums, and whose products add up to the hits.

    With minus one, which has all bits, for `one` it is what the host's `&` makes of them that adds up.
    """
    hits, true, pred = sums
    ones, none = np.full_like(hits, one), np.zeros_like(hits)
    preds, target = np.stack([ones, none, pred - one], -1), np.stack([hits, true - hits, none], -1)
    return beside(preds, place), beside(target, place)


def _products(
    preds: Tensor,
    target: Tensor,
    include_background: bool,
    num_classes: int | None = None,
    input_format: str = "one-hot",
) -> tuple[Tensor, Tensor]:
    return _stand_ins(class_sums(preds, target, include_background, num_classes, input_format), 1, preds)


def _bits(
    preds: Tensor,
    target: Tensor,
    include_background: bool,
    num_classes: int | None = None,
    input_format: str = "one-hot",
) -> tuple[Tensor, Tensor]:
    return _stand_ins(class_sums(preds, target, include_background, num_classes, input_format), -1, preds)


class _Rows(Counted):
    """Metrics of each sample's hits, true and predicted voxels: a list of tables (N, C, 3)."""

    #: The states of the host that are replaced.
    _replaced: tuple[str, ...] = ()
    if TYPE_CHECKING:  # not for torch.jit, which reads annotations
        num_classes: int | None
        include_background: bool
        input_format: str
        device: Any

    def add_state(self, name: str, default: Any, *args: Any, **kwargs: Any) -> None:
        """Add our state for the first of the host's."""
        if name not in self._replaced:
            super().add_state(name, default, *args, **kwargs)  # type: ignore[misc]
        elif not self._state:
            options = {"classes": self.num_classes, "background": self.include_background, "format": self.input_format}
            # Each class of metrics has its own: they take labels of two axes, and masks that are none, in different ways.
            self._state = named(f"voxels_{type(self).__name__}", **options)
            super().add_state(self._state, [], "cat")  # type: ignore[misc]

    def _keep(self, hits: Tensor, true: Tensor, pred: Tensor) -> None:
        getattr(self, self._state).append(torch.stack([hits, true, pred], -1))

    def _count(self, preds: Tensor, target: Tensor) -> None:
        self._in_one_place(target)
        sums = class_sums(preds, target, self.include_background, self.num_classes, self.input_format)
        getattr(self, self._state).append(beside(np.stack(sums, -1), target))

    def _sums(self) -> tuple[Tensor, Tensor, Tensor]:
        state = getattr(self, self._state)
        rows = torch.cat(state or [self._empty_rows()]) if isinstance(state, list) else state
        hits, true, pred = rows.unbind(-1)
        return hits, true, pred

    def _empty_rows(self) -> Tensor:
        classes = (self.num_classes or 0) - (not self.include_background and self.num_classes != 1)
        return torch.empty((0, max(classes, 0), 3), dtype=torch.long, device=self.device)

    def _module(self) -> Any:
        """Return the module of the host's class."""
        return sys.modules[next(each for each in type(self).__mro__ if each.__module__.startswith(_CLASSES)).__module__]


class _Dice(_Rows):
    _replaced = ("numerator", "denominator", "support")
    numerator, denominator, support = View(), View(), View()

    def _count_by_host(self, preds: Tensor, target: Tensor) -> None:
        numerator, denominator, support = self._module()._dice_score_update(
            preds, target, self.num_classes, self.include_background, self.input_format
        )
        self._keep(numerator // 2, support, denominator - support)

    def _view(self, name: str) -> Any:
        hits, true, pred = self._sums()
        state = getattr(self, self._state)
        if not len(state if isinstance(state, list) else hits):  # a batch of no samples is one
            return []
        return {"numerator": 2 * hits, "denominator": true + pred, "support": true}[name]


class _MeanIoU(_Rows):
    _replaced = ("score", "num_batches")
    score, num_batches = View(), View()
    if TYPE_CHECKING:  # not for torch.jit, which reads annotations
        per_class: bool
        dtype: Any

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Count a batch, the first of which may tell the number of classes."""
        if self.num_classes is None and self.input_format != "index":
            larger = target if self.input_format == "mixed" and target.ndim > preds.ndim else preds
            self.num_classes = larger.shape[1] if larger.ndim > 1 else None
        super().update(preds, target)

    def _count(self, preds: Tensor, target: Tensor) -> None:
        check_plain(preds)
        check_plain(target)
        reshape = sys.modules[f"{_FUNCTIONS}.mean_iou"]._mean_iou_reshape_args
        super()._count(*reshape(preds, target, self.input_format))

    def _count_by_host(self, preds: Tensor, target: Tensor) -> None:
        host = sys.modules[f"{_FUNCTIONS}.mean_iou"]
        options = (self.num_classes, self.include_background, self.input_format)
        hits, union = host._mean_iou_update(preds, target, *options)
        preds, target = host._mean_iou_reshape_args(preds, target, self.input_format)
        _, target = host._segmentation_inputs_format(preds, target, options[1], options[0], options[2])
        true = target.flatten(2).sum(-1)
        if self.per_class:
            hits.new_zeros(self._host_classes()).add_(hits.sum(0))  # which fails where the host's states do not fit
        self._keep(hits, true, union - true + hits)

    def _view(self, name: str) -> Any:
        hits, true, pred = self._sums()
        union = true + pred - hits
        valid = union > 0
        summed = 0 if self.per_class else (0, 1)
        if name == "num_batches":
            return torch.zeros(self._host_classes(), device=hits.device) + valid.sum(summed)
        scores = torch.where(valid, hits / union, 0.0)
        return torch.zeros(self._host_classes() if self.per_class else 1, device=hits.device) + scores.sum(summed)

    def _host_classes(self) -> int:
        """Return how many classes the host's states have."""
        return 1 if self.num_classes is None else self.num_classes - (not self.include_background)


class _GeneralizedDice(Counted):
    """A score depends on the batch that it is in, so the host's sums of scores are kept, under names of their own."""

    score, samples = View(), View()
    if TYPE_CHECKING:  # not for torch.jit, which reads annotations
        num_classes: int
        include_background: bool
        per_class: bool
        weight_type: str
        input_format: str

    def add_state(self, name: str, default: Any, *args: Any, **kwargs: Any) -> None:
        """Add the host's state under our name."""
        super().add_state(self._renamed(name), default, *args, **kwargs)  # type: ignore[misc]

    def _renamed(self, name: str) -> str:
        return named(
            name,
            classes=self.num_classes,
            background=self.include_background,
            each=self.per_class,
            weight=self.weight_type,
            format=self.input_format,
        )

    def _view(self, name: str) -> Any:
        return getattr(self, self._renamed(name))

    def _set_view(self, name: str, value: Any) -> bool:
        setattr(self, self._renamed(name), value)
        return True

    def _count(self, preds: Tensor, target: Tensor) -> None:
        self._in_one_place(target)
        _generalized_update(self, preds, target)


_ROWS = (
    # name of the function, of the class, what is before the host's class, the format that sums are given in, our metric
    ("dice_score", "DiceScore", _Dice, _products, "dice"),
    ("mean_iou", "MeanIoU", _MeanIoU, _bits, "iou"),
    ("generalized_dice_score", "GeneralizedDiceScore", _GeneralizedDice, _products, None),
)


def _say_nothing(*_: Any, **__: Any) -> None:
    """Do not warn: it may yet go to the host."""


def _dice_score(fast: Any, theirs: Any) -> Any:
    """Return a fast path that warns as the host does, once: before it counts, the host says what "micro" will mean."""
    label = torch.zeros(1, 1, dtype=torch.long)

    @functools.wraps(theirs)
    def ours(*args: Any, **kwargs: Any) -> Any:
        try:
            value = fast(*args, **kwargs)
        except ValueError as error:
            raise NotCovered("options that the host refuses") from error
        if "micro" in (*args[4:5], kwargs.get("average")):
            theirs(label, label, num_classes=1, average="micro", input_format="index")
        return value

    ours.__module__, ours.__doc__ = PUBLIC, ""
    return ours


#: The host's step that formats, and what counts instead, by the class of metrics.
FORMATS: dict[str, Any] = {row[1]: row[3] for row in _ROWS}
#: The drop-ins by name.
SEGMENTATION: dict[str, Any] = {}
for _function, _class, _base, _format, _metric in _ROWS:
    _path = f"{_FUNCTIONS}.{_function}"
    _steps: dict[str, Any] = {"_segmentation_inputs_format": _format, "rank_zero_warn": _say_nothing}
    _fast = with_steps(resolve(_path), _steps)
    if _function == "dice_score":
        _fast = _dice_score(_fast, resolve(_path))
    SEGMENTATION[_function] = drop_in(_path, metric=_metric)(_fast)
    _theirs = resolve(f"{_CLASSES}.{_class}")
    SEGMENTATION[_class] = drop_in_class(f"{_CLASSES}.{_class}", metric=_metric)(
        type(_theirs)(_class, (_base, _theirs), {"__module__": PUBLIC})
    )

_host_class = resolve(f"{_CLASSES}.GeneralizedDiceScore")
_host_names = vars(sys.modules[_host_class.__module__])
_generalized_update = FunctionType(
    _host_class.update.__code__,
    {
        **_host_names,
        "_generalized_dice_update": with_steps(
            _host_names["_generalized_dice_update"], {"_segmentation_inputs_format": _products}
        ),
    },
)
