"""Arrays that are read from something that has all of them, such as a store: other pieces than their chunks can be read too.

So small chunks are read several at once, unlike chunks in the pieces that are counted, and a slice of a store has no more
tasks than the whole of it.
"""

from __future__ import annotations

import itertools
import operator
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

from fastseg.counting.dask_grids import Grid
from fastseg.volumes import zarr_blocks

__all__ = ["Reading", "readings_of", "with_readings", "work_in_common"]


@dataclass(frozen=True)
class Fetch:
    """Reads a piece of a part of a source, as one of Dask's getters does of the whole."""

    getter: Callable[..., Any]
    window: tuple[int | tuple[int, int], ...]
    """Of each axis of the source: the only index, or where the part begins and in which steps it goes on."""

    def __call__(self, source: Any, index: Sequence[slice], **options: Any) -> Any:
        """Return the piece at an index of the part, by slices without steps. It may be read-only."""
        pieces = iter(index)
        at = tuple(each if isinstance(each, int) else _moved(next(pieces), *each) for each in self.window)
        return self.getter(zarr_blocks(source), at, **options)


def _moved(piece: slice, start: int, step: int) -> slice:
    first, size = start + piece.start * step, piece.stop - piece.start
    return slice(first, first + max(0, size - 1) * step + (size > 0), None if step == 1 else step)


@dataclass(frozen=True, eq=False)
class Piece:
    """A chunk that is read where it is counted."""

    read: Reading
    index: tuple[int, ...]

    @property
    def needs(self) -> frozenset[Hashable]:
        """The keys of the values that it needs."""
        return self.read.needs

    def run(self, values: Mapping[Hashable, Any]) -> Any:
        """Return the chunk; `values` are those of keys."""
        return self.read(self.index, values)


