"""Who is matched with whom: from the edges that qualify to those that are chosen.

All functions take the ends of edges, `rows` (true) and `columns` (predicted), sorted by both, and return which are chosen.
Where several are as good, the first wins; only `optimal` leaves it to SciPy which of several best matchings it returns.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["best_of_each", "greedy", "merging", "optimal"]

Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Cells of a block of the graph up to which it is solved as a dense matrix (32 MiB).
_DENSE = 2**22
#: Edges for each that is sure at which the search for more of these is given up.
_FEW = 256


def greedy(rows: Ints, columns: Ints, order: Ints) -> Bools:
    """Choose edges in an order, each segment once."""
    chosen = _lonely(rows, columns)
    left = order[~chosen[order]]
    taken_rows: set[int] = set()
    taken_columns: set[int] = set()
    for edge, row, column in zip(left.tolist(), rows[left].tolist(), columns[left].tolist(), strict=True):
        if row not in taken_rows and column not in taken_columns:
            taken_rows.add(row)
            taken_columns.add(column)
            chosen[edge] = True
    return chosen


def best_of_each(ends: Ints, scores: Floats) -> Bools:
    """Choose for each segment that has an edge its best one, whatever the segment at the other end has."""
    order = np.lexsort((-scores, ends))
    first = np.ones(len(order), bool)
    first[1:] = ends[order][1:] != ends[order][:-1]
    chosen = np.zeros(len(ends), bool)
    chosen[order[first]] = True
    return chosen


def merging(
    rows: Ints, columns: Ints, order: Ints, qualifies: Bools, fraction: Any, areas: tuple[Array, Array, Array]
) -> Bools:
    """Choose edges in an order, and join further predictions to a true segment where that raises its score.

    Parameters
    ----------
    rows, columns, order
        All edges, those below the threshold too, and in which order they are looked at.
    qualifies
        Which may be the first of a true segment.
    fraction
        The score as a fraction, of the voxels in common, of the true segment and of the predictions together.
    areas
        Voxels of each edge, of its true segment and of its predicted one.
    """
    chosen = np.zeros(len(rows), bool)
    taken: set[int] = set()
    joint: dict[int, tuple[float, float, float]] = {}
    lists = (a[order].tolist() for a in (rows, columns, qualifies, *areas))
    for edge, row, column, good, common, true, pred in zip(order.tolist(), *lists, strict=True):
        if column in taken:
            continue
        if row in joint:
            best, in_common, predicted = joint[row]
            over, under = fraction(in_common + common, true, predicted + pred)
            score = over / under
            if not score > best:
                continue
            joint[row] = (score, in_common + common, predicted + pred)
        elif good:
            over, under = fraction(common, true, pred)
            joint[row] = (over / under, common, pred)
        else:
            continue
        taken.add(column)
        chosen[edge] = True
    return chosen


def optimal(rows: Ints, columns: Ints, weights: Floats) -> Bools:
    """Choose edges so that no segment has two, and the sum of their weights, which are positive, is the greatest.

    Edges that weigh more than all that could stand in their place are taken at once, which leaves few in maps of segments.
    What is left of the graph falls into blocks that share no segment; each is solved alone, so that memory follows the blocks.
    """
    chosen, left = _outweighing(rows, columns, weights)
    if not left.size:
        return chosen
    blocks = _blocks(rows[left], columns[left])
    order = np.argsort(blocks, kind="stable")
    left, blocks = left[order], blocks[order]
    starts = np.flatnonzero(np.diff(blocks, prepend=-1))
    own_rows, own_columns = (_ranks(ends[left], blocks) for ends in (rows, columns))
    heights, widths = (np.maximum.reduceat(ranks, starts) + 1 for ranks in (own_rows, own_columns))
    stops = np.append(starts[1:], left.size)
    for start, stop, *shape in zip(*(each.tolist() for each in (starts, stops, heights, widths)), strict=True):
        edges, r, c = left[start:stop], own_rows[start:stop], own_columns[start:stop]
        solve = _solve_dense if shape[0] * shape[1] <= _DENSE else _solve_sparse
        chosen[edges[solve(r, c, weights[edges], (shape[0], shape[1]))]] = True
    return chosen


def _outweighing(rows: Ints, columns: Ints, weights: Floats) -> tuple[Bools, Ints]:
    """Choose edges that are in a best matching for sure; return them, and which edges are left.

    An edge is, if it weighs as much as the next best edges of both its ends together: to take it loses nothing.
    """
    chosen, left = np.zeros(len(rows), bool), np.arange(len(rows))
    by_column = np.argsort(columns, kind="stable")
    free = np.ones(len(rows), bool)
    while left.size:
        of_row, of_column = (_leads(ends, weights, order) for ends, order in ((rows, left), (columns, by_column)))
        lead = np.full(len(rows), -np.inf)
        lead[left] = of_row
        lead[by_column] += of_column
        sure = left[lead[left] >= weights[left]]
        chosen[sure] = True
        taken_rows, taken_columns = (np.zeros(int(ends.max()) + 1, bool) for ends in (rows, columns))
        taken_rows[rows[sure]], taken_columns[columns[sure]] = True, True
        free[left] = ~(taken_rows[rows[left]] | taken_columns[columns[left]])
        left, by_column = left[free[left]], by_column[free[by_column]]
        if len(sure) * _FEW < left.size:  # a long chain would be taken link by link
            break
    return chosen, left


def _leads(ends: Ints, weights: Floats, order: Ints) -> Floats:
    """Return of the first of the heaviest edges of each end by how much it leads the next; of all others -inf.

    `order` has the edges by ends.
    """
    own, values = ends[order], weights[order]
    starts = np.flatnonzero(np.diff(own, prepend=-1))
    of = np.repeat(np.arange(starts.size), np.diff(starts, append=own.size))
    is_best = values == np.maximum.reduceat(values, starts)[of]
    first = np.full(starts.size, own.size)
    np.minimum.at(first, of[is_best], np.flatnonzero(is_best))
    others = values.copy()
    others[first] = 0.0
    leads = np.full(own.size, -np.inf)
    leads[first] = values[first] - np.maximum.reduceat(others, starts)
    return leads


def _ranks(ends: Ints, blocks: Ints) -> Ints:
    """Return the places of ends among the distinct ones of their block; blocks are sorted."""
    distinct, inverse = np.unique(ends, return_inverse=True)
    inverse = inverse.reshape(-1)
    of = np.empty(distinct.size, np.int64)
    of[inverse] = blocks
    order = np.argsort(of, kind="stable")
    starts = np.flatnonzero(np.diff(of[order], prepend=-1))
    ranks = np.empty(distinct.size, np.int64)
    ranks[order] = np.arange(distinct.size) - np.repeat(starts, np.diff(starts, append=distinct.size))
    return ranks[inverse]


def _blocks(rows: Ints, columns: Ints) -> Ints:
    """Return a number for each edge, the same for those of one block."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    width = int(rows.max()) + 1
    size = width + int(columns.max()) + 1
    graph = coo_array((np.ones(len(rows), np.int8), (rows, columns + width)), shape=(size, size))
    labels: Ints = connected_components(graph, directed=False)[1].astype(np.int64)
    return labels[rows]


