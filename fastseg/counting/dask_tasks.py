"""What Dask's workers do: count the cells of a box one after another, put parts together, look at the whole."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np

from fastseg.arrays.classes import MAX_CLASSES, too_many
from fastseg.arrays.convert import as_array
from fastseg.arrays.device import device_of
from fastseg.arrays.wrong_voxels import WrongVoxels
from fastseg.counting.dask_grids import Box, Boxes
from fastseg.counting.dask_reads import Reading
from fastseg.counting.dask_sources import Held, Recipe
from fastseg.counting.jobs import check_sums
from fastseg.counting.threads import share_of, sharing
from fastseg.counts import BinaryCounts, LabelCounts, PairCounts, ScoreSums

__all__ = ["CountBlocks", "Finish", "Part", "Plan", "concat_parts", "count_box", "merge_parts"]

#: What a part of the arrays comes to: its counts, or what is wrong with it.
Part = LabelCounts | BinaryCounts | ScoreSums | WrongVoxels


@dataclass(frozen=True)
class CountBlocks:
    """Counts blocks of arrays that lie at the same place of the whole."""

    count: Callable[[Any], Any]
    """Returns the counts of inputs."""
    given: Any
    """The inputs without arrays."""
    axes: dict[str, tuple[int, ...]]
    """Which axes of the whole each array has, by its field of the inputs."""
    dtypes: dict[str, np.dtype[Any]]

    def __call__(self, start: Sequence[int], shape: Sequence[int], blocks: Mapping[str, Any]) -> Part:
        """Return what blocks that start there come to; `shape` is that of the whole's part."""
        arrays = {}
        for field, axes in self.axes.items():
            name = "sample_weight" if field == "weight" else field
            array = arrays[field] = as_array(blocks[field], name, on_device=True)
            expected = self.dtypes[field], tuple(shape[axis] for axis in axes)
            if (array.dtype, array.shape) != expected:
                raise TypeError(
                    f"{name}: expected a block of {expected[0]} and shape {expected[1]}, as its Dask array says, found one of "
                    f"{array.dtype} and shape {array.shape}"
                )
        if hasattr(self.given, "device"):
            arrays["device"] = device_of(**{name: array for name, array in arrays.items() if name != "weight"})
        try:
            part: Part = self.count(replace(self.given, **arrays))
        except ValueError as error:
            wrong = WrongVoxels.of(error)
            if wrong is None:
                raise
            if len(wrong.index) < len(start):  # of voxels, without the axis of the channels
                start = tuple(first for axis, first in enumerate(start) if axis != self.given.channel_axis)
            return wrong.moved(start)
        return part


@dataclass(frozen=True, eq=False)
class Plan:
    """What all tasks of a call have in common; each worker gets it once."""

    key: Hashable
    count: CountBlocks
    boxes: Boxes
    sample_axis: int | None
    recipes: dict[str, Recipe | Reading]
    """Of those arrays that have one, by their fields."""
    needed: tuple[Hashable, ...]
    """The keys that the recipes need."""
    values: Sequence[Any] = ()
    """What these stand for, once they are there."""

    def __dask_tokenize__(self) -> Any:  # the key says it all
        return "fastseg.Plan", self.key

    def __call__(self, values: Sequence[Any]) -> Self:
        """Return the plan with the values that the recipes need."""
        return replace(self, values=values)

    @cached_property
    def _starts(self) -> list[list[int]]:
        return [[0, *itertools.accumulate(sizes)] for sizes in self.boxes.grid]

    def run(self, box: Box, known: Mapping[Hashable, Any], blocks: Sequence[Sequence[Any]]) -> Part:
        """Return what the cells of a box come to.

        Parameters
        ----------
        known
            The values of the keys that tasks need.
        blocks
            For each cell the blocks of the arrays without a recipe, or what makes them.
        """
        grid, axes, cells = self.boxes.grid, self.count.axes, list(box)
        tasks = {
            recipe.name: recipe.tasks({tuple(cell[axis] for axis in axes[field]) for cell in cells})
            for field, recipe in self.recipes.items()
        }
        parts: dict[int, Part] = {}
        with sharing(share_of(len(self.boxes))):
            for number, cell in enumerate(cells):
                given = iter(blocks[number] if blocks else ())
                made: dict[Any, Any] = {}
                arrays = {}
                for field in axes:
                    recipe = self.recipes.get(field)
                    if recipe is None:
                        block = next(given)
                        arrays[field] = block.run(known) if isinstance(block, Held) else block
                        continue
                    key = recipe.name, tuple(cell[axis] for axis in axes[field])
                    if key not in made:  # a map may be compared with itself
                        made[key] = tasks[recipe.name][key[1]].run(known)
                    arrays[field] = made[key]
                start = tuple(self._starts[axis][i] for axis, i in enumerate(cell))
                part = self.count(start, tuple(grid[axis][i] for axis, i in enumerate(cell)), arrays)
                del made, arrays  # before the next ones are made
                samples = 0 if self.sample_axis is None else cell[self.sample_axis]
                before = parts.get(samples)
                parts[samples] = part if before is None else _merged(before, part)
        return concat_parts(list(parts.values()))