@dataclass(frozen=True, eq=False)
class Reading:
    """How the chunks of an array are read."""

    name: str
    """Of the array."""
    chunks: Grid
    fetch: Fetch
    source: Any
    """What is read of, or a reference to the task that has it."""
    options: Mapping[str, Any]
    base: str
    """The name of the array that is all of the source."""
    whole: Grid
    """Its chunks."""

    @classmethod
    def of_source(cls, name: str, layer: Any) -> Self | None:
        """Return what a layer of a graph is that reads all of a source; None if it is none."""
        from dask.array.core import getter, getter_inline, getter_nofancy
        from dask.layers import ArraySliceDep

        task: Any = getattr(layer, "task", None)
        if getattr(task, "func", None) not in (getter, getter_inline, getter_nofancy):
            return None
        if len(layer.indices) != 2 or layer.output_blocks:
            return None
        (source, nothing), (slices, axes) = layer.indices
        found = layer.io_deps.get(slices)
        if nothing is not None or axes != layer.output_indices or type(found) is not ArraySliceDep:
            return None
        fetch = Fetch(task.func, ((0, 1),) * len(axes))
        return cls(name, found.chunks, fetch, source, task.kwargs, name, found.chunks)

    def sliced(self, name: str, layer: Mapping[Hashable, Any]) -> Self | None:
        """Return what a layer is that takes slices and planes of this array; None if it does anything else."""
        nodes = {}
        for key, node in layer.items():
            found = _item(node, self)
            if found is None or not isinstance(key, tuple) or key[0] != name:
                return None
            nodes[key[1:]] = found
        along = _by_axis(nodes)
        if along is None:
            return None
        window: list[int | tuple[int, int]] = []
        chunks, inner = [], iter(zip(along, self.chunks, strict=True))
        for outer in self.fetch.window:
            if isinstance(outer, int):
                window.append(outer)
                continue
            part = _part(*next(inner))
            if part is None:
                return None
            first, step, sizes = part
            if sizes is None:
                window.append(outer[0] + first * outer[1])
            else:
                window.append((outer[0] + first * outer[1], step * outer[1]))
                chunks.append(sizes)
        return replace(self, name=name, chunks=tuple(chunks), fetch=replace(self.fetch, window=tuple(window)))

    @property
    def needs(self) -> frozenset[Hashable]:
        """The keys of the values that it needs."""
        from dask._task_spec import TaskRef

        return frozenset([self.source.key] if isinstance(self.source, TaskRef) else [])

    def tasks(self, indices: Iterable[tuple[int, ...]]) -> dict[tuple[int, ...], Piece]:
        """Return what makes some chunks."""
        return {index: Piece(self, index) for index in indices}

    def __call__(self, index: tuple[int, ...], values: Mapping[Hashable, Any]) -> Any:
        """Return a chunk."""
        needs = self.needs
        source = values[next(iter(needs))] if needs else self.source
        slices = [slice(starts[at], starts[at + 1]) for starts, at in zip(self._starts, index, strict=True)]
        return self.fetch(source, slices, **self.options)

    @cached_property
    def _starts(self) -> list[list[int]]:
        return [[0, *itertools.accumulate(sizes)] for sizes in self.chunks]

    def recut(self, array: Any, chunks: Grid) -> tuple[Self, Any]:
        """Return how an array, of which this is the reading, is read in other chunks, and that array."""
        from dask.array import Array
        from dask.base import tokenize
        from dask.highlevelgraph import HighLevelGraph

        other = replace(self, name=f"{self.name}-{tokenize(chunks)}", chunks=chunks)
        graph = array.dask
        layers, needs = {other.name: other.layer()}, {other.name: graph.dependencies[self.base]}
        whole = HighLevelGraph({**graph.layers, **layers}, {**graph.dependencies, **needs})
        return other, Array(whole, other.name, chunks, dtype=array.dtype, meta=array._meta)

    def layer(self) -> Any:
        """Return the layer of a graph that makes all chunks."""
        from dask.blockwise import blockwise
        from dask.layers import ArraySliceDep

        axes = tuple(range(len(self.chunks)))
        slices = ArraySliceDep(self.chunks)
        return blockwise(self.fetch, self.name, axes, self.source, None, slices, axes, numblocks={}, **self.options)

    def shares_chunks(self, other: Reading) -> bool:
        """Tell whether some chunk of the source is read for both."""
        if self.base != other.base:
            return False
        pairs = zip(self._read_chunks, other._read_chunks, strict=True)
        return all(one.start < another.stop and another.start < one.stop for one, another in pairs)

    @cached_property
    def _read_chunks(self) -> list[range]:
        """Which chunks of the source are read, along each axis."""
        sizes, found = iter(self.chunks), []
        for at, whole in zip(self.fetch.window, self.whole, strict=True):
            first, step, number = (at, 1, 1) if isinstance(at, int) else (*at, sum(next(sizes)))
            ends = list(itertools.accumulate(whole))
            last = first + (number - 1) * step
            found.append(range(bisect_right(ends, first), bisect_right(ends, last) + 1) if number else range(0))
        return found


def readings_of(arrays: Sequence[Any]) -> dict[str, Reading]:
    """Return how arrays are read, and those that they are made of, by their names.

    Those are left out that need the same chunks of a source as another one, which are to be read once.
    """
    from dask.highlevelgraph import MaterializedLayer

    layers: dict[str, Any] = {}
    needs: dict[str, Any] = {}
    for array in arrays:
        layers |= array.dask.layers
        needs |= array.dask.dependencies
    found: dict[str, Reading | None] = {}

    def look(name: str) -> Reading | None:
        if name not in found:
            layer = layers[name]
            found[name] = Reading.of_source(name, layer)
            if found[name] is None and isinstance(layer, MaterializedLayer) and name.startswith("getitem-"):
                of = look(next(iter(needs[name]))) if len(needs[name]) == 1 else None
                found[name] = None if of is None else of.sliced(name, layer)
        return found[name]

    used = {array.name for array in arrays}
    for name in layers:
        if look(name) is None:
            used |= needs[name]
    by_base = defaultdict(list)
    for name in used:
        if (reading := found.get(name)) is not None:
            by_base[reading.base].append(reading)
    return {
        one.name: one
        for each in by_base.values()
        for one in each
        if not any(one is not other and one.shares_chunks(other) for other in each)
    }


