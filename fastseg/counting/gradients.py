"""Writing the gradient of a loss, span by span, on threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.arrays.score_spans import ScoreLayout
from fastseg.arrays.scores import ScoreInputs
from fastseg.counting.device_scores import room_on_device, write_gradient_on_device
from fastseg.counting.jobs import run_layouts
from fastseg.kernels import counter_of
from fastseg.kernels.protocols.scores import GradientTerms, ScoreSpan

__all__ = ["room_for_gradient", "write_gradient"]

Array = npt.NDArray[Any]


def room_for_gradient(given: ScoreInputs, dtype: npt.DTypeLike | None, out: Any) -> Any:
    """Return where the gradient goes: `out`, if it is given and fits, else new memory; TypeError or ValueError if not."""
    half = given.options.score_bfloat16 or given.y_score.dtype == np.float16
    wanted = np.dtype(np.float16 if half else np.float32) if dtype is None else np.dtype(dtype)
    if given.device is not None:
        return room_on_device(given, wanted, dtype is None, out)
    if out is not None and not isinstance(out, np.ndarray):
        raise TypeError(f"out: expected an array, found {type(out).__name__}")
    if out is not None and dtype is None:
        wanted = out.dtype
    if wanted not in (np.float32, np.float16):
        raise TypeError(f"dtype: expected float32 or float16, found {wanted}")
    if out is None:
        return np.empty_like(given.y_score, wanted, order="K")
    if out.dtype != wanted or out.shape != given.y_score.shape or not out.flags.writeable:
        raise ValueError(
            f"out: expected a writeable array of {wanted} of shape {given.y_score.shape}, found {out.dtype} of {out.shape}"
        )
    if any(np.may_share_memory(out, array) for array in (given.y_score, given.y_true, given.mask) if array is not None):
        raise ValueError("out: expected memory of its own, found an array that overlaps an input")
    return out


def write_gradient(given: ScoreInputs, terms: list[GradientTerms], gradient: Any, backend: str) -> None:
    """Write the gradient of the scores, whose terms are those of each sample."""
    if given.device is not None:
        write_gradient_on_device(given, terms, gradient, backend)
        return
    options, module = given.options, counter_of(backend)
    outs = given.channels_first(gradient)

    def layout(n: int) -> _Layout:
        return _Layout(
            terms[n],
            ScoreLayout(
                *given.sample(n),
                given.scale,
                (options.score_bfloat16, options.true_bfloat16),
                samples=given.num_samples,
                out=outs[n],
            ),
        )

    run_layouts(
        given.num_samples,
        given.voxels * options.channels,
        layout,
        lambda: _Writer(module.GradientWriter(options)),
        None,
        True,
        lambda _: None,
    )


class _Layout:
    """A layout whose spans come with the terms of their sample."""

    def __init__(self, terms: GradientTerms, layout: ScoreLayout) -> None:
        self.terms, self.layout, self.jobs = terms, layout, layout.jobs

    def spans(self, job: int) -> Any:
        return ((span, self.terms) for span in self.layout.spans(job))


class _Writer:
    """A backend's writer in the place of a counter."""

    def __init__(self, writer: Any) -> None:
        self.writer = writer

    def __enter__(self) -> _Writer:
        self.writer.__enter__()
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.writer.__exit__(*exc_info)

    def update(self, item: tuple[ScoreSpan, GradientTerms]) -> bool:
        self.writer.write(*item)
        return True

    def take(self, declared: None = None) -> None:  # noqa: ARG002
        return None