def count_box(
    plan: Plan,
    number: int,
    values: Sequence[Any] = (),
    blocks: Sequence[Sequence[Any]] = (),
    *,
    needed: Sequence[Hashable] = (),
) -> Part:
    """Return what the cells of a box come to: a task of the graph.

    Parameters
    ----------
    number
        Of the box.
    blocks
        As in `Plan.run`.
    needed, values
        Keys, and what they stand for, besides what the recipes need.
    """
    known = zip((*plan.needed, *needed), (*plan.values, *values), strict=True)
    return plan.run(plan.boxes[number], dict(known), blocks)


def merge_parts(parts: Sequence[Part]) -> Part:
    """Return what parts of the same samples come to, folded in this order."""
    return functools.reduce(_merged, parts)


def concat_parts(parts: Sequence[Part]) -> Part:
    """Return what parts of other samples come to, in this order."""
    wrong = [part for part in parts if isinstance(part, WrongVoxels)]
    if wrong:
        return functools.reduce(WrongVoxels.merge, wrong)
    _check_labels(parts)
    first, *others = parts
    return first.concat(*others) if others else first  # type: ignore[union-attr,arg-type]


def _merged(one: Part, other: Part) -> Part:
    for part, beside in ((one, other), (other, one)):
        if isinstance(part, WrongVoxels):
            return part.merge(beside) if isinstance(beside, WrongVoxels) else part
    _check_labels((one, other))
    return one.merge(other)  # type: ignore[arg-type]


def _check_labels(parts: Sequence[Part]) -> None:
    """Raise ValueError where the labels of all parts are too many for a table, before it is made."""
    found = [part.labels for part in parts if isinstance(part, LabelCounts) and not part.closed]
    if (
        sum(labels.size for labels in found) > MAX_CLASSES
        and (union := np.unique(np.concatenate(found))).size > MAX_CLASSES
    ):
        raise too_many(union)


@dataclass(frozen=True)
class Finish:
    """Looks at what all parts come to."""

    voxels: int
    """Of a sample."""
    samples: int
    then: Callable[[Any], Any] | None = None
    """What is made of the counts."""

    def __call__(self, part: Part) -> Any:
        """Return the counts; raise where something is wrong with a voxel, or one was lost."""
        if isinstance(part, WrongVoxels):
            raise part.error()
        if isinstance(part, ScoreSums) or part.weighted:
            _check_sums(part)
        if part.voxels.shape[0] != self.samples or (part.voxels.sum(1) != self.voxels).any():
            raise RuntimeError("voxels were lost or counted twice; this is a defect in fastseg, please report it")
        return part if self.then is None else self.then(part)


def _check_sums(part: LabelCounts | BinaryCounts | PairCounts | ScoreSums) -> None:
    """Raise ValueError where weights, finite in each part, add up to infinity."""
    if isinstance(part, ScoreSums):
        check_sums(part.total)
    elif isinstance(part, LabelCounts):
        check_sums(part.matrix)
    elif isinstance(part, PairCounts):
        check_sums(part.counts)
    else:
        check_sums(np.stack([part.tp, part.fp, part.fn, part.tn]))
