"""Where the chunks of arrays come from, so that they are made in the tasks that count them.

Of most arrays the graph is, in the end, a single layer that says how any chunk is made: read from a store, perhaps with some
functions on top. Such a recipe goes to each worker once; no task is made of a chunk, here or in the scheduler. The chunks of
other arrays have tasks, which are taken into those that count them where nobody else needs them. In both ways the chunks of a
task are in memory one after another instead of all at once.
"""

from __future__ import annotations

import itertools
import sys
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from fastseg.counting.dask_reads import Reading, with_readings, work_in_common

__all__ = ["Held", "Recipe", "Sources"]


@dataclass(frozen=True, eq=False)  # told apart by what they are: a task is slow to compare
class Held:
    """A task of Dask's that is run by another one."""

    node: Any

    def __dask_tokenize__(self) -> Any:  # else it would be pickled to be told from others
        return "fastseg.Held", self.node.key

    @property
    def needs(self) -> frozenset[Hashable]:
        """The keys of the values that it needs."""
        keys: frozenset[Hashable] = self.node.dependencies
        return keys

    def run(self, values: Mapping[Hashable, Any]) -> Any:
        """Return what the task returns, of the values that it depends on, by key."""
        return self.node({key: values[key] for key in self.node.dependencies})


@dataclass(frozen=True, eq=False)
class Recipe:
    """How any chunk of an array is made, of what a few keys stand for."""

    name: str
    """Of the array."""
    layer: Any

    @classmethod
    def of(cls, name: str, graph: Any) -> tuple[Self, Any] | None:
        """Return the recipe of an array, and the graph of what it needs; None where a chunk needs chunks that have tasks."""
        from dask.blockwise import Blockwise, optimize_blockwise
        from dask.highlevelgraph import HighLevelGraph

        graph = optimize_blockwise(graph, keys=[(name,)])
        layer = graph.layers.get(name)
        if not isinstance(layer, Blockwise) or layer.output_blocks:
            return None
        if any(axes is not None and each not in layer.io_deps for each, axes in layer.indices):
            return None
        if any(each.produces_keys for each in layer.io_deps.values()):
            return None
        others = {each: graph.layers[each] for each in graph.layers if each != name}
        return cls(name, layer), HighLevelGraph(others, {each: graph.dependencies[each] for each in others})

    def tasks(self, indices: Iterable[tuple[int, ...]]) -> dict[tuple[int, ...], Held]:
        """Return what makes some chunks."""
        keys = {(self.name, *index): index for index in indices}
        layer, _ = self.layer.cull(set(keys), ())
        return {keys[key]: Held(node) for key, node in layer.items() if key in keys}


class Sources:
    """Where the chunks of several arrays come from.

    Attributes
    ----------
    recipes : dict
        By the names of the arrays; those that have none are taken chunk by chunk (`take`).
    needed : tuple
        The keys that the recipes need.
    """

    def __init__(self, arrays: Sequence[Any], readings: Mapping[str, Reading]) -> None:
        from dask.highlevelgraph import HighLevelGraph

        self.recipes: dict[str, Recipe | Reading] = {}
        graphs = {array.name: with_readings(array, readings) for array in arrays}
        parts = []
        for name, graph in graphs.items():
            others = [other for each, other in graphs.items() if each != name]
            if not work_in_common(graph, others) and (found := Recipe.of(name, graph)) is not None:
                self.recipes[name] = readings.get(name, found[0])
                parts.append(found[1])
        corners = {array.name: (0,) * array.ndim for array in arrays}
        firsts = (recipe.tasks([corners[name]])[corners[name]] for name, recipe in self.recipes.items())
        self.needed: tuple[Hashable, ...] = tuple(dict.fromkeys(key for first in firsts for key in first.needs))
        self._nodes = _optimized(HighLevelGraph.merge(*parts), list(self.needed)) if self.needed else {}
        left = [array for array in arrays if array.name not in self.recipes]
        self._chunks = _Chunks(left, [graphs[array.name] for array in left])

    def take(self, key: tuple[Hashable, ...]) -> tuple[Any, frozenset[Hashable]]:
        """Return what stands for a chunk without a recipe in the task that counts it, and the keys that this needs.

        That is the task that makes the chunk, or its key, where others need the chunk too or it is there already.
        """
        return self._chunks.take(key)

    def graph(self, keys: Iterable[Hashable]) -> dict[Hashable, Any]:
        """Return the tasks that the recipes need, and those that some keys of chunks need."""
        return {**_reached(self._nodes, self.needed), **_reached(self._chunks.nodes, keys)}


class _Chunks:
    """The tasks that arrays are made of, as few as Dask can make of them."""

    def __init__(self, arrays: Sequence[Any], graphs: Sequence[Any]) -> None:
        from dask.highlevelgraph import HighLevelGraph

        self.nodes: dict[Hashable, Any] = {}
        if arrays:
            graph = HighLevelGraph.merge(*graphs)
            keys = [(a.name, *index) for a in arrays for index in itertools.product(*map(range, a.numblocks))]
            self.nodes = _optimized(graph, keys)
        names = Counter(array.name for array in arrays)
        self.twice = {name for name, times in names.items() if times > 1}  # a map compared with itself
        self.users = Counter(itertools.chain.from_iterable(map(_needs, self.nodes.values())))

    def take(self, key: tuple[Hashable, ...]) -> tuple[Any, frozenset[Hashable]]:
        if self.users[key] or key[0] in self.twice:
            return key, frozenset()
        node: Any = self.nodes.get(key)
        while hasattr(node, "target") and self.users[node.target] == 1:  # another name of a task that was fused
            node = self.nodes.get(node.target)
        if not hasattr(node, "func") or getattr(node, "is_coro", False):  # futures and data have no function
            return key, frozenset()
        return Held(node), frozenset(node.dependencies)


def _optimized(graph: Any, keys: Sequence[Hashable]) -> dict[Hashable, Any]:
    from dask.array.optimization import optimize

    return {**_futures(graph), **optimize(graph, keys)}


def _reached(nodes: dict[Hashable, Any], keys: Iterable[Hashable]) -> dict[Hashable, Any]:
    """Return the tasks that some keys need: all of them where a task does not say what it depends on."""
    found: dict[Hashable, Any] = {}
    pending = [key for key in keys if key in nodes]
    while pending:
        key = pending.pop()
        if key not in found:
            node = found[key] = nodes[key]
            if isinstance(node, (tuple, list)):  # as tasks were written before they were objects
                return nodes
            pending += [needed for needed in _needs(node) if needed in nodes]
    return found


def _futures(graph: Any) -> dict[Hashable, Any]:
    """Return what workers hold already, of arrays that were persisted: it is no task, and lost where tasks are optimised."""
    library = sys.modules.get("distributed")
    if library is None:
        return {}
    made = (layer.mapping for layer in graph.layers.values() if hasattr(layer, "mapping"))
    return {key: value for each in made for key, value in each.items() if isinstance(value, library.Future)}


def _needs(node: Any) -> Iterable[Hashable]:
    return getattr(node, "dependencies", ())