def _lonely(rows: Ints, columns: Ints) -> Bools:
    """Return which edges are the only one of both of their ends: any matching takes them."""
    lonely: Bools = np.zeros(0, bool)
    if rows.size:
        lonely = (np.bincount(rows)[rows] == 1) & (np.bincount(columns)[columns] == 1)
    return lonely


def _solve_dense(rows: Ints, columns: Ints, weights: Floats, shape: tuple[int, int]) -> Ints:
    from scipy.optimize import linear_sum_assignment

    matrix = np.zeros(shape)
    edges = np.full(shape, -1, np.int64)
    matrix[rows, columns] = weights
    edges[rows, columns] = np.arange(len(weights))
    found: Ints = edges[linear_sum_assignment(matrix, maximize=True)]
    return found[found >= 0]


def _solve_sparse(rows: Ints, columns: Ints, weights: Floats, shape: tuple[int, int]) -> Ints:
    """Solve a block whose matrix would not fit: each row may also stay alone, with a column of its own."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    height, width = shape
    most = float(weights.max()) + 1.0  # costs have to be positive: what is 0 would be no edge
    data = np.concatenate([most - weights, np.full(height, most)])
    ends = np.concatenate([rows, np.arange(height)]), np.concatenate([columns, width + np.arange(height)])
    costs = csr_array((data, ends), shape=(height, width + height))
    found_rows, found_columns = min_weight_full_bipartite_matching(costs)
    real = found_columns < width
    keys = found_rows[real].astype(np.int64) * width + found_columns[real]
    own = rows * np.int64(width) + columns
    order = np.argsort(own)
    found: Ints = order[np.searchsorted(own[order], keys)]
    return found
