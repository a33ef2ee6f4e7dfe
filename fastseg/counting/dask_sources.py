"""The tasks that make single chunks, taken into the tasks that count them.

A chunk that nobody else needs is made where it is counted, when it is counted: the scheduler has one task for a box instead
of one for each chunk of each array besides, and the chunks of a box are in memory one after another instead of all at once.
"""

from __future__ import annotations

import itertools
import sys
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Held", "Sources"]


@dataclass(frozen=True, eq=False)  # told apart by what they are: a task is slow to compare
class Held:
    """A task of Dask's that is run by another one."""

    node: Any

    def __dask_tokenize__(self) -> Any:  # else it would be pickled to be told from others
        return "fastseg.Held", self.node.key

    def run(self, values: Mapping[Hashable, Any]) -> Any:
        """Return what the task returns, of the values that it depends on, by key."""
        return self.node({key: values[key] for key in self.node.dependencies})


class Sources:
    """The tasks that arrays are made of, as few as Dask can make of them."""

    def __init__(self, arrays: Sequence[Any]) -> None:
        from dask.array.optimization import optimize
        from dask.highlevelgraph import HighLevelGraph

        graph = HighLevelGraph.merge(*(array.__dask_graph__() for array in arrays))
        keys = [(a.name, *index) for a in arrays for index in itertools.product(*map(range, a.numblocks))]
        self.nodes: dict[Hashable, Any] = {**_futures(graph), **optimize(graph, keys)}
        names = Counter(array.name for array in arrays)
        self.twice = {name for name, times in names.items() if times > 1}  # a map compared with itself
        self.users = Counter(itertools.chain.from_iterable(map(_needs, self.nodes.values())))

    def take(self, key: tuple[Hashable, ...]) -> tuple[Any, frozenset[Hashable]]:
        """Return what stands for a chunk in the task that counts it, and the keys that this needs.

        That is the task that makes the chunk, or its key, where others need the chunk too or it is there already.
        """
        if self.users[key] or key[0] in self.twice:
            return key, frozenset()
        node: Any = self.nodes.get(key)
        while hasattr(node, "target") and self.users[node.target] == 1:  # another name of a task that was fused
            node = self.nodes.get(node.target)
        if not hasattr(node, "func") or getattr(node, "is_coro", False):  # futures and data have no function
            return key, frozenset()
        return Held(node), frozenset(node.dependencies)

    def graph(self, keys: Iterable[Hashable]) -> dict[Hashable, Any]:
        """Return the tasks that some keys need: all of them where a task does not say what it depends on."""
        found: dict[Hashable, Any] = {}
        pending = [key for key in keys if key in self.nodes]
        while pending:
            key = pending.pop()
            if key not in found:
                node = found[key] = self.nodes[key]
                if isinstance(node, (tuple, list)):  # as tasks were written before they were objects
                    return self.nodes
                pending += [needed for needed in _needs(node) if needed in self.nodes]
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
