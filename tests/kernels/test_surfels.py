"""Areas of patterns: of marching cubes, by symmetry, by what they add up to, and as the peers have them."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from fastseg.kernels.surfels import surfel_measures

spacings = st.tuples(*[st.floats(0.1, 10)] * 3)


def patterns(block: np.ndarray) -> np.ndarray:
    """Return the pattern of a block, (2, 2, 2) or (2, 2)."""
    return (block.reshape(-1) << np.arange(block.size)).sum()


BLOCKS = {ndim: np.array([*itertools.product((0, 1), repeat=2**ndim)]).reshape(-1, *[2] * ndim) for ndim in (2, 3)}


@settings(max_examples=20)
@given(spacings, st.permutations(range(3)), st.tuples(*[st.sampled_from([1, -1])] * 3))
def test_turned_mirrored_and_exchanged_blocks_have_the_same_area(spacing, axes, flips) -> None:
    areas, turned = surfel_measures(spacing), surfel_measures(tuple(spacing[axis] for axis in axes))
    for block in BLOCKS[3]:
        other = block[tuple(slice(None, None, flip) for flip in flips)].transpose(axes)
        assert turned[patterns(other)] == pytest.approx(areas[patterns(block)], rel=1e-14)
        assert areas[patterns(1 - block)] == areas[patterns(block)]


@pytest.mark.parametrize("ndim", [2, 3])
def test_there_is_surface_exactly_where_a_block_is_mixed(ndim: int) -> None:
    measures = surfel_measures((0.5, 2.0, 3.0)[:ndim])
    assert measures.shape == (2**2**ndim,)
    assert (np.flatnonzero(measures == 0) == [0, measures.size - 1]).all()
    assert (measures >= 0).all()
    assert not measures.flags.writeable


def test_by_hand() -> None:
    a, b, c = 2.0, 3.0, 5.0
    areas = surfel_measures((a, b, c))
    assert areas[0b1] == pytest.approx(np.linalg.norm([a * b, b * c, c * a]) / 8)  # a corner
    assert areas[0b1111] == pytest.approx(b * c)  # a face of the block
    assert areas[0b11] == pytest.approx(c * np.hypot(a, b) / 2)  # an edge along x
    assert areas[0b1001] == 2 * areas[0b1]  # two corners across a face: cut off one by one
    assert areas[0b1101001 | 0b10000000] > 0
    assert areas[0b10000001] == pytest.approx(2 * areas[0b1])
    lengths = surfel_measures((a, b))
    np.testing.assert_allclose(
        lengths[[0b1, 0b11, 0b101, 0b1001, 0b111]], np.array([13**0.5, 6, 4, 2 * 13**0.5, 13**0.5]) / 2
    )


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.5, 0.9, 1.3), (0.3, 0.3, 5.0)])
def test_the_area_of_a_box_is_that_of_its_faces_with_cut_edges(spacing: tuple[float, float, float]) -> None:
    mask = np.zeros((9, 10, 11), np.int64)
    mask[2:7, 2:8, 2:9] = 1  # 5, 6, 7 voxels: between centres 4, 5, 6 steps
    views = [mask[z : z + 8, y : y + 9, x : x + 10] for z, y, x in itertools.product((0, 1), repeat=3)]
    total = surfel_measures(spacing)[sum(view << bit for bit, view in enumerate(views))].sum()
    a, b, c = spacing
    faces = 2 * (4 * a * 5 * b + 5 * b * 6 * c + 6 * c * 4 * a)
    edges = 4 * (4 * a * np.hypot(b, c) + 5 * b * np.hypot(a, c) + 6 * c * np.hypot(a, b)) / 2
    assert total == pytest.approx(faces + edges + np.linalg.norm([a * b, b * c, c * a]))


@pytest.mark.torch
@settings(max_examples=10)
@given(spacings)
def test_monai_has_the_same_areas_and_lengths(spacing: tuple[float, float, float]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        utils = pytest.importorskip("monai.metrics.utils")
    for ndim in (2, 3):
        theirs, kernel = utils.get_code_to_measure_table(list(spacing[:ndim]))
        bits = np.log2(np.asarray(kernel).reshape(-1)).astype(int)  # of its codes, by corner
        ours = surfel_measures(spacing[:ndim])
        codes = [sum((pattern >> corner & 1) << bit for corner, bit in enumerate(bits)) for pattern in range(ours.size)]
        np.testing.assert_allclose(ours, np.asarray(theirs)[codes], rtol=1e-6 if theirs.dtype.itemsize == 4 else 1e-14)
