"""Arrays of Dask: a task a block counts it where it lies, and a tree of tasks puts the counts together."""

from __future__ import annotations

import gc
import math
import warnings
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from fastseg.arrays.blocked import is_blocked
from fastseg.arrays.labels import LabelInputs
from fastseg.arrays.masks import MaskInputs
from fastseg.arrays.scores import ScoreInputs
from fastseg.counting.dask_grids import Boxes, Chunked, Grid, boxes, coarser, reads, united
from fastseg.counting.dask_reads import Reading, readings_of
from fastseg.counting.dask_sources import Sources
from fastseg.counting.dask_tasks import CountBlocks, Finish, Plan, concat_parts, count_box, merge_parts

__all__ = ["count_in_blocks"]

Inputs = LabelInputs | MaskInputs | ScoreInputs
#: How many parts a task puts together.
_FAN_IN = 16
#: How often chunks may be brought to tasks before it is said.
_MOST_READS = 2


def count_in_blocks(
    given: Inputs, count: Callable[[Any], Any], *, then: Callable[[Any], Any] | None = None, compute: bool = True
) -> Any:
    """Count inputs of which some are arrays of Dask; they are checked already.

    Parameters
    ----------
    count
        Returns the counts of inputs in memory, those of a block. What it raises of voxels is raised with their place in
        the whole.
    then
        Is applied to the counts of the whole.
    compute
        False: return a `dask.delayed.Delayed` of the result.
    """
    from dask.delayed import Delayed
    from dask.highlevelgraph import HighLevelGraph

    axes = _axes(given)
    arrays = {field: getattr(given, field) for field in axes}
    main = next(field for field in ("y_score", "y_true") if field in axes)
    shape = arrays[main].shape
    channel = getattr(given, "channel_axis", None)
    channels = 1 if channel is None else shape[channel]
    samples = 1 if given.sample_axis is None else shape[given.sample_axis]
    nobody: dict[str, Any] = dict.fromkeys(axes)
    template = replace(given, **nobody)
    finish = Finish(math.prod(shape) // max(1, samples * channels), samples, then)
    readings = readings_of(list(filter(is_blocked, arrays.values())))
    grid = _grid(arrays, axes, shape, channel, readings)
    found = boxes(grid, given.sample_axis, channels) if math.prod(shape) else None
    cut, readings = _cut(arrays if found else {}, axes, grid, readings)
    dtypes = {field: array.dtype for field, array in arrays.items()}
    each = CountBlocks(count, template, axes, dtypes)
    name = f"fastseg-{_token(each, finish, grid, found and len(found), [array.name for array in cut.values()])}"
    if found:
        with _nothing_collected():
            layer, sources = _tasks(name, each, found, cut, readings, given.sample_axis)
    else:
        none: dict[str, Any] = {field: np.empty(array.shape, array.dtype) for field, array in arrays.items()}
        nothing = replace(given, **none)
        layer, sources = {(f"{name}-box",): (partial(count, nothing),)}, {}
    layer[name] = (finish, next(reversed(layer)))
    result = Delayed(name, HighLevelGraph.from_collections(name, {**sources, **layer}, dependencies=()))
    return result.compute() if compute else result


def _axes(given: Inputs) -> dict[str, tuple[int, ...]]:
    """Return which axes of the whole each array has."""
    if isinstance(given, ScoreInputs):
        every, full = range(given.y_score.ndim), {"y_score": True, "y_true": given.options.soft}
    else:
        every, full = range(given.y_true.ndim), {"y_true": True, "y_pred": True}
    channel = getattr(given, "channel_axis", None)
    plain = tuple(axis for axis in every if axis != channel)
    axes = {field: tuple(every) if whole else plain for field, whole in full.items()}
    return axes | {field: plain for field in ("mask", "weight") if getattr(given, field) is not None}


def _grid(
    arrays: Mapping[str, Any],
    axes: Mapping[str, tuple[int, ...]],
    shape: tuple[int, ...],
    channel: int | None,
    readings: Mapping[str, Reading],
) -> Grid:
    """Return the cells that are counted one by one; warn where much has to be moved for them."""
    chunked = {
        field: Chunked(dict(zip(axes[field], array.chunks, strict=True)), array.dtype.itemsize)
        for field, array in arrays.items()
        if is_blocked(array)
    }
    grid = united(list(chunked.values()), shape, channel)
    for field, array in chunked.items():
        times = reads(array, grid)
        if times > _MOST_READS:
            warnings.warn(
                f"{field}: chunks of {_shown(arrays[field].chunks)} do not go with those of the others: each is brought to "
                f"{times:.1f} tasks on average, which count cells of {_shown(grid)}; rechunk the arrays alike",
                stacklevel=5,
            )
    if all(arrays[field].name in readings and reads(array, grid) == 1 for field, array in chunked.items()):
        grid = coarser(grid, [(axes[field], array.dtype.itemsize) for field, array in arrays.items()])
    return grid


def _shown(chunks: Sequence[Sequence[int]]) -> str:
    return " × ".join(str(max(sizes, default=0)) for sizes in chunks) or "1"


def _cut(
    arrays: Mapping[str, Any], axes: Mapping[str, tuple[int, ...]], grid: Grid, readings: Mapping[str, Reading]
) -> tuple[dict[str, Any], dict[str, Reading]]:
    """Return the arrays as Dask's, in the chunks of the grid, and how they are read, as `readings_of` does."""
    import dask.array as da

    cut, known = {}, dict(readings)
    for field, array in arrays.items():
        chunks = tuple(grid[axis] for axis in axes[field])
        if not is_blocked(array):
            if not isinstance(array, np.ndarray):
                raise TypeError(
                    f"{field}: expected an array in the memory of the CPU beside Dask arrays, found {array}"
                )
            cut[field] = da.from_array(array, chunks=chunks, name=False)
        elif array.chunks == chunks:
            cut[field] = array
        elif array.name in readings and reads(Chunked(dict(zip(axes[field], array.chunks, strict=True)), 1), grid) == 1:
            reading, cut[field] = readings[array.name].recut(array, chunks)
            known[reading.name] = reading
        else:
            cut[field] = array.rechunk(chunks, method="tasks")  # the other way's tasks are not to be run by others
    return cut, known


def _token(*values: Any) -> str:
    from dask.base import tokenize

    return str(tokenize(*values))


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """Let Python not look for unused objects while millions are made of which all are used: that takes a third of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _tasks(
    name: str,
    each: CountBlocks,
    found: Boxes,
    arrays: Mapping[str, Any],
    readings: Mapping[str, Reading],
    sample_axis: int | None,
) -> tuple[dict[Hashable, Any], dict[Hashable, Any]]:
    """Return the tasks that count boxes and put their counts together, and those that they need.

    The last of the former has the counts of the whole.
    """
    sources = Sources(list(arrays.values()), readings)
    recipes = {f: sources.recipes[array.name] for f, array in arrays.items() if array.name in sources.recipes}
    others = {field: array.name for field, array in arrays.items() if field not in recipes}
    # Names of their own: a group of tasks that needs few others and not itself is spread over all workers, one by one.
    plan = (f"{name}-plan",)
    layer: dict[Hashable, Any] = {
        plan: (Plan(plan, each, found, sample_axis, recipes, sources.needed), list(sources.needed)),
    }
    rows: list[list[Hashable]] = []  # of the same samples each
    before, direct = None, set[Hashable]()
    for number, box in enumerate(found):
        blocks: list[list[Any]] = []
        needed: dict[Hashable, None] = {}
        for cell in box if others else ():
            made = [sources.take((array, *(cell[axis] for axis in each.axes[f]))) for f, array in others.items()]
            blocks.append([block for block, _ in made])
            for block, keys in made:
                needed |= dict.fromkeys(keys)
                direct |= keys if keys or not isinstance(block, tuple) else {block}
        key = (f"{name}-box", number)
        layer[key] = (count_box, plan, number)
        if others:  # their keys as they are: what stands in a task is taken for what they stand for
            layer[key] = (partial(count_box, needed=tuple(needed)), plan, number, list(needed), blocks)
        samples = None if sample_axis is None else box.cells[sample_axis]
        if not rows or samples != before:
            rows.append([])
        before = samples
        rows[-1].append(key)
    merged = [_tree(layer, (f"{name}-merge", row), parts, merge_parts) for row, parts in enumerate(rows)]
    _tree(layer, (f"{name}-concat",), merged, concat_parts)
    return layer, sources.graph(direct)


def _tree(
    layer: dict[Hashable, Any], name: tuple[Hashable, ...], parts: Sequence[Hashable], how: Callable[[Any], Any]
) -> Hashable:
    """Add tasks that put parts together in their order, `_FAN_IN` at a time; return the key of the last of them."""
    level = 0
    while len(parts) > 1:
        above: list[Hashable] = []
        for number, first in enumerate(range(0, len(parts), _FAN_IN)):
            key = (*name, level, number)
            layer[key] = (how, list(parts[first : first + _FAN_IN]))
            above.append(key)
        parts, level = above, level + 1
    return parts[0]