def with_readings(array: Any, readings: Mapping[str, Reading]) -> Any:
    """Return the graph of an array in which slices are read as such, and nothing else that is not needed."""
    from dask.highlevelgraph import HighLevelGraph

    graph = array.dask
    layers, dependencies = {}, {}
    pending = [array.name]
    while pending:
        name = pending.pop()
        if name not in layers:
            layers[name], dependencies[name] = graph.layers[name], graph.dependencies[name]
            reading = readings.get(name)
            if reading is not None and name != reading.base:
                layers[name], dependencies[name] = reading.layer(), graph.dependencies[reading.base]
            pending += dependencies[name]
    return HighLevelGraph(layers, dependencies)


def work_in_common(graph: Any, others: Sequence[Any]) -> bool:
    """Tell whether a graph has chunks that others have too, which are to be made once."""
    return any(name in other.layers and len(layer) > 1 for name, layer in graph.layers.items() for other in others)


def _item(node: Any, of: Reading) -> tuple[tuple[int, ...], tuple[Any, ...]] | None:
    """Return the block of an array, and what of it, that a task takes; None for tasks that do anything else."""
    from dask.array.chunk import getitem

    if hasattr(node, "target"):  # another name of a block
        key, index = node.target, (slice(None),) * len(of.chunks)
    elif getattr(node, "func", None) in (getitem, operator.getitem) and len(node.args) == 2:
        key, index = getattr(node.args[0], "key", None), node.args[1]
    else:
        return None
    if not isinstance(key, tuple) or key[0] != of.name or not isinstance(index, tuple):
        return None
    plain = len(index) == len(of.chunks) == len(key) - 1 and all(isinstance(at, slice | int) for at in index)
    return (key[1:], index) if plain else None


def _by_axis(nodes: Mapping[tuple[int, ...], tuple[tuple[int, ...], tuple[Any, ...]]]) -> list[Any] | None:
    """Return what is taken along each axis of an array, blocks and their parts; None where that is not the same everywhere."""
    if not nodes:
        return None
    corner = (0,) * len(next(iter(nodes)))
    if corner not in nodes:
        return None
    blocks, index = nodes[corner]
    kept = [axis for axis, at in enumerate(index) if isinstance(at, slice)]
    if len(kept) != len(corner):
        return None
    counts = [1 + max(place[axis] for place in nodes) for axis in range(len(corner))]
    along: list[Any] = [(block, at) for block, at in zip(blocks, index, strict=True)]
    for axis, inner in enumerate(kept):
        line = [(*corner[:axis], at, *corner[axis + 1 :]) for at in range(counts[axis])]
        if not all(place in nodes for place in line):
            return None
        along[inner] = [(nodes[place][0][inner], nodes[place][1][inner]) for place in line]
    lines = [each if isinstance(each, list) else [each] for each in along]
    expected = [tuple(zip(*each, strict=True)) for each in itertools.product(*lines)]
    places = list(itertools.product(*map(range, counts)))
    same = len(places) == len(nodes) and all(
        nodes.get(place) == each for place, each in zip(places, expected, strict=True)
    )
    return along if same else None


def _part(taken: Any, sizes: Sequence[int]) -> tuple[int, int, tuple[int, ...] | None] | None:
    """Return where along an axis a slice begins, its steps, and the sizes of its chunks; None if it is no slice.

    A plane has no sizes.
    """
    starts = [0, *itertools.accumulate(sizes)]
    if isinstance(taken, tuple):
        block, at = taken
        return starts[block] + range(sizes[block])[at], 1, None
    first, step, lengths, total = None, 1, [], 0
    for block, at in taken:
        indices = slice(*at.indices(sizes[block]))
        size = len(range(*at.indices(sizes[block])))
        if size:
            start = starts[block] + indices.start - total * indices.step  # of the first chunk
            if first is None:
                first, step = start, indices.step
            if (start, indices.step) != (first, step) or step < 1:
                return None
        lengths.append(size)
        total += size
    return first or 0, step, tuple(lengths)
