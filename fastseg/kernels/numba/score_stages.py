"""Which stages sums and gradients of scores take: for their types, how they lie, and what is asked for."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from fastseg.kernels.numba.far_losses import sum_far_logs, sum_far_losses
from fastseg.kernels.numba.probabilities import convert, gather, probability_tile, sigmoid_tile, softmax_tile, transpose
from fastseg.kernels.numba.score_rows import DETAILS, LOG_LOSSES, LOGS, LOSSES
from fastseg.kernels.numba.score_sums import fill_truth, sum_details, sum_labels, sum_losses, sum_soft
from fastseg.kernels.numba.stages import addresses

__all__ = ["copies", "probabilities", "read_as", "sum_stages", "tile_type"]

DType = np.dtype[Any]
_FLOATS = np.dtype(np.float32)


def tile_type(dtype: DType) -> DType:
    """Return what scores of a type are copied to."""
    return dtype if dtype == np.float64 else _FLOATS


def read_as(dtype: DType, direct: bool, details: bool) -> DType:
    """Return what whole tiles are read as: their own type where they are read where they lie."""
    # Half floats and bytes are read where they lie only where that is fast: everything else knows fewer types.
    return tile_type(dtype) if details or not direct else dtype


def copies(dtype: DType, direct: bool, details: bool) -> tuple[Any, Any]:
    """Return the stages that copy a whole tile, 0 where it is read where it lies, and a part of one."""
    copied = tile_type(dtype)
    if not direct:
        whole = transpose.address(dtype, copied)
    elif read_as(dtype, direct, details) != dtype:
        whole = convert.address(dtype, copied)
    else:
        whole = 0
    return whole, gather.address(dtype, copied)


def probabilities(x: DType, activation: str | None, details: bool) -> Any:
    """Return the stage that makes probabilities of scores."""
    if activation == "softmax":
        return softmax_tile.address(x, once=x.kind != "f", details=details)
    return (probability_tile if activation is None else sigmoid_tile).address(x, details=details)


@functools.cache
def sum_stages(
    scores: DType, scores_direct: bool, truth: DType | None, truth_direct: bool, activation: str | None, weighted: bool,
    details: bool, wanted: int,
) -> Any:  # fmt: skip
    """Return the stages of `sum_tiles`, compiled for arrays of these types."""
    logits, softmax, soft = activation is not None, activation == "softmax", truth is not None
    how = {"scaled": softmax, "checked": not logits, "weighted": weighted}

    def of_tile(x: DType, t: DType) -> tuple[Any, ...]:
        p = _FLOATS if logits else x
        return (
            probabilities(x, activation, details),
            sum_soft.address(p, t, **how) if soft else sum_labels.address(p, **how),
            fill_truth.address(t, soft=soft) if details else 0,
            sum_far_losses.address(x) if softmax and not soft and wanted & int(LOSSES) else 0,
            sum_far_logs.address(x, softmax=softmax) if logits and wanted & int(LOGS) else 0,
            sum_losses.address() if wanted & int(LOG_LOSSES) else 0,
            sum_details.address(x) if wanted & int(DETAILS) else 0,
        )

    both = ((scores, scores_direct), (truth or _FLOATS, truth_direct))
    x, t = (read_as(*given, details) for given in both)
    return addresses(
        *copies(*both[0], details),
        *(copies(*both[1], details) if soft else (0, 0)),
        *of_tile(x, t),
        *of_tile(tile_type(x), tile_type(t)),
    )
