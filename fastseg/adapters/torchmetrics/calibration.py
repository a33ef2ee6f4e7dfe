"""Calibration errors: bins are filled as the host fills them, but with sums that neither saturate nor depend on order.

The host adds up in the type of the scores, where a bin of float32 holds no more than 16,777,216 samples, and its metrics keep
every score. Here a metric keeps four integers a bin.
"""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from fastseg.adapters.calls import NotCovered, drop_in, drop_in_class
from fastseg.adapters.hosts import resolve
from fastseg.adapters.torchmetrics.functions import with_steps
from fastseg.adapters.torchmetrics.metrics import of_any_task
from fastseg.adapters.torchmetrics.states import Counted, named
from fastseg.adapters.torchmetrics.table import CALIBRATION, PUBLIC
from fastseg.adapters.torchmetrics.tensors import check_plain

__all__ = ["CALIBRATION_ERRORS"]

Tensor = Any

_HOST = "torchmetrics.functional.classification.calibration_error"
#: Confidences are added up in integers of this part of one: beyond 2^32 samples in a bin, exact to 1e-9.
_UNIT = 2.0**30
_SAMPLES, _CONFIDENCE, _HITS, _NAN = range(4)


class Binned(NamedTuple):
    """Bins in the place of confidences and of accuracies, where the host would fill bins of these."""

    bins: Tensor
    dtype: Any
    device: Any


def fill(confidences: Tensor, accuracies: Tensor, boundaries: Tensor) -> Tensor:
    """Return bins (B, 4), int64: samples, sum of their confidences, hits, and confidences that are NaN."""
    size = len(boundaries)
    place = torch.bucketize(confidences, boundaries, right=True) - 1
    wide = torch.float32 if confidences.device.type == "mps" else torch.float64
    nan = confidences.isnan()
    sure = torch.where(nan, 0, confidences).to(wide)
    if confidences.is_cuda:  # integers, which may be added up in any order there, and nothing that is waited for
        columns = (torch.ones_like(place), (sure * _UNIT).round(), accuracies, nan)
        totals = [place.new_zeros(size).index_add_(0, place, each.long()) for each in columns]
        return torch.stack(totals, -1)
    totals = [
        torch.bincount(place, minlength=size),
        (torch.bincount(place, sure, size) * _UNIT).round(),
        torch.bincount(place, accuracies.to(wide), size),
        torch.bincount(place[nan], minlength=size),
    ]
    return torch.stack([each.long() for each in totals], -1)


def _binning_bucketize(confidences: Any, accuracies: Any, bin_boundaries: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean accuracy, mean confidence and share of each bin."""
    if isinstance(confidences, Binned):
        bins, dtype = confidences.bins, confidences.dtype
    else:
        check_plain(confidences)
        check_plain(accuracies)
        if not confidences.is_floating_point():
            raise NotCovered("scores that are no real numbers")
        bins, dtype = fill(confidences, accuracies, bin_boundaries), confidences.dtype
    wide = bins.to(torch.float32 if bins.device.type == "mps" else torch.float64)
    samples = wide[:, _SAMPLES]
    confidence = torch.where(bins[:, _NAN] > 0, torch.nan, wide[:, _CONFIDENCE] / _UNIT)
    means = ((wide[:, _HITS] / samples).nan_to_num(), (confidence / samples).nan_to_num(), samples / samples.sum())
    return means[0].to(dtype), means[1].to(dtype), means[2].to(dtype)


_STEPS = {"_binning_bucketize": _binning_bucketize}


class _Calibration(Counted):
    """A metric of a calibration error: bins, whatever norm is taken of them."""

    if TYPE_CHECKING:  # not for torch.jit, which reads annotations
        n_bins: int
        norm: str
        ignore_index: int | None
        validate_args: bool
        device: Any
        update_count: int

    _confidence_dtype = torch.float32

    def add_state(self, name: str, default: Any, *args: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Add our state for the first of the host's."""
        if name == "confidences":
            classes = getattr(self, "num_classes", None)
            self._state = named("calibration", bins=self.n_bins, classes=classes, ignored=self.ignore_index)
            super().add_state(self._state, torch.zeros(self.n_bins + 1, 4, dtype=torch.long), "sum")  # type: ignore[misc]

    def _count(self, preds: Tensor, target: Tensor) -> None:
        self._in_one_place(target)
        check_plain(preds)
        check_plain(target)
        self._count_by_host(preds, target)

    def _count_by_host(self, preds: Tensor, target: Tensor) -> None:
        # The host's update, whose lists of confidences and accuracies are binned at once.
        options = {each: getattr(self, each, None) for each in ("validate_args", "ignore_index", "num_classes")}
        kept = SimpleNamespace(confidences=[], accuracies=[], **options)
        _host_class(self).update(kept, preds, target)
        confidences, accuracies = kept.confidences[0], kept.accuracies[0]
        if not confidences.is_floating_point():
            raise ValueError(
                f"preds: expected real numbers, which alone can be binned, found dtype {confidences.dtype}"
            )
        boundaries = torch.linspace(0, 1, self.n_bins + 1, dtype=confidences.dtype, device=confidences.device)
        if self.update_count <= 1:
            self._confidence_dtype = confidences.dtype
        setattr(self, self._state, getattr(self, self._state) + fill(confidences, accuracies, boundaries))

    def compute(self) -> Tensor:
        """Compute from the bins, as the host does."""
        bins = getattr(self, self._state)
        if not self.update_count and not bins[:, _SAMPLES].any():
            return super().compute()  # type: ignore[misc]  # which has no samples
        given = Binned(bins, self._confidence_dtype, bins.device)
        return _compute(given, given, self.n_bins, norm=self.norm)

    #: The host's lists, of a metric that has seen nothing.
    confidences: tuple[()] = ()
    accuracies: tuple[()] = ()


def _host_class(metric: Any) -> Any:
    return next(each for each in type(metric).__mro__ if each.__module__.startswith("torchmetrics."))


_compute = with_steps(vars(sys.modules[_HOST])["_ce_compute"], _STEPS)

#: The drop-ins by name.
CALIBRATION_ERRORS: dict[str, Any] = {}
for _name in CALIBRATION.functions:
    _path = f"torchmetrics.functional.classification.{_name}"
    CALIBRATION_ERRORS[_name] = drop_in(_path, statistic="scores", metric=CALIBRATION.metric)(
        with_steps(resolve(_path), _STEPS)
    )
for _name in CALIBRATION.classes:
    _path = f"torchmetrics.classification.{_name}"
    _theirs = resolve(_path)
    CALIBRATION_ERRORS[_name] = drop_in_class(_path, statistic="scores", metric=CALIBRATION.metric)(
        type(_theirs)(_name, (_Calibration, _theirs), {"__module__": PUBLIC})
    )
CALIBRATION_ERRORS[CALIBRATION.metric_class] = of_any_task(CALIBRATION, CALIBRATION_ERRORS)
