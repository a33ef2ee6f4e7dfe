"""Looks once more through inputs that were rejected, and says what is wrong with them and where."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from fastseg.arrays.array_likes import float32_of_bits
from fastseg.arrays.labels import LabelInputs, among, whole_numbers
from fastseg.arrays.masks import MaskInputs
from fastseg.arrays.scores import ScoreInputs
from fastseg.arrays.search import blocks, find_voxels
from fastseg.arrays.wrong_voxels import wrong_voxels
from fastseg.kernels.protocols.scores import LEAST_WEIGHT, MOST_WEIGHT, RANGE_TOLERANCE

__all__ = ["Rejected", "explain_labels", "explain_masks", "explain_scores"]

Array = npt.NDArray[Any]


class Rejected(Exception):  # noqa: N818 - a signal within the package, never seen outside
    """Something among the counted pairs is not allowed; the voxels are looked through once more to say where."""


_CHANGED = "y_true, y_pred: the arrays changed while they were counted"


def explain_labels(given: LabelInputs, *, count_unknown: bool) -> NoReturn:
    """Find what is wrong with the voxels of a rejected pair, and raise an error that says so."""
    _look_at_labels(given, count_unknown)
    raise ValueError(_CHANGED)


def _look_at_labels(given: LabelInputs, count_unknown: bool) -> None:
    _look_at_weight(given.weight, given.mask)
    arrays = (given.y_true, given.y_pred, given.mask)

    def numbers(values: Any, position: int) -> Any:
        return float32_of_bits(values) if given.bfloat16[position] else np.asarray(values)

    for position, (name, dtype) in enumerate((("y_true", given.y_true.dtype), ("y_pred", given.y_pred.dtype))):
        if not given.bfloat16[position] and (dtype.kind in "bi" or (dtype.kind == "u" and dtype.itemsize < 8)):
            continue  # always whole, and of 64 bits at most

        def not_whole(*parts: Any, position: int = position) -> Array:
            return np.asarray(whole_numbers(numbers(parts[position], position))[1] & _inside(parts[2]))

        total, index, values = find_voxels(arrays, not_whole)
        if total:
            raise wrong_voxels(
                1 + position,
                total,
                index,
                f"{name}: expected labels that are whole numbers of at most 64 bits, found ",
                f" voxel(s) that are not; the first is {_shown(values[position], given.bfloat16[position])} at index ",
                " (count_pairs takes labels of 2**63 and more, as ids)" if dtype.kind == "u" else "",
            )
    classes = given.classes
    declared = () if classes.labels is None else classes.labels
    for position, name in enumerate(("y_true", "y_pred")):
        if classes.labels is None or (position == 1 and count_unknown):
            continue

        def outside(*parts: Any, position: int = position) -> Array:
            found = ~among(numbers(parts[position], position), declared)
            if classes.ignored.size:
                found &= ~among(numbers(parts[0], 0), classes.ignored)
            return np.asarray(found & _inside(parts[2]))

        total, index, values = find_voxels(arrays, outside)
        if total:
            hint = "ignore_index= leaves such voxels out" if position == 0 else "unknown='count' counts them as misses"
            raise wrong_voxels(
                3 + position,
                total,
                index,
                f"{name}: expected labels among {classes.describe()}, found ",
                f" voxel(s) outside; the first is {int(_shown(values[position], given.bfloat16[position]))} at index ",
                f" ({hint})",
            )


def _shown(value: Any, bfloat16: bool) -> Any:
    """Return a label, or the number that a bit pattern stands for."""
    return float32_of_bits(np.array(value, np.int16)).item() if bfloat16 else value


def _inside(mask: Any) -> Any:
    return True if mask is None else np.asarray(mask) != 0


def _look_at_weight(weight: Array | None, mask: Array | None) -> None:
    if weight is None:
        return

    def bad(values: Any, inside: Any) -> Array:
        with np.errstate(invalid="ignore"):  # signalling NaNs
            wide = np.asarray(values).astype(np.float64)
        return np.asarray(~((wide >= 0) & (wide < np.inf)) & _inside(inside))

    total, index, values = find_voxels((weight, mask), bad)
    if total:
        raise wrong_voxels(
            0,
            total,
            index,
            "sample_weight: expected finite numbers that are not negative, found ",
            f" that are not; the first is {values[0]} at index ",
            "",
        )


def explain_masks(given: MaskInputs) -> NoReturn:
    """Find what is wrong with a rejected pair of binary maps, and raise an error that says so."""
    _look_at_weight(given.weight, given.mask)
    for rank, (name, array) in enumerate((("y_true", given.y_true), ("y_pred", given.y_pred)), 1):
        bits = given.bfloat16[rank - 1]
        inside = given.mask
        if inside is not None:
            inside = inside if given.channel_axis is None else np.expand_dims(inside, given.channel_axis)
            inside = np.broadcast_to(inside, array.shape)

        def wrong(values: Any, inside: Any, bits: bool = bits) -> Array:
            numbers = float32_of_bits(values) if bits else np.asarray(values)
            return np.asarray((numbers != 0) & (numbers != 1) & _inside(inside))

        total, index, values = find_voxels((array, inside), wrong)
        if total:
            raise wrong_voxels(
                rank,
                total,
                index,
                f"{name}: expected masks of zeros and ones, found ",
                f" value(s) that are neither; the first is {_shown(values[0], bits)} at index ",
                " (threshold probabilities first, and count label maps with count_labels)",
            )
    raise ValueError(_CHANGED)


def explain_scores(given: ScoreInputs) -> NoReturn:
    """Find what is wrong with rejected scores, and raise an error that says so."""
    options, shape = given.options, given.plain_shape
    labels = None if options.soft else given.y_true
    if labels is not None:
        _look_at_labels(LabelInputs(labels, labels, given.mask, given.weight, given.classes, None), False)
    else:
        _look_at_weight(given.weight, given.mask)
    ignored = given.classes.ignored

    def looked_at(block: tuple[slice, ...]) -> Array:
        inside = np.broadcast_to(_inside(None if given.mask is None else given.mask[block]), _size_of(shape, block))
        return inside if labels is None else inside & ~np.isin(whole_numbers(labels[block])[0], ignored)

    if given.weight is not None:
        _look_at_size(given.weight, looked_at, shape)
    truth_bits, score_bits = options.true_bfloat16, options.score_bfloat16
    checks: list[tuple[str, Array, bool, float | None, str, Any]] = []
    if options.soft:
        checks.append(("y_true", given.y_true, truth_bits, None, "values in [0, 1]", _no_probability))
    if options.activation is None:
        expected = f"probabilities in [0, 1] (or activation='softmax' or 'sigmoid' for logits{_SCALE})"
        checks.append(("y_score", given.y_score, score_bits, given.scale, expected, _no_probability))
    else:
        expected = "logits that are not NaN or +inf"
        checks.append(("y_score", given.y_score, score_bits, given.scale, expected, lambda v: ~(v < np.inf)))
    if options.activation == "softmax":
        masked = "at least one logit of each voxel above -inf"
        checks.append(("y_score", given.y_score, score_bits, given.scale, masked, lambda v: (v == -np.inf).all(-1)))
    if options.sum_tolerance is not None:
        sums = f"probabilities that sum to one (within {options.sum_tolerance:g}; activation='softmax' for logits)"
        off = options.sum_tolerance
        checks.append(
            ("y_score", given.y_score, score_bits, given.scale, sums, lambda v: ~(np.abs(v.sum(-1) - 1) <= off))
        )
    for rank, (name, array, bits, scale, expected, wrong) in enumerate(checks, 6):
        values = _channels_last(array, given.channel_axis)
        _look_at_scores(rank, name, values, bits, scale, expected, wrong, looked_at, given)
    raise ValueError("y_true, y_score: the arrays changed while they were summed")


def _no_probability(values: Array) -> Array:
    return ~((values >= -RANGE_TOLERANCE) & (values <= 1 + RANGE_TOLERANCE))


_SCALE = "; integers need scale=, such as 100 for percentages"


def _look_at_scores(
    rank: int,
    name: str,
    array: Array,
    bits: bool,
    scale: float | None,
    expected: str,
    wrong: Any,
    looked_at: Any,
    given: ScoreInputs,
) -> None:
    first: tuple[int, ...] | None = None
    total, value = 0, 0.0
    for block in blocks(array.shape[:-1], max(1, (1 << 20) // array.shape[-1])):
        values = _as_float64(array[block], bits, scale)
        with np.errstate(invalid="ignore", over="ignore"):
            found = np.asarray(wrong(values))
        by_value = found.ndim == values.ndim
        found = found & (looked_at(block)[..., None] if by_value else looked_at(block))
        times = int(np.count_nonzero(found))
        if times:
            axis = given.channel_axis if by_value else None
            lying = found if axis is None else np.moveaxis(found, -1, axis)
            inside = tuple(int(i) for i in np.unravel_index(int(np.argmax(lying)), lying.shape))
            starts = [s.start for s in block] + [0] * (values.ndim - 1 - len(block))
            if by_value:
                starts.insert(len(starts) if axis is None else axis, 0)
            place = tuple(i + start for i, start in zip(inside, starts, strict=True))
            if first is None or place < first:
                first = place
                voxel = (values if axis is None else np.moveaxis(values, -1, axis))[inside]
                value = voxel if by_value else voxel.sum() if "sum" in expected else voxel[0]
        total += times
    if first is not None:
        first = first[:-1] if by_value and given.channel_axis is None else first
        what, of = ("value(s)", "") if by_value else ("voxel(s)", " of the voxels (the channel axis left out)")
        raise wrong_voxels(
            rank,
            total,
            first,
            f"{name}: expected {expected}; found ",
            f" {what} that are not; the first is {value} at index ",
            of,
        )


def _look_at_size(weight: Array, looked_at: Any, shape: tuple[int, ...]) -> None:
    """Sums of scores multiply weights in float32."""
    total, first, value = 0, (), 0.0
    for block in blocks(shape):
        values = weight[block]
        found = (values != 0) & ~((values >= LEAST_WEIGHT) & (values <= MOST_WEIGHT)) & looked_at(block)
        if not total and found.any():
            inside = np.unravel_index(int(np.argmax(found)), found.shape)
            starts = [s.start for s in block] + [0] * (found.ndim - len(block))
            first = tuple(int(i) + start for i, start in zip(inside, starts, strict=True))
            value = values[inside]
        total += int(np.count_nonzero(found))
    if total:
        expected = f"sample_weight: expected 0 or weights from {LEAST_WEIGHT:g} to {MOST_WEIGHT:g} for scores, found "
        raise wrong_voxels(5, total, first, expected, f" that are not; the first is {value} at index ", "")


def _channels_last(array: Array, channel_axis: int | None) -> Array:
    return array[..., None] if channel_axis is None else np.moveaxis(array, channel_axis, -1)


def _size_of(shape: tuple[int, ...], block: tuple[slice, ...]) -> tuple[int, ...]:
    return (*(s.stop - s.start for s in block), *shape[len(block) :])


def _as_float64(values: Array, bfloat16: bool, scale: float | None) -> Array:
    if bfloat16:
        values = float32_of_bits(values)
    with np.errstate(invalid="ignore"):  # signalling NaNs
        return values.astype(np.float64) / (1 if scale is None else scale)
